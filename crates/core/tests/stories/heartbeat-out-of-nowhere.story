# A ping with a stamp of the future, from before the clock went back, counts as of now.
heartbeat = every 60s, grace = 30s

00:00 ping -> up
00:50 clock -1h
01:00 ping (1h ahead)
02:29 .
02:30 .    -> opened: No ping: expected 2026-02-28 23:02:00 UTC
