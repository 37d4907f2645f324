# An outage is confirmed by failures in a row, and counts from the first of them.
failure_threshold = 3, retry_interval = 20s

00:00 up           -> up
01:00 down timeout
01:20 down timeout
01:40 down refused -> opened: refused
02:40 down refused
