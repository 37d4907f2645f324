# Slow answers in a row make a monitor degraded; quick ones in a row end it.
slow_threshold = 3, success_threshold = 2

00:00 up         -> up
01:00 slow 3.1 s
02:00 up
03:00 slow 2.8 s
04:00 slow 2.9 s
05:00 slow 3.3 s -> degraded: 3.3 s
06:00 up
06:20 slow 2.5 s
07:00 up
07:20 up         -> quick again
