# The clock goes back ten years while an answer is awaited. The answer seems to come from the future, and is not
# in the way of those that follow.
failure_threshold = 2, remind_every = 10m

00:00 up                         -> up
01:00 down timeout
01:10 clock -3650d
01:20 down timeout (3650d ahead) -> opened: timeout
11:19 .
11:20 .                          -> reminded (1) after 10m20s
12:00 clock +3650d
21:20 .                          -> reminded (2) after 521w3d20m20s
