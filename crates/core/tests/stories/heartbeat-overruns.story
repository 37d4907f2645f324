# A run that was started must finish in its time.
heartbeat = every 1h, grace = 5m, max_run = 10m

00:00 start
05:00 ping -> up
60:00 start
69:59 .
70:00 .    -> opened: Started, but not finished within 10m
75:00 ping -> resolved after 5m
