//! The one door by which everything enters the engine: a bounded queue. When it is full, senders wait.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::{mpsc, oneshot};
use watchbell_core::{Finding, Timestamp};

use super::handle::Answer;
use crate::telemetry::Own;

/// So many results may wait to be decided.
const WAITING: usize = 8192;

/// A result on its way to be decided.
pub(super) enum Arrival {
    Looked {
        monitor: i64,
        rev: u64,
        asked_at: Timestamp,
        /// `None`: the moment passed without a look, because too much else was due.
        finding: Option<Finding>,
        /// A person waits for it.
        reply: Option<oneshot::Sender<Answer<Finding>>>,
    },
}

#[derive(Clone)]
pub(super) struct Intake {
    sender: mpsc::Sender<Arrival>,
    own: Arc<Own>,
}

impl Intake {
    pub(super) fn open(own: Arc<Own>) -> (Self, mpsc::Receiver<Arrival>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self { sender, own }, receiver)
    }

    pub(super) async fn send(&self, arrival: Arrival) {
        self.own.intake.fetch_add(1, Ordering::Relaxed);
        if self.sender.send(arrival).await.is_err() {
            // The engine has stopped; nobody waits for results any more.
            self.own.intake.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
