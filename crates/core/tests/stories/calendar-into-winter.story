# A systemd timer every half hour pauses for the hour that comes twice.
start = 2026-10-24T23:00:00Z
heartbeat = calendar "*:00/30 Europe/Berlin", grace = 5m

2026-10-24T23:30Z ping -> up
2026-10-25T00:00Z ping
2026-10-25T00:30Z ping
2026-10-25T02:00Z ping
2026-10-25T02:35Z .    -> opened: No ping: expected 2026-10-25 02:30:00 UTC
