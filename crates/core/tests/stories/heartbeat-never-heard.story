# A heartbeat that has never called is pending, and alerts nobody.
heartbeat = every 60s, grace = 30s

00:00 .
100:00 .
101:00 ping -> up
102:30 .    -> opened: No ping: expected 2026-03-01 01:42:00 UTC
