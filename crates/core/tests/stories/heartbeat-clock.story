# A leap of the clock, forward or backward, brings no deadline nearer.
heartbeat = every 60s, grace = 30s

00:00 ping -> up
00:30 clock +3653d
01:29 .
01:29 clock -3653d
01:30 .    -> opened: No ping: expected 2026-03-01 00:01:00 UTC
02:00 ping -> resolved after 30s
02:10 clock -1h
03:00 ping
