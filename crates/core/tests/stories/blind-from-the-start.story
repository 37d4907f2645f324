# A new monitor that cannot be looked at is unknown, not down.
interval = 60s

00:00 local resolver
01:00 local resolver
02:00 local resolver -> unknown: resolver
03:00 up
03:20 up             -> up
