# Two runs at once, told apart by their names: the one that never ends is missed though the other one ends.
heartbeat = every 1h, grace = 5m, max_run = 20m, min_run = 1m

00:00 ping          -> up
50:00 start (run 1)
60:00 start (run 2)
60:30 ping (run 2)  -> opened: Finished after 30s, sooner than 1m
62:00 ping          -> resolved after 1m30s
100:00 start (run 3)
110:00 start (run 4)
115:00 ping (run 4)
119:59 .
120:00 .            -> opened: Started, but not finished within 20m
121:00 ping (run 3) -> resolved after 1m
