# The end is told to those who heard the beginning, whatever the routes say by then, and to those whom a reminder told.
failure_threshold = 1, success_threshold = 1, remind_every = 10m
notify = ops mail

00:00 up           -> up
01:00 down refused -> opened: refused (ops mail)
05:00 notify night ops
11:00 .            -> reminded (1) after 10m (night ops)
12:00 notify nobody
13:00 up           -> resolved after 12m (ops mail night)
14:00 down refused -> opened: refused (nobody)
15:00 up           -> up, nobody waits to hear it
