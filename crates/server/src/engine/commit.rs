//! What was decided and not yet stored, and how it is stored: in order, in one transaction, again until it is.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use watchbell_core::{Reason, Slug, Timestamp};
use watchbell_store::{
    Change, ChannelWrite, Commit, CommitError, Gap, GapScope, MonitorWrite, NewAudit, NewPing, Store, StoredResult,
};

use super::{Ended, Engine, GROUPING, News, monotonic};
use crate::app::{Problem, Source};

/// First wait after a commit that failed; it doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// A stuck store is a problem people see after this long.
const WORTH_SAYING: Duration = Duration::from_secs(5);

/// A batch that was refused so often, and not for a passing reason, will not be taken later: a restart finds the truth.
const REFUSED_FOR_GOOD: u32 = 5;

type Afterwards = Box<dyn FnOnce(()) + Send>;

/// Decided, in order, not yet stored.
#[derive(Default)]
pub(super) struct Batch {
    pub monitors: Vec<MonitorWrite>,
    pub channels: Vec<ChannelWrite>,
    changes: Vec<Change>,
    /// Where the last change of each monitor stands in `changes`.
    last: HashMap<i64, usize>,
    pub pings: Vec<NewPing>,
    pub results: Vec<StoredResult>,
    gaps: Vec<Gap>,
    pub audit: Vec<NewAudit>,
    /// Whose views changed.
    touched: BTreeSet<i64>,
    pub removed: Vec<Slug>,
    pub channels_touched: Vec<Slug>,
    /// Answers and the like, after the commit.
    afterwards: Vec<Afterwards>,
    /// When the first thing came in.
    since: Option<Instant>,
    /// Something must not wait for company.
    urgent: bool,
}

impl Batch {
    pub(super) fn len(&self) -> usize {
        self.changes.len() + self.monitors.len() + self.channels.len() + self.pings.len()
    }

    pub(super) fn touch(&mut self, monitor: i64) {
        self.touched.insert(monitor);
        self.since.get_or_insert_with(monotonic);
    }

    pub(super) fn change(&mut self, change: Change) {
        self.touch(change.monitor);
        self.urgent = true;
        // A state that nobody hears of replaces the one before it: of a thousand pings only the last is written.
        if let Some(last) = self.last.get(&change.monitor).and_then(|place| self.changes.get_mut(*place))
            && is_state_alone(&change)
            && last.state.seq == change.state.seq
        {
            last.state = change.state;
            return;
        }
        self.last.insert(change.monitor, self.changes.len());
        self.changes.push(change);
    }

    /// A monitor that is made and deleted in one batch leaves nothing to store. Says whether it was one.
    pub(super) fn forget_unborn(&mut self, monitor: i64) -> bool {
        let unborn = self.changes.iter().any(|change| change.monitor == monitor && change.expected_seq.is_none());
        if unborn {
            self.changes.retain(|change| change.monitor != monitor);
            self.last.clear();
            self.results.retain(|result| result.monitor != monitor);
            self.pings.retain(|ping| ping.monitor != monitor);
            self.monitors.retain(|write| match write {
                MonitorWrite::Put(row) => row.id != monitor,
                MonitorWrite::SetPaused { id, .. } | MonitorWrite::Delete { id } => *id != monitor,
            });
        }
        unborn
    }

    /// The change that was decided last.
    pub(super) fn last_change(&mut self) -> Option<&mut Change> {
        self.changes.last_mut()
    }

    pub(super) fn answer(&mut self, answer: impl FnOnce(()) + Send + 'static) {
        self.since.get_or_insert_with(monotonic);
        self.urgent = true;
        self.afterwards.push(Box::new(answer));
    }

    pub(super) fn gap(&mut self, code: &'static str, text: String, from: Timestamp, to: Timestamp) {
        self.since.get_or_insert_with(monotonic);
        self.gaps.push(Gap { scope: GapScope::Everything, from, to, reason: Reason::new(code, text) });
    }

    /// How long it may still wait; `None` if there is nothing.
    pub(super) fn patience(&self) -> Option<Duration> {
        self.since.map(|since| if self.urgent { Duration::ZERO } else { GROUPING.saturating_sub(monotonic() - since) })
    }

    pub(super) fn is_due(&self) -> bool {
        self.patience().is_some_and(|patience| patience.is_zero())
    }
}

fn is_state_alone(change: &Change) -> bool {
    change.expected_seq.is_some()
        && change.transition.is_none()
        && change.incident.is_none()
        && change.deliveries.is_empty()
        && !change.cancel_reminders
        && change.evidence.is_none()
}

impl Engine {
    /// Stores the batch, then publishes and answers. A store that does not answer is asked again for as long as
    /// it takes: the intake fills, probing slows, and what was missed becomes a gap.
    pub(super) async fn commit(&mut self) -> Result<(), Ended> {
        let batch = std::mem::take(&mut self.batch);
        if batch.since.is_none() && batch.len() == 0 {
            return Ok(());
        }
        let rings = batch.changes.iter().any(|change| !change.deliveries.is_empty());
        let mut commit = Commit {
            monitors: batch.monitors,
            channels: batch.channels,
            changes: batch.changes,
            results: batch.results,
            pings: batch.pings,
            keep_pings: self.settings.load().retention.pings.into(),
            gaps: batch.gaps,
            audit: batch.audit,
            ..Commit::new(self.clock.now(), self.lease.clone())
        };
        if !commit.is_empty() {
            self.store_it(&mut commit).await?;
        }
        if rings {
            self.deliver.notify_one();
        }
        let configuration = !commit.monitors.is_empty() || !commit.channels.is_empty();
        // First what is gone: a slug may have been taken anew in the same batch.
        for slug in &batch.removed {
            self.live.remove(slug);
        }
        self.live.put(batch.touched.iter().filter_map(|id| self.monitors.get(id)).map(|monitor| monitor.view.clone()));
        for slug in &batch.channels_touched {
            if self.channels.contains_key(slug) {
                self.publish_channel(slug);
            } else {
                self.live.remove_channel(slug.as_str());
            }
        }
        if configuration {
            self.live.publish(News::Configuration);
        } else if !batch.touched.is_empty() && self.live.is_listened_to() {
            let slugs: Arc<[Slug]> = batch
                .touched
                .iter()
                .filter_map(|id| self.monitors.get(id))
                .map(|monitor| monitor.view.fixed.slug.clone())
                .collect();
            self.live.publish(News::Monitors(slugs));
        }
        self.own.pings.fetch_add(commit.pings.len() as u64, Ordering::Relaxed);
        for answer in batch.afterwards {
            answer(());
        }
        Ok(())
    }

    async fn store_it(&mut self, commit: &mut Commit) -> Result<(), Ended> {
        let began = monotonic();
        let mut wait = FIRST_WAIT;
        let mut uncertain = false;
        let mut refused = 0;
        let mut trouble = Trouble::default();
        loop {
            let store = self.store.clone();
            let committing = store.commit(commit);
            tokio::pin!(committing);
            // A store that says nothing at all is a problem people see, too; the same commit goes on meanwhile.
            let outcome = match tokio::time::timeout(WORTH_SAYING, &mut committing).await {
                Ok(outcome) => outcome,
                Err(_) => {
                    trouble.say(self, "it does not answer");
                    committing.await
                }
            };
            let Err(error) = outcome else { break };
            self.own.commit_failures.fetch_add(1, Ordering::Relaxed);
            match error {
                CommitError::Fenced => return Err(Ended::Fenced),
                // After a commit of unknown outcome, a conflict may be with ourselves.
                CommitError::Conflict { monitor } => {
                    if !uncertain || !was_committed(&store, commit).await {
                        return Err(Ended::Conflict(format!("monitor {monitor}")));
                    }
                    break;
                }
                CommitError::SlugTaken { slug } => return Err(Ended::Conflict(format!("slug {slug}"))),
                CommitError::Unknown(why) => {
                    uncertain = true;
                    tracing::warn!(%why, "whether a commit was stored is not known; asking");
                    if was_committed(&store, commit).await {
                        break;
                    }
                }
                CommitError::Store(why) => {
                    tracing::warn!(%why, waited = ?(monotonic() - began), "a commit failed; trying again");
                    refused = if why.is_passing() { 0 } else { refused + 1 };
                    if refused >= REFUSED_FOR_GOOD {
                        return Err(Ended::Conflict(why.to_string()));
                    }
                    if monotonic() - began > WORTH_SAYING {
                        trouble.say(self, &why.to_string());
                    }
                }
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
        if trouble.said {
            self.problems.replace(Source::Store, Vec::new());
            let now = self.clock.now();
            let away = monotonic() - began;
            self.batch.gap("store", format!("The database did not answer for {} s", away.as_secs()), now - away, now);
        }
        self.own.commits.fetch_add(1, Ordering::Relaxed);
        self.own.commit_us.fetch_add(u64::try_from((monotonic() - began).as_micros()).unwrap_or(0), Ordering::Relaxed);
        Ok(())
    }
}

/// Asks until there is an answer: an error is not a no.
async fn was_committed(store: &Store, commit: &Commit) -> bool {
    loop {
        match store.was_committed(commit).await {
            Ok(stored) => return stored,
            Err(why) => tracing::warn!(%why, "whether a commit was stored could not be asked; asking again"),
        }
        tokio::time::sleep(FIRST_WAIT * 4).await;
    }
}

/// What people are told while the store does not take what we write.
#[derive(Default)]
struct Trouble {
    said: bool,
}

impl Trouble {
    fn say(&mut self, engine: &Engine, why: &str) {
        if std::mem::replace(&mut self.said, true) {
            return;
        }
        tracing::error!(%why, "the database does not take what we write; nothing is checked until it does");
        engine.problems.replace(
            Source::Store,
            vec![Problem {
                place: "database".into(),
                about: None,
                sentence: format!("The database does not take what we write: {why}. We keep trying."),
                consequence: "Nothing is checked and nobody is told until it does.".into(),
                since: engine.clock.now(),
            }],
        );
        engine.live.publish(News::Configuration);
    }
}
