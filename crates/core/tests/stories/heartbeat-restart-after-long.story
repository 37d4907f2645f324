# A long absence accuses nobody: after it there is the grace once more.
heartbeat = every 60s, grace = 30s

00:00 ping -> up
60:00 returned 59m
60:29 .
60:30 .    -> unknown: May have called while we were not listening: 2026-03-01 00:01:00 UTC to 2026-03-01 01:00:00 UTC
61:30 .    -> opened: No ping since 2026-03-01 00:00:00 UTC
