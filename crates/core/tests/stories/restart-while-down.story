# An incident survives a restart, and so does the duty to tell its end.
failure_threshold = 1, success_threshold = 2

00:00 up           -> up
01:00 down refused -> opened: refused
31:00 returned 29m
31:10 up
31:30 up           -> resolved after 30m10s
