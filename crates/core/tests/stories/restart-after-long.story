# After a long absence the confirmation begins anew.
failure_threshold = 3, interval = 60s

00:00 up -> up
01:00 down timeout
01:20 down timeout
31:20 returned 30m
31:20 down timeout
31:40 down timeout
32:00 up
