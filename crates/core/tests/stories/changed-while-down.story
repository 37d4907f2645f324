# New settings begin the confirmation anew, and leave an open incident open.
failure_threshold = 1, success_threshold = 2

00:00 up           -> up
01:00 down refused -> opened: refused
02:00 up
02:10 change success_threshold = 3
02:20 up
02:40 up
03:00 up           -> resolved after 1m20s
