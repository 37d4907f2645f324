# Silence is the failure: a heartbeat is down once its ping is late by more than the grace. A ping ends it at once.
heartbeat = every 60s, grace = 30s, remind_every = 60s

00:00 ping -> up
01:00 ping
01:20 log
02:29 .
02:30 .    -> opened: No ping: expected 2026-03-01 00:02:00 UTC
03:30 .    -> reminded (1) after 1m
03:45 ping -> resolved after 1m15s
04:45 ping
