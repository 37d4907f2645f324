# A run that has begun is measured by the stopwatch, whatever the clock on the wall does meanwhile.
start = 2026-01-10T00:00:00Z
heartbeat = cron "0 3 * * *" UTC, grace = 30m, max_run = 2h

2026-01-10T03:01Z ping -> up
2026-01-11T03:00Z start
2026-01-11T04:00Z clock +10h
2026-01-11T04:59Z .
2026-01-11T05:00Z .    -> opened: No ping since 2026-01-10 13:01:00 UTC
