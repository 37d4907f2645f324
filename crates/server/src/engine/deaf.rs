//! Deafness: time in which heartbeats called in vain, because this process was not running, was suspended, or could
//! not store what it heard. Silence in such time proves nothing; what we cannot know is said, not guessed.

use std::time::Duration;

use watchbell_core::decide::{self, Event};
use watchbell_core::{Span, Timestamp};

use super::Engine;
use crate::app::{Problem, Source};
use crate::live::News;

/// As long as a ping waits for its answer: whoever called in a shorter pause was heard after it.
const DEAF: Duration = Duration::from_secs(5);
/// Of a heartbeat that comes less often it is said at once that we do not know: the next call is far away.
const RARE: Duration = Duration::from_secs(3600);
/// So many are named in one problem.
const NAMED: usize = 20;

impl Engine {
    /// The loop takes what comes in at least once a second; if it has not for long, nobody listened.
    pub(super) fn notice_deafness(&mut self, now: Timestamp) {
        let since = std::mem::replace(&mut self.listened_at, now);
        let length = now.since(since);
        if length > DEAF {
            tracing::warn!(?length, "heartbeats could not be heard for a while");
            let text = format!("Heartbeats could not be heard for {}", Span(Duration::from_secs(length.as_secs())));
            self.batch.gap("deaf", text, since, now);
            self.nobody_listened(since, now);
        }
    }

    /// Tells every monitor that nobody listened, and people which rare heartbeats may have called meanwhile.
    pub(super) fn nobody_listened(&mut self, since: Timestamp, now: Timestamp) {
        let ids: Vec<i64> = self.monitors.keys().copied().collect();
        for id in ids {
            self.happened(id, Event::Returned { away_since: since }, now, None);
            let Some(known) = self.monitors.get(&id) else { continue };
            let Some(expectation) = &known.view.fixed.policy.heartbeat else { continue };
            let is_doubted = decide::doubtful_at(&known.view.fixed.policy, &known.view.state).is_some();
            if is_doubted && expectation.schedule.period(now) > RARE {
                self.doubted.insert(id);
            }
        }
        self.say_doubts(now);
    }

    /// It called, was paused or is gone: there is nothing to doubt any more.
    pub(super) fn clear_doubt(&mut self, monitor: i64) {
        let is_open = self
            .monitors
            .get(&monitor)
            .and_then(|known| known.view.state.heard.as_ref())
            .is_some_and(|heard| heard.doubt.is_some());
        if !is_open && self.doubted.remove(&monitor) {
            self.say_doubts(self.clock.now());
        }
    }

    fn say_doubts(&mut self, now: Timestamp) {
        let monitors = &self.monitors;
        self.doubted.retain(|id| monitors.contains_key(id));
        let mut names: Vec<&str> =
            self.doubted.iter().filter_map(|id| monitors.get(id)).map(|known| known.view.fixed.title()).collect();
        names.sort_unstable();
        let problems = match names.as_slice() {
            [] => Vec::new(),
            names => {
                let more = names.len().saturating_sub(NAMED);
                let list = names.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
                let list = if more > 0 { format!("{list} and {more} more") } else { list };
                vec![Problem {
                    place: "heartbeats".into(),
                    about: None,
                    sentence: format!("Watchbell was not listening when these may have called: {list}."),
                    consequence:
                        "None counts as down unless its next call is missing too; look yourself if that is too late."
                            .into(),
                    since: now,
                }]
            }
        };
        self.problems.replace(Source::Deaf, problems);
        self.live.publish(News::Configuration);
    }
}
