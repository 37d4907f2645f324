//! What is remembered of one monitor between two events.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Reason, RunId, Slug, Timestamp};

/// What we say of a monitor. `paused` and the like lie over it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing is known yet.
    #[default]
    Pending,
    Up,
    /// It answers, but slowly.
    Degraded,
    Down,
    /// We could not look, or do not yet look again.
    Unknown,
}

impl Verdict {
    pub const ALL: [Self; 5] = [Self::Pending, Self::Up, Self::Degraded, Self::Down, Self::Unknown];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Up => "up",
            Self::Degraded => "degraded",
            Self::Down => "down",
            Self::Unknown => "unknown",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.name() == name)
    }
}

/// Everything [`crate::decide`] remembers. Stored whenever it changes; an unchanging monitor writes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    pub verdict: Verdict,
    /// Since when the verdict holds: the first failure of the run, not its confirmation.
    pub since: Timestamp,
    /// Number of transitions so far; each raises it by one.
    pub seq: u64,
    /// When the last transition was decided. Never goes back, whatever the clock does.
    pub moved_at: Timestamp,
    /// The settings these counters were gathered under.
    pub rev: u64,
    #[serde(default, skip_serializing_if = "is_false")]
    pub paused: bool,
    /// Failures in a row, not yet or already confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing: Option<Run>,
    /// Good answers in a row while something better is being confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passing: Option<Run>,
    /// Slow answers in a row, up to the threshold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow: Option<Run>,
    /// Since when we have not been able to look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blind: Option<Run>,
    /// The open incident.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<OpenIncident>,
    /// People were told that the monitor is degraded, and these channels heard it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_degraded: Option<Vec<Slug>>,
    /// The certificates people were warned of, the latest last; a handful.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warned: Vec<Warned>,
    /// What a heartbeat heard last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard: Option<Heard>,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// Equal results in a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    pub count: u32,
    /// The first of the run.
    pub since: Timestamp,
    /// The latest that was counted.
    pub last: Timestamp,
    /// Why, of the latest that was counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
}

/// From confirmed down to confirmed up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenIncident {
    /// The transition that opened it; with the monitor's number it names the incident.
    pub seq: u64,
    /// The first failure.
    pub since: Timestamp,
    pub reason: Reason,
    /// Channels that were told, and so must be told of the end.
    pub told: Vec<Slug>,
    /// How many reminders have been sent.
    #[serde(default)]
    pub reminders: u32,
    /// When the next reminder is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remind_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "is_false")]
    pub acknowledged: bool,
}

/// A certificate and the nearest warning given for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warned {
    pub expires_at: Timestamp,
    /// The warning's days.
    pub days: u32,
}

/// The last signals of a heartbeat.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// The last success or failure; the next one is expected after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<Timestamp>,
    /// Runs that have begun and not ended, in the order of their starts; a handful.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<OpenRun>,
    /// Names of the runs that ended last: a start that comes after its own finish begins nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ended: Vec<RunId>,
    /// Deadlines before this moment are not judged: we were not listening.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excused_until: Option<Timestamp>,
    /// The awaited ping may have come while nobody listened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubt: Option<Doubt>,
    /// People asked for quiet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snoozed: Option<Snooze>,
}

/// A run of a job that has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenRun {
    pub at: Timestamp,
    /// Its name, if the sender gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<RunId>,
}

/// Why we cannot know whether a ping came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doubt {
    /// We did not listen from here …
    pub from: Timestamp,
    /// … to here.
    pub to: Timestamp,
    /// When we give up hope and say that we do not know.
    pub said_at: Timestamp,
    /// The ping after the doubtful one is expected then; if it is missing too, that is a failure.
    pub next: Timestamp,
}

/// Quiet until a moment: nothing counts as a failure before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snooze {
    pub until: Timestamp,
    /// Silence is judged again from here on: the first ping after `until`, and its grace.
    pub judged_from: Timestamp,
}

impl State {
    /// A monitor that was made at `now`.
    pub fn new(now: Timestamp, rev: u64) -> Self {
        Self {
            verdict: Verdict::Pending,
            since: now,
            seq: 0,
            moved_at: now,
            rev,
            paused: false,
            failing: None,
            passing: None,
            slow: None,
            blind: None,
            incident: None,
            told_degraded: None,
            warned: Vec::new(),
            heard: None,
        }
    }

    /// Something is being confirmed: the next look comes after the retry interval, not on the grid.
    pub const fn is_confirming(&self) -> bool {
        self.passing.is_some() || (self.failing.is_some() && self.incident.is_none())
    }
}
