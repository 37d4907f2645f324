# A result that was asked for under older settings counts for nothing.
failure_threshold = 1, success_threshold = 1

00:00 up           -> up
01:00 change timeout = 5s
01:01 down timeout (5s ago; old settings)
02:00 down timeout -> opened: timeout
03:00 change timeout = 10s
03:01 up (2s ago; old settings)
04:00 up           -> resolved after 2m
