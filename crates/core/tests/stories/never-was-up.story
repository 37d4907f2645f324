# What never answered is told like any other outage.
failure_threshold = 2

00:00 down name not found
00:20 down name not found -> opened: name not found
01:20 up
01:40 up                  -> resolved after 1m20s
