# A shorter interval holds at once; none means none.
failure_threshold = 1, remind_every = 1h

00:00 up           -> up
01:00 down refused -> opened: refused
05:00 change remind_every = 10m
15:00 .            -> reminded (1) after 14m
20:00 change remind_every = never
90:00 .
95:00 change remind_every = 30m
125:00 .           -> reminded (2) after 2h4m
