-- Version 1. Times are milliseconds since 1970; what programs read is JSON as text; truth is 0 or 1.

CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
-- A random UUID (version 4): the first part of every idempotency key.
INSERT INTO meta (key, value) VALUES ('cluster_id', CAST(gen_random_uuid() AS TEXT));

-- One row: the active node. Every commit of the engine reads it first.
CREATE TABLE lease (id BIGINT PRIMARY KEY, holder TEXT NOT NULL, epoch BIGINT NOT NULL, until_at BIGINT NOT NULL);
INSERT INTO lease (id, holder, epoch, until_at) VALUES (1, '', 0, 0);

CREATE TABLE monitor (
  id BIGINT PRIMARY KEY,
  slug TEXT NOT NULL,
  origin TEXT NOT NULL,
  spec TEXT NOT NULL,
  rev BIGINT NOT NULL,
  paused BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  deleted_at BIGINT
);
CREATE UNIQUE INDEX monitor_slug ON monitor (slug) WHERE deleted_at IS NULL;

-- Half of each page stays free, so that a changed row finds room beside its old version and no index changes.
CREATE TABLE state (monitor_id BIGINT PRIMARY KEY, seq BIGINT NOT NULL, body TEXT NOT NULL) WITH (fillfactor = 50);

CREATE TABLE channel (
  slug TEXT PRIMARY KEY,
  origin TEXT NOT NULL,
  spec TEXT NOT NULL,
  rev BIGINT NOT NULL,
  disabled TEXT,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);

-- Only ever added to.
CREATE TABLE transition (
  monitor_id BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  at BIGINT NOT NULL,
  since BIGINT NOT NULL,
  old_verdict TEXT NOT NULL,
  new_verdict TEXT NOT NULL,
  code TEXT NOT NULL,
  reason TEXT NOT NULL,
  incident BIGINT,
  epoch BIGINT NOT NULL,
  PRIMARY KEY (monitor_id, seq)
);
CREATE INDEX transition_at ON transition (at);

CREATE TABLE incident (
  id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  monitor_id BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  since BIGINT NOT NULL,
  confirmed_at BIGINT NOT NULL,
  code TEXT NOT NULL,
  reason TEXT NOT NULL,
  closed_at BIGINT,
  closed_code TEXT,
  closed_reason TEXT,
  acknowledged_by TEXT,
  acknowledged_at BIGINT,
  note TEXT,
  told TEXT NOT NULL,
  UNIQUE (monitor_id, seq)
);
CREATE INDEX incident_open ON incident (id) WHERE closed_at IS NULL;

-- The outbox. What is still to be done has no done_at. An outage fills it within a minute: the planner must hear of it.
CREATE TABLE delivery (
  id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  monitor_id BIGINT,
  slug TEXT,
  seq BIGINT NOT NULL,
  incident BIGINT,
  channel TEXT NOT NULL,
  event TEXT NOT NULL,
  key TEXT NOT NULL UNIQUE,
  order_key TEXT NOT NULL,
  due BIGINT NOT NULL,
  state TEXT NOT NULL,
  claim_by TEXT,
  claim_until BIGINT,
  attempt BIGINT NOT NULL,
  last_error TEXT,
  created_at BIGINT NOT NULL,
  done_at BIGINT,
  message TEXT NOT NULL,
  fallback_of BIGINT,
  expires_at BIGINT
) WITH (autovacuum_analyze_scale_factor = 0.02, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX delivery_due ON delivery (due, id) WHERE done_at IS NULL;
CREATE INDEX delivery_order ON delivery (order_key, id) WHERE done_at IS NULL;
CREATE INDEX delivery_claim ON delivery (claim_by, claim_until) WHERE state = 'claimed';
CREATE INDEX delivery_fallback ON delivery (fallback_of) WHERE fallback_of IS NOT NULL;
CREATE INDEX delivery_dead ON delivery (id) WHERE state = 'dead';
CREATE INDEX delivery_waiting ON delivery (monitor_id, event) WHERE done_at IS NULL;
CREATE INDEX delivery_done ON delivery (done_at, id) WHERE done_at IS NOT NULL;
CREATE INDEX delivery_monitor ON delivery (monitor_id, id);

CREATE TABLE attempt (
  delivery_id BIGINT NOT NULL,
  n BIGINT NOT NULL,
  node TEXT NOT NULL,
  started_at BIGINT NOT NULL,
  ended_at BIGINT,
  outcome TEXT,
  answer TEXT,
  PRIMARY KEY (delivery_id, n)
);

-- Results as they came: one row a commit, and no further index: it is read whole and emptied every hour.
CREATE TABLE result_log (
  id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  from_at BIGINT NOT NULL,
  to_at BIGINT NOT NULL,
  n BIGINT NOT NULL,
  body BYTEA NOT NULL
);

-- Results put away: by hour first, so that writing and dropping an hour touches neighbouring pages.
CREATE TABLE result_block (
  hour BIGINT NOT NULL,
  monitor_id BIGINT NOT NULL,
  part BIGINT NOT NULL,
  n BIGINT NOT NULL,
  from_at BIGINT NOT NULL,
  to_at BIGINT NOT NULL,
  body BYTEA NOT NULL,
  PRIMARY KEY (hour, monitor_id, part)
);

CREATE TABLE evidence (
  monitor_id BIGINT NOT NULL,
  at BIGINT NOT NULL,
  kind TEXT NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (monitor_id, at, kind)
);

-- monitor_id 0 concerns more than one monitor; scope says which.
CREATE TABLE gap (
  monitor_id BIGINT NOT NULL,
  from_at BIGINT NOT NULL,
  scope TEXT NOT NULL,
  code TEXT NOT NULL,
  to_at BIGINT NOT NULL,
  reason TEXT NOT NULL,
  PRIMARY KEY (monitor_id, from_at, scope, code)
);

-- One row, once there has been a person: two first persons cannot be.
CREATE TABLE setup (id BIGINT PRIMARY KEY, done_at BIGINT NOT NULL);

CREATE TABLE person (
  id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  password_hash TEXT NOT NULL,
  role TEXT NOT NULL,
  created_at BIGINT NOT NULL
);

CREATE TABLE session (
  token_hash BYTEA PRIMARY KEY,
  person_id BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  seen_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  agent TEXT NOT NULL
);
CREATE INDEX session_person ON session (person_id);

CREATE TABLE api_token (
  id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  prefix TEXT NOT NULL,
  token_hash BYTEA NOT NULL UNIQUE,
  name TEXT NOT NULL,
  scope TEXT NOT NULL,
  created_by TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  used_at BIGINT,
  expires_at BIGINT
);

CREATE TABLE audit (
  id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at BIGINT NOT NULL,
  who TEXT NOT NULL,
  action TEXT NOT NULL,
  object TEXT NOT NULL,
  detail TEXT NOT NULL
);

CREATE TABLE setting (key TEXT PRIMARY KEY, value TEXT NOT NULL);
