-- The run log of heartbeats; n counts up from 1 for each monitor.
CREATE TABLE ping (
  monitor_id BIGINT NOT NULL,
  n BIGINT NOT NULL,
  at BIGINT NOT NULL,
  kind TEXT NOT NULL,
  run TEXT,
  took_ms BIGINT,
  exit_status BIGINT,
  last_line TEXT NOT NULL,
  method TEXT NOT NULL,
  address TEXT NOT NULL,
  agent TEXT NOT NULL,
  size BIGINT NOT NULL,
  head BYTEA NOT NULL,
  tail BYTEA NOT NULL,
  PRIMARY KEY (monitor_id, n)
);
