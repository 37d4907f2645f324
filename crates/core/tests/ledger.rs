//! The invariants, looked at after every event of every story, random or written. The ledger knows only what came
//! out of the machine, and the little that each sentence needs to remember.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use watchbell_core::decide::{Decision, Event, Notice, NoticeKind, Sight, deadline, doubtful_at, wake_at};
use watchbell_core::{Policy, Slug, State, Timestamp, Verdict};

use crate::machine::Rules;

/// One event and all that came of it.
pub(crate) struct Step<'a> {
    pub(crate) rules: Rules,
    pub(crate) policy: &'a Policy,
    pub(crate) before: &'a State,
    pub(crate) event: &'a Event,
    pub(crate) now: Timestamp,
    /// The moment by a stopwatch that knows no leaps.
    pub(crate) boot: Timestamp,
    pub(crate) decision: &'a Decision,
    pub(crate) notices: &'a [(Notice, Vec<Slug>)],
    /// The state once it is noted who was told.
    pub(crate) after: &'a State,
}

pub(crate) struct Ledger {
    seq: u64,
    at: Timestamp,
    verdict: Verdict,
    since: Timestamp,
    tags: HashSet<(u64, String)>,
    /// Who was told that it is down, and not yet that it is over.
    alarmed: BTreeSet<Slug>,
    /// Who was told that it is slow, and not yet that it is over.
    slowed: BTreeSet<Slug>,
    /// When each asking was that has failed since the last answer, by the clock on the wall.
    fails: u32,
    last_fail: Timestamp,
    /// When people last heard of the open incident, by the stopwatch, and the shortest time they were promised.
    told_at: Option<(Timestamp, Duration)>,
    acknowledged: bool,
    warnings: HashSet<(Timestamp, String)>,
    steps: u64,
}

/// Fails with the name of the invariant and what went against it.
macro_rules! keep {
    ($claim:expr, $($said:tt)*) => {
        if !$claim { return Err(format!($($said)*)); }
    };
}

impl Ledger {
    pub(crate) fn new(state: &State) -> Self {
        Self {
            seq: state.seq,
            at: state.moved_at,
            verdict: state.verdict,
            since: state.since,
            tags: HashSet::new(),
            alarmed: BTreeSet::new(),
            slowed: BTreeSet::new(),
            fails: 0,
            last_fail: Timestamp::from_millis(i64::MIN),
            told_at: None,
            acknowledged: false,
            warnings: HashSet::new(),
            steps: 0,
        }
    }

    pub(crate) fn check(&mut self, step: &Step<'_>) -> Result<(), String> {
        self.steps += 1;
        self.count_failures(step);
        self.transitions_are_legal(step)?;
        self.everybody_hears_what_they_should(step)?;
        self.reminders_are_apart(step)?;
        self.nobody_is_told_while_paused(step)?;
        self.failures_are_the_target_s_own(step)?;
        self.nothing_happens_by_itself(step)?;
        self.the_log_is_the_truth(step)?;
        self.a_restart_changes_nothing(step)
    }

    fn count_failures(&mut self, step: &Step<'_>) {
        if let Event::ClockMoved { by_ms } = step.event {
            self.last_fail = self.last_fail.shifted(*by_ms);
        }
        if matches!(step.event, Event::Changed | Event::Paused | Event::Deleted) {
            self.fails = 0;
        }
        let Event::Observed(seen) = step.event else { return };
        if step.before.paused || seen.rev != step.policy.rev {
            return;
        }
        match &seen.sight {
            Sight::Fail(_) => {
                let asked = seen.asked_at.min(step.now);
                if self.fails == 0 || asked > self.last_fail {
                    self.fails += 1;
                    self.last_fail = asked;
                }
            }
            Sight::Ok | Sight::Slow(_) => self.fails = 0,
            Sight::Local(_) | Sight::Missed(_) => {}
        }
    }

    /// I1: transitions alternate legally, `seq` is dense, `at` never goes back.
    fn transitions_are_legal(&mut self, step: &Step<'_>) -> Result<(), String> {
        let Some(moved) = &step.decision.transition else { return Ok(()) };
        use Verdict::{Degraded, Down, Pending, Unknown, Up};
        let legal = match (moved.old, moved.new) {
            (Pending | Unknown, Up | Down) | (Pending, Unknown) => true,
            (Up, Degraded | Down | Unknown) | (Degraded, Up | Down | Unknown) | (Down, Up | Unknown) => true,
            (Unknown | Down | Pending | Up | Degraded, _) => false,
        };
        keep!(legal, "I1: {:?} became {:?}", moved.old, moved.new);
        keep!(moved.old == self.verdict, "I1: {:?} was left, but {:?} held", moved.old, self.verdict);
        keep!(moved.seq == self.seq + 1, "I1: number {} follows {}", moved.seq, self.seq);
        keep!(moved.at >= self.at, "I1: decided at {}, before {}", moved.at, self.at);
        keep!(moved.since <= moved.at, "I1: holds since {}, after it was decided at {}", moved.since, moved.at);
        (self.seq, self.at, self.verdict, self.since) = (moved.seq, moved.at, moved.new, moved.since);
        Ok(())
    }

    /// I2, I3, I8, I9: each failure and each end is told exactly once, to exactly those who should hear it.
    fn everybody_hears_what_they_should(&mut self, step: &Step<'_>) -> Result<(), String> {
        let moved = step.decision.transition.as_ref();
        let became = |verdict| moved.is_some_and(|moved| moved.new == verdict);
        let of = |kind| step.notices.iter().filter(move |(notice, _)| notice.kind == kind).collect::<Vec<_>>();
        for (notice, to) in step.notices {
            keep!(notice.seq <= step.after.seq, "I3: {} names transition {} that is not there", notice.tag, notice.seq);
            keep!(
                self.tags.insert((notice.seq, notice.tag.clone())),
                "I2: transition {} has `{}` twice",
                notice.seq,
                notice.tag
            );
            let distinct: BTreeSet<&Slug> = to.iter().collect();
            keep!(distinct.len() == to.len(), "I2: {} goes to one channel twice: {to:?}", notice.tag);
        }
        for (verdict, kind) in [(Verdict::Down, NoticeKind::Down), (Verdict::Degraded, NoticeKind::Degraded)] {
            let expected = usize::from(became(verdict));
            keep!(of(kind).len() == expected, "I2: {} `{}` for a transition {moved:?}", of(kind).len(), kind.name());
            for ((notice, to), moved) in of(kind).into_iter().zip(moved) {
                keep!(notice.seq == moved.seq, "I3: {} names another transition", notice.tag);
                let owed = if verdict == Verdict::Down { &mut self.alarmed } else { &mut self.slowed };
                owed.extend(to.iter().cloned());
            }
        }
        for (_, to) in of(NoticeKind::Reminder) {
            self.alarmed.extend(to.iter().cloned());
        }
        let stopped = match step.event {
            Event::Paused => !step.before.paused,
            Event::Deleted => true,
            _ => false,
        };
        let ends = [(NoticeKind::Up, became(Verdict::Up)), (NoticeKind::Closed, stopped)];
        for (kind, ended) in ends {
            let owed: BTreeSet<Slug> = self.alarmed.union(&self.slowed).cloned().collect();
            let given = of(kind);
            if !ended || owed.is_empty() {
                keep!(given.is_empty(), "I9: `{}` though nobody waits for it: {moved:?}", kind.name());
            } else {
                keep!(given.len() == 1, "I8: {} times `{}`, owed to {owed:?}", given.len(), kind.name());
                let heard: BTreeSet<Slug> = given[0].1.iter().cloned().collect();
                keep!(heard == owed, "I8: `{}` heard by {heard:?}, owed to {owed:?}", kind.name());
            }
            if ended {
                self.alarmed.clear();
                self.slowed.clear();
            }
        }
        for (notice, _) in of(NoticeKind::Expiry) {
            let Event::Observed(seen) = step.event else { return Err("I2: a certificate that nobody saw".into()) };
            let moment = seen.expires_at.ok_or("I2: no certificate was shown")?;
            keep!(moment > step.now, "I2: warned of the end of a certificate that has ended");
            keep!(self.warnings.insert((moment, notice.tag.clone())), "I2: warned twice: {}", notice.tag);
        }
        Ok(())
    }

    /// I21: reminders are at least their interval apart, and none comes after the end or an acknowledgement.
    fn reminders_are_apart(&mut self, step: &Step<'_>) -> Result<(), String> {
        let every = step.policy.remind_every;
        if let (Some((_, promised)), Some(every)) = (&mut self.told_at, every) {
            *promised = every.min(*promised);
        }
        for (notice, _) in step.notices {
            match notice.kind {
                NoticeKind::Down => {
                    self.told_at = Some((step.boot, every.unwrap_or(Duration::MAX)));
                    self.acknowledged = false;
                }
                NoticeKind::Reminder => {
                    keep!(!self.acknowledged, "I21: reminded after it was acknowledged");
                    keep!(step.after.verdict == Verdict::Down, "I21: reminded of what is {:?}", step.after.verdict);
                    let (last, promised) = self.told_at.ok_or("I21: reminded of what was never told")?;
                    keep!(step.boot.since(last) >= promised, "I21: reminded after {:?}", step.boot.since(last));
                    self.told_at = Some((step.boot, every.ok_or("I21: reminded against the settings")?));
                }
                _ => {}
            }
        }
        if *step.event == Event::Acknowledged {
            self.acknowledged = true;
        }
        Ok(())
    }

    /// I10: no failure is told while paused, and nothing changes.
    fn nobody_is_told_while_paused(&self, step: &Step<'_>) -> Result<(), String> {
        if step.before.paused && *step.event != Event::Deleted {
            keep!(step.notices.is_empty(), "I10: told while paused: {:?}", step.notices);
            keep!(step.decision.transition.is_none(), "I10: moved while paused: {:?}", step.decision.transition);
        }
        keep!(!(step.after.paused && step.decision.wake_at.is_some()), "I10: wants to be woken while paused");
        Ok(())
    }

    /// I11: down only after enough failures of the present settings. I12: what we could not see accuses nobody.
    fn failures_are_the_target_s_own(&mut self, step: &Step<'_>) -> Result<(), String> {
        let moved = step.decision.transition.as_ref();
        if let Event::Observed(seen) = step.event {
            if moved.is_some_and(|moved| moved.new == Verdict::Down) {
                let needed = step.policy.failure_threshold;
                keep!(self.fails >= needed, "I11: down after {} failures of {needed}", self.fails);
                keep!(seen.rev == step.policy.rev, "I11: down by a result of older settings");
                self.fails = 0;
            }
            if matches!(seen.sight, Sight::Local(_) | Sight::Missed(_)) {
                let count = |state: &State| state.failing.as_ref().map_or(0, |run| run.count);
                keep!(count(step.after) <= count(step.before), "I12: our own trouble counts as a failure");
                let blamed = moved.is_some_and(|moved| moved.new != Verdict::Unknown);
                keep!(!blamed, "I12: our own trouble changed the verdict: {moved:?}");
            }
        }
        let open = step.after.incident.is_some();
        keep!(open == (step.after.verdict == Verdict::Down), "I1: {:?} with incident {open}", step.after.verdict);
        Ok(())
    }

    /// I22 and its kin: a leap of the clock, a restart, a changed setting or the end of a pause is no evidence.
    fn nothing_happens_by_itself(&self, step: &Step<'_>) -> Result<(), String> {
        let due_already = |policy, moment| {
            let silence = deadline(policy, step.before).map(|(due, _)| due);
            [silence, doubtful_at(policy, step.before)].into_iter().flatten().any(|due| due <= moment)
        };
        let (name, was_due) = match step.event {
            Event::ClockMoved { by_ms } => ("I22: a leaping clock", due_already(step.policy, step.now.shifted(-by_ms))),
            Event::Returned { away_since } => ("I23: a restart", due_already(step.policy, away_since.shifted(-1))),
            Event::Resumed => ("I10: the end of a pause", !step.before.paused),
            Event::Changed => ("I11: a changed setting", false),
            Event::Acknowledged => ("I21: an acknowledgement", true),
            _ => return Ok(()),
        };
        keep!(step.decision.transition.is_none(), "{name} moved the verdict: {:?}", step.decision.transition);
        keep!(step.notices.is_empty(), "{name} told somebody: {:?}", step.notices);
        if !was_due {
            let woken = (step.rules.decide)(step.policy, step.after, Event::Woken, step.now);
            keep!(woken.transition.is_none(), "{name} made a silence of {:?}", woken.transition);
        }
        if let Event::ClockMoved { by_ms } = step.event {
            let waited = wake_at(step.policy, step.before).map(|moment| moment.shifted(*by_ms));
            let waits = step.decision.wake_at;
            let by_the_wall = step.policy.heartbeat.as_ref().is_some_and(|it| it.schedule.is_by_the_wall());
            keep!(
                waits == waited || by_the_wall && waits >= waited,
                "I22: waits until {waits:?} after a leap, should be {waited:?}"
            );
        }
        Ok(())
    }

    /// I24: replaying the transitions gives the verdict, its number and its beginning.
    fn the_log_is_the_truth(&self, step: &Step<'_>) -> Result<(), String> {
        let state = step.after;
        let said = (state.verdict, state.seq, state.since, state.moved_at);
        let logged = (self.verdict, self.seq, self.since, self.at);
        keep!(said == logged, "I24: the state says {said:?}, the log says {logged:?}");
        Ok(())
    }

    /// I23: a state that was stored and loaded is the same, and deciding again decides the same. Waking makes
    /// progress: a machine that was woken in time wants to be woken later.
    fn a_restart_changes_nothing(&self, step: &Step<'_>) -> Result<(), String> {
        if *step.event == Event::Woken {
            let next = step.decision.wake_at;
            keep!(next.is_none_or(|next| next > step.now), "wake: woken at {}, and again at {next:?}", step.now);
        }
        // Now and then is often enough for what takes time.
        if self.steps.is_multiple_of(7) {
            let text = serde_json::to_string(step.after).map_err(|why| format!("I23: {why}"))?;
            let loaded: State = serde_json::from_str(&text).map_err(|why| format!("I23: {why}: {text}"))?;
            keep!(loaded == *step.after, "I23: stored as {text}, loaded as {loaded:?}");
            let again = (step.rules.decide)(step.policy, step.before, step.event.clone(), step.now);
            keep!(again == *step.decision, "I23: the same event was decided otherwise: {again:?}");
        }
        Ok(())
    }
}
