//! Pings as the loop hears them: decided in the order in which they came, many to a commit, each with its line in the
//! run log. A deadline waits for the pings that came before it.

use tokio::sync::mpsc;
use watchbell_core::Timestamp;
use watchbell_core::decide::{Event, Ping, Signal};
use watchbell_store::{NewPing, PingKind, StoredPing};

use super::handle::Called;
use super::{BATCH, Engine, Refused};

impl Engine {
    #[expect(clippy::vec_box, reason = "calls come boxed through their queue, and stay where they are")]
    /// Decides the calls in `called` and all that wait behind them, up to a batch.
    pub(super) fn hear(
        &mut self,
        called: &mut Vec<Box<Called>>,
        calls: &mut mpsc::Receiver<Box<Called>>,
        now: Timestamp,
    ) {
        let mut last = None;
        for call in called.drain(..) {
            last = Some(call.at);
            self.heard(*call, now);
        }
        while self.batch.len() < BATCH
            && let Ok(call) = calls.try_recv()
        {
            last = Some(call.at);
            self.heard(*call, now);
        }
        self.heard_up_to = match last {
            Some(at) if !calls.is_empty() => at.min(now),
            _ if calls.is_empty() => now,
            _ => self.heard_up_to,
        };
    }

    fn heard(&mut self, call: Called, now: Timestamp) {
        let Called { monitor, at, signal, run, took, exit_status, reply, .. } = call;
        let Some(known) = self.monitors.get_mut(&monitor) else {
            if let Some(reply) = reply {
                drop(reply.send(Err(Refused::NoMonitor(monitor.to_string()))));
            }
            return;
        };
        known.view.checks += 1;
        known.pings += 1;
        let kind = match &signal {
            Signal::Success => PingKind::Success,
            Signal::Start => PingKind::Start,
            Signal::Fail(_) => PingKind::Fail,
            Signal::Log => PingKind::Log,
        };
        let began = || known.view.state.heard.as_ref().and_then(|heard| heard.began(run));
        let took = match kind {
            PingKind::Success | PingKind::Fail => took.or_else(|| began().map(|began| at.since(began))),
            PingKind::Start | PingKind::Log => None,
        };
        let ping = StoredPing {
            n: known.pings,
            at,
            kind,
            run,
            took,
            exit_status,
            last_line: call.last_line,
            method: call.method,
            address: call.address,
            agent: call.agent,
            size: call.size,
        };
        self.batch.pings.push(NewPing { monitor, ping, head: call.head, tail: call.tail });
        self.batch.touch(monitor);
        self.happened(monitor, Event::Pinged(Ping { at, signal, run }), now, None);
        if !self.doubted.is_empty() {
            self.clear_doubt(monitor);
        }
        if let Some(reply) = reply {
            self.batch.answer(move |()| drop(reply.send(Ok(()))));
        }
    }
}
