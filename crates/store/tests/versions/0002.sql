-- What version 2 left behind, in words that both databases understand.
INSERT INTO monitor (id, slug, origin, spec, rev, paused, created_at, updated_at)
VALUES (1, 'shop', 'console', '{"probe":{"tcp":{"address":"127.0.0.1:1"}}}', 1, 0, 1772332200000, 1772332200000);
INSERT INTO state (monitor_id, seq, body)
VALUES (1, 1, '{"verdict":"down","since":"2026-03-01T02:30:00.000Z","seq":1,"moved_at":"2026-03-01T02:30:00.000Z","rev":1}');
INSERT INTO channel (slug, origin, spec, rev, created_at, updated_at)
VALUES ('ops', 'file', '{"webhook":{"url":"http://127.0.0.1:1/"}}', 1, 1772332200000, 1772332200000);
INSERT INTO transition (monitor_id, seq, at, since, old_verdict, new_verdict, code, reason, incident, epoch)
VALUES (1, 1, 1772332200000, 1772332200000, 'up', 'down', 'refused', 'connection refused', 1, 1);
INSERT INTO incident (monitor_id, seq, since, confirmed_at, code, reason, told)
VALUES (1, 1, 1772332200000, 1772332200000, 'refused', 'connection refused', '["ops"]');
INSERT INTO delivery (monitor_id, slug, seq, incident, channel, event, key, order_key, due, state, attempt, created_at, message)
VALUES (1, 'shop', 1, 1, 'ops', 'down', 'cluster/1/1/ops/down', 'ops/1', 1772332200000, 'pending', 0, 1772332200000,
  '{"event":"down","monitor":{"slug":"shop","name":"Shop","kind":"tcp"},"reason":"connection refused","code":"refused","since":"2026-03-01T02:30:00.000Z","at":"2026-03-01T02:30:00.000Z","because":"the monitor names it under notify","key":"cluster/1/1/ops/down"}');
