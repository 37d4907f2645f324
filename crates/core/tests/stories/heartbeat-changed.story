# By new settings it would have been silent for too long already; it could not know, and gets its time.
heartbeat = every 1d, grace = 1h

00:00 ping -> up
600:00 change heartbeat = every 1m, grace = 30s
601:29 .
601:30 .   -> opened: No ping since 2026-03-01 00:00:00 UTC
