# One failed run in a row is forgiven, two are not; the outage began with the first.
heartbeat = every 1h, grace = 5m, fails = 2

00:00 ping                -> up
60:00 fail exit status 1
120:00 ping
180:00 fail exit status 1
240:00 fail exit status 2 -> opened: exit status 2
300:00 ping               -> resolved after 2h
