# The night the clocks go back: half past two comes twice, and is meant once.
start = 2026-10-23T12:00:00Z
heartbeat = cron "30 2 * * *" Europe/Berlin, grace = 10m

2026-10-24T00:31Z ping -> up
2026-10-25T00:31Z ping
2026-10-25T01:45Z .
2026-10-26T01:31Z ping
2026-10-27T01:40Z .    -> opened: No ping: expected 2026-10-27 01:30:00 UTC
