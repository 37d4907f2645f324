# New settings may have mended it: failures under the old ones are forgotten.
failure_threshold = 2

00:00 up -> up
01:00 down 404
01:10 change timeout = 5s
01:20 down 404
01:40 up
