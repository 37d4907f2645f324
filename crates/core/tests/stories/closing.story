# An incident is over after good answers in a row, and was over with the first of them.
failure_threshold = 1, success_threshold = 2

00:00 up           -> up
01:00 down refused -> opened: refused
02:00 up
02:20 down refused
03:00 up
03:20 up           -> resolved after 2m
