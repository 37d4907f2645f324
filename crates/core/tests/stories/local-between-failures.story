# Nor does our own trouble acquit: failures around it still are in a row.
failure_threshold = 2

00:00 up           -> up
01:00 down timeout
01:20 local no route
01:40 down timeout -> opened: timeout
02:40 local no route
03:40 up
03:50 local no route
04:00 up           -> resolved after 2m40s
