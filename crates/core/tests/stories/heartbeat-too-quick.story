# A backup that is done after three seconds backed up nothing. Without a start nobody knows how long it took.
heartbeat = every 1h, grace = 5m, max_run = 30m, min_run = 1m

00:00 start
20:00 ping  -> up
60:00 start
60:03 ping  -> opened: Finished after 3s, sooner than 1m
120:00 start
121:00 ping -> resolved after 1h57s
180:00 ping
