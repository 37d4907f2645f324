# A name served by machines with different certificates is warned of once for each, not at every look.
expiry_days = 21 7 1

00:00 up (until 2026-03-15T00:00:00Z) -> up, certificate ends in 14 days
01:00 up (until 2026-03-05T00:00:00Z) -> certificate ends in 3 days
02:00 up (until 2026-03-15T00:00:00Z)
03:00 up (until 2026-03-05T00:00:00Z)
04:00 up (until 2026-09-01T00:00:00Z)
05:00 up (until 2026-03-15T00:00:00Z)
