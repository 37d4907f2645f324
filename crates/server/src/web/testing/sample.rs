//! Monitors in any state, made of words: `Sample::down("shop", minutes(5)).owned_by("Ada")`.

use std::sync::Arc;
use std::time::Duration;

use watchbell_core::decide::{Sight, Transition};
use watchbell_core::state::OpenIncident;
use watchbell_core::{Evidence, Phases, Policy, Reason, Slug, State, Timestamp, Verdict};

use crate::config::spec::{Defaults, MonitorSpec};
use crate::live::{Acknowledged, Fixed, Origin, Seen, Watched};

pub(crate) const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

pub(crate) struct Sample(Watched);

impl Sample {
    /// The present of all samples.
    pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_773_108_082);

    fn new(name: &str, verdict: Verdict, ago: Duration) -> Self {
        let slug = Slug::from_name(name).unwrap();
        let spec = MonitorSpec {
            name: Some(name.to_owned()),
            probe: serde_json::from_value(
                serde_json::json!({ "http": { "url": "https://portal.example.org/health" } }),
            )
            .unwrap(),
            ..MonitorSpec::default()
        };
        let created_at = Self::NOW - Duration::from_secs(86_400);
        let since = Self::NOW - ago;
        let mut state = State::new(created_at, 1);
        state.verdict = verdict;
        state.since = since;
        let transition = |old: Verdict, new: Verdict| Transition {
            seq: 1,
            at: since,
            since,
            old,
            new,
            reason: Reason::new("status", "502 Bad Gateway"),
            incident: None,
        };
        let history = match verdict {
            Verdict::Pending => Vec::new(),
            Verdict::Up => vec![transition(Verdict::Pending, Verdict::Up)],
            worse => vec![transition(Verdict::Up, worse)],
        };
        let seen = |at: Timestamp, sight: Sight| {
            Arc::new(Seen {
                at,
                took: Duration::from_millis(118),
                phases: Phases::default(),
                sight,
                expires_at: None,
                evidence: Evidence::default(),
            })
        };
        let bad = seen(Self::NOW, Sight::Fail(Reason::new("status", "502 Bad Gateway")));
        let good = seen(Self::NOW, Sight::Ok);
        Self(Watched {
            fixed: Arc::new(Fixed {
                id: 1,
                slug,
                policy: spec.policy(&Defaults::default(), 1),
                spec,
                origin: Origin::Console,
                rev: 1,
                created_at,
                slow_above: None,
                notify: Vec::new(),
            }),
            state: Arc::new(state),
            last: (verdict != Verdict::Pending)
                .then(|| if verdict == Verdict::Up { Arc::clone(&good) } else { Arc::clone(&bad) }),
            last_ok: Some(good),
            last_fail: (verdict == Verdict::Down).then_some(bad),
            next_check: Some(Self::NOW + Policy::INTERVAL),
            history: Arc::new(history),
            acknowledged: None,
            checks: 0,
            incidents: 0,
        })
    }

    pub(crate) fn up(name: &str) -> Self {
        Self::new(name, Verdict::Up, Duration::from_secs(86_400))
    }

    pub(crate) fn down(name: &str, ago: Duration) -> Self {
        let mut sample = Self::new(name, Verdict::Down, ago);
        let since = sample.0.state.since;
        Arc::make_mut(&mut sample.0.state).incident = Some(OpenIncident {
            seq: 1,
            since,
            reason: Reason::new("status", "502 Bad Gateway"),
            told: Vec::new(),
            reminders: 0,
            remind_at: None,
            acknowledged: false,
        });
        sample
    }

    pub(crate) fn degraded(name: &str, ago: Duration) -> Self {
        Self::new(name, Verdict::Degraded, ago)
    }

    pub(crate) fn unknown(name: &str, ago: Duration) -> Self {
        Self::new(name, Verdict::Unknown, ago)
    }

    pub(crate) fn pending(name: &str) -> Self {
        Self::new(name, Verdict::Pending, Duration::from_secs(3600))
    }

    pub(crate) fn paused(mut self) -> Self {
        Arc::make_mut(&mut self.0.state).paused = true;
        self
    }

    pub(crate) fn owned_by(mut self, name: &str) -> Self {
        self.0.acknowledged =
            Some(Arc::new(Acknowledged { by: name.to_owned(), at: Self::NOW - minutes(4), note: String::new() }));
        self
    }

    pub(crate) fn group(self, group: &str) -> Self {
        self.changed(|spec| spec.group = Some(group.to_owned()))
    }

    pub(crate) fn tags(self, tags: &[&str]) -> Self {
        self.changed(|spec| spec.tags = tags.iter().map(|tag| (*tag).to_owned()).collect())
    }

    pub(crate) fn changed(mut self, change: impl FnOnce(&mut MonitorSpec)) -> Self {
        let old = &self.0.fixed;
        let mut spec = old.spec.clone();
        change(&mut spec);
        self.0.fixed = Arc::new(Fixed {
            id: old.id,
            slug: old.slug.clone(),
            spec,
            origin: old.origin,
            rev: old.rev,
            created_at: old.created_at,
            policy: old.policy.clone(),
            slow_above: old.slow_above,
            notify: old.notify.clone(),
        });
        self
    }

    pub(crate) fn build(self) -> Watched {
        self.0
    }
}
