//! The same rules in the most obvious way: nothing is counted or remembered, everything is kept, and each question
//! is answered by looking back over the whole past. It lives by a stopwatch, so that a leaping clock is nothing to
//! it, and it does not share a line with what it judges but the arithmetic of schedules.

use std::collections::BTreeSet;
use std::time::Duration;

use watchbell_core::decide::{Event, NoticeKind, Sight, Signal};
use watchbell_core::policy::Expectation;
use watchbell_core::schedule::Schedule;
use watchbell_core::{Policy, Reason, Slug, Timestamp, Verdict};

use crate::ledger::Step;

/// Everything that happened, oldest first. All moments but `wall` are the stopwatch's.
pub(crate) struct Reference {
    policy: Policy,
    notify: Vec<Slug>,
    made: Timestamp,
    past: Vec<Memory>,
}

struct Memory {
    boot: Timestamp,
    what: What,
}

enum What {
    /// A result that counts.
    Seen { asked: Timestamp, sight: Sight },
    Pinged { at: Timestamp, signal: Signal },
    /// Until then silence is not judged.
    Excused { until: Timestamp },
    Acknowledged,
    Paused,
    Resumed,
    /// The settings changed to these.
    Changed(Box<Policy>),
    Warned { expires_at: Timestamp, days: u32 },
    Moved(Move),
    Told(Said),
}

#[derive(Clone, Debug, PartialEq)]
struct Move {
    seq: u64,
    /// By the clock on the wall.
    at: Timestamp,
    since: Timestamp,
    old: Verdict,
    new: Verdict,
    reason: Reason,
    incident: Option<u64>,
}

#[derive(Clone, Debug, PartialEq)]
struct Said {
    kind: NoticeKind,
    seq: u64,
    tag: String,
    at: Timestamp,
    since: Timestamp,
    reason: Reason,
    incident: Option<(u64, Timestamp)>,
    reminder: Option<u32>,
    to: BTreeSet<Slug>,
}

/// Results in a row.
#[derive(Default)]
struct Streak {
    count: u32,
    first: Timestamp,
    last: Timestamp,
    reason: Option<Reason>,
}

impl Reference {
    pub(crate) fn new(policy: Policy, notify: Vec<Slug>, made: Timestamp) -> Self {
        Self { policy, notify, made, past: Vec::new() }
    }

    pub(crate) fn notify(&mut self, channels: &[Slug]) {
        self.notify = channels.to_vec();
    }

    /// Decides by looking back, and compares.
    pub(crate) fn check(&mut self, step: &Step<'_>) -> Result<(), String> {
        let before = self.past.len();
        let is_last = *step.event == Event::Deleted;
        self.happen(step.event, step.boot, step.now, step.policy);

        let mut moves = self.past[before..].iter().filter_map(|it| if let What::Moved(it) = &it.what { Some(it) } else { None });
        let expected = moves.next();
        assert!(moves.next().is_none(), "the reference moved twice at once");
        let got = step.decision.transition.as_ref().map(|it| Move {
            seq: it.seq,
            at: it.at,
            since: it.since,
            old: it.old,
            new: it.new,
            reason: it.reason.clone(),
            incident: it.incident,
        });
        if got.as_ref() != expected {
            return Err(format!("reference: the transition is\n  {got:?}\nshould be\n  {expected:?}"));
        }

        let expected: Vec<&Said> =
            self.past[before..].iter().filter_map(|it| if let What::Told(it) = &it.what { Some(it) } else { None }).collect();
        let got: Vec<Said> = step
            .notices
            .iter()
            .map(|(notice, to)| Said {
                kind: notice.kind,
                seq: notice.seq,
                tag: notice.tag.clone(),
                at: notice.at,
                since: notice.since,
                reason: notice.reason.clone(),
                incident: notice.incident,
                reminder: notice.reminder,
                to: to.iter().cloned().collect(),
            })
            .collect();
        if got.iter().collect::<Vec<_>>() != expected {
            return Err(format!("reference: the notices are\n  {got:?}\nshould be\n  {expected:?}"));
        }

        let leap_ms = step.now.as_millis() - step.boot.as_millis();
        let wakes = [self.reminder_due(), self.deadline(leap_ms).map(|(moment, _)| moment)].into_iter().flatten().min();
        let wakes = wakes.filter(|_| !is_last).map(|moment| moment.shifted(leap_ms));
        if step.decision.wake_at != wakes {
            return Err(format!("reference: wakes at {:?}, should at {wakes:?}", step.decision.wake_at));
        }
        Ok(())
    }

    fn happen(&mut self, event: &Event, boot: Timestamp, now: Timestamp, policy: &Policy) {
        let leap_ms = now.as_millis() - boot.as_millis();
        let by_boot = |stamp: Timestamp| stamp.min(now).shifted(-leap_ms);
        let mut turn = Turn { past: self, boot, now, leap_ms };
        match event {
            Event::Observed(seen) => {
                if !turn.past.is_paused() && seen.rev == turn.past.policy.rev {
                    turn.seen(by_boot(seen.asked_at), &seen.sight, seen.expires_at);
                }
            }
            Event::Pinged(ping) => turn.pinged(by_boot(ping.at), &ping.signal),
            Event::Woken => turn.woken(),
            Event::Returned { away_since } => turn.returned(by_boot(*away_since)),
            Event::ClockMoved { by_ms } => turn.clock_moved(*by_ms),
            Event::Acknowledged => turn.note(What::Acknowledged),
            Event::Paused => {
                if !turn.past.is_paused() {
                    turn.stop("paused", "Paused: nobody looks for now");
                    turn.note(What::Paused);
                }
            }
            Event::Deleted => turn.stop("deleted", "Deleted: nobody looks any more"),
            Event::Resumed => {
                if turn.past.is_paused() {
                    turn.note(What::Resumed);
                    turn.excuse_until_next();
                }
            }
            Event::Changed => {
                turn.past.policy = policy.clone();
                turn.note(What::Changed(Box::new(policy.clone())));
                if turn.past.deadline(leap_ms).is_some_and(|(moment, _)| moment <= boot) {
                    turn.excuse_until_next();
                }
            }
        }
    }

    // Questions to the past.

    fn moves(&self) -> impl DoubleEndedIterator<Item = (usize, &Move)> {
        let each = self.past.iter().enumerate();
        each.filter_map(|(index, it)| if let What::Moved(moved) = &it.what { Some((index, moved)) } else { None })
    }

    fn told(&self) -> impl DoubleEndedIterator<Item = (usize, Timestamp, &Said)> {
        let each = self.past.iter().enumerate();
        each.filter_map(|(index, it)| if let What::Told(said) = &it.what { Some((index, it.boot, said)) } else { None })
    }

    fn verdict(&self) -> Verdict {
        self.moves().next_back().map_or(Verdict::Pending, |(_, moved)| moved.new)
    }

    fn is_paused(&self) -> bool {
        let switches = self.past.iter().rev().find(|it| matches!(it.what, What::Paused | What::Resumed));
        switches.is_some_and(|it| matches!(it.what, What::Paused))
    }

    /// The open incident: where it was opened, by which move.
    fn incident(&self) -> Option<(usize, &Move)> {
        self.moves().next_back().filter(|(_, moved)| moved.new == Verdict::Down)
    }

    /// The first memory after the last that `ends` picks.
    fn after_last(&self, ends: impl Fn(&What) -> bool) -> usize {
        self.past.iter().rposition(|it| ends(&it.what)).map_or(0, |index| index + 1)
    }

    /// The row of results that count, since the last that cuts it; results so far apart are not in a row.
    fn streak(&self, from: usize, counts: impl Fn(&Sight) -> bool, cuts: impl Fn(&Sight) -> bool, pause: Duration) -> Streak {
        let mut streak = Streak::default();
        for memory in &self.past[from..] {
            let What::Seen { asked, sight } = &memory.what else { continue };
            if cuts(sight) {
                streak = Streak::default();
            } else if counts(sight) && (streak.count == 0 || *asked > streak.last) {
                if streak.count == 0 || asked.since(streak.last) > pause {
                    streak = Streak { first: *asked, ..Streak::default() };
                }
                streak.count += 1;
                streak.last = *asked;
                streak.reason = match sight {
                    Sight::Ok => None,
                    Sight::Slow(why) | Sight::Fail(why) | Sight::Local(why) | Sight::Missed(why) => Some(why.clone()),
                };
            }
        }
        streak
    }

    fn longest_pause(&self) -> Duration {
        self.policy.interval.max(self.policy.retry_interval) * 2 + self.policy.timeout
    }

    /// Where rows of results begin anew: a pause, new settings, a new verdict.
    fn since_move(&self) -> usize {
        self.after_last(|what| matches!(what, What::Moved(_) | What::Changed(_) | What::Paused))
    }

    /// Everybody who heard of a failure or of slowness that nobody has yet told the end of.
    fn waiting_for_the_end(&self) -> BTreeSet<Slug> {
        let ended = |what: &What| match what {
            What::Moved(moved) => moved.new == Verdict::Up,
            What::Paused => true,
            _ => false,
        };
        let from = self.after_last(ended);
        let bad = [NoticeKind::Down, NoticeKind::Degraded, NoticeKind::Reminder];
        let told = self.told().filter(|(index, _, said)| *index >= from && bad.contains(&said.kind));
        told.flat_map(|(_, _, said)| said.to.iter().cloned()).collect()
    }

    fn reminder_due(&self) -> Option<Timestamp> {
        let (opened, _) = self.incident()?;
        let last = self.told().rev().find(|(_, _, said)| matches!(said.kind, NoticeKind::Down | NoticeKind::Reminder));
        let (told, told_at, _) = last.filter(|(index, ..)| *index > opened)?;
        let in_force = self.past[..told].iter().rev().find_map(|it| match &it.what {
            What::Changed(policy) => Some(policy.remind_every),
            _ => None,
        });
        // Before the first change the settings were the first ones, and these are where a change finds them.
        let every = in_force.unwrap_or(self.first_remind_every());
        let mut due = every.map(|every| told_at + every);
        for memory in &self.past[told..] {
            if let What::Changed(policy) = &memory.what {
                let anew = policy.remind_every.map(|every| memory.boot + every);
                due = anew.map(|anew| due.map_or(anew, |due| due.min(anew)));
            }
        }
        let acknowledged = self.past[opened..].iter().any(|it| matches!(it.what, What::Acknowledged));
        due.filter(|_| !acknowledged)
    }

    fn first_remind_every(&self) -> Option<Duration> {
        let changed = self.past.iter().any(|it| matches!(it.what, What::Changed(_)));
        assert!(!changed || self.first.is_some());
        self.first.clone().map_or(self.policy.remind_every, |first| first)
    }
}
