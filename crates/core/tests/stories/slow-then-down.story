# A slow monitor that goes down is an incident of its own; whoever heard of either hears of the end.
slow_threshold = 1, failure_threshold = 2, success_threshold = 1
notify = ops

00:00 up           -> up
01:00 slow 4 s     -> degraded: 4 s (ops)
02:00 notify night
02:00 down timeout
02:20 down timeout -> opened: timeout (night)
03:20 up           -> resolved after 1m20s (night ops)
