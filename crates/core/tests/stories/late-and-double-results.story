# A result that comes twice counts once, and one that was asked before another does not count after it.
failure_threshold = 3

00:00 up           -> up
01:00 down timeout
01:10 down timeout (10s ago)
01:10 down timeout (20s ago)
01:20 down timeout
01:40 down timeout -> opened: timeout
