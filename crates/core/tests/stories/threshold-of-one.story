# Whoever wants to hear of every failure hears of every failure.
failure_threshold = 1, success_threshold = 1

00:00 up       -> up
01:00 down 502 -> opened: 502
02:00 up       -> resolved after 1m
03:00 down 502 -> opened: 502
04:00 up       -> resolved after 1m
