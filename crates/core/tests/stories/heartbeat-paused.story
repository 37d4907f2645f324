# Silence during a pause is none. After it, the next ping is the next that is expected.
heartbeat = every 1h, grace = 5m

00:00 ping  -> up
30:00 pause -> unknown: Paused: nobody looks for now
300:00 resume
364:59 .
365:00 .    -> opened: No ping since 2026-03-01 00:00:00 UTC
