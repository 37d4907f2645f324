# What is unknown can be found down; the failures before the blindness do not count.
interval = 60s, failure_threshold = 3

00:00 up            -> up
01:00 down timeout
01:20 down timeout
01:40 local network
02:40 local network
03:40 local network -> unknown: network
04:40 down timeout
05:00 down timeout
05:20 down timeout  -> opened: timeout
