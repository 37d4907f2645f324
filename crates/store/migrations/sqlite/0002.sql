-- The run log of heartbeats; n counts up from 1 for each monitor. What a body weighs stands last, so that lists need not read it.
CREATE TABLE ping (
  monitor_id INTEGER NOT NULL,
  n INTEGER NOT NULL,
  at INTEGER NOT NULL,
  kind TEXT NOT NULL,
  run TEXT,
  took_ms INTEGER,
  exit_status INTEGER,
  last_line TEXT NOT NULL,
  method TEXT NOT NULL,
  address TEXT NOT NULL,
  agent TEXT NOT NULL,
  size INTEGER NOT NULL,
  head BLOB NOT NULL,
  tail BLOB NOT NULL,
  PRIMARY KEY (monitor_id, n)
) STRICT;
