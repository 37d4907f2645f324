# The sender's clock is a second ahead: a ping just before its moment is the ping of that moment.
start = 2026-01-10T00:00:00Z
heartbeat = cron "0 3 * * *" UTC, grace = 30m

2026-01-10T03:00Z ping -> up
2026-01-11T02:59:59Z ping
2026-01-12T02:59:59Z ping
2026-01-13T02:58:00Z ping
2026-01-13T03:30Z .    -> opened: No ping: expected 2026-01-13 03:00:00 UTC
