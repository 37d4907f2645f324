# The night the clocks go forward: three in the morning comes an hour sooner, and half past two does not come.
start = 2026-03-27T12:00:00Z
heartbeat = cron "0 3 * * *" Europe/Berlin, grace = 30m

2026-03-28T02:01Z ping -> up
2026-03-29T01:02Z ping
2026-03-30T01:00Z .
2026-03-30T01:30Z .    -> opened: No ping: expected 2026-03-30 01:00:00 UTC
