//! All parts of a running server in one place; what every page and route is given.

use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::RwLock;
use url::Url;
use watchbell_core::{Secret, Slug, Timestamp};
use watchbell_net::Net;
use watchbell_notify::{Channel, Refusal, Sender};
use watchbell_store::{Store, StoreError};

use crate::clock::Clock;
use crate::config::spec::{Defaults, Retention};
use crate::engine::Handle;
use crate::live::Live;

pub(crate) struct App {
    pub store: Store,
    pub engine: Handle,
    pub live: Arc<Live>,
    pub net: Net,
    pub sender: Arc<Sender>,
    pub clock: Arc<Clock>,
    pub settings: Arc<ArcSwap<Settings>>,
    pub problems: Arc<Problems>,
    pub started_at: Timestamp,
    /// Ours, about ourselves: lag, queues, ages.
    pub own: Arc<crate::telemetry::Own>,
    /// Rung when there is something to deliver.
    pub deliver: Arc<tokio::sync::Notify>,
}

/// What of the configuration is neither a monitor nor a channel.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// How people reach us: configured, else guessed from `--listen`.
    pub base_url: Url,
    /// First part of `/ping/<ping_key>/<slug>`.
    pub ping_key: Secret,
    pub defaults: Defaults,
    pub fallback: Option<Slug>,
    pub retention: Retention,
}

/// Something configured that we cannot use. Listed, never silent.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub(crate) struct Problem {
    /// Where: `watchbell.yaml:12:7`, or the monitor or channel it belongs to.
    pub place: String,
    /// The monitor or channel it is about, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<Slug>,
    /// What is wrong and what would work.
    pub sentence: String,
    /// What is not watched or told because of it.
    pub consequence: String,
    pub since: Timestamp,
}

/// The list of problems, by source: a reload replaces what the last one said.
#[derive(Default)]
pub(crate) struct Problems(RwLock<Vec<(Source, Problem)>>);

/// Who noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The configuration file.
    File,
    /// What the file names and the console has, too.
    Stored,
    /// Monitors and channels kept in the store that cannot be read.
    Unreadable,
    /// The store itself.
    Store,
    /// Heartbeats that may have called while we were deaf.
    Deaf,
}

impl Problems {
    pub(crate) fn all(&self) -> Vec<Problem> {
        self.0.read().iter().map(|(_, problem)| problem.clone()).collect()
    }

    /// Forgets what `source` said about something that is well again.
    pub(crate) fn forget(&self, source: Source, about: &Slug) {
        self.0.write().retain(|(from, problem)| *from != source || problem.about.as_ref() != Some(about));
    }

    /// Replaces everything that `source` said before; what it says again keeps its `since`.
    pub(crate) fn replace(&self, source: Source, problems: Vec<Problem>) {
        let mut all = self.0.write();
        let mut said: Vec<(Source, Problem)> = Vec::new();
        for mut problem in problems {
            let known = all
                .iter()
                .find(|(from, old)| *from == source && old.place == problem.place && old.sentence == problem.sentence);
            if let Some((_, old)) = known {
                problem.since = old.since;
            }
            said.push((source, problem));
        }
        all.retain(|(from, _)| *from != source);
        all.extend(said);
    }
}

impl App {
    /// Sends a test message at once, outside the outbox: somebody is waiting for the answer. `Err` is why it was
    /// not delivered, in words.
    pub(crate) async fn test_channel(&self, slug: &Slug, channel: &Channel) -> Result<String, String> {
        let now = self.clock.now();
        let message = crate::engine::test_message(slug, now, self.store.cluster_id());
        let sent = self.sender.send(channel, &message).await;
        let outcome = match sent {
            Ok(accepted) => Ok(accepted.answer),
            Err(Refusal::Later { why, .. } | Refusal::Never { why }) => Err(why),
        };
        let shown = outcome.as_ref().map(drop).map_err(Clone::clone);
        self.live.channel_answered(slug.as_str(), self.clock.now(), shown);
        self.live.publish(crate::live::News::Deliveries);
        outcome
    }

    /// Has a delivery that was given up sent once more, with the same key. `false`: it was not given up.
    pub(crate) async fn retry_delivery(&self, id: i64) -> Result<bool, StoreError> {
        let again = self.store.retry_delivery(id, self.clock.now()).await?;
        if again {
            self.deliver.notify_one();
            self.live.publish(crate::live::News::Deliveries);
        }
        Ok(again)
    }
}
