# The network turned things round: a start that comes after the finish of its own run begins nothing, and an older
# ping does not undo a newer one. What comes twice counts once.
heartbeat = every 1h, grace = 5m, max_run = 10m

00:00 ping (run 1) -> up
00:01 start (run 1)
30:00 .
60:00 start (run 2)
61:00 ping (run 2)
61:01 ping (run 2)
61:02 start (run 2)
62:00 start (5m ago)
63:00 ping (10m ago)
120:00 .
126:00 .
126:01 .           -> opened: No ping: expected 2026-03-01 02:01:01 UTC
