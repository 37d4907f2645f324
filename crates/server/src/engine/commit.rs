//! What was decided and not yet stored, and how it is stored: in order, in one transaction, again until it is.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use watchbell_core::{Reason, Slug, Timestamp};
use watchbell_store::{Change, ChannelWrite, Commit, CommitError, Gap, GapScope, MonitorWrite, NewAudit, StoredResult};

use super::{Ended, Engine, GROUPING, News, monotonic};
use crate::app::{Problem, Source};

/// First wait after a commit that failed; it doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// A stuck store is a problem people see after this long.
const WORTH_SAYING: Duration = Duration::from_secs(5);

type Afterwards = Box<dyn FnOnce(()) + Send>;

/// Decided, in order, not yet stored.
#[derive(Default)]
pub(super) struct Batch {
    pub monitors: Vec<MonitorWrite>,
    pub channels: Vec<ChannelWrite>,
    changes: Vec<Change>,
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
        self.changes.len() + self.monitors.len() + self.channels.len()
    }

    pub(super) fn touch(&mut self, monitor: i64) {
        self.touched.insert(monitor);
        self.since.get_or_insert_with(monotonic);
    }

    pub(super) fn change(&mut self, change: Change) {
        self.touch(change.monitor);
        self.urgent = true;
        self.changes.push(change);
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
        self.live.put(batch.touched.iter().filter_map(|id| self.monitors.get(id)).map(|monitor| monitor.view.clone()));
        for slug in &batch.removed {
            self.live.remove(slug);
        }
        for slug in &batch.channels_touched {
            if self.channels.contains_key(slug) {
                self.publish_channel(slug);
            } else {
                self.live.remove_channel(slug.as_str());
            }
        }
        if configuration {
            self.live.publish(News::Configuration);
        } else if !batch.touched.is_empty() {
            let slugs: Arc<[Slug]> = batch
                .touched
                .iter()
                .filter_map(|id| self.monitors.get(id))
                .map(|monitor| monitor.view.fixed.slug.clone())
                .collect();
            self.live.publish(News::Monitors(slugs));
        }
        for answer in batch.afterwards {
            answer(());
        }
        Ok(())
    }

    async fn store_it(&mut self, commit: &mut Commit) -> Result<(), Ended> {
        let began = monotonic();
        let mut wait = FIRST_WAIT;
        let mut uncertain = false;
        let mut said = false;
        loop {
            let error = match self.store.commit(commit).await {
                Ok(()) => break,
                Err(error) => error,
            };
            self.own.commit_failures.fetch_add(1, Ordering::Relaxed);
            match error {
                CommitError::Fenced => return Err(Ended::Fenced),
                // After a commit of unknown outcome, a conflict may be with ourselves.
                CommitError::Conflict { monitor } => {
                    if uncertain && self.store.was_committed(commit).await.unwrap_or(false) {
                        break;
                    }
                    return Err(Ended::Conflict(format!("monitor {monitor}")));
                }
                CommitError::SlugTaken { slug } => return Err(Ended::Conflict(format!("slug {slug}"))),
                CommitError::Unknown(why) => {
                    uncertain = true;
                    tracing::warn!(%why, "whether a commit was stored is not known; asking");
                    if matches!(self.store.was_committed(commit).await, Ok(true)) {
                        break;
                    }
                }
                CommitError::Store(why) => {
                    tracing::warn!(%why, waited = ?(monotonic() - began), "a commit failed; trying again");
                }
            }
            if !said && monotonic() - began > WORTH_SAYING {
                said = true;
                self.problems.replace(Source::Running, vec![Problem {
                    place: "database".into(),
                    about: None,
                    sentence: "The database does not take what we write; we keep trying.".into(),
                    consequence: "Nothing is checked and nobody is told until it does.".into(),
                    since: self.clock.now(),
                }]);
                self.live.publish(News::Configuration);
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
        if said {
            self.problems.replace(Source::Running, Vec::new());
            let now = self.clock.now();
            let away = monotonic() - began;
            self.batch.gap("store", format!("The database did not answer for {} s", away.as_secs()), now - away, now);
        }
        self.own.commits.fetch_add(1, Ordering::Relaxed);
        self.own.commit_us.fetch_add(u64::try_from((monotonic() - began).as_micros()).unwrap_or(0), Ordering::Relaxed);
        Ok(())
    }
}
