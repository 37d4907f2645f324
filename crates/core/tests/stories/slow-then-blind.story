# Slow, then unknown, then paused: those who heard of the slowness hear that nobody looks any more.
slow_threshold = 1, interval = 60s

00:00 up            -> up
01:00 slow 4 s      -> degraded: 4 s
02:00 local network
03:00 local network
04:00 local network -> unknown: network
05:00 pause         -> closed while unknown: paused
