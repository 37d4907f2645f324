# When we cannot look for two intervals, we say so, and begin anew afterwards. Nobody is woken by it.
interval = 60s, failure_threshold = 2, success_threshold = 2

00:00 up             -> up
01:00 down timeout
01:20 local resolver
02:20 local resolver
03:20 local resolver -> unknown: resolver
04:20 missed overload
09:20 local resolver
10:20 up
10:40 up             -> up
