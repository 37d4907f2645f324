//! What happened: transitions, incidents, evidence, and the gaps in which we could not know.

use std::borrow::Cow;

use watchbell_core::decide::Transition;
use watchbell_core::{Evidence, Reason, Slug, Timestamp, Verdict};

use crate::commit::IncidentChange;
use crate::statement::{Query, Step, statements};
use crate::value::{Columns, Row, json, readable, values};
use crate::{Page, Store, StoreError};

/// Of each monitor. Older evidence goes when newer comes.
const KEPT_EVIDENCE: usize = 50;
/// Of one monitor in one answer: a transition a minute for a week.
const MOST_TRANSITIONS: usize = 10_000;
/// In one answer.
const MOST_GAPS: usize = 1_000;

/// The columns that [`read_transition`] reads, in its order.
pub(crate) const TRANSITION: &str =
    "monitor_id, seq, at, since, old_verdict, new_verdict, code, reason, incident, epoch";
/// The columns that [`read_incident`] reads, in its order, and where they come from.
pub(crate) const INCIDENT_WITH_SLUG: &str = "i.id, i.monitor_id, m.slug, i.seq, i.since, i.confirmed_at, i.code, i.reason, \
    i.closed_at, i.closed_code, i.closed_reason, i.acknowledged_by, i.acknowledged_at, i.note, i.told \
    FROM incident i JOIN monitor m ON m.id = i.monitor_id";

statements! {
    APPEND_TRANSITION = "INSERT INTO transition (monitor_id, seq, at, since, old_verdict, new_verdict, code, reason, incident, epoch)
                         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    TRANSITIONS_SINCE = "SELECT {transition}
                         FROM transition WHERE at >= $1 ORDER BY at, monitor_id, seq";
    /// With the one that was in force when the time begins.
    TRANSITIONS = "SELECT {transition}
                   FROM transition
                   WHERE monitor_id = $1 AND at < $3
                     AND seq >= COALESCE((SELECT MAX(seq) FROM transition WHERE monitor_id = $1 AND at <= $2), 0)
                   ORDER BY seq DESC LIMIT $4";
    INCIDENT_TRANSITIONS = "SELECT {transition}
                            FROM transition WHERE monitor_id = $1 AND incident = $2 ORDER BY seq";

    OPEN_INCIDENT = "INSERT INTO incident (monitor_id, seq, since, confirmed_at, code, reason, told)
                     VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (monitor_id, seq) DO NOTHING";
    TELL_INCIDENT = "UPDATE incident SET told = $3 WHERE monitor_id = $1 AND seq = $2";
    ACKNOWLEDGE_INCIDENT = "UPDATE incident SET acknowledged_by = $3, acknowledged_at = $4, note = COALESCE($5, note)
                            WHERE monitor_id = $1 AND seq = $2";
    NOTE_INCIDENT = "UPDATE incident SET note = $3 WHERE monitor_id = $1 AND seq = $2";
    CLOSE_INCIDENT = "UPDATE incident SET closed_at = $3, closed_code = $4, closed_reason = $5
                      WHERE monitor_id = $1 AND seq = $2 AND closed_at IS NULL";
    OPEN_INCIDENTS = "SELECT {incident}
                      WHERE i.closed_at IS NULL ORDER BY i.id DESC";
    /// $2: 0 any, 1 open, 2 closed.
    INCIDENTS = "SELECT {incident} WHERE i.id < $1
                   AND (CAST($2 AS BIGINT) = 0 OR ($2 = 1 AND i.closed_at IS NULL) OR ($2 = 2 AND i.closed_at IS NOT NULL))
                   AND (i.closed_at IS NULL OR i.closed_at >= $3) AND i.since < $4
                 ORDER BY i.id DESC LIMIT $5";
    INCIDENTS_STILL_OPEN = "SELECT {incident} WHERE i.closed_at IS NULL AND i.id < $1 AND i.since < $2
                            ORDER BY i.id DESC LIMIT $3";
    /// In the order of their numbers, which for one monitor is that of their ids, and has an index.
    INCIDENTS_OF_MONITOR = "SELECT {incident} WHERE i.monitor_id = $6 AND i.id < $1
                              AND (CAST($2 AS BIGINT) = 0 OR ($2 = 1 AND i.closed_at IS NULL) OR ($2 = 2 AND i.closed_at IS NOT NULL))
                              AND (i.closed_at IS NULL OR i.closed_at >= $3) AND i.since < $4
                            ORDER BY i.seq DESC LIMIT $5";
    INCIDENT = "SELECT {incident} WHERE i.monitor_id = $1 AND i.seq = $2";

    PUT_EVIDENCE = "INSERT INTO evidence (monitor_id, at, kind, body) VALUES ($1, $2, $3, $4)
                    ON CONFLICT (monitor_id, at, kind) DO UPDATE SET body = excluded.body";
    PRUNE_EVIDENCE = "DELETE FROM evidence WHERE monitor_id = $1 AND at <
                        (SELECT at FROM evidence WHERE monitor_id = $1 ORDER BY at DESC LIMIT 1 OFFSET $2)";
    EVIDENCE = "SELECT at, kind, body FROM evidence WHERE monitor_id = $1 ORDER BY at DESC, kind LIMIT $2";

    PUT_GAP = "INSERT INTO gap (monitor_id, from_at, scope, code, to_at, reason) VALUES ($1, $2, $3, $4, $5, $6)
               ON CONFLICT (monitor_id, from_at, scope, code) DO UPDATE SET to_at = excluded.to_at, reason = excluded.reason";
    /// The newest, when there are too many.
    GAPS = "SELECT monitor_id, from_at, scope, code, to_at, reason FROM gap
            WHERE (monitor_id = 0 OR monitor_id = $1) AND from_at < $3 AND to_at > $2
            ORDER BY from_at DESC, monitor_id, scope LIMIT $4";
}

/// A change of verdict, and who was the active node when it was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredTransition {
    pub monitor: i64,
    pub transition: Transition,
    /// Of the lease it was committed under.
    pub epoch: u64,
}

/// From confirmed down to confirmed up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    /// Only for paging.
    pub id: i64,
    pub monitor: i64,
    pub slug: Slug,
    /// The transition that opened it.
    pub seq: u64,
    /// The first failure.
    pub since: Timestamp,
    pub confirmed_at: Timestamp,
    pub reason: Reason,
    pub closed: Option<Closing>,
    pub acknowledged: Option<Acknowledgement>,
    pub note: Option<String>,
    /// Channels that heard of it.
    pub told: Vec<Slug>,
}

impl Incident {
    /// As people see it: `17-3`.
    pub fn public_id(&self) -> String {
        format!("{}-{}", self.monitor, self.seq)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closing {
    pub at: Timestamp,
    pub reason: Reason,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    pub by: String,
    pub at: Timestamp,
}

/// Which incidents; what is `None` does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IncidentFilter {
    pub monitor: Option<i64>,
    pub open: Option<bool>,
    /// Not closed before this.
    pub from: Option<Timestamp>,
    /// Begun before this.
    pub to: Option<Timestamp>,
}

/// What was seen at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvidence {
    pub at: Timestamp,
    /// `failure` or `success`.
    pub kind: String,
    pub evidence: Evidence,
}

/// A time in which we could not know. Named by scope, beginning and reason's code: written again, its end moves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    pub scope: GapScope,
    pub from: Timestamp,
    pub to: Timestamp,
    pub reason: Reason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GapScope {
    Everything,
    /// We could not ask.
    Probes,
    /// We could not be reached.
    Heartbeats,
    Monitor(i64),
}

impl GapScope {
    const fn name(self) -> &'static str {
        match self {
            Self::Everything => "everything",
            Self::Probes => "probes",
            Self::Heartbeats => "heartbeats",
            Self::Monitor(_) => "monitor",
        }
    }

    const fn monitor(self) -> i64 {
        match self {
            Self::Monitor(id) => id,
            Self::Everything | Self::Probes | Self::Heartbeats => 0,
        }
    }
}

impl Store {
    /// Newest first; go on with [`Page::after`] the last one's `id`.
    pub async fn incidents(&self, filter: &IncidentFilter, page: Page) -> Result<Vec<Incident>, StoreError> {
        let from = filter.from.unwrap_or(Timestamp::from_millis(i64::MIN));
        let to = filter.to.unwrap_or(Timestamp::from_millis(i64::MAX));
        let open: i64 = match filter.open {
            None => 0,
            Some(true) => 1,
            Some(false) => 2,
        };
        let rows = match (filter.monitor, filter.open) {
            (Some(monitor), _) => {
                let values = values![page.before(), open, from, to, page.limit(), monitor];
                self.db.read(&INCIDENTS_OF_MONITOR, values).await?
            }
            (None, Some(true)) => self.db.read(&INCIDENTS_STILL_OPEN, values![page.before(), to, page.limit()]).await?,
            (None, _) => self.db.read(&INCIDENTS, values![page.before(), open, from, to, page.limit()]).await?,
        };
        Ok(readable(rows, read_incident))
    }

    /// With the transitions that belong to it, oldest first.
    pub async fn incident(
        &self,
        monitor: i64,
        seq: u64,
    ) -> Result<Option<(Incident, Vec<StoredTransition>)>, StoreError> {
        let queries = vec![
            Query { statement: &INCIDENT, values: values![monitor, seq] },
            Query { statement: &INCIDENT_TRANSITIONS, values: values![monitor, seq] },
        ];
        let mut answers = self.db.read_all(queries).await?.into_iter();
        let Some(row) = answers.next().and_then(|rows| rows.into_iter().next()) else { return Ok(None) };
        let transitions = readable(answers.next().unwrap_or_default(), read_transition);
        Ok(Some((read_incident(row)?, transitions)))
    }

    /// Oldest first, before `to`, beginning with the one that was in force at `from`; at most the newest 10,000.
    pub async fn transitions(
        &self,
        monitor: i64,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<StoredTransition>, StoreError> {
        let mut rows = self.db.read(&TRANSITIONS, values![monitor, from, to, MOST_TRANSITIONS]).await?;
        rows.reverse();
        Ok(readable(rows, read_transition))
    }

    /// Newest first. The last 50 of each monitor are kept.
    pub async fn evidence(&self, monitor: i64, limit: usize) -> Result<Vec<NewEvidence>, StoreError> {
        let rows = self.db.read(&EVIDENCE, values![monitor, limit.min(KEPT_EVIDENCE)]).await?;
        Ok(readable(rows, |row| {
            let mut row = row.columns();
            let (at, kind) = (row.moment()?, row.text()?);
            let evidence = row.json(|| format!("the evidence of monitor {monitor} at {at}"))?;
            Ok(NewEvidence { at, kind, evidence })
        }))
    }

    /// Those that concern everybody, and the monitor's own, oldest first; at most the newest 1,000.
    pub async fn gaps(&self, monitor: Option<i64>, from: Timestamp, to: Timestamp) -> Result<Vec<Gap>, StoreError> {
        let mut rows = self.db.read(&GAPS, values![monitor.unwrap_or(0), from, to, MOST_GAPS]).await?;
        rows.reverse();
        Ok(readable(rows, read_gap))
    }

    /// For a gap that belongs to no commit.
    pub async fn put_gap(&self, gap: &Gap) -> Result<(), StoreError> {
        self.db.write(vec![put_gap(gap)]).await?;
        Ok(())
    }
}

pub(crate) fn append_transition(monitor: i64, transition: &Transition, epoch: u64) -> Step {
    Step::one(
        &APPEND_TRANSITION,
        values![
            monitor,
            transition.seq,
            transition.at,
            transition.since,
            transition.old.name(),
            transition.new.name(),
            transition.reason.code.as_ref(),
            &transition.reason.text,
            transition.incident,
            epoch
        ],
    )
}

pub(crate) fn transitions_since(moment: Timestamp) -> Query {
    Query { statement: &TRANSITIONS_SINCE, values: values![moment] }
}

pub(crate) fn open_incidents() -> Query {
    Query { statement: &OPEN_INCIDENTS, values: Vec::new() }
}

pub(crate) fn change_incident(monitor: i64, change: &IncidentChange, at: Timestamp) -> Step {
    match change {
        IncidentChange::Opened { seq, since, reason, told } => Step::any(
            &OPEN_INCIDENT,
            values![monitor, *seq, *since, at, reason.code.as_ref(), &reason.text, json(told)],
        ),
        IncidentChange::Told { seq, told } => Step::any(&TELL_INCIDENT, values![monitor, *seq, json(told)]),
        IncidentChange::Acknowledged { seq, by, note } => {
            Step::any(&ACKNOWLEDGE_INCIDENT, values![monitor, *seq, by, at, note.clone()])
        }
        IncidentChange::Noted { seq, note } => Step::any(&NOTE_INCIDENT, values![monitor, *seq, note]),
        IncidentChange::Closed { seq, reason } => {
            Step::any(&CLOSE_INCIDENT, values![monitor, *seq, at, reason.code.as_ref(), &reason.text])
        }
    }
}

pub(crate) fn put_evidence(monitor: i64, evidence: &NewEvidence) -> [Step; 2] {
    [
        Step::any(&PUT_EVIDENCE, values![monitor, evidence.at, &evidence.kind, json(&evidence.evidence)]),
        Step::any(&PRUNE_EVIDENCE, values![monitor, KEPT_EVIDENCE - 1]),
    ]
}

pub(crate) fn put_gap(gap: &Gap) -> Step {
    Step::any(
        &PUT_GAP,
        values![gap.scope.monitor(), gap.from, gap.scope.name(), gap.reason.code.as_ref(), gap.to, &gap.reason.text],
    )
}

pub(crate) fn read_transition(row: Row) -> Result<StoredTransition, StoreError> {
    let mut row = row.columns();
    Ok(StoredTransition {
        monitor: row.int()?,
        transition: Transition {
            seq: row.u64()?,
            at: row.moment()?,
            since: row.moment()?,
            old: read_verdict(&mut row)?,
            new: read_verdict(&mut row)?,
            reason: Reason { code: Cow::Owned(row.text()?), text: row.text()? },
            incident: row.maybe_int()?.and_then(|seq| u64::try_from(seq).ok()),
        },
        epoch: row.u64()?,
    })
}

fn read_verdict(row: &mut Columns) -> Result<Verdict, StoreError> {
    let name = row.text()?;
    Verdict::from_name(&name).ok_or_else(|| StoreError::Unreadable(format!("`{name}` is no state of a monitor")))
}

pub(crate) fn read_incident(row: Row) -> Result<Incident, StoreError> {
    let mut row = row.columns();
    let (id, monitor) = (row.int()?, row.int()?);
    let (slug, seq, since, confirmed_at) = (row.slug()?, row.u64()?, row.moment()?, row.moment()?);
    let reason = Reason { code: Cow::Owned(row.text()?), text: row.text()? };
    let (closed_at, closed_code, closed_reason) = (row.maybe_moment()?, row.maybe_text()?, row.maybe_text()?);
    let closed = closed_at.map(|at| Closing {
        at,
        reason: Reason { code: Cow::Owned(closed_code.unwrap_or_default()), text: closed_reason.unwrap_or_default() },
    });
    let (acknowledged_by, acknowledged_at) = (row.maybe_text()?, row.maybe_moment()?);
    let acknowledged = acknowledged_by.zip(acknowledged_at).map(|(by, at)| Acknowledgement { by, at });
    let note = row.maybe_text()?;
    let told = row.json(|| format!("who was told of incident {monitor}-{seq}"))?;
    Ok(Incident { id, monitor, slug, seq, since, confirmed_at, reason, closed, acknowledged, note, told })
}

fn read_gap(row: Row) -> Result<Gap, StoreError> {
    let mut row = row.columns();
    let (monitor, from, scope) = (row.int()?, row.moment()?, row.text()?);
    let code = row.text()?;
    let scope = match scope.as_str() {
        "everything" => GapScope::Everything,
        "probes" => GapScope::Probes,
        "heartbeats" => GapScope::Heartbeats,
        "monitor" => GapScope::Monitor(monitor),
        other => return Err(StoreError::Unreadable(format!("`{other}` is no scope of a gap"))),
    };
    Ok(Gap { scope, from, to: row.moment()?, reason: Reason { code: Cow::Owned(code), text: row.text()? } })
}
