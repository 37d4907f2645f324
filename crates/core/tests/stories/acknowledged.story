# Someone has it: no more reminders, but the end is told. The next incident is not acknowledged.
failure_threshold = 1, success_threshold = 1, remind_every = 10m

00:00 up           -> up
01:00 down refused -> opened: refused
11:00 .            -> reminded (1) after 10m
12:00 acknowledge
60:00 .
61:00 up           -> resolved after 1h
62:00 down refused -> opened: refused
72:00 .            -> reminded (1) after 10m
