-- Version 1. Times are milliseconds since 1970; what programs read is JSON as text; truth is 0 or 1.

CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
-- A random UUID (version 4): the first part of every idempotency key.
INSERT INTO meta (key, value)
SELECT 'cluster_id', substr(h, 1, 8) || '-' || substr(h, 9, 4) || '-4' || substr(h, 14, 3) || '-a' || substr(h, 18, 3) || '-' || substr(h, 21, 12)
FROM (SELECT lower(hex(randomblob(16))) AS h);

-- One row: the active node. Every commit of the engine reads it first.
CREATE TABLE lease (id INTEGER PRIMARY KEY, holder TEXT NOT NULL, epoch INTEGER NOT NULL, until_at INTEGER NOT NULL) STRICT;
INSERT INTO lease (id, holder, epoch, until_at) VALUES (1, '', 0, 0);

CREATE TABLE monitor (
  id INTEGER PRIMARY KEY,
  slug TEXT NOT NULL,
  origin TEXT NOT NULL,
  spec TEXT NOT NULL,
  rev INTEGER NOT NULL,
  paused INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  deleted_at INTEGER
) STRICT;
CREATE UNIQUE INDEX monitor_slug ON monitor (slug) WHERE deleted_at IS NULL;

CREATE TABLE state (monitor_id INTEGER PRIMARY KEY, seq INTEGER NOT NULL, body TEXT NOT NULL) STRICT;

CREATE TABLE channel (
  slug TEXT PRIMARY KEY,
  origin TEXT NOT NULL,
  spec TEXT NOT NULL,
  rev INTEGER NOT NULL,
  disabled TEXT,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Only ever added to.
CREATE TABLE transition (
  monitor_id INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  at INTEGER NOT NULL,
  since INTEGER NOT NULL,
  old_verdict TEXT NOT NULL,
  new_verdict TEXT NOT NULL,
  code TEXT NOT NULL,
  reason TEXT NOT NULL,
  incident INTEGER,
  epoch INTEGER NOT NULL,
  PRIMARY KEY (monitor_id, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX transition_at ON transition (at);

CREATE TABLE incident (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  monitor_id INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  since INTEGER NOT NULL,
  confirmed_at INTEGER NOT NULL,
  code TEXT NOT NULL,
  reason TEXT NOT NULL,
  closed_at INTEGER,
  closed_code TEXT,
  closed_reason TEXT,
  acknowledged_by TEXT,
  acknowledged_at INTEGER,
  note TEXT,
  told TEXT NOT NULL,
  UNIQUE (monitor_id, seq)
) STRICT;
CREATE INDEX incident_open ON incident (id) WHERE closed_at IS NULL;

-- The outbox. What is still to be done has no done_at.
CREATE TABLE delivery (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  monitor_id INTEGER,
  slug TEXT,
  seq INTEGER NOT NULL,
  incident INTEGER,
  channel TEXT NOT NULL,
  event TEXT NOT NULL,
  key TEXT NOT NULL UNIQUE,
  order_key TEXT NOT NULL,
  due INTEGER NOT NULL,
  state TEXT NOT NULL,
  claim_by TEXT,
  claim_until INTEGER,
  attempt INTEGER NOT NULL,
  last_error TEXT,
  created_at INTEGER NOT NULL,
  done_at INTEGER,
  message TEXT NOT NULL,
  fallback_of INTEGER,
  expires_at INTEGER
) STRICT;
CREATE INDEX delivery_due ON delivery (due, id) WHERE done_at IS NULL;
CREATE INDEX delivery_order ON delivery (order_key, id) WHERE done_at IS NULL;
CREATE INDEX delivery_claim ON delivery (claim_by, claim_until) WHERE state = 'claimed';
CREATE INDEX delivery_fallback ON delivery (fallback_of) WHERE fallback_of IS NOT NULL;
CREATE INDEX delivery_dead ON delivery (id) WHERE state = 'dead';
CREATE INDEX delivery_waiting ON delivery (monitor_id, event) WHERE done_at IS NULL;
CREATE INDEX delivery_done ON delivery (done_at, id) WHERE done_at IS NOT NULL;
CREATE INDEX delivery_monitor ON delivery (monitor_id, id);

CREATE TABLE attempt (
  delivery_id INTEGER NOT NULL,
  n INTEGER NOT NULL,
  node TEXT NOT NULL,
  started_at INTEGER NOT NULL,
  ended_at INTEGER,
  outcome TEXT,
  answer TEXT,
  PRIMARY KEY (delivery_id, n)
) STRICT, WITHOUT ROWID;

-- Results as they came: one row a commit, no index, because every further page would be written each second.
CREATE TABLE result_log (
  id INTEGER PRIMARY KEY,
  from_at INTEGER NOT NULL,
  to_at INTEGER NOT NULL,
  n INTEGER NOT NULL,
  body BLOB NOT NULL
) STRICT;

-- Results put away: by hour first, so that writing and dropping an hour touches neighbouring pages.
CREATE TABLE result_block (
  hour INTEGER NOT NULL,
  monitor_id INTEGER NOT NULL,
  part INTEGER NOT NULL,
  n INTEGER NOT NULL,
  from_at INTEGER NOT NULL,
  to_at INTEGER NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY (hour, monitor_id, part)
) STRICT, WITHOUT ROWID;

CREATE TABLE evidence (
  monitor_id INTEGER NOT NULL,
  at INTEGER NOT NULL,
  kind TEXT NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (monitor_id, at, kind)
) STRICT;

-- monitor_id 0 concerns more than one monitor; scope says which.
CREATE TABLE gap (
  monitor_id INTEGER NOT NULL,
  from_at INTEGER NOT NULL,
  scope TEXT NOT NULL,
  code TEXT NOT NULL,
  to_at INTEGER NOT NULL,
  reason TEXT NOT NULL,
  PRIMARY KEY (monitor_id, from_at, scope, code)
) STRICT, WITHOUT ROWID;

-- One row, once there has been a person: two first persons cannot be.
CREATE TABLE setup (id INTEGER PRIMARY KEY, done_at INTEGER NOT NULL) STRICT;

CREATE TABLE person (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  password_hash TEXT NOT NULL,
  role TEXT NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE session (
  token_hash BLOB PRIMARY KEY,
  person_id INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  seen_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  agent TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX session_person ON session (person_id);

CREATE TABLE api_token (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  prefix TEXT NOT NULL,
  token_hash BLOB NOT NULL UNIQUE,
  name TEXT NOT NULL,
  scope TEXT NOT NULL,
  created_by TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  used_at INTEGER,
  expires_at INTEGER
) STRICT;

CREATE TABLE audit (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  at INTEGER NOT NULL,
  who TEXT NOT NULL,
  action TEXT NOT NULL,
  object TEXT NOT NULL,
  detail TEXT NOT NULL
) STRICT;

CREATE TABLE setting (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
