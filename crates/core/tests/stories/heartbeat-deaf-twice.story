# Deaf again before the next ping is due changes nothing; deaf again when it is due leaves us not knowing.
heartbeat = every 1d, grace = 1h

00:00 ping -> up
1445:00 returned 30m
1505:00 .  -> unknown: May have called while we were not listening: 2026-03-01 23:35:00 UTC to 2026-03-02 00:05:00 UTC
2000:00 returned 10m
2890:00 returned 10m
2950:00 .
4389:00 .
4390:00 .  -> opened: No ping since 2026-03-01 00:00:00 UTC
