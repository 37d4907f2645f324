# A nightly job by cron in its own zone, with the half hour it may be late.
start = 2026-01-10T00:00:00Z
heartbeat = cron "0 3 * * *" Europe/Berlin, grace = 30m

2026-01-10T02:04Z ping -> up
2026-01-11T02:05Z ping
2026-01-12T02:29Z .
2026-01-12T02:30Z .    -> opened: No ping: expected 2026-01-12 02:00:00 UTC
2026-01-12T02:41Z ping -> resolved after 11m
2026-01-13T02:03Z ping
