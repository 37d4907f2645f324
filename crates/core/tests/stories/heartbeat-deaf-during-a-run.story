# A run was going on while we were deaf: its end may have been told to nobody.
heartbeat = every 1d, grace = 5m, max_run = 2h

00:00 ping -> up
1430:00 start
1500:00 returned 5m
1550:00 .  -> unknown: May have called while we were not listening: 2026-03-02 00:55:00 UTC to 2026-03-02 01:00:00 UTC
2000:00 .
3064:59 .
3065:00 .  -> opened: Started, but not finished within 2h
