# A slow answer is an answer: it ends an outage.
failure_threshold = 1, success_threshold = 2, slow_threshold = 2

00:00 up           -> up
01:00 down timeout -> opened: timeout
02:00 slow 4 s
02:20 slow 4 s     -> resolved after 1m
03:00 slow 4 s
04:00 slow 4 s     -> degraded: 4 s
