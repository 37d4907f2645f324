# Good answers far apart are not in a row either.
failure_threshold = 1, success_threshold = 2, interval = 60s, timeout = 10s

00:00 up           -> up
01:00 down refused -> opened: refused
02:00 up
10:00 up
10:20 up           -> resolved after 9m
