# Our own trouble is no evidence, however much of it there is between two failures.
failure_threshold = 3

00:00 up -> up
01:00 local no descriptors
01:20 down timeout
01:40 local no descriptors
02:00 missed overload
02:20 down timeout
02:40 up
03:00 local no descriptors
04:00 local no descriptors
04:30 up
