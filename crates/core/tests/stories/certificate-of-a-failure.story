# A failing look warns of nothing: its certificate may be somebody else's. Nor does one warn of what has ended.
expiry_days = 21 7 1, failure_threshold = 5

00:00 down tls (until 2026-03-02T00:00:00Z)
01:00 up (until 2026-02-01T00:00:00Z) -> up
02:00 up (until 2026-03-02T00:00:00Z) -> certificate ends in less than a day
