# A start breaks the silence: a run that was begun in time may take as long as runs may, longer than the grace.
heartbeat = every 1h, grace = 5m, max_run = 40m

00:00 ping -> up
60:00 start
65:00 .
95:00 ping
155:00 start
