# The clock leaps over three in the morning, then back over it. Neither is a silence.
start = 2026-01-10T00:00:00Z
heartbeat = cron "0 3 * * *" UTC, grace = 30m

2026-01-10T03:01Z ping -> up
2026-01-10T22:00Z clock +10h
2026-01-11T03:00Z ping
2026-01-11T05:00Z clock -10h
2026-01-11T12:00Z .
2026-01-12T03:01Z ping
2026-01-13T03:30Z .    -> opened: No ping: expected 2026-01-13 03:00:00 UTC
