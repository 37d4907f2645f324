# People hear of a certificate's end once for each limit, and anew for each certificate.
expiry_days = 21 7 1
start = 2026-03-01T00:00:00Z

2026-03-01T00:00Z up (until 2026-06-01T00:00:00Z) -> up
2026-05-10T23:00Z up (until 2026-06-01T00:00:00Z)
2026-05-11T01:00Z up (until 2026-06-01T00:00:00Z) -> certificate ends in 20 days
2026-05-11T02:00Z up (until 2026-06-01T00:00:00Z)
2026-05-26T00:00Z up (until 2026-06-01T00:00:00Z) -> certificate ends in 6 days
2026-05-27T00:00Z slow 3 s (until 2026-06-01T00:00:00Z)
2026-05-31T12:00Z up (until 2026-06-01T00:00:00Z) -> certificate ends in less than a day
2026-05-31T13:00Z up (until 2026-08-30T00:00:00Z)
2026-08-12T00:00Z up (until 2026-08-30T00:00:00Z) -> certificate ends in 18 days
