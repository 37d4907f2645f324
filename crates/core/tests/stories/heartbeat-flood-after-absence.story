# Half a day down ourselves: one that called all the while, and one moment after we are back calls again.
heartbeat = every 5m, grace = 1m

00:00 ping -> up
725:00 returned 12h
725:30 ping
731:29 .
