# Whoever was told of an incident hears that its monitor is gone.
failure_threshold = 1

00:00 up           -> up
01:00 down refused -> opened: refused
02:00 delete       -> closed: deleted
