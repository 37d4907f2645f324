# Failures that are not in a row open nothing.
failure_threshold = 3, retry_interval = 20s

00:00 up -> up
01:00 down timeout
01:20 down timeout
01:40 up
02:00 down timeout
02:20 down timeout
02:40 up
03:00 down timeout
03:20 up
