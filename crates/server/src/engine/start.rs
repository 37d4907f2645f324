//! Builds the engine from what the store remembers and starts its tasks.

use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::task::JoinHandle;
use watchbell_core::schedule::Grid;
use watchbell_core::{State, Timestamp};
use watchbell_net::Net;
use watchbell_probe::Reuse;
use watchbell_store::{Change, Lease, Loaded, MonitorRow, Store};

use super::commands::fixed;
use super::commit::Batch;
use super::intake::Intake;
use super::timer::{self, Looker};
use super::{Ended, Engine, FromFile, HISTORY, Handle, LeftOut, Monitor, comes_first};
use crate::app::{Problem, Problems, Settings, Source};
use crate::clock::Clock;
use crate::live::{Acknowledged, Live, Watched};
use crate::seal::Seal;
use crate::telemetry::Own;

/// After a start, first looks are spread over at most this long.
pub(super) const SPREAD: Duration = Duration::from_secs(30);
/// So many commands may wait.
const COMMANDS: usize = 1024;
/// So many pings may wait, as many as there may be connections.
const PINGS: usize = 8192;

/// What the engine is built from.
pub(crate) struct Parts {
    pub store: Store,
    pub lease: Lease,
    pub live: Arc<Live>,
    pub clock: Arc<Clock>,
    pub net: Net,
    pub own: Arc<Own>,
    pub seal: Arc<Seal>,
    pub settings: Arc<ArcSwap<Settings>>,
    pub problems: Arc<Problems>,
    /// So many looks at a time.
    pub concurrency: usize,
    /// What the configuration file says.
    pub file: FromFile,
}

/// A running engine.
pub(crate) struct Running {
    pub handle: Handle,
    pub task: JoinHandle<Result<(), Ended>>,
    /// Rung when there is something to deliver.
    pub deliver: Arc<Notify>,
}

/// Loads everything, tells every monitor that we were away, applies the file, and starts.
pub(crate) async fn start(parts: Parts, stop: watch::Receiver<bool>) -> anyhow::Result<Running> {
    let now = parts.clock.now();
    let loaded = parts.store.load(now - HISTORY).await?;
    let (intake, arrivals) = Intake::open(Arc::clone(&parts.own));
    let (commands, inbox) = mpsc::channel(COMMANDS);
    let (pings, calls) = mpsc::channel(PINGS);
    let looker = Arc::new(Looker {
        clock: Arc::clone(&parts.clock),
        net: parts.net,
        reuse: Reuse::default(),
        intake,
        permits: Arc::new(Semaphore::new(parts.concurrency)),
        own: Arc::clone(&parts.own),
    });
    let deliver = Arc::new(Notify::new());
    let mut engine = Engine {
        store: parts.store,
        lease: parts.lease,
        live: parts.live,
        clock: parts.clock,
        timer: timer::start(&looker)?,
        looker,
        own: parts.own,
        seal: parts.seal,
        settings: parts.settings,
        problems: parts.problems,
        deliver: Arc::clone(&deliver),
        monitors: HashMap::new(),
        slugs: HashMap::new(),
        channels: BTreeMap::new(),
        wakes: BinaryHeap::new(),
        next_monitor: loaded.next_monitor,
        left_out: HashMap::new(),
        shadowed: BTreeMap::new(),
        batch: Batch::default(),
        listened_at: now,
        heard_up_to: now,
        doubted: std::collections::BTreeSet::new(),
    };
    engine.remember(loaded, now);
    engine.apply_file(parts.file, now);
    // Whoever asks from now on sees everything.
    engine.commit().await?;
    // Applying a large file takes its time, and nobody could call before it.
    engine.listened_at = engine.clock.now();
    let task = tokio::spawn(engine.run(arrivals, inbox, calls, stop));
    Ok(Running { handle: Handle { commands, pings }, task, deliver })
}

impl Engine {
    fn remember(&mut self, loaded: Loaded, now: Timestamp) {
        let mut problems: Vec<Problem> =
            loaded.unreadable.iter().map(|sentence| unreadable(None, sentence.clone(), now)).collect();
        for row in loaded.channels {
            match self.seal.open_channel(&row.slug, &row.spec) {
                Ok(channel) => {
                    self.channels.insert(row.slug.clone(), (Arc::new(channel), row.origin.into(), row.rev));
                    self.publish_channel(&row.slug);
                }
                Err(why) => {
                    self.live.put_unreadable_channel(row.slug.clone());
                    problems.push(unreadable(Some(row.slug), why.to_string(), now));
                }
            }
        }
        let mut states: HashMap<i64, State> = loaded.states.into_iter().collect();
        let defaults = self.settings.load().defaults.clone();
        for row in loaded.monitors {
            let MonitorRow { id, slug, origin, spec, rev, paused, created_at, .. } = row;
            let spec = match self.seal.open_monitor(&slug, &spec) {
                Ok(spec) => spec,
                Err(why) => {
                    let left_out = LeftOut { id, rev, created_at, state: states.remove(&id) };
                    self.left_out.insert(slug.clone(), left_out);
                    problems.push(unreadable(Some(slug), why.to_string(), now));
                    continue;
                }
            };
            let fixed = Arc::new(fixed(id, &slug, spec, origin.into(), rev, created_at, &defaults));
            let mut state = states.remove(&id).unwrap_or_else(|| {
                let state = State::new(created_at, rev);
                self.batch.change(Change::new(id, slug.clone(), None, state.clone()));
                state
            });
            state.paused = paused;
            let view = Watched::new(fixed, state);
            self.slugs.insert(slug, id);
            self.monitors.insert(id, Monitor::new(view));
        }
        for (monitor, last) in loaded.last_pings {
            if let Some(known) = self.monitors.get_mut(&monitor) {
                known.pings = last;
            }
        }
        for stored in loaded.transitions {
            if let Some(known) = self.monitors.get_mut(&stored.monitor) {
                Arc::make_mut(&mut known.view.history).push(stored.transition);
            }
        }
        for incident in loaded.open_incidents {
            if let (Some(known), Some(had)) = (self.monitors.get_mut(&incident.monitor), incident.acknowledged) {
                let note = incident.note.unwrap_or_default();
                known.view.acknowledged = Some(Arc::new(Acknowledged { by: had.by, at: had.at, note }));
            }
        }
        self.problems.replace(Source::Unreadable, problems);
        self.come_back(loaded.alive_at, now);
    }

    /// We were away. Nobody was listening, so silence until now proves nothing; what was bad is looked at first.
    fn come_back(&mut self, alive_at: Option<Timestamp>, now: Timestamp) {
        if let Some(away_since) = alive_at.filter(|alive_at| *alive_at < now) {
            self.batch.gap("restart", "Watchbell was not running".into(), away_since, now);
        }
        self.nobody_listened(alive_at.unwrap_or(now), now);
        let ids: Vec<i64> = self.monitors.keys().copied().collect();
        for id in ids {
            self.batch.touch(id);
            let Some(known) = self.monitors.get(&id) else { continue };
            if known.view.state.paused {
                continue;
            }
            let first = if comes_first(&known.view.state) {
                now
            } else {
                let grid = Grid::new(id, SPREAD.min(known.view.fixed.policy.interval));
                grid.start(grid.next(now))
            };
            self.watch(id, first);
        }
    }
}

fn unreadable(about: Option<watchbell_core::Slug>, sentence: String, now: Timestamp) -> Problem {
    Problem {
        place: "database".into(),
        about,
        sentence,
        consequence: "It is left out until it can be read; everything else is watched.".into(),
        since: now,
    }
}
