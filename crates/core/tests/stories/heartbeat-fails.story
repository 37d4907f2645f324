# A job that says that it failed is believed at once; its next success ends it.
heartbeat = every 1h, grace = 5m

00:00 ping               -> up
60:00 fail exit status 1 -> opened: exit status 1
61:00 fail exit status 1
62:00 log
120:00 ping              -> resolved after 1h
