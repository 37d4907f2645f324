# The clock leaps ten years ahead while an outage is being confirmed. Nothing happens by itself.
failure_threshold = 3, success_threshold = 2, remind_every = 10m

00:00 up           -> up
01:00 down timeout
01:20 down timeout
01:30 clock +3653d
01:40 down timeout -> opened: timeout
05:00 clock -3653d
11:00 .
11:40 .            -> reminded (1) after 0s
12:00 up
12:20 up           -> resolved after 0s
