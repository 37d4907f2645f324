# We were away when the nightly job was to call; it may have called in vain and gets the grace again.
start = 2026-01-10T00:00:00Z
heartbeat = cron "0 3 * * *" UTC, grace = 30m

2026-01-10T03:01Z ping -> up
2026-01-11T03:10Z returned 20m
2026-01-11T03:39Z .
2026-01-11T03:40Z .    -> unknown: May have called while we were not listening: 2026-01-11 02:50:00 UTC to 2026-01-11 03:10:00 UTC
2026-01-12T03:30Z .    -> opened: No ping since 2026-01-10 03:01:00 UTC
