//! The one door by which results enter the engine: a bounded queue. When it is full, senders wait.
//!
//! Good results wait a few milliseconds for company, so that thousands a second do not wake the engine thousands of
//! times. Everything else goes at once and takes along what is waiting.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use watchbell_core::{Finding, Outcome, Timestamp};

use super::handle::Answer;
use crate::telemetry::Own;

/// So many bundles may wait to be decided.
const WAITING: usize = 256;
/// So many good results make a bundle.
pub(super) const BUNDLE: usize = 32;
/// A good result waits no longer than this.
const COMPANY: Duration = Duration::from_millis(10);

/// A result on its way to be decided.
pub(super) enum Arrival {
    Looked {
        monitor: i64,
        rev: u64,
        asked_at: Timestamp,
        /// `None`: the moment passed without a look, because too much else was due.
        finding: Option<Finding>,
        by: By,
    },
}

/// Who had the look made.
pub(super) enum By {
    /// The timer, in this chain of looks; the next one follows from it.
    Timer { chain: u64 },
    /// A person, who waits for it.
    Person { reply: oneshot::Sender<Answer<Finding>> },
}

impl Arrival {
    /// Nobody is hurt if it comes a little later.
    const fn can_wait(&self) -> bool {
        let Self::Looked { finding, by, .. } = self;
        matches!(finding, Some(Finding { outcome: Outcome::Ok, .. })) && matches!(by, By::Timer { .. })
    }
}

#[derive(Clone)]
pub(super) struct Intake {
    sender: mpsc::Sender<Vec<Arrival>>,
    gathering: Arc<Mutex<Vec<Arrival>>>,
    own: Arc<Own>,
}

impl Intake {
    pub(super) fn open(own: Arc<Own>) -> (Self, mpsc::Receiver<Vec<Arrival>>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self { sender, gathering: Arc::default(), own }, receiver)
    }

    pub(super) async fn send(&self, arrival: Arrival) {
        self.own.intake.fetch_add(1, Ordering::Relaxed);
        let can_wait = arrival.can_wait();
        let gathered = {
            let mut gathering = self.gathering.lock();
            gathering.push(arrival);
            gathering.len()
        };
        if !can_wait || gathered >= BUNDLE {
            self.flush().await;
        } else if gathered == 1 {
            let this = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep(COMPANY).await;
                this.flush().await;
            });
        }
    }

    /// Hands over what is waiting; waits itself while the engine is behind.
    async fn flush(&self) {
        let bundle = std::mem::take(&mut *self.gathering.lock());
        let count = bundle.len() as i64;
        if count > 0 && self.sender.send(bundle).await.is_err() {
            // The engine has stopped; nobody waits for results any more.
            self.own.intake.fetch_sub(count, Ordering::Relaxed);
        }
    }
}
