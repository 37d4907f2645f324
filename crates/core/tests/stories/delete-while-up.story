# Nobody needs to hear that a healthy monitor is gone.

00:00 up     -> up
02:00 delete -> unknown: Deleted: nobody looks any more
