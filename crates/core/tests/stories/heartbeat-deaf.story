# We were deaf when the nightly job was to call. We cannot know, and say so; the next night we know.
start = 2026-01-10T00:00:00Z
heartbeat = cron "0 3 * * *" UTC, grace = 30m

2026-01-10T03:01Z ping -> up
2026-01-11T03:10Z returned 20m
2026-01-11T03:39Z .
2026-01-11T03:40Z .    -> unknown: May have called while we were not listening: 2026-01-11 02:50:00 UTC to 2026-01-11 03:10:00 UTC
2026-01-12T03:29Z .
2026-01-12T03:30Z .    -> opened: No ping since 2026-01-10 03:01:00 UTC
2026-01-12T03:31Z ping -> resolved after 1m
2026-01-13T03:10Z returned 20m
2026-01-13T03:20Z ping
2026-01-14T03:10Z returned 20m
2026-01-14T03:40Z .    -> unknown: May have called while we were not listening: 2026-01-14 02:50:00 UTC to 2026-01-14 03:10:00 UTC
2026-01-14T03:50Z ping -> up
2026-01-15T02:58Z returned 10m
2026-01-15T03:30Z .    -> opened: No ping: expected 2026-01-15 03:00:00 UTC
