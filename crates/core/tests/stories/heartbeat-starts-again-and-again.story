# A job that starts and never finishes does not put off the end for ever.
heartbeat = every 1h, grace = 5m, max_run = 10m

00:00 ping -> up
60:00 start
66:00 start
72:00 start
75:00 .    -> opened: No ping: expected 2026-03-01 01:00:00 UTC
78:00 start
