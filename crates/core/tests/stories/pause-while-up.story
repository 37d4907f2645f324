# Pausing what is well tells nobody; after it, it is down only by failures in a row.
failure_threshold = 2

00:00 up           -> up
01:00 down timeout
01:10 pause        -> unknown: Paused: nobody looks for now
05:00 resume
05:00 down timeout
05:20 down timeout -> opened: timeout
