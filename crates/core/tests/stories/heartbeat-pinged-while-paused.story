# A ping that comes during a pause is remembered, and moves what is expected after it.
heartbeat = every 1h, grace = 5m

00:00 ping  -> up
30:00 pause -> unknown: Paused: nobody looks for now
40:00 fail exit status 1
50:00 ping
51:00 resume
55:00 ping  -> up
