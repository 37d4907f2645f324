# What is pending stays pending through a pause.

00:00 pause
10:00 resume
10:10 up -> up
