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
use watchbell_core::{Finding, Outcome, Reason, Slug, Span, Timestamp, Verdict};
use watchbell_notify::Channel;
use watchbell_store::{Change, IncidentChange, Lease, NewDelivery, NewEvidence, Store, StoredResult};

use crate::app::{Problems, Settings};
use crate::clock::{Clock, monotonic};
use crate::live::{ChannelView, Fixed, Live, News, Origin, Seen, Watched};
use crate::seal::Seal;
use crate::telemetry::Own;

mod commands;
mod commit;
pub(crate) mod deliver;
mod handle;
mod intake;
mod message;
mod start;
mod timer;

pub(crate) use message::test_message;
pub(crate) use handle::{Answer, FromFile, Handle, Make, Refused};
pub(crate) use start::{Parts, start};

use commit::Batch;
use handle::Command;
use intake::Arrival;
use timer::{Looker, Order, Timer};

/// Results that change nothing wait this long for company.
const GROUPING: Duration = Duration::from_secs(1);
/// So many events are decided before the next commit.
const BATCH: usize = 1024;
/// Transitions older than this are left to the store.
pub(crate) const HISTORY: Duration = Duration::from_secs(90 * 86_400);
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
    batch: Batch,
}

/// One monitor in the loop's memory.
struct Monitor {
    view: Watched,
    wake_at: Option<Timestamp>,
    /// The reason of the last failure whose evidence was kept: the same again says nothing new.
    noted: Option<Reason>,
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
        mut stop: tokio::sync::watch::Receiver<bool>,
    ) -> Result<(), Ended> {
        let mut taken: Vec<Vec<Arrival>> = Vec::new();
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
            self.wake(self.clock.now());
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
        let Arrival::Looked { monitor, rev, asked_at, finding, reply } = arrival;
        let Some(known) = self.monitors.get_mut(&monitor) else {
            if let Some(reply) = reply {
                let _ = reply.send(Err(Refused::NoMonitor(monitor.to_string())));
            }
            return;
        };
        let fixed = Arc::clone(&known.view.fixed);
        if rev == fixed.rev && !known.view.state.paused {
            known.view.checks += 1;
            let seen = match &finding {
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
            if finding.is_some() {
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
        self.order_next(monitor, asked_at, now);
        if let Some(reply) = reply {
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
        if wake_at != known.wake_at {
            known.wake_at = wake_at;
            if let Some(at) = wake_at {
                self.wakes.push(Reverse((at, monitor)));
            }
        }
        if state == *before && notices.is_empty() {
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
            history.push(transition.clone());
        }
        let evidence = seen.and_then(|seen| worth_keeping(&mut known.noted, seen, &state, &before));
        let cancel_reminders = before.incident.is_some()
            && state.incident.as_ref().is_none_or(|incident| incident.acknowledged);
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
            let due = self.monitors.get_mut(&monitor).is_some_and(|known| known.wake_at.take_if(|due| *due <= now).is_some());
            if due {
                self.happened(monitor, Event::Woken, now, None);
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
        let ids: Vec<i64> = self.monitors.keys().copied().collect();
        for monitor in ids {
            self.happened(monitor, Event::ClockMoved { by_ms }, now, None);
            if let Some(at) = self.monitors.get(&monitor).and_then(|known| known.wake_at) {
                self.wakes.push(Reverse((at, monitor)));
            }
        }
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
fn seen(finding: &Finding, at: Timestamp, slow_above: Option<Duration>) -> Seen {
    let sight = match (&finding.outcome, slow_above) {
        (Outcome::Ok, Some(limit)) if finding.took > limit => Sight::Slow(Reason::new(
            "slow",
            format!("Took {}, limit {}", message::short(finding.took), message::short(limit)),
        )),
        (Outcome::Ok, _) => Sight::Ok,
        (Outcome::Fail(reason), _) => Sight::Fail(reason.clone()),
        (Outcome::Local(reason), _) => Sight::Local(reason.clone()),
    };
    Seen {
        at,
        took: finding.took,
        phases: finding.phases,
        sight,
        expires_at: finding.expires_at,
        evidence: finding.evidence.clone(),
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
fn worth_keeping(
    noted: &mut Option<Reason>,
    seen: &Seen,
    state: &watchbell_core::State,
    before: &watchbell_core::State,
) -> Option<NewEvidence> {
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
    before: &watchbell_core::State,
    after: &watchbell_core::State,
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
fn comes_first(state: &watchbell_core::State) -> bool {
    state.verdict == Verdict::Down || state.failing.is_some()
}
