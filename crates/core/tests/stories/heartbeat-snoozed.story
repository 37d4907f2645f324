# Quiet for two hours: neither silence nor failure counts. After it, the next ping is the next that is expected.
heartbeat = every 30m, grace = 5m

00:00 ping  -> up
10:00 snooze 2h
60:00 fail exit status 1
130:00 .
164:59 .
165:00 .    -> opened: No ping since 2026-03-01 01:00:00 UTC
166:00 ping -> resolved after 1m
170:00 snooze 2h
175:00 snooze 0s
209:59 .
210:00 .    -> opened: No ping since 2026-03-01 02:46:00 UTC
