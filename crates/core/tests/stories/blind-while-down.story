# An incident stays open while we cannot look: nothing speaks for a recovery.
interval = 60s, failure_threshold = 1, success_threshold = 2

00:00 up           -> up
01:00 down refused -> opened: refused
02:00 local network
03:00 local network
30:00 local network
31:00 up
31:20 up           -> resolved after 30m
