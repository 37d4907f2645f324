# Half past two does not come in the night the clocks go forward; the job is expected at three instead.
start = 2026-03-27T12:00:00Z
heartbeat = cron "30 2 * * *" Europe/Berlin, grace = 10m

2026-03-28T01:31Z ping -> up
2026-03-29T01:09Z .
2026-03-29T01:10Z .    -> opened: No ping: expected 2026-03-29 01:00:00 UTC
2026-03-29T01:11Z ping -> resolved after 1m
2026-03-30T00:31Z ping
2026-03-31T00:40Z .    -> opened: No ping: expected 2026-03-31 00:30:00 UTC
