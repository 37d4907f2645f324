# While it is down and nobody has acknowledged it, people hear again.
failure_threshold = 1, success_threshold = 1, remind_every = 15m

00:00 up           -> up
01:00 down refused -> opened: refused
16:00 .            -> reminded (1) after 15m
31:00 .            -> reminded (2) after 30m
40:00 up           -> resolved after 39m
60:00 .
