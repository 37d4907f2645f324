# Failures far apart are not in a row: something else was the matter in between, or we were away.
failure_threshold = 2, interval = 60s, retry_interval = 20s, timeout = 10s

00:00 up           -> up
01:00 down timeout
05:00 down timeout
07:09 down timeout -> opened: timeout
