//! What pages, the API and metrics read: the committed view of every monitor, in memory.
//!
//! Only the engine writes it, after a commit; readers take cheap clones and are never ahead of the store.

use std::collections::{BTreeMap, BTreeSet, HashMap};
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
    /// A monitor of which nothing has been seen yet in this process's life.
    pub(crate) fn new(fixed: Arc<Fixed>, state: State) -> Self {
        Self {
            fixed,
            state: Arc::new(state),
            last: None,
            last_ok: None,
            last_fail: None,
            next_check: None,
            history: Arc::default(),
            acknowledged: None,
            checks: 0,
            incidents: 0,
        }
    }

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
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
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
    /// Locked only while `monitors` is.
    addresses: RwLock<Addresses>,
    channels: RwLock<BTreeMap<Slug, ChannelView>>,
    /// Channels that are there but whose settings cannot be read.
    unreadable_channels: RwLock<BTreeSet<Slug>>,
    revision: AtomicU64,
    news: broadcast::Sender<News>,
}

/// Where heartbeats are called, so that none is looked for among all.
#[derive(Default)]
struct Addresses {
    by_id: HashMap<uuid::Uuid, Slug>,
    /// By digest: how long looking takes says nothing of the token.
    by_token: HashMap<[u8; 32], Slug>,
    by_key: HashMap<String, Slug>,
}

impl Addresses {
    fn add(&mut self, fixed: &Fixed) {
        let Some(beat) = &fixed.spec.heartbeat else { return };
        if let Some(id) = beat.ping_id {
            self.by_id.insert(id, fixed.slug.clone());
        }
        if let Some(token) = &beat.push_token {
            self.by_token.insert(digest(token.expose()), fixed.slug.clone());
            self.by_key.insert(endpoint_key(fixed), fixed.slug.clone());
        }
    }

    /// Another may have taken an address in the meantime; it keeps it.
    fn remove(&mut self, fixed: &Fixed) {
        let Some(beat) = &fixed.spec.heartbeat else { return };
        if let Some(id) = beat.ping_id {
            forget(&mut self.by_id, &id, &fixed.slug);
        }
        if let Some(token) = &beat.push_token {
            forget(&mut self.by_token, &digest(token.expose()), &fixed.slug);
            forget(&mut self.by_key, &endpoint_key(fixed), &fixed.slug);
        }
    }
}

fn forget<K: std::hash::Hash + Eq>(addresses: &mut HashMap<K, Slug>, key: &K, slug: &Slug) {
    if addresses.get(key) == Some(slug) {
        addresses.remove(key);
    }
}

fn digest(token: &str) -> [u8; 32] {
    use sha2::Digest as _;
    sha2::Sha256::digest(token).into()
}

/// As Gatus makes it: `<group>_<name>` in lower case, with `-` for what would not stand well in an address.
fn endpoint_key(fixed: &Fixed) -> String {
    let plain = |text: &str| text.trim().to_lowercase().replace(['/', '_', '.', ',', '#', '+', '&', ' '], "-");
    format!("{}_{}", plain(fixed.spec.group.as_deref().unwrap_or_default()), plain(fixed.title()))
}

/// So many pieces of news may wait for a slow reader; then it starts afresh from a whole page.
const NEWS_WAITING: usize = 256;

impl Live {
    pub(crate) fn new() -> Self {
        Self {
            monitors: RwLock::default(),
            addresses: RwLock::default(),
            channels: RwLock::default(),
            unreadable_channels: RwLock::default(),
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

    /// Whether news is worth gathering.
    pub(crate) fn is_listened_to(&self) -> bool {
        self.news.receiver_count() > 0
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<News> {
        self.news.subscribe()
    }

    /// Replaces monitors. The engine's, after a commit.
    pub(crate) fn put(&self, changed: impl IntoIterator<Item = Watched>) {
        let mut monitors = self.monitors.write();
        for watched in changed {
            match monitors.get_mut(&watched.fixed.slug) {
                Some(known) => {
                    if !Arc::ptr_eq(&known.fixed, &watched.fixed) {
                        let mut addresses = self.addresses.write();
                        addresses.remove(&known.fixed);
                        addresses.add(&watched.fixed);
                    }
                    *known = watched;
                }
                None => {
                    self.addresses.write().add(&watched.fixed);
                    monitors.insert(watched.fixed.slug.clone(), watched);
                }
            }
        }
    }

    pub(crate) fn remove(&self, slug: &Slug) {
        let mut monitors = self.monitors.write();
        if let Some(gone) = monitors.remove(slug) {
            self.addresses.write().remove(&gone.fixed);
        }
    }

    /// The heartbeat that is called at `/ping/<ping_id>`.
    pub(crate) fn by_ping_id(&self, id: uuid::Uuid) -> Option<Watched> {
        let monitors = self.monitors.read();
        let slug = self.addresses.read().by_id.get(&id).cloned()?;
        monitors.get(&slug).cloned()
    }

    /// The heartbeat that is called at `/api/push/<push_token>`.
    pub(crate) fn by_push_token(&self, token: &str) -> Option<Watched> {
        let monitors = self.monitors.read();
        let slug = self.addresses.read().by_token.get(&digest(token)).cloned()?;
        monitors.get(&slug).cloned()
    }

    /// The heartbeat that Gatus calls `<group>_<name>`, or that has this slug.
    pub(crate) fn by_endpoint_key(&self, key: &str) -> Option<Watched> {
        let monitors = self.monitors.read();
        let slug = self.addresses.read().by_key.get(key).cloned();
        let found = slug.as_ref().and_then(|slug| monitors.get(slug)).or_else(|| monitors.get(key));
        found.filter(|it| it.fixed.spec.heartbeat.is_some()).cloned()
    }

    pub(crate) fn is_unreadable_channel(&self, slug: &str) -> bool {
        self.unreadable_channels.read().contains(slug)
    }

    pub(crate) fn put_unreadable_channel(&self, slug: Slug) {
        self.unreadable_channels.write().insert(slug);
    }

    pub(crate) fn put_channel(&self, channel: ChannelView) {
        self.unreadable_channels.write().remove(&channel.slug);
        self.channels.write().insert(channel.slug.clone(), channel);
    }

    pub(crate) fn remove_channel(&self, slug: &str) {
        self.unreadable_channels.write().remove(slug);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::spec::HeartbeatSpec;
    use crate::web::testing::sample::Sample;

    #[test]
    fn an_address_leads_to_its_heartbeat_until_it_is_changed() {
        let live = Live::new();
        let id = uuid::Uuid::from_u128(7);
        let with = |ping_id: Option<uuid::Uuid>| {
            let sample = Sample::up("Nightly Back_up").group("Core.Jobs").changed(|spec| {
                spec.probe = None;
                let push_token = Some(watchbell_core::Secret::new("a-token-of-some-length"));
                spec.heartbeat = Some(HeartbeatSpec { ping_id, push_token, ..HeartbeatSpec::default() });
            });
            sample.build()
        };
        let slug = |found: Option<Watched>| found.map(|it| it.fixed.slug.to_string());
        let known = with(Some(id));
        let name = Some(known.fixed.slug.to_string());
        live.put([known.clone()]);
        assert_eq!(slug(live.by_ping_id(id)), name);
        assert_eq!(slug(live.by_push_token("a-token-of-some-length")), name);
        assert_eq!(slug(live.by_endpoint_key("core-jobs_nightly-back-up")), name);
        assert_eq!(slug(live.by_endpoint_key(known.fixed.slug.as_str())), name);
        assert_eq!(slug(live.by_push_token("another")), None);

        live.put([with(None)]);
        assert_eq!(slug(live.by_ping_id(id)), None);
        live.remove(&known.fixed.slug);
        assert_eq!(slug(live.by_push_token("a-token-of-some-length")), None);
        assert_eq!(slug(live.by_endpoint_key("core-jobs_nightly-back-up")), None);
    }
}
