//! Owns the state of all monitors. Events come in by one door, are decided, committed, and only then told.
//!
//! The loop is the only thing that changes a monitor's state. What it decided is committed in the order it was
//! decided, tried again until it is; nothing is published and nobody is answered before. A change of state is
//! committed at once; results that change nothing wait up to a second to be committed together.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, mpsc};
use watchbell_core::decide::{self, Decision, Event, NoticeKind, Observation, Sight};
use watchbell_core::route::{Routes, route};
use watchbell_core::schedule::Grid;
use watchbell_core::{Finding, Outcome, Reason, Slug, Span, State, Timestamp, Verdict};
use watchbell_notify::Channel;
use watchbell_store::{Change, IncidentChange, Lease, NewDelivery, NewEvidence, Store, StoredResult};

use crate::app::{Problems, Settings};
use crate::clock::{Clock, monotonic};
use crate::config::spec::MonitorSpec;
use crate::live::{ChannelView, Fixed, Live, News, Origin, Seen, Watched};
use crate::seal::Seal;
use crate::telemetry::Own;

mod commands;
mod commit;
mod deaf;
pub(crate) mod deliver;
mod handle;
mod hear;
mod intake;
mod message;
mod start;
mod timer;

pub(crate) use handle::{Answer, Called, FromFile, Handle, Make, Refused};
pub(crate) use message::test_message;
pub(crate) use start::{Parts, start};

use commit::Batch;
use handle::Command;
use intake::{Arrival, By};
use timer::{Looker, Order, Timer};

/// Results that change nothing wait this long for company.
const GROUPING: Duration = Duration::from_secs(1);
/// So many events are decided before the next commit.
const BATCH: usize = 1024;
/// Transitions older than this are left to the store.
pub(crate) const HISTORY: Duration = Duration::from_secs(90 * 86_400);
/// So many transitions of one monitor are kept in memory.
const LONGEST_HISTORY: usize = 2000;
/// How often the wall clock is compared with boot time.
const CLOCK_LOOK: Duration = Duration::from_secs(1);

/// The loop's own things.
struct Engine {
    store: Store,
    lease: Lease,
    live: Arc<Live>,
    clock: Arc<Clock>,
    timer: Timer,
    looker: Arc<Looker>,
    own: Arc<Own>,
    seal: Arc<Seal>,
    settings: Arc<ArcSwap<Settings>>,
    problems: Arc<Problems>,
    /// Rung when deliveries were committed.
    deliver: Arc<Notify>,
    monitors: HashMap<i64, Monitor>,
    slugs: HashMap<Slug, i64>,
    channels: BTreeMap<Slug, (Arc<Channel>, Origin, u64)>,
    wakes: BinaryHeap<Reverse<(Timestamp, i64)>>,
    next_monitor: i64,
    /// Monitors whose stored settings cannot be read, until somebody writes them anew.
    left_out: HashMap<Slug, LeftOut>,
    /// What the file says of slugs that are taken in the console.
    shadowed: BTreeMap<Slug, MonitorSpec>,
    batch: Batch,
    /// When the loop last took what had come in.
    listened_at: Timestamp,
    /// Every ping that came before this moment has been decided.
    heard_up_to: Timestamp,
    /// Heartbeats that may have called while nobody listened.
    doubted: std::collections::BTreeSet<i64>,
}

/// What is known of a monitor whose settings cannot be read: enough to go on with its history.
struct LeftOut {
    id: i64,
    rev: u64,
    created_at: Timestamp,
    state: Option<State>,
}

/// One monitor in the loop's memory.
struct Monitor {
    view: Watched,
    wake_at: Option<Timestamp>,
    /// The moment of its entry among the wakes, which may be earlier than `wake_at`.
    entry: Option<Timestamp>,
    /// The number of its last ping.
    pings: u64,
    /// Rises whenever the timer is told anew to look. Looks of an older chain neither count nor go on.
    chain: u64,
    /// The reason of the last failure whose evidence was kept: the same again says nothing new.
    noted: Option<Reason>,
}

impl Monitor {
    fn new(view: Watched) -> Self {
        Self { view, wake_at: None, entry: None, pings: 0, chain: 0, noted: None }
    }
}

/// Why the loop ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ended {
    #[error("another node has taken over the monitors; this one has stopped watching")]
    Fenced,
    #[error("the database holds something else than this process wrote ({0}); it must be started again")]
    Conflict(String),
}

impl Engine {
    async fn run(
        mut self,
        mut arrivals: mpsc::Receiver<Vec<Arrival>>,
        mut commands: mpsc::Receiver<Command>,
        mut calls: mpsc::Receiver<Box<Called>>,
        mut stop: tokio::sync::watch::Receiver<bool>,
    ) -> Result<(), Ended> {
        let mut taken: Vec<Vec<Arrival>> = Vec::new();
        let mut called: Vec<Box<Called>> = Vec::new();
        let mut clock_look = tokio::time::interval(CLOCK_LOOK);
        loop {
            let wait = self.wait();
            tokio::select! {
                _ = arrivals.recv_many(&mut taken, BATCH / intake::BUNDLE) => {
                    let now = self.clock.now();
                    for arrival in taken.drain(..).flatten() {
                        self.own.intake.fetch_sub(1, Ordering::Relaxed);
                        self.looked(arrival, now);
                    }
                }
                _ = calls.recv_many(&mut called, BATCH) => {}
                Some(command) = commands.recv() => {
                    let now = self.clock.now();
                    self.command(command, now);
                    // A deploy or a herd of heartbeats comes at once: one commit for all of it.
                    while self.batch.len() < BATCH && let Ok(command) = commands.try_recv() {
                        self.command(command, now);
                    }
                }
                () = tokio::time::sleep(wait) => {}
                _ = clock_look.tick() => self.look_at_clock(),
                _ = stop.changed() => break,
            }
            let now = self.clock.now();
            self.notice_deafness(now);
            self.hear(&mut called, &mut calls, now);
            self.wake(now);
            self.own.turned(now);
            if self.batch.is_due() {
                self.commit().await?;
            }
        }
        self.commit().await
    }

    /// How long nothing needs to be done if nothing comes in.
    fn wait(&self) -> Duration {
        let wake = self.wakes.peek().map(|Reverse((at, _))| at.since(self.clock.now()));
        [wake, self.batch.patience()].into_iter().flatten().min().unwrap_or(Duration::from_secs(60))
    }

    /// A look came back.
    fn looked(&mut self, arrival: Arrival, now: Timestamp) {
        let Arrival::Looked { monitor, rev, asked_at, finding, by } = arrival;
        // The clock may have leapt back while we asked.
        let asked_at = asked_at.min(now);
        let (chain, reply) = match by {
            By::Timer { chain } => (Some(chain), None),
            By::Person { reply } => (None, Some(reply)),
        };
        let Some(known) = self.monitors.get_mut(&monitor) else {
            if let Some(reply) = reply {
                let _ = reply.send(Err(Refused::NoMonitor(monitor.to_string())));
            }
            return;
        };
        let is_current = chain.is_none_or(|chain| chain == known.chain);
        let fixed = Arc::clone(&known.view.fixed);
        let answer = reply.map(|reply| (reply, finding.clone()));
        if is_current && rev == fixed.rev && !known.view.state.paused {
            known.view.checks += 1;
            let was_made = finding.is_some();
            let seen = match finding {
                Some(finding) => seen(finding, asked_at, fixed.slow_above),
                None => missed(asked_at),
            };
            self.batch.results.push(StoredResult {
                monitor,
                at: asked_at,
                sight: seen.sight.clone(),
                took_us: u32::try_from(seen.took.as_micros()).unwrap_or(u32::MAX),
                phases: seen.phases,
            });
            let observation = Observation { asked_at, rev, sight: seen.sight.clone(), expires_at: seen.expires_at };
            let seen = Arc::new(seen);
            if was_made {
                known.view.last = Some(Arc::clone(&seen));
                match &seen.sight {
                    Sight::Ok | Sight::Slow(_) => known.view.last_ok = Some(Arc::clone(&seen)),
                    Sight::Fail(_) => known.view.last_fail = Some(Arc::clone(&seen)),
                    Sight::Local(_) | Sight::Missed(_) => {}
                }
            }
            self.batch.touch(monitor);
            self.happened(monitor, Event::Observed(observation), now, Some(&seen));
        }
        // Only the look that the timer owes leads to the next one: there is one chain for each monitor.
        if chain.is_some() && is_current {
            self.order_next(monitor, asked_at, now);
        }
        if let Some((reply, finding)) = answer {
            let finding = finding.ok_or_else(|| Refused::Invalid("Too much is due; the check was not made.".into()));
            self.batch.answer(move |()| {
                let _ = reply.send(finding);
            });
        }
    }

    /// Orders the next look: soon while something is being confirmed, else on the monitor's own grid.
    fn order_next(&mut self, monitor: i64, asked_at: Timestamp, now: Timestamp) {
        let Some(known) = self.monitors.get_mut(&monitor) else { return };
        let fixed = &known.view.fixed;
        if fixed.spec.probe.is_none() || known.view.state.paused {
            known.view.next_check = None;
            return;
        }
        let at = decide::recheck_at(&fixed.policy, &known.view.state, asked_at).map_or_else(
            || {
                let grid = Grid::new(monitor, fixed.policy.interval);
                grid.start(grid.next(asked_at.max(now)))
            },
            |soon| soon.max(now),
        );
        known.view.next_check = Some(at);
        self.timer.order(Order::Next { monitor, at });
    }

    /// Decides what an event means and puts what follows into the batch.
    fn happened(&mut self, monitor: i64, event: Event, now: Timestamp, seen: Option<&Arc<Seen>>) {
        let Some(known) = self.monitors.get_mut(&monitor) else { return };
        let fixed = Arc::clone(&known.view.fixed);
        let before = Arc::clone(&known.view.state);
        let Decision { mut state, transition, notices, wake_at } = decide::decide(&fixed.policy, &before, event, now);
        known.wake_at = wake_at;
        // One entry is enough as long as it is not too late: a heartbeat puts off its deadline with every ping.
        if let Some(at) = wake_at.filter(|at| known.entry.is_none_or(|entry| *at < entry)) {
            known.entry = Some(at);
            self.wakes.push(Reverse((at, monitor)));
        }
        let evidence = seen.and_then(|seen| worth_keeping(&mut known.noted, seen, &state, &before));
        if state == *before && notices.is_empty() && evidence.is_none() {
            return;
        }
        let settings = self.settings.load();
        let routes = Routes { notify: fixed.notify.clone() };
        let mut deliveries = Vec::new();
        for notice in &notices {
            let recipients = route(notice, &routes);
            for recipient in &recipients {
                let shown = seen.or(known.view.last.as_ref());
                let message =
                    message::about(&fixed, notice, recipient, shown, &settings.base_url, self.store.cluster_id());
                deliveries.push(NewDelivery::new(recipient.channel.clone(), message, now));
            }
            state.note_told(notice.kind, recipients.into_iter().map(|recipient| recipient.channel));
        }
        let incident = incident_change(&before, &state, transition.as_ref(), &notices);
        if matches!(incident, Some(IncidentChange::Opened { .. })) {
            known.view.incidents += 1;
            known.view.acknowledged = None;
            self.own.incidents.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(transition) = &transition {
            tracing::info!(
                monitor = %fixed.slug,
                old = transition.old.name(),
                new = transition.new.name(),
                reason = %transition.reason.text,
                "the state changed"
            );
            let history = Arc::make_mut(&mut known.view.history);
            history.retain(|past| past.at + HISTORY >= now);
            if history.len() >= LONGEST_HISTORY {
                history.remove(0);
            }
            history.push(transition.clone());
        }
        let cancel_reminders =
            before.incident.is_some() && state.incident.as_ref().is_none_or(|incident| incident.acknowledged);
        let change = Change {
            transition,
            incident,
            deliveries,
            cancel_reminders,
            evidence,
            ..Change::new(monitor, fixed.slug.clone(), Some(before.seq), state.clone())
        };
        known.view.state = Arc::new(state);
        self.batch.change(change);
    }

    /// Sends [`Event::Woken`] to monitors whose moment has come.
    fn wake(&mut self, now: Timestamp) {
        while let Some(&Reverse((at, monitor))) = self.wakes.peek() {
            if at > now {
                return;
            }
            self.wakes.pop();
            let Some(known) = self.monitors.get_mut(&monitor) else { continue };
            if known.entry != Some(at) {
                continue;
            }
            known.entry = None;
            // A ping that came before its deadline is decided before the deadline is.
            let is_heartbeat = known.view.fixed.policy.heartbeat.is_some();
            let until = if is_heartbeat { now.min(self.heard_up_to) } else { now };
            match known.wake_at {
                Some(due) if due <= until => {
                    known.wake_at = None;
                    self.happened(monitor, Event::Woken, now, None);
                }
                Some(due) => {
                    let at = due.max(now.shifted(1));
                    known.entry = Some(at);
                    self.wakes.push(Reverse((at, monitor)));
                }
                None => {}
            }
        }
    }

    /// A leap of the wall clock moves everything that waits along with it.
    fn look_at_clock(&mut self) {
        let Some(by_ms) = self.clock.leapt() else { return };
        let now = self.clock.now();
        tracing::warn!(by_ms, "the wall clock leapt; deadlines and schedules were moved along");
        self.timer.shift(by_ms);
        let earlier = now.shifted(-by_ms);
        self.batch.gap("clock", format!("The clock leapt by {}", signed(by_ms)), earlier.min(now), earlier.max(now));
        self.wakes.clear();
        self.listened_at = self.listened_at.shifted(by_ms);
        self.heard_up_to = self.heard_up_to.shifted(by_ms);
        let ids: Vec<i64> = self.monitors.keys().copied().collect();
        for monitor in ids {
            if let Some(known) = self.monitors.get_mut(&monitor) {
                known.entry = None;
            }
            self.happened(monitor, Event::ClockMoved { by_ms }, now, None);
        }
        let (store, ring) = (self.store.clone(), Arc::clone(&self.deliver));
        tokio::spawn(async move {
            if let Err(why) = store.shift_deliveries(by_ms).await {
                tracing::warn!(%why, "waiting deliveries could not be moved along with the clock");
            }
            ring.notify_one();
        });
    }

    fn publish_channel(&self, slug: &Slug) {
        if let Some((channel, origin, _)) = self.channels.get(slug) {
            let last = self.live.channel(slug.as_str()).and_then(|view| view.last);
            let view = ChannelView { slug: slug.clone(), channel: Arc::clone(channel), origin: *origin, last };
            self.live.put_channel(view);
        }
    }
}

fn signed(millis: i64) -> String {
    let span = Span(Duration::from_millis(millis.unsigned_abs()));
    if millis < 0 { format!("{span} back") } else { format!("{span} ahead") }
}

/// A finding as people see it; slow is what took longer than the monitor's limit.
fn seen(finding: Finding, at: Timestamp, slow_above: Option<Duration>) -> Seen {
    let sight = match (finding.outcome, slow_above) {
        (Outcome::Ok, Some(limit)) if finding.took > limit => Sight::Slow(Reason::new(
            "slow",
            format!("Took {}, limit {}", message::short(finding.took), message::short(limit)),
        )),
        (Outcome::Ok, _) => Sight::Ok,
        (Outcome::Fail(reason), _) => Sight::Fail(reason),
        (Outcome::Local(reason), _) => Sight::Local(reason),
    };
    Seen {
        at,
        took: finding.took,
        phases: finding.phases,
        sight,
        expires_at: finding.expires_at,
        evidence: finding.evidence,
    }
}

fn missed(at: Timestamp) -> Seen {
    let reason = Reason::new("overload", "Too much was due: the moment passed without a look");
    Seen {
        at,
        took: Duration::ZERO,
        phases: watchbell_core::Phases::default(),
        sight: Sight::Missed(reason),
        expires_at: None,
        evidence: watchbell_core::Evidence::default(),
    }
}

/// Evidence is kept when it says something new: it moved the state, or failed for another reason than before.
fn worth_keeping(noted: &mut Option<Reason>, seen: &Seen, state: &State, before: &State) -> Option<NewEvidence> {
    let kind = match &seen.sight {
        Sight::Fail(reason) if noted.as_ref() != Some(reason) => {
            *noted = Some(reason.clone());
            "failure"
        }
        Sight::Ok | Sight::Slow(_) if state.verdict != before.verdict => {
            *noted = None;
            "success"
        }
        _ => return None,
    };
    Some(NewEvidence { at: seen.at, kind: kind.into(), evidence: seen.evidence.clone() })
}

/// What happens to the incident's record.
fn incident_change(
    before: &State,
    after: &State,
    transition: Option<&decide::Transition>,
    notices: &[decide::Notice],
) -> Option<IncidentChange> {
    match (&before.incident, &after.incident) {
        (None, Some(opened)) => Some(IncidentChange::Opened {
            seq: opened.seq,
            since: opened.since,
            reason: opened.reason.clone(),
            told: opened.told.clone(),
        }),
        (Some(closed), None) => Some(IncidentChange::Closed {
            seq: closed.seq,
            reason: transition.map_or_else(|| Reason::new("closed", "Closed"), |it| it.reason.clone()),
        }),
        (Some(old), Some(new)) if old.told != new.told && notices.iter().any(|it| it.kind == NoticeKind::Reminder) => {
            Some(IncidentChange::Told { seq: new.seq, told: new.told.clone() })
        }
        _ => None,
    }
}

/// Whether a monitor is looked at first after a restart: what was bad, or about to be.
fn comes_first(state: &State) -> bool {
    state.verdict == Verdict::Down || state.failing.is_some()
}
