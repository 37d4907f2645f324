# Reminders that fell due while we were away are one reminder.
failure_threshold = 1, remind_every = 15m

00:00 up           -> up
01:00 down refused -> opened: refused
70:00 returned 65m
70:00 .            -> reminded (1) after 1h9m
84:59 .
85:00 .            -> reminded (2) after 1h24m
