# Whoever wants to hear of every silence, ours or theirs, hears of it after one more grace.
start = 2026-01-10T00:00:00Z
heartbeat = cron "0 3 * * *" UTC, grace = 30m, strict = yes

2026-01-10T03:01Z ping -> up
2026-01-11T03:10Z returned 20m
2026-01-11T03:40Z .    -> opened: No ping since 2026-01-10 03:01:00 UTC
2026-01-11T03:50Z ping -> resolved after 10m
