//! One commit of the engine: everything that was decided together is stored together, or not at all.
//!
//! The steps begin with the fence (is this node still the active one?) and compare each state's number before
//! replacing it. Whatever was stored before is named, transitions by their number, deliveries by their key, results by
//! their moment, so that making a commit again after an unknown outcome doubles nothing that people are told.

use watchbell_core::decide::Transition;
use watchbell_core::{Message, Reason, Slug, State, Timestamp};

use crate::error::WriteError;
use crate::history::{self, Gap, NewEvidence};
use crate::journal::{self, NewAudit};
use crate::lease::{self, Lease};
use crate::monitors::{self, ChannelRow, MonitorRow};
use crate::outbox;
use crate::pings::{self, NewPing};
use crate::results::{self, StoredResult};
use crate::statement::{Step, statements};
use crate::value::{json, values};
use crate::{CommitError, Store, StoreError};

statements! {
    PUT_MONITOR = "INSERT INTO monitor (id, slug, origin, spec, rev, paused, created_at, updated_at)
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
                   ON CONFLICT (id) DO UPDATE SET slug = excluded.slug, origin = excluded.origin, spec = excluded.spec,
                     rev = excluded.rev, paused = excluded.paused, updated_at = excluded.updated_at";
    PAUSE_MONITOR = "UPDATE monitor SET paused = $2, updated_at = $3 WHERE id = $1";
    /// The row stays: history needs its name.
    DELETE_MONITOR = "UPDATE monitor SET deleted_at = $2 WHERE id = $1 AND deleted_at IS NULL";
    DELETE_STATE = "DELETE FROM state WHERE monitor_id = $1";
    FIRST_STATE = "INSERT INTO state (monitor_id, seq, body) VALUES ($1, $2, $3) ON CONFLICT (monitor_id) DO NOTHING";
    NEXT_STATE = "UPDATE state SET seq = $2, body = $3 WHERE monitor_id = $1 AND seq = $4";
    FIRST_STATE_STAMP = "SELECT seq FROM state WHERE monitor_id = $1";
    TRANSITION_STAMP = "SELECT at, epoch FROM transition WHERE monitor_id = $1 AND seq = $2";
}

/// What is to be stored together.
#[derive(Clone, Debug)]
pub struct Commit {
    /// The moment of the batch.
    pub at: Timestamp,
    pub lease: Lease,
    pub monitors: Vec<MonitorWrite>,
    pub channels: Vec<ChannelWrite>,
    pub changes: Vec<Change>,
    /// About no monitor: that we were blind, for example.
    pub deliveries: Vec<NewDelivery>,
    pub results: Vec<StoredResult>,
    pub pings: Vec<NewPing>,
    /// So many of the last pings of each monitor are kept; somewhat older ones may be left for a while.
    pub keep_pings: u64,
    pub gaps: Vec<Gap>,
    pub audit: Vec<NewAudit>,
}

impl Commit {
    /// Where nothing else is said.
    pub const KEEP_PINGS: u64 = 1000;

    /// Of nothing yet.
    pub const fn new(at: Timestamp, lease: Lease) -> Self {
        Self {
            at,
            lease,
            monitors: Vec::new(),
            channels: Vec::new(),
            changes: Vec::new(),
            deliveries: Vec::new(),
            results: Vec::new(),
            pings: Vec::new(),
            keep_pings: Self::KEEP_PINGS,
            gaps: Vec::new(),
            audit: Vec::new(),
        }
    }

    pub const fn is_empty(&self) -> bool {
        self.monitors.is_empty()
            && self.channels.is_empty()
            && self.changes.is_empty()
            && self.deliveries.is_empty()
            && self.results.is_empty()
            && self.pings.is_empty()
            && self.gaps.is_empty()
            && self.audit.is_empty()
    }
}

/// A change to the list of monitors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MonitorWrite {
    /// New, or in place of the one with this number.
    Put(MonitorRow),
    SetPaused {
        id: i64,
        paused: bool,
    },
    /// Its state goes; its history stays.
    Delete {
        id: i64,
    },
}

/// A change to the list of channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChannelWrite {
    Put(ChannelRow),
    Delete(Slug),
}

/// What an event made of one monitor. Several of one monitor may stand in a commit; they are applied in order.
#[derive(Clone, Debug)]
pub struct Change {
    pub monitor: i64,
    /// For the deliveries.
    pub slug: Slug,
    /// The number of the state this was decided from; `None` when it had none.
    pub expected_seq: Option<u64>,
    pub state: State,
    pub transition: Option<Transition>,
    pub incident: Option<IncidentChange>,
    pub deliveries: Vec<NewDelivery>,
    /// Reminders that nobody has begun to send are not sent any more.
    pub cancel_reminders: bool,
    pub evidence: Option<NewEvidence>,
}

impl Change {
    /// A new state, and nothing else.
    pub const fn new(monitor: i64, slug: Slug, expected_seq: Option<u64>, state: State) -> Self {
        Self {
            monitor,
            slug,
            expected_seq,
            state,
            transition: None,
            incident: None,
            deliveries: Vec::new(),
            cancel_reminders: false,
            evidence: None,
        }
    }
}

/// What becomes of an incident; `seq` is the transition that opened it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IncidentChange {
    /// Confirmed at the moment of the commit.
    Opened {
        seq: u64,
        since: Timestamp,
        reason: Reason,
        told: Vec<Slug>,
    },
    /// These channels were told of it; replaces the earlier list.
    Told {
        seq: u64,
        told: Vec<Slug>,
    },
    Acknowledged {
        seq: u64,
        by: String,
        note: Option<String>,
    },
    /// Replaces the earlier note.
    Noted {
        seq: u64,
        note: String,
    },
    /// At the moment of the commit.
    Closed {
        seq: u64,
        reason: Reason,
    },
}

/// One notice to one channel, to be stored and sent.
#[derive(Clone, Debug, PartialEq)]
pub struct NewDelivery {
    pub channel: Slug,
    /// A second delivery with the same key is not stored.
    pub key: String,
    pub message: Message,
    /// Not before this.
    pub due: Timestamp,
    /// Not after this.
    pub expires_at: Option<Timestamp>,
    /// The delivery that this one stands in for.
    pub fallback_of: Option<i64>,
}

impl NewDelivery {
    pub fn new(channel: Slug, message: Message, due: Timestamp) -> Self {
        Self { channel, key: message.key.clone(), message, due, expires_at: None, fallback_of: None }
    }
}

impl Store {
    /// Stores all of it in one transaction, durably. After an error nothing of it is stored, except perhaps after
    /// [`CommitError::Unknown`]; then ask [`Store::was_committed`].
    pub async fn commit(&self, commit: &Commit) -> Result<(), CommitError> {
        let Plan { steps, blame } = plan(commit);
        let Err(error) = self.db.write(steps).await else { return Ok(()) };
        let concerned = |step: usize| blame.get(step).cloned().unwrap_or(Blame::Nobody);
        Err(match error {
            WriteError::Unmet { step } => match concerned(step) {
                Blame::Fence => CommitError::Fenced,
                Blame::State(monitor) => CommitError::Conflict { monitor },
                Blame::Slug(_) | Blame::Nobody => {
                    StoreError::Other("a step of a commit met other rows than it expected".into()).into()
                }
            },
            WriteError::Failed { step: Some(step), error: error @ StoreError::Taken(_) } => match concerned(step) {
                Blame::State(monitor) => CommitError::Conflict { monitor },
                Blame::Slug(slug) => CommitError::SlugTaken { slug },
                Blame::Fence | Blame::Nobody => error.into(),
            },
            WriteError::Failed { error: StoreError::Unknown(sentence), .. } => CommitError::Unknown(sentence),
            WriteError::Failed { error, .. } => error.into(),
        })
    }

    /// Whether a commit of unknown outcome was stored. Waits for the end of any commit that is still under way.
    /// `false` is also said of one that has neither transitions nor first states; making such a commit again is
    /// harmless.
    pub async fn was_committed(&self, commit: &Commit) -> Result<bool, StoreError> {
        let ask = |change: &Change| match (&change.transition, change.expected_seq) {
            (Some(transition), _) => Some(Step::any(&TRANSITION_STAMP, values![change.monitor, transition.seq])),
            (None, None) => Some(Step::any(&FIRST_STATE_STAMP, values![change.monitor])),
            (None, Some(_)) => None,
        };
        // One of them speaks for all: they were stored together or not at all.
        let Some((change, question)) = commit.changes.iter().find_map(|change| Some((change, ask(change)?))) else {
            return Ok(false);
        };
        let done = self.db.write(vec![lease::wait_for_commits(), question]).await?;
        let Some(row) = done.into_iter().nth(1).and_then(|done| done.rows.into_iter().next()) else { return Ok(false) };
        let Some(transition) = &change.transition else { return Ok(true) };
        let mut row = row.columns();
        Ok(row.moment()? == transition.at && row.u64()? == commit.lease.epoch)
    }
}

/// The steps of a commit, and whom each concerns.
#[derive(Default)]
struct Plan {
    steps: Vec<Step>,
    blame: Vec<Blame>,
}

#[derive(Clone, Debug)]
enum Blame {
    Fence,
    State(i64),
    Slug(Slug),
    Nobody,
}

impl Plan {
    fn push(&mut self, step: Step) {
        self.concern(Blame::Nobody, step);
    }

    fn concern(&mut self, blame: Blame, step: Step) {
        self.steps.push(step);
        self.blame.push(blame);
    }
}

fn plan(commit: &Commit) -> Plan {
    let mut plan = Plan::default();
    plan.concern(Blame::Fence, lease::fence(&commit.lease));
    write_monitors(&mut plan, commit);
    for write in &commit.channels {
        plan.push(match write {
            ChannelWrite::Put(channel) => monitors::put_channel(channel),
            ChannelWrite::Delete(slug) => monitors::delete_channel(slug),
        });
    }
    for change in &commit.changes {
        write_change(&mut plan, commit, change);
    }
    for write in &commit.monitors {
        if let MonitorWrite::Delete { id } = write {
            plan.push(Step::any(&DELETE_STATE, values![*id]));
        }
    }
    for delivery in &commit.deliveries {
        plan.push(outbox::insert(None, delivery, commit.at));
    }
    for gap in &commit.gaps {
        plan.push(history::put_gap(gap));
    }
    for entry in &commit.audit {
        plan.push(journal::append(commit.at, entry));
    }
    if !commit.results.is_empty() {
        plan.push(results::append(&commit.results));
    }
    for step in pings::append(&commit.pings, commit.keep_pings) {
        plan.push(step);
    }
    plan
}

/// Deletions first, so that a name may pass to another monitor in the same commit.
fn write_monitors(plan: &mut Plan, commit: &Commit) {
    for write in &commit.monitors {
        if let MonitorWrite::Delete { id } = write {
            plan.push(Step::any(&DELETE_MONITOR, values![*id, commit.at]));
        }
    }
    for write in &commit.monitors {
        match write {
            MonitorWrite::Put(row) => plan.concern(
                Blame::Slug(row.slug.clone()),
                Step::any(
                    &PUT_MONITOR,
                    values![
                        row.id,
                        &row.slug,
                        row.origin.name(),
                        &row.spec,
                        row.rev,
                        row.paused,
                        row.created_at,
                        row.updated_at
                    ],
                ),
            ),
            MonitorWrite::SetPaused { id, paused } => {
                plan.push(Step::any(&PAUSE_MONITOR, values![*id, *paused, commit.at]));
            }
            MonitorWrite::Delete { .. } => {}
        }
    }
}

fn write_change(plan: &mut Plan, commit: &Commit, change: &Change) {
    let monitor = change.monitor;
    let (seq, body) = (change.state.seq, json(&change.state));
    // First of all, because it locks the row: deliveries of one monitor are then numbered in the order of their commits.
    plan.concern(
        Blame::State(monitor),
        match change.expected_seq {
            None => Step::one(&FIRST_STATE, values![monitor, seq, body]),
            Some(expected) => Step::one(&NEXT_STATE, values![monitor, seq, body, expected]),
        },
    );
    if let Some(transition) = &change.transition {
        plan.concern(Blame::State(monitor), history::append_transition(monitor, transition, commit.lease.epoch));
    }
    if let Some(incident) = &change.incident {
        plan.push(history::change_incident(monitor, incident, commit.at));
    }
    if change.cancel_reminders {
        plan.push(outbox::cancel_reminders(monitor, commit.at));
    }
    for delivery in &change.deliveries {
        plan.push(outbox::insert(Some((monitor, &change.slug, seq)), delivery, commit.at));
    }
    if let Some(evidence) = &change.evidence {
        for step in history::put_evidence(monitor, evidence) {
            plan.push(step);
        }
    }
}
