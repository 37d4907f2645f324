//! What is due when. One task for each thread of ours holds the due moments of its monitors; each look is a task
//! on the same thread, bounded by a semaphore and the monitor's timeout. Threads of our own, because a look is a
//! dozen short waits: handing it from one core to another at each of them costs more than the look itself.
//!
//! A monitor has at most one look under way: its next one is ordered by the engine once the last was decided.
//! So a slow target delays nobody else, and a stuck store slows probing instead of filling memory.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{Semaphore, mpsc};
use watchbell_core::{Finding, Reason, Timestamp};
use watchbell_net::Net;
use watchbell_probe::{Ask, Reuse};

use super::intake::{Arrival, By, Intake};
use crate::clock::Clock;
use crate::live::Fixed;
use crate::telemetry::Own;

/// A probe that does not keep its own deadline is cut off so long after it.
const PATIENCE: Duration = Duration::from_millis(200);

/// A look that took so much longer than it may was not slow: the machine or the process stood still.
const STOPPED: Duration = Duration::from_secs(2);

/// What the engine orders of the timer.
pub(super) enum Order {
    /// Look at this monitor, first at `at`. Replaces what was known of it.
    Watch {
        fixed: Arc<Fixed>,
        at: Timestamp,
        chain: u64,
    },
    /// The last look was decided; the next one is due at `at`.
    Next {
        monitor: i64,
        at: Timestamp,
    },
    Forget {
        monitor: i64,
    },
    /// See [`Timer::shift`].
    Shift {
        by_ms: i64,
    },
}

/// The way to the timer's threads.
#[derive(Clone)]
pub(super) struct Timer(Arc<[mpsc::UnboundedSender<Order>]>);

impl Timer {
    pub(super) fn order(&self, order: Order) {
        let monitor = match &order {
            Order::Watch { fixed, .. } => fixed.id,
            Order::Next { monitor, .. } | Order::Forget { monitor } => *monitor,
            Order::Shift { by_ms } => return self.shift(*by_ms),
        };
        let place = usize::try_from(monitor).unwrap_or(0) % self.0.len();
        // A thread ends only when the whole engine does.
        let _ = self.0[place].send(order);
    }

    /// The wall clock leapt; all waiting goes on unchanged.
    pub(super) fn shift(&self, by_ms: i64) {
        for thread in self.0.iter() {
            let _ = thread.send(Order::Shift { by_ms });
        }
    }
}

/// What a look needs besides its monitor.
pub(super) struct Looker {
    pub clock: Arc<Clock>,
    pub net: Net,
    pub reuse: Reuse,
    pub intake: Intake,
    pub permits: Arc<Semaphore>,
    pub own: Arc<Own>,
}

/// More threads than this wait for each other's results.
const MOST_THREADS: usize = 8;

/// Starts the timer's threads, one for every two cores. They end when the last [`Timer`] is gone.
pub(super) fn start(looker: &Arc<Looker>) -> std::io::Result<Timer> {
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let threads = (cores / 2).clamp(1, MOST_THREADS);
    let senders = (0..threads).map(|n| {
        let (orders, inbox) = mpsc::unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let looker = Arc::clone(looker);
        std::thread::Builder::new().name(format!("looker-{n}")).spawn(move || runtime.block_on(run(looker, inbox)))?;
        Ok(orders)
    });
    Ok(Timer(senders.collect::<std::io::Result<Vec<_>>>()?.into()))
}

#[derive(Default)]
struct Due {
    monitors: HashMap<i64, Entry>,
    /// Soonest first. An entry whose number is old has been replaced and is skipped.
    heap: BinaryHeap<Reverse<(Timestamp, i64, u64)>>,
    number: u64,
}

struct Entry {
    fixed: Arc<Fixed>,
    chain: u64,
    number: u64,
}

async fn run(looker: Arc<Looker>, mut inbox: mpsc::UnboundedReceiver<Order>) {
    let mut due = Due::default();
    let mut orders = Vec::new();
    loop {
        let now = looker.clock.now();
        while let Some((at, fixed, chain)) = due.pop(now) {
            tokio::spawn(look(Arc::clone(&looker), fixed, at, chain));
        }
        let wait = due.soonest().map_or(Duration::from_secs(3600), |at| at.since(now));
        tokio::select! {
            biased;
            received = inbox.recv_many(&mut orders, 4096) => {
                if received == 0 {
                    return;
                }
                for order in orders.drain(..) {
                    due.take(order);
                }
            }
            () = tokio::time::sleep(wait) => {}
        }
    }
}

impl Due {
    fn take(&mut self, order: Order) {
        match order {
            Order::Watch { fixed, at, chain } => {
                let monitor = fixed.id;
                self.monitors.insert(monitor, Entry { fixed, chain, number: 0 });
                self.push(monitor, at);
            }
            Order::Next { monitor, at } => self.push(monitor, at),
            Order::Forget { monitor } => {
                self.monitors.remove(&monitor);
            }
            Order::Shift { by_ms } => {
                let shifted = self
                    .heap
                    .drain()
                    .map(|Reverse((at, monitor, number))| Reverse((at.shifted(by_ms), monitor, number)));
                self.heap = shifted.collect();
            }
        }
    }

    fn push(&mut self, monitor: i64, at: Timestamp) {
        if let Some(entry) = self.monitors.get_mut(&monitor) {
            self.number += 1;
            entry.number = self.number;
            self.heap.push(Reverse((at, monitor, self.number)));
        }
    }

    fn pop(&mut self, now: Timestamp) -> Option<(Timestamp, Arc<Fixed>, u64)> {
        while let Some(&Reverse((at, monitor, number))) = self.heap.peek() {
            if at > now {
                return None;
            }
            self.heap.pop();
            if let Some(entry) = self.monitors.get(&monitor).filter(|entry| entry.number == number) {
                return Some((at, Arc::clone(&entry.fixed), entry.chain));
            }
        }
        None
    }

    fn soonest(&self) -> Option<Timestamp> {
        self.heap.peek().map(|Reverse((at, ..))| *at)
    }
}

/// One look, from its turn to the intake.
async fn look(looker: Arc<Looker>, fixed: Arc<Fixed>, due_at: Timestamp, chain: u64) {
    let Ok(permit) = looker.permits.acquire().await else { return };
    let asked_at = looker.clock.now();
    let late = asked_at.since(due_at);
    looker.own.began(late);
    let finding = if late > fixed.policy.interval {
        looker.own.missed.fetch_add(1, Ordering::Relaxed);
        None
    } else {
        Some(ask(&looker, &fixed, asked_at).await)
    };
    drop(permit);
    looker
        .intake
        .send(Arrival::Looked { monitor: fixed.id, rev: fixed.rev, asked_at, finding, by: By::Timer { chain } })
        .await;
}

/// Asks, whatever the probe does: a panic or a missed deadline is a finding too.
pub(super) async fn ask(looker: &Looker, fixed: &Fixed, asked_at: Timestamp) -> Finding {
    let Some(probe) = &fixed.spec.probe else {
        return Finding::local(Reason::new("settings", "There is nothing to ask"), Duration::ZERO);
    };
    let timeout = fixed.policy.timeout;
    let deadline = Clock::deadline(timeout);
    looker.own.in_flight.fetch_add(1, Ordering::Relaxed);
    let ask = Ask { net: &looker.net, deadline, now: asked_at, reuse: &looker.reuse, monitor: fixed.id };
    let asking = AssertUnwindSafe(probe.ask(&ask)).catch_unwind();
    let finding = match tokio::time::timeout_at(deadline + PATIENCE, asking).await {
        Ok(Ok(finding)) => finding,
        Ok(Err(_)) => {
            Finding::local(Reason::new("panic", "The check itself failed; this is our fault"), Duration::ZERO)
        }
        Err(_) => {
            Finding::fail(Reason::new("timeout", format!("Timed out after {}", watchbell_core::Span(timeout))), timeout)
        }
    };
    looker.own.in_flight.fetch_sub(1, Ordering::Relaxed);
    if looker.clock.now().since(asked_at) > timeout + STOPPED {
        return Finding::local(Reason::new("stopped", "We were stopped in the middle of the check"), Duration::ZERO);
    }
    finding
}
