# A new monitor is up with its first good answer, whatever came before.
failure_threshold = 3

00:00 down refused
00:20 down refused
00:40 up -> up
