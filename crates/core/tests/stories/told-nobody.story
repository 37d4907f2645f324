# Where nobody is told of a failure, nobody is told of its end.
failure_threshold = 1, success_threshold = 1
notify = ops

00:00 up           -> up
00:30 notify nobody
01:00 down refused -> opened: refused (nobody)
01:30 notify ops
02:00 up           -> up, nobody waits to hear it
