# What comes every half hour comes in both hours of the night the clocks go back.
start = 2026-10-24T23:00:00Z
heartbeat = cron "*/30 * * * *" Europe/Berlin, grace = 5m

2026-10-24T23:30Z ping -> up
2026-10-25T00:00Z ping
2026-10-25T00:30Z ping
2026-10-25T01:00Z ping
2026-10-25T01:30Z ping
2026-10-25T02:05Z .    -> opened: No ping: expected 2026-10-25 02:00:00 UTC
