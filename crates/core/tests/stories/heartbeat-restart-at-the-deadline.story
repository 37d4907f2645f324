# Gone in the very moment that silence becomes a failure: the ping may have come just then.
heartbeat = every 60s, grace = 30s

00:00 ping -> up
01:40 returned 10s
02:09 .
02:10 .    -> unknown: May have called while we were not listening: 2026-03-01 00:01:30 UTC to 2026-03-01 00:01:40 UTC
