//! What pages, the API and metrics read: the committed view of every monitor, in memory.
//!
//! Only the engine writes it, after a commit; readers take cheap clones and are never ahead of the store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::RwLock;
use tokio::sync::broadcast;
use watchbell_core::decide::{Sight, Transition};
use watchbell_core::{Evidence, Phases, Policy, Reason, Slug, State, Timestamp, Verdict};
use watchbell_notify::Channel;

use crate::config::spec::MonitorSpec;

/// Who made a monitor or channel, and so where it is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Origin {
    /// Written in the configuration file; read-only in the console and the API.
    File,
    /// Made in the console or by the API.
    Console,
}

/// What does not change between two edits of a monitor.
#[derive(Debug)]
pub(crate) struct Fixed {
    pub id: i64,
    pub slug: Slug,
    pub spec: MonitorSpec,
    pub origin: Origin,
    pub rev: u64,
    pub created_at: Timestamp,
    /// Effective, defaults filled in.
    pub policy: Policy,
    pub slow_above: Option<Duration>,
    /// Effective: who hears of it.
    pub notify: Vec<Slug>,
}

impl Fixed {
    pub(crate) fn title(&self) -> &str {
        self.spec.title(&self.slug)
    }
}

/// One monitor as of the last commit. Cloning is a few counters.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    pub fixed: Arc<Fixed>,
    pub state: Arc<State>,
    /// The last check, whatever it gave.
    pub last: Option<Arc<Seen>>,
    /// The last check that worked, and the last that did not: laid side by side on the monitor's page.
    pub last_ok: Option<Arc<Seen>>,
    pub last_fail: Option<Arc<Seen>>,
    /// When it is asked next; `None` for heartbeats and paused monitors.
    pub next_check: Option<Timestamp>,
    /// Transitions of the last ninety days, oldest first.
    pub history: Arc<Vec<Transition>>,
    /// Who acknowledged the open incident, when, with which note.
    pub acknowledged: Option<Arc<Acknowledged>>,
    /// Checks and pings since this process began.
    pub checks: u64,
    /// Incidents since this process began.
    pub incidents: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub(crate) struct Acknowledged {
    pub by: String,
    pub at: Timestamp,
    pub note: String,
}

/// One look, as people see it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub at: Timestamp,
    pub took: Duration,
    pub phases: Phases,
    pub sight: Sight,
    pub expires_at: Option<Timestamp>,
    pub evidence: Evidence,
}

impl Seen {
    /// Why, if it was not simply good.
    pub(crate) const fn reason(&self) -> Option<&Reason> {
        match &self.sight {
            Sight::Ok => None,
            Sight::Slow(reason) | Sight::Fail(reason) | Sight::Local(reason) | Sight::Missed(reason) => Some(reason),
        }
    }
}

impl Watched {
    /// The verdict with what lies over it.
    pub(crate) fn shown(&self) -> Shown {
        if self.state.paused {
            return Shown::Paused;
        }
        match self.state.verdict {
            Verdict::Pending => Shown::Pending,
            Verdict::Up => Shown::Up,
            Verdict::Degraded => Shown::Degraded,
            Verdict::Down => Shown::Down,
            Verdict::Unknown => Shown::Unknown,
        }
    }
}

/// What people see: a verdict, or what lies over it. In order of precedence, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Shown {
    Down,
    Degraded,
    Unknown,
    Paused,
    Pending,
    Up,
}

impl Shown {
    pub(crate) const ALL: [Self; 6] =
        [Self::Down, Self::Degraded, Self::Unknown, Self::Paused, Self::Pending, Self::Up];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Degraded => "degraded",
            Self::Unknown => "unknown",
            Self::Paused => "paused",
            Self::Pending => "pending",
            Self::Up => "up",
        }
    }
}

/// A channel as people see it.
#[derive(Clone, Debug)]
pub(crate) struct ChannelView {
    pub slug: Slug,
    pub channel: Arc<Channel>,
    pub origin: Origin,
    /// What the last delivery or test gave: when, and the refusal if there was one.
    pub last: Option<(Timestamp, Result<(), String>)>,
}

/// Something browsers may want to show at once.
#[derive(Clone, Debug)]
pub(crate) enum News {
    /// Results or transitions of these monitors were committed.
    Monitors(Arc<[Slug]>),
    /// A monitor was added, changed or removed; channels or problems changed.
    Configuration,
    /// A delivery was finished or given up.
    Deliveries,
}

/// The view itself.
pub(crate) struct Live {
    monitors: RwLock<BTreeMap<Slug, Watched>>,
    channels: RwLock<BTreeMap<Slug, ChannelView>>,
    revision: AtomicU64,
    news: broadcast::Sender<News>,
}

/// So many pieces of news may wait for a slow reader; then it starts afresh from a whole page.
const NEWS_WAITING: usize = 256;

impl Live {
    pub(crate) fn new() -> Self {
        Self {
            monitors: RwLock::default(),
            channels: RwLock::default(),
            revision: AtomicU64::new(1),
            news: broadcast::channel(NEWS_WAITING).0,
        }
    }

    /// Every monitor, by slug.
    pub(crate) fn monitors(&self) -> Vec<Watched> {
        self.monitors.read().values().cloned().collect()
    }

    pub(crate) fn get(&self, slug: &str) -> Option<Watched> {
        self.monitors.read().get(slug).cloned()
    }

    pub(crate) fn channels(&self) -> Vec<ChannelView> {
        self.channels.read().values().cloned().collect()
    }

    pub(crate) fn channel(&self, slug: &str) -> Option<ChannelView> {
        self.channels.read().get(slug).cloned()
    }

    /// Rises with every change; an ETag and the id of server-sent events.
    pub(crate) fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<News> {
        self.news.subscribe()
    }

    /// Replaces monitors. The engine's, after a commit.
    pub(crate) fn put(&self, changed: impl IntoIterator<Item = Watched>) {
        let mut monitors = self.monitors.write();
        for watched in changed {
            match monitors.get_mut(&watched.fixed.slug) {
                Some(known) => *known = watched,
                None => {
                    monitors.insert(watched.fixed.slug.clone(), watched);
                }
            }
        }
    }

    pub(crate) fn remove(&self, slug: &Slug) {
        self.monitors.write().remove(slug);
    }

    pub(crate) fn put_channel(&self, channel: ChannelView) {
        self.channels.write().insert(channel.slug.clone(), channel);
    }

    pub(crate) fn remove_channel(&self, slug: &str) {
        self.channels.write().remove(slug);
    }

    /// Notes what a delivery or test gave.
    pub(crate) fn channel_answered(&self, slug: &str, at: Timestamp, outcome: Result<(), String>) {
        if let Some(view) = self.channels.write().get_mut(slug) {
            view.last = Some((at, outcome));
        }
    }

    /// Tells everybody who listens.
    pub(crate) fn publish(&self, news: News) {
        self.revision.fetch_add(1, Ordering::AcqRel);
        // Nobody listening is no error.
        let _ = self.news.send(news);
    }
}
