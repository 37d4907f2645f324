# A systemd timer at half past two is not started in the night the clocks go forward, and is not expected then.
start = 2026-03-27T12:00:00Z
heartbeat = calendar "*-*-* 02:30 Europe/Berlin", grace = 10m

2026-03-28T01:31Z ping -> up
2026-03-29T05:00Z .
2026-03-30T00:39Z .
2026-03-30T00:40Z .    -> opened: No ping: expected 2026-03-30 00:30:00 UTC
