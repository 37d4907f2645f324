# Slow, then unknown, then well: those who heard of the slowness hear of its end.
slow_threshold = 1, interval = 60s, success_threshold = 2

00:00 up            -> up
01:00 slow 4 s      -> degraded: 4 s
02:00 local network
04:00 local network -> unknown: network
05:00 up
05:20 up            -> quick again
