# Pausing closes an open incident, once, to those who heard of it. Nothing is looked at until it is resumed.
failure_threshold = 1, success_threshold = 2, remind_every = 5m

00:00 up           -> up
01:00 down refused -> opened: refused
02:00 pause        -> closed: paused
02:10 pause
03:00 down refused
20:00 .
20:00 resume
20:00 up
20:20 up           -> up
