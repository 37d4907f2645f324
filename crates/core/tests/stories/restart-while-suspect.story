# A restart opens nothing. Failures from before it still count if they are recent.
failure_threshold = 3, interval = 60s

00:00 up           -> up
01:00 down timeout
01:20 down timeout
02:00 returned 30s
02:00 down timeout -> opened: timeout
