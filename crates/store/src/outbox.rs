//! The outbox: deliveries that were stored with what they tell, and are claimed, tried and settled one by one.
//!
//! What is still to be done has no `done_at`. Deliveries of one channel about one monitor go out in the order in
//! which they were stored: none is claimed while an earlier one is pending or claimed. A claim runs out; whoever
//! claims again counts as a further attempt, and what a late earlier one reports no longer changes the delivery.

use std::time::Duration;

use watchbell_core::{Message, Slug, Timestamp};

use crate::commit::NewDelivery;
use crate::db::Db;
use crate::statement::{Expect, Query, Step, statements};
use crate::value::{Row, Value, json, readable, values};
use crate::{Page, Store, StoreError};

/// Longer answers and errors are cut: they come from outside.
const LONGEST_TEXT: usize = 1_000;

/// The columns that [`read_delivery`] reads, in its order.
pub(crate) const DELIVERY: &str = "id, monitor_id, slug, seq, channel, event, key, due, state, claim_by, claim_until, \
    attempt, last_error, created_at, done_at, message, fallback_of, expires_at";

statements! {
    INSERT = "INSERT INTO delivery (monitor_id, slug, seq, incident, channel, event, key, order_key, due, state, attempt,
                created_at, message, fallback_of, expires_at)
              VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'pending', 0, $10, $11, $12, $13)
              ON CONFLICT (key) DO NOTHING RETURNING id";
    INSERT_FALLBACK = "INSERT INTO delivery (monitor_id, slug, seq, incident, channel, event, key, order_key, due, state, attempt,
                         created_at, message, fallback_of, expires_at)
                       SELECT monitor_id, slug, seq, incident, $2, $3, $4,
                         CAST($2 AS TEXT) || '/' || COALESCE(CAST(monitor_id AS TEXT), '-'), $5, 'pending', 0, $6, $7, id, $8
                       FROM delivery WHERE id = $1
                       ON CONFLICT (key) DO NOTHING";
    /// Deliveries of one monitor are numbered in the order of their commits, because each takes this row first.
    LOCK_STATE = "SELECT seq FROM state WHERE monitor_id = (SELECT monitor_id FROM delivery WHERE id = $1) {for update}";
    CANCEL_REMINDERS = "UPDATE delivery SET state = 'cancelled', done_at = $2
                        WHERE monitor_id = $1 AND event = 'reminder' AND state = 'pending' AND done_at IS NULL";
    /// The condition stands twice: what the inner query saw may have been claimed before the row was locked.
    /// Chosen once, before anything is changed: a planner may ask a plain sub-select again for each row.
    CLAIM = "WITH chosen AS MATERIALIZED (
               SELECT d.id FROM delivery d
               WHERE d.done_at IS NULL AND d.due <= $1 AND (d.state = 'pending' OR d.claim_until <= $1)
                 AND replace($5, ',' || d.channel || ',', '') = $5
                 AND NOT EXISTS (SELECT 1 FROM delivery e
                                 WHERE e.order_key = d.order_key AND e.id < d.id AND e.done_at IS NULL)
               ORDER BY d.due, d.id LIMIT $4 {skip locked})
             UPDATE delivery SET state = 'claimed', claim_by = $2, claim_until = $3, attempt = attempt + 1
             WHERE done_at IS NULL AND (state = 'pending' OR claim_until <= $1) AND id IN (SELECT id FROM chosen)
             RETURNING {delivery}";
    BEGIN_ATTEMPTS = "INSERT INTO attempt (delivery_id, n, node, started_at)
                      SELECT id, attempt, claim_by, $3 FROM delivery
                      WHERE claim_by = $1 AND claim_until = $2 AND state = 'claimed'
                      ON CONFLICT (delivery_id, n) DO NOTHING";
    FINISH = "UPDATE delivery SET state = $3, due = COALESCE($4, due), last_error = $5, done_at = $6, claim_by = NULL, claim_until = NULL
              WHERE id = $1 AND attempt = $2 AND state = 'claimed'";
    /// For a delivery that nobody can send: those behind it must not wait for it.
    GIVE_UP = "UPDATE delivery SET state = 'dead', done_at = $2, last_error = $3, claim_by = NULL, claim_until = NULL
               WHERE id = $1 AND state = 'claimed'";
    /// Tries that were never made do not make a message young.
    EXPIRE = "UPDATE delivery SET state = 'dead', done_at = $2, last_error = $3
              WHERE done_at IS NULL AND state = 'pending' AND created_at <= $1";
    OVERDUE = "SELECT {delivery} FROM delivery d
               WHERE d.done_at IS NULL AND d.created_at <= $1 AND d.fallback_of IS NULL
                 AND NOT EXISTS (SELECT 1 FROM delivery f WHERE f.fallback_of = d.id)
               ORDER BY d.due, d.id LIMIT $2";
    HAS_KEY = "SELECT id FROM delivery WHERE key = $1";
    SHIFT = "UPDATE delivery SET due = due + $1, claim_until = claim_until + $1, created_at = created_at + $1
             WHERE done_at IS NULL";
    END_ATTEMPT = "UPDATE attempt SET ended_at = $3, outcome = $4, answer = $5 WHERE delivery_id = $1 AND n = $2";
    RELEASE = "UPDATE delivery SET state = 'pending', claim_by = NULL, claim_until = NULL WHERE claim_by = $1 AND state = 'claimed'";
    RELEASE_ALL = "UPDATE delivery SET state = 'pending', claim_by = NULL, claim_until = NULL WHERE state = 'claimed'";
    RETRY = "UPDATE delivery SET state = 'pending', due = $2, done_at = NULL, expires_at = NULL WHERE id = $1 AND state = 'dead'";
    NEXT_DUE = "SELECT MIN(CASE d.state WHEN 'claimed' THEN d.claim_until ELSE d.due END) FROM delivery d
                JOIN (SELECT MIN(id) AS id FROM delivery WHERE done_at IS NULL GROUP BY order_key) head ON head.id = d.id
                WHERE replace($1, ',' || d.channel || ',', '') = $1";
    COUNT_OPEN = "SELECT state, COUNT(*), MIN(created_at) FROM delivery WHERE done_at IS NULL GROUP BY state";
    COUNT_DEAD = "SELECT COUNT(*) FROM delivery WHERE state = 'dead'";
    LIST = "SELECT {delivery}
            FROM delivery
            WHERE id < $1 AND (CAST($2 AS TEXT) IS NULL OR channel = $2) AND (CAST($3 AS TEXT) IS NULL OR state = $3)
            ORDER BY id DESC LIMIT $4";
    LIST_OPEN = "SELECT {delivery} FROM delivery
                 WHERE done_at IS NULL AND id < $1 AND (CAST($2 AS TEXT) IS NULL OR channel = $2) AND state = $3
                 ORDER BY id DESC LIMIT $4";
    LIST_DEAD = "SELECT {delivery} FROM delivery
                 WHERE state = 'dead' AND id < $1 AND (CAST($2 AS TEXT) IS NULL OR channel = $2)
                 ORDER BY id DESC LIMIT $3";
    LIST_OF_MONITOR = "SELECT {delivery}
                       FROM delivery
                       WHERE monitor_id = $5 AND id < $1 AND (CAST($2 AS TEXT) IS NULL OR channel = $2)
                         AND (CAST($3 AS TEXT) IS NULL OR state = $3) AND (CAST($6 AS BIGINT) IS NULL OR incident = $6)
                       ORDER BY id DESC LIMIT $4";
    GET = "SELECT {delivery}
           FROM delivery WHERE id = $1";
    ATTEMPTS = "SELECT n, node, started_at, ended_at, outcome, answer FROM attempt WHERE delivery_id = $1 ORDER BY n DESC LIMIT $2";
}

/// One notice to one channel, and what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    pub id: i64,
    pub monitor: Option<i64>,
    pub slug: Option<Slug>,
    /// The monitor's last transition when it was stored.
    pub seq: u64,
    pub channel: Slug,
    /// `down`, `up`, …, or `test`.
    pub event: String,
    pub key: String,
    pub due: Timestamp,
    pub state: DeliveryState,
    pub claimed_by: Option<String>,
    pub claimed_until: Option<Timestamp>,
    /// How many have been begun; of a claimed one, this try's number.
    pub attempt: u32,
    pub last_error: Option<String>,
    pub created_at: Timestamp,
    pub done_at: Option<Timestamp>,
    pub message: Message,
    pub fallback_of: Option<i64>,
    pub expires_at: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeliveryState {
    Pending,
    Claimed,
    Done,
    /// Given up; people must see it.
    Dead,
    /// No longer worth saying.
    Cancelled,
}

impl DeliveryState {
    pub const ALL: [Self; 5] = [Self::Pending, Self::Claimed, Self::Done, Self::Dead, Self::Cancelled];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Claimed => "claimed",
            Self::Done => "done",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// One try of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub n: u32,
    pub node: String,
    pub started_at: Timestamp,
    /// `None`: still under way, or whoever tried is gone.
    pub ended_at: Option<Timestamp>,
    /// `done`, `later` or `dead`.
    pub outcome: Option<String>,
    pub answer: Option<String>,
}

/// How a try ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finished {
    Done {
        status: Option<u16>,
        answer: String,
    },
    /// To be tried again, not before `due`.
    Later {
        due: Timestamp,
        error: String,
    },
    /// Given up.
    Dead {
        error: String,
    },
}

/// Which deliveries; what is `None` does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryFilter {
    pub monitor: Option<i64>,
    /// About the incident that this transition opened; only together with `monitor`.
    pub incident: Option<u64>,
    pub channel: Option<Slug>,
    pub state: Option<DeliveryState>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeliveryCounts {
    pub pending: u64,
    pub claimed: u64,
    pub dead: u64,
    /// When the oldest that is still to be done was stored.
    pub oldest_pending: Option<Timestamp>,
}

impl Store {
    /// Stores a delivery about no monitor, such as a channel's test, and gives its number.
    pub async fn add_delivery(&self, delivery: &NewDelivery, now: Timestamp) -> Result<i64, StoreError> {
        let done = self.db.write(vec![insert(None, delivery, now)]).await?;
        let row = done.into_iter().flat_map(|done| done.rows).next();
        row.ok_or_else(|| StoreError::Taken(format!("a delivery with the key `{}` exists already", delivery.key)))?
            .columns()
            .int()
    }

    /// Takes up to `limit` deliveries that are due, each the first of its order, for `claim_for`. A try must end well
    /// before that. Channels in `busy_channels` are passed over.
    pub async fn claim_deliveries(
        &self,
        now: Timestamp,
        node: &str,
        limit: usize,
        claim_for: Duration,
        busy_channels: &[Slug],
    ) -> Result<Vec<Delivery>, StoreError> {
        let until = now + claim_for;
        let steps = vec![
            Step::any(&CLAIM, values![now, node, until, limit, listed(busy_channels)]),
            Step::any(&BEGIN_ATTEMPTS, values![node, until, now]),
        ];
        let mut done = self.db.write(steps).await?.into_iter();
        let rows = done.next().unwrap_or_default().rows;
        let mut claimed = Vec::with_capacity(rows.len());
        for row in rows {
            let id = row.0.first().cloned().unwrap_or(Value::Null);
            match read_delivery(row) {
                Ok(delivery) => claimed.push(delivery),
                Err(error) => {
                    tracing::error!(%error, "a stored delivery cannot be read; it is given up");
                    self.db.write_one(&GIVE_UP, vec![id, now.into(), error.to_string().into()]).await?;
                }
            }
        }
        claimed.sort_by_key(|delivery| (delivery.due, delivery.id));
        Ok(claimed)
    }

    /// Settles try number `attempt`. `false`: somebody has claimed it since; only the record of the try is kept.
    /// A `fallback` is stored with it, in the name of the same monitor, whatever became of the claim.
    pub async fn finish_delivery(
        &self,
        id: i64,
        attempt: u32,
        now: Timestamp,
        outcome: Finished,
        fallback: Option<NewDelivery>,
    ) -> Result<bool, StoreError> {
        let (state, word, due, error, done_at, answer) = match outcome {
            Finished::Done { status, answer } => {
                let answer = match status {
                    Some(status) if answer.is_empty() => status.to_string(),
                    Some(status) => format!("{status}: {answer}"),
                    None => answer,
                };
                ("done", "done", None, None, Some(now), cut(answer))
            }
            Finished::Later { due, error } => {
                let error = cut(error);
                ("pending", "later", Some(due), Some(error.clone()), None, error)
            }
            Finished::Dead { error } => {
                let error = cut(error);
                ("dead", "dead", None, Some(error.clone()), Some(now), error)
            }
        };
        let mut steps = Vec::new();
        if fallback.is_some() {
            steps.push(Step::any(&LOCK_STATE, values![id]));
        }
        let finish = steps.len();
        steps.push(Step::any(&FINISH, values![id, attempt, state, due, error, done_at]));
        steps.push(Step::any(&END_ATTEMPT, values![id, attempt, now, word, answer]));
        if let Some(fallback) = &fallback {
            steps.push(Step::any(
                &INSERT_FALLBACK,
                values![
                    id,
                    &fallback.channel,
                    event(&fallback.message),
                    &fallback.key,
                    fallback.due,
                    now,
                    json(&fallback.message),
                    fallback.expires_at
                ],
            ));
        }
        let done = self.db.write(steps).await?;
        Ok(done.get(finish).is_some_and(|done| done.count == 1))
    }

    /// At the start of a node: what it had claimed before is free at once.
    pub async fn release_claims(&self, node: &str) -> Result<u64, StoreError> {
        Ok(self.db.write_one(&RELEASE, values![node]).await?.count)
    }

    /// Puts a dead delivery back, with the same key. `false`: it is not dead.
    pub async fn retry_delivery(&self, id: i64, now: Timestamp) -> Result<bool, StoreError> {
        Ok(self.db.write_one(&RETRY, values![id, now]).await?.count == 1)
    }

    /// When there will be something to claim, if nothing else happens: the earliest due moment among the first of
    /// each order, or the end of a claim.
    pub async fn next_due(&self, busy_channels: &[Slug]) -> Result<Option<Timestamp>, StoreError> {
        let row = self.db.read_one(&NEXT_DUE, values![listed(busy_channels)]).await?;
        row.map_or(Ok(None), |row| row.columns().maybe_moment())
    }

    /// Open deliveries made before `created_before` that have no fallback yet, oldest first.
    pub async fn overdue_deliveries(
        &self,
        created_before: Timestamp,
        limit: usize,
    ) -> Result<Vec<Delivery>, StoreError> {
        let rows = self.db.read(&OVERDUE, values![created_before, limit]).await?;
        Ok(readable(rows, read_delivery))
    }

    /// Gives up what was made before `created_before` and is not being sent just now. Says how many.
    pub async fn expire_deliveries(
        &self,
        created_before: Timestamp,
        now: Timestamp,
        error: &str,
    ) -> Result<u64, StoreError> {
        let done = self.db.write(vec![Step::any(&EXPIRE, values![created_before, now, error])]).await?;
        Ok(done.into_iter().map(|done| done.count).sum())
    }

    /// Whether a delivery with this key was ever made.
    pub async fn has_delivery(&self, key: &str) -> Result<bool, StoreError> {
        Ok(self.db.read_one(&HAS_KEY, values![key]).await?.is_some())
    }

    /// The wall clock leapt: everything that waits goes on waiting as long as it would have.
    pub async fn shift_deliveries(&self, by_ms: i64) -> Result<(), StoreError> {
        self.db.write_one(&SHIFT, values![by_ms]).await.map(drop)
    }

    pub async fn delivery_counts(&self) -> Result<DeliveryCounts, StoreError> {
        let ask = |statement| Query { statement, values: Vec::new() };
        let mut answers = self.db.read_all(vec![ask(&COUNT_OPEN), ask(&COUNT_DEAD)]).await?.into_iter();
        let mut counts = DeliveryCounts::default();
        for row in answers.next().unwrap_or_default() {
            let mut row = row.columns();
            let (state, count, oldest) = (row.text()?, row.u64()?, row.maybe_moment()?);
            match DeliveryState::from_name(&state) {
                Some(DeliveryState::Claimed) => counts.claimed = count,
                _ => counts.pending += count,
            }
            counts.oldest_pending = counts.oldest_pending.into_iter().chain(oldest).min();
        }
        for row in answers.next().unwrap_or_default() {
            counts.dead = row.columns().u64()?;
        }
        Ok(counts)
    }

    /// Newest first; go on with [`Page::after`] the last one's `id`.
    pub async fn deliveries(&self, filter: &DeliveryFilter, page: Page) -> Result<Vec<Delivery>, StoreError> {
        let channel = filter.channel.as_ref();
        let state = filter.state.map(DeliveryState::name);
        let (before, limit) = (page.before(), page.limit());
        let rows = match (filter.monitor, filter.state) {
            (Some(monitor), _) => {
                let values = values![before, channel, state, limit, monitor, filter.incident];
                self.db.read(&LIST_OF_MONITOR, values).await?
            }
            // These two are few among many, and have indexes of their own.
            (None, Some(DeliveryState::Pending | DeliveryState::Claimed)) => {
                self.db.read(&LIST_OPEN, values![before, channel, state, limit]).await?
            }
            (None, Some(DeliveryState::Dead)) => self.db.read(&LIST_DEAD, values![before, channel, limit]).await?,
            (None, _) => self.db.read(&LIST, values![before, channel, state, limit]).await?,
        };
        Ok(readable(rows, read_delivery))
    }

    /// With its tries, oldest first; at most the newest 500.
    pub async fn delivery(&self, id: i64) -> Result<Option<(Delivery, Vec<Attempt>)>, StoreError> {
        let queries = vec![
            Query { statement: &GET, values: values![id] },
            Query { statement: &ATTEMPTS, values: values![id, crate::LONGEST_PAGE] },
        ];
        let mut answers = self.db.read_all(queries).await?.into_iter();
        let Some(row) = answers.next().and_then(|rows| rows.into_iter().next()) else { return Ok(None) };
        let attempts = answers.next().unwrap_or_default().into_iter().rev().collect();
        Ok(Some((read_delivery(row)?, readable(attempts, read_attempt))))
    }
}

/// `about`: the monitor, its slug, and its last transition.
pub(crate) fn insert(about: Option<(i64, &Slug, u64)>, delivery: &NewDelivery, now: Timestamp) -> Step {
    let (monitor, slug, seq) = match about {
        Some((monitor, slug, seq)) => (Some(monitor), Some(slug), seq),
        None => (None, None, 0),
    };
    let incident = delivery.message.incident.as_ref().and_then(|incident| incident.id.rsplit_once('-'));
    let incident = incident.and_then(|(_, seq)| seq.parse::<u64>().ok());
    let order = format!("{}/{}", delivery.channel, monitor.map_or("-".into(), |monitor| monitor.to_string()));
    Step {
        statement: &INSERT,
        values: values![
            monitor,
            slug,
            seq,
            incident,
            &delivery.channel,
            event(&delivery.message),
            &delivery.key,
            order,
            delivery.due,
            now,
            json(&delivery.message),
            delivery.fallback_of,
            delivery.expires_at
        ],
        expect: Expect::Any,
    }
}

pub(crate) fn cancel_reminders(monitor: i64, at: Timestamp) -> Step {
    Step::any(&CANCEL_REMINDERS, values![monitor, at])
}

/// For a database that only one process can have open.
pub(crate) async fn free(db: &Db) -> Result<(), StoreError> {
    db.write_one(&RELEASE_ALL, Vec::new()).await.map(drop)
}

fn event(message: &Message) -> &'static str {
    if message.test { "test" } else { message.event.name() }
}

/// `,a,b,`, so that a statement can look for `,a,` in it without knowing lists. Two commas between two names,
/// so that one found does not take the next one's.
fn listed(channels: &[Slug]) -> String {
    channels.iter().map(|channel| format!(",{channel},")).collect()
}

fn cut(text: String) -> String {
    if text.chars().nth(LONGEST_TEXT).is_some() { text.chars().take(LONGEST_TEXT).collect() } else { text }
}

fn read_delivery(row: Row) -> Result<Delivery, StoreError> {
    let mut row = row.columns();
    let id = row.int()?;
    Ok(Delivery {
        id,
        monitor: row.maybe_int()?,
        slug: row.maybe_slug()?,
        seq: row.u64()?,
        channel: row.slug()?,
        event: row.text()?,
        key: row.text()?,
        due: row.moment()?,
        state: {
            let name = row.text()?;
            DeliveryState::from_name(&name)
                .ok_or_else(|| StoreError::Unreadable(format!("`{name}` is no state of a delivery")))?
        },
        claimed_by: row.maybe_text()?,
        claimed_until: row.maybe_moment()?,
        attempt: row.u32()?,
        last_error: row.maybe_text()?,
        created_at: row.moment()?,
        done_at: row.maybe_moment()?,
        message: row.json(|| format!("the message of delivery {id}"))?,
        fallback_of: row.maybe_int()?,
        expires_at: row.maybe_moment()?,
    })
}

fn read_attempt(row: Row) -> Result<Attempt, StoreError> {
    let mut row = row.columns();
    Ok(Attempt {
        n: row.u32()?,
        node: row.text()?,
        started_at: row.moment()?,
        ended_at: row.maybe_moment()?,
        outcome: row.maybe_text()?,
        answer: row.maybe_text()?,
    })
}
