# Whoever called while we were away called in vain, and gets another chance.
heartbeat = every 60s, grace = 60s

00:00 ping -> up
01:00 ping
02:30 returned 40s
03:00 ping
04:50 returned 30s
05:20 .
05:50 .    -> unknown: May have called while we were not listening: 2026-03-01 00:04:20 UTC to 2026-03-01 00:04:50 UTC
06:50 .    -> opened: No ping since 2026-03-01 00:03:00 UTC
