//! The same rules in the most obvious way: nothing is counted or remembered, everything is kept, and each question
//! is answered by looking back over the whole past. It lives by a stopwatch, so that a leaping clock is nothing to
//! it, and it does not share a line with what it judges but the arithmetic of schedules.

use std::collections::BTreeSet;
use std::time::Duration;

use watchbell_core::decide::{Event, NoticeKind, Sight, Signal};
use watchbell_core::policy::Expectation;
use watchbell_core::schedule::Schedule;
use watchbell_core::{Policy, Reason, RunId, Slug, Timestamp, Verdict};

use crate::ledger::Step;

/// Everything that happened, oldest first. All moments but `wall` are the stopwatch's.
pub(crate) struct Reference {
    /// The first settings; later ones are in the past.
    first: Policy,
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
    Seen {
        asked: Timestamp,
        sight: Sight,
    },
    Pinged {
        at: Timestamp,
        signal: Signal,
        run: Option<RunId>,
    },
    /// A failure of a job that counts.
    Failed {
        at: Timestamp,
        reason: Reason,
    },
    /// Until then silence is not judged.
    Excused {
        until: Timestamp,
    },
    /// A ping may have come between the first two; that is said at the third, and the next is expected at the last.
    Doubted {
        from: Timestamp,
        to: Timestamp,
        said_at: Timestamp,
        next: Timestamp,
    },
    /// There is no doubt any more.
    Sure,
    Snoozed(Option<(Timestamp, Timestamp)>),
    Acknowledged,
    Paused,
    Resumed,
    /// The settings changed to these.
    Changed(Box<Policy>),
    Warned {
        expires_at: Timestamp,
        days: u32,
    },
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
        Self { first: policy, notify, made, past: Vec::new() }
    }

    pub(crate) fn notify(&mut self, channels: &[Slug]) {
        self.notify = channels.to_vec();
    }

    /// Decides by looking back, and compares.
    pub(crate) fn check(&mut self, step: &Step<'_>) -> Result<(), String> {
        let before = self.past.len();
        let is_last = *step.event == Event::Deleted;
        self.happen(step.event, step.boot, step.now, step.policy);

        let mut moves =
            self.past[before..].iter().filter_map(|it| if let What::Moved(it) = &it.what { Some(it) } else { None });
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

        let expected: Vec<&Said> = self.past[before..]
            .iter()
            .filter_map(|it| if let What::Told(it) = &it.what { Some(it) } else { None })
            .collect();
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
        let silence = self.deadline(leap_ms).map(|(moment, _)| moment);
        let wakes = [self.reminder_due(), silence, self.doubtful_at()].into_iter().flatten().min();
        let wakes = wakes.filter(|_| !is_last).map(|moment| moment.shifted(leap_ms));
        if step.decision.wake_at != wakes {
            return Err(format!("reference: wakes at {:?}, should at {wakes:?}", step.decision.wake_at));
        }
        Ok(())
    }

    fn happen(&mut self, event: &Event, boot: Timestamp, now: Timestamp, policy: &Policy) {
        let leap_ms = now.as_millis() - boot.as_millis();
        let by_boot = |stamp: Timestamp| stamp.min(now).shifted(-leap_ms);
        let paused = self.is_paused();
        let mut turn = Turn { past: self, boot, now, leap_ms };
        match event {
            Event::Observed(seen) if !paused && seen.rev == turn.past.policy().rev => {
                turn.seen(by_boot(seen.asked_at), &seen.sight, seen.expires_at);
            }
            Event::Observed(_) => {}
            Event::Pinged(ping) => turn.pinged(by_boot(ping.at), &ping.signal, ping.run),
            Event::Snoozed { until } => turn.snoozed(until.shifted(-leap_ms)),
            Event::Woken => turn.woken(),
            Event::Returned { away_since } => turn.returned(by_boot(*away_since)),
            Event::ClockMoved { by_ms } => turn.clock_moved(*by_ms),
            Event::Acknowledged => turn.note(What::Acknowledged),
            Event::Paused if !paused => {
                turn.stop("paused", "Paused: nobody looks for now");
                turn.note(What::Paused);
            }
            Event::Resumed if paused => {
                turn.note(What::Resumed);
                turn.excuse_until_next();
            }
            Event::Paused | Event::Resumed => {}
            Event::Deleted => turn.stop("deleted", "Deleted: nobody looks any more"),
            Event::Changed => {
                turn.note(What::Changed(Box::new(policy.clone())));
                let silence = turn.past.deadline(leap_ms).map(|(moment, _)| moment);
                if silence.is_some_and(|moment| moment <= boot) || turn.past.doubtful_at().is_some_and(|at| at <= boot)
                {
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
    fn streak(
        &self,
        from: usize,
        counts: impl Fn(&Sight) -> bool,
        cuts: impl Fn(&Sight) -> bool,
        pause: Duration,
    ) -> Streak {
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
        let policy = self.policy();
        policy.interval.max(policy.retry_interval) * 2 + policy.timeout
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

    fn policy(&self) -> &Policy {
        self.policy_at(self.past.len())
    }

    fn policy_at(&self, index: usize) -> &Policy {
        let changes = self.past[..index].iter().rev();
        let mut policies =
            changes.filter_map(|it| if let What::Changed(policy) = &it.what { Some(&**policy) } else { None });
        policies.next().unwrap_or(&self.first)
    }

    fn reminder_due(&self) -> Option<Timestamp> {
        let (opened, _) = self.incident()?;
        let last = self.told().rev().find(|(_, _, said)| matches!(said.kind, NoticeKind::Down | NoticeKind::Reminder));
        let (told, told_at, _) = last.filter(|(index, ..)| *index > opened)?;
        let mut due = self.policy_at(told).remind_every.map(|every| told_at + every);
        for memory in &self.past[told..] {
            if let What::Changed(policy) = &memory.what {
                let anew = policy.remind_every.map(|every| memory.boot + every);
                due = anew.map(|anew| due.map_or(anew, |due| due.min(anew)));
            }
        }
        let acknowledged = self.past[opened..].iter().any(|it| matches!(it.what, What::Acknowledged));
        due.filter(|_| !acknowledged)
    }

    /// Pings that ended a run, each with its place in the past.
    fn finishes(&self) -> impl DoubleEndedIterator<Item = (usize, Timestamp, Option<RunId>)> {
        self.past.iter().enumerate().filter_map(|(index, it)| match &it.what {
            What::Pinged { at, signal: Signal::Success | Signal::Fail(_), run } => Some((index, *at, *run)),
            _ => None,
        })
    }

    /// When the latest run of a job ended.
    fn finished(&self) -> Option<Timestamp> {
        self.finishes().map(|(_, at, _)| at).max()
    }

    /// The names that the last eight different finishes before `index` gave.
    fn names_ended(&self, index: usize) -> Vec<RunId> {
        let mut names: Vec<RunId> = Vec::new();
        for (_, _, run) in self.finishes().take_while(|(place, ..)| *place < index) {
            let Some(run) = run.filter(|run| !names.contains(run)) else { continue };
            names.push(run);
            if names.len() > 8 {
                names.remove(0);
            }
        }
        names
    }

    /// The runs that have begun before `index` and not ended, by replaying their starts and finishes.
    fn running(&self, index: usize) -> Vec<(Timestamp, Option<RunId>)> {
        let mut open: Vec<(Timestamp, Option<RunId>)> = Vec::new();
        for (place, it) in self.past[..index].iter().enumerate() {
            let What::Pinged { at, signal, run } = &it.what else { continue };
            match (signal, run) {
                (Signal::Log, _) => {}
                (Signal::Start, _) => {
                    let earlier = self.finishes().take_while(|(other, ..)| *other < place);
                    let overtaken = match run {
                        Some(id) => self.names_ended(place).contains(id),
                        None => earlier.map(|(_, at, _)| at).max().is_some_and(|finished| *at < finished),
                    };
                    if !overtaken {
                        open.retain(|(_, other)| other != run);
                        open.push((*at, *run));
                        let first = open.len().saturating_sub(8);
                        open.drain(..first);
                    }
                }
                (_, None) => open.clear(),
                (_, Some(_)) => {
                    let known = open.iter().any(|(_, other)| other == run);
                    open.retain(|(_, other)| if known { other != run } else { other.is_some() });
                }
            }
        }
        open
    }

    /// When the first of the runs began that have not ended.
    fn started(&self) -> Option<Timestamp> {
        self.running(self.past.len()).into_iter().map(|(at, _)| at).min()
    }

    /// What of the doubt is left, if there has been no finish since.
    fn doubt(&self) -> Option<(Timestamp, Timestamp, Timestamp, Timestamp)> {
        let from = self.finishes().next_back().map_or(0, |(index, ..)| index);
        let last = self.past[from..].iter().rev().find(|it| matches!(it.what, What::Doubted { .. } | What::Sure));
        last.and_then(|it| match it.what {
            What::Doubted { from, to, said_at, next } => Some((from, to, said_at, next)),
            _ => None,
        })
    }

    /// Until when people want quiet, and from when on silence is judged again.
    fn snoozed(&self) -> Option<(Timestamp, Timestamp)> {
        let last =
            self.past.iter().rev().find_map(|it| if let What::Snoozed(snooze) = it.what { Some(snooze) } else { None });
        last.flatten()
    }

    fn doubtful_at(&self) -> Option<Timestamp> {
        let known = self.policy().heartbeat.is_none() || self.is_paused();
        let (_, _, said_at, _) = self.doubt()?;
        let open = !known && !matches!(self.verdict(), Verdict::Down | Verdict::Unknown);
        open.then(|| self.snoozed().map_or(said_at, |(_, judged_from)| said_at.max(judged_from)))
    }

    /// When the next ping is expected, by the stopwatch; cron goes by the wall.
    fn expected(&self, schedule: &Schedule, leap_ms: i64) -> Option<Timestamp> {
        let finished = self.finished()?.shifted(leap_ms);
        let next = schedule.after(finished);
        let moment = if schedule.is_by_the_wall() {
            let following = schedule.after(next);
            let tenth = following.since(next) / 10;
            // A ping up to a minute, or a tenth of the way, before its moment is the ping of that moment.
            if finished + tenth.min(Duration::from_secs(60)) >= next { following } else { next }
        } else {
            next
        };
        Some(moment.shifted(-leap_ms))
    }

    fn deadline(&self, leap_ms: i64) -> Option<(Timestamp, Reason)> {
        let Expectation { schedule, grace, max_run, .. } = self.policy().heartbeat.as_ref()?;
        if self.is_paused() || self.verdict() == Verdict::Down {
            return None;
        }
        let longest = max_run.unwrap_or(*grace);
        let started = self.started();
        let from = self.finishes().next_back().map_or(0, |(index, ..)| index);
        let excuses = self.past[from..]
            .iter()
            .filter_map(|it| if let What::Excused { until } = it.what { Some(until) } else { None });
        let excused = excuses.chain(self.snoozed().map(|(_, judged_from)| judged_from)).max();
        let written = |moment: Timestamp| {
            let wall = moment.shifted(leap_ms).to_string();
            format!("{} {} UTC", &wall[..10], &wall[11..19])
        };
        let silent = self.expected(schedule, leap_ms).zip(self.finished()).map(|(expected, finished)| {
            let moment = expected + *grace + if started.is_some() { longest } else { Duration::ZERO };
            let words = match excused {
                Some(excused) if excused > moment => format!("No ping since {}", written(finished)),
                _ => format!("No ping: expected {}", written(expected)),
            };
            (moment, Reason::new("silent", words))
        });
        let overrun = started.map(|started| {
            let words = format!("Started, but not finished within {}", watchbell_core::Span(longest));
            (started + longest, Reason::new("overrun", words))
        });
        let (moment, reason) = match (overrun, silent) {
            (Some(overrun), Some(silent)) => {
                if silent.0 < overrun.0 {
                    silent
                } else {
                    overrun
                }
            }
            (overrun, silent) => overrun.or(silent)?,
        };
        Some((excused.map_or(moment, |excused| moment.max(excused)), reason))
    }
}

/// One event, while it is being thought about.
struct Turn<'a> {
    past: &'a mut Reference,
    boot: Timestamp,
    now: Timestamp,
    leap_ms: i64,
}

impl Turn<'_> {
    fn note(&mut self, what: What) {
        self.past.past.push(Memory { boot: self.boot, what });
    }

    fn seen(&mut self, asked: Timestamp, sight: &Sight, expires_at: Option<Timestamp>) {
        let bad = |sight: &Sight| matches!(sight, Sight::Fail(_));
        let slow = |sight: &Sight| matches!(sight, Sight::Slow(_));
        let good = |sight: &Sight| matches!(sight, Sight::Ok);
        let blind = |sight: &Sight| matches!(sight, Sight::Local(_) | Sight::Missed(_));
        if !bad(sight) && !blind(sight) {
            self.certificate(expires_at);
        }
        self.note(What::Seen { asked, sight: sight.clone() });
        let policy = self.past.policy().clone();
        let (from, pause) = (self.past.since_move(), self.past.longest_pause());
        let verdict = self.past.verdict();
        match sight {
            Sight::Local(_) | Sight::Missed(_) => {
                let from = self.past.after_last(|what| matches!(what, What::Changed(_) | What::Paused));
                let streak = self.past.streak(from, blind, |sight| !blind(sight), Duration::MAX);
                let lasts = streak.last.since(streak.first) >= policy.interval * 2;
                if lasts && verdict != Verdict::Down && verdict != Verdict::Unknown {
                    self.go(Verdict::Unknown, streak.first, streak.reason.expect("a blind result has a reason"), None);
                }
            }
            Sight::Fail(_) => {
                let streak = self.past.streak(from, bad, |sight| good(sight) || slow(sight), pause);
                if verdict != Verdict::Down && streak.count >= policy.failure_threshold {
                    self.go_down(streak.first, streak.reason.expect("a failure has a reason"));
                }
            }
            Sight::Ok | Sight::Slow(_) => match verdict {
                Verdict::Pending => self.go_up(asked, Reason::new("answers", "It answers")),
                Verdict::Down | Verdict::Unknown => {
                    let streak = self.past.streak(from, |sight| good(sight) || slow(sight), bad, pause);
                    if streak.count >= policy.success_threshold {
                        self.go_up(streak.first, Reason::new("recovered", "It answers again"));
                    }
                }
                Verdict::Degraded => {
                    let streak = self.past.streak(from, good, |sight| bad(sight) || slow(sight), pause);
                    if streak.count >= policy.success_threshold {
                        self.go_up(streak.first, Reason::new("quick", "It answers quickly again"));
                    }
                }
                Verdict::Up => {
                    let streak = self.past.streak(from, slow, |sight| good(sight) || bad(sight), pause);
                    if streak.count >= policy.slow_threshold {
                        let reason = streak.reason.expect("slowness has a reason");
                        self.go(Verdict::Degraded, streak.first, reason.clone(), None);
                        let since = streak.first.shifted(self.leap_ms);
                        self.tell_all(NoticeKind::Degraded, "degraded", since, reason, None, None);
                    }
                }
            },
        }
    }

    fn certificate(&mut self, expires_at: Option<Timestamp>) {
        let Some(expires_at) = expires_at else { return };
        let left = expires_at.since(self.now);
        if left.is_zero() {
            return;
        }
        let day = Duration::from_secs(86_400);
        let mut limits = self.past.policy().expiry_days.clone();
        limits.sort_unstable();
        let Some(days) = limits.into_iter().find(|days| left <= day * *days) else { return };
        let said = self.past.past.iter().any(|it| {
            matches!(it.what, What::Warned { expires_at: other, days: said } if other == expires_at && said <= days)
        });
        if said {
            return;
        }
        self.note(What::Warned { expires_at, days });
        let length = match left.as_secs() / 86_400 {
            0 => "less than a day".to_owned(),
            1 => "1 day".to_owned(),
            n => format!("{n} days"),
        };
        let wall = expires_at.to_string();
        let words = format!("The certificate ends in {length}, on {} {} UTC", &wall[..10], &wall[11..19]);
        let tag = format!("expiry-{}-{days}", expires_at.as_secs());
        self.tell_all(NoticeKind::Expiry, &tag, self.now, Reason::new("expiry", words), None, None);
    }

    fn woken(&mut self) {
        if self.past.is_paused() {
            return;
        }
        if let Some((moment, reason)) = self.past.deadline(self.leap_ms)
            && moment <= self.boot
        {
            self.go_down(moment, reason);
        } else if let Some(moment) = self.past.doubtful_at()
            && moment <= self.boot
            && let Some((from, to, _, _)) = self.past.doubt()
        {
            let written = |moment: Timestamp| {
                let wall = moment.shifted(self.leap_ms).to_string();
                format!("{} {} UTC", &wall[..10], &wall[11..19])
            };
            let words = format!("May have called while we were not listening: {} to {}", written(from), written(to));
            self.go(Verdict::Unknown, moment, Reason::new("deaf", words), None);
        }
        if self.past.reminder_due().is_some_and(|due| due <= self.boot) {
            let (opened, incident) = self.past.incident().map(|(index, it)| (index, it.clone())).expect("down");
            let earlier =
                self.past.told().filter(|(index, _, said)| *index > opened && said.kind == NoticeKind::Reminder);
            let number = earlier.count() as u32 + 1;
            let of = Some((incident.seq, incident.since));
            let tag = format!("reminder-{number}");
            self.tell_all(NoticeKind::Reminder, &tag, incident.since, incident.reason, of, Some(number));
        }
    }

    fn pinged(&mut self, at: Timestamp, signal: &Signal, run: Option<RunId>) {
        let began = self.past.running(self.past.past.len()).into_iter().find(|(_, id)| *id == run).map(|(at, _)| at);
        let expectation = self.past.policy().heartbeat.clone();
        let shortest = expectation.as_ref().and_then(|it| it.min_run).unwrap_or_default();
        let mut signal = signal.clone();
        if signal == Signal::Success
            && let Some(began) = began
            && at.since(began) < shortest
        {
            let (took, shortest) = (watchbell_core::Span(at.since(began)), watchbell_core::Span(shortest));
            let words = format!("Finished after {took}, sooner than {shortest}");
            signal = Signal::Fail(Reason::new("too_quick", words));
        }
        self.note(What::Pinged { at, signal: signal.clone(), run });
        if self.past.is_paused() {
            return;
        }
        let verdict = self.past.verdict();
        let is_quiet = self.past.snoozed().is_some_and(|(until, _)| until > self.boot);
        match signal {
            Signal::Success if verdict != Verdict::Up => self.go_up(at, Reason::new("pinged", "It called in")),
            Signal::Fail(reason) if verdict != Verdict::Down && !is_quiet => {
                self.note(What::Failed { at, reason });
                // The failures since the last success, pause, new settings, end of an incident or doubt.
                let cuts = |what: &What| match what {
                    What::Pinged { signal: Signal::Success, .. } | What::Changed(_) | What::Paused => true,
                    What::Moved(moved) => moved.old == Verdict::Down || moved.new != Verdict::Up,
                    _ => false,
                };
                let from = self.past.after_last(cuts);
                let mut run: Vec<(Timestamp, Reason)> = Vec::new();
                for it in &self.past.past[from..] {
                    if let What::Failed { at, reason } = &it.what
                        && run.last().is_none_or(|(last, _)| at > last)
                    {
                        run.push((*at, reason.clone()));
                    }
                }
                let needed = expectation.map_or(1, |it| it.failure_threshold) as usize;
                if run.len() >= needed
                    && let (Some((since, _)), Some((_, reason))) = (run.first(), run.last())
                {
                    self.go_down(*since, reason.clone());
                }
            }
            _ => {}
        }
    }

    fn returned(&mut self, away_since: Timestamp) {
        let Some(expectation) = self.past.policy().heartbeat.clone() else { return };
        let Some((moment, _)) = self.past.deadline(self.leap_ms) else { return };
        let (schedule, grace) = (&expectation.schedule, expectation.grace);
        let again = self.boot + grace.min(schedule.period(self.now));
        let mut doubt = self.past.doubt();
        let is_open = self.past.doubtful_at().is_some_and(|at| at >= away_since);
        if let Some((from, to, said_at, next)) = doubt.filter(|_| is_open) {
            let said_at = said_at.max(again);
            self.note(What::Doubted { from, to, said_at, next });
            doubt = Some((from, to, said_at, next));
        }
        // From when on a call could have been in vain: a run may end at any time, a ping comes at its moment.
        let due = doubt.map(|(.., next)| next).or_else(|| self.past.expected(schedule, self.leap_ms));
        let awaited = self.past.started().or_else(|| due.map(|due| due - Duration::from_secs(60)));
        if away_since > moment || awaited.is_none_or(|awaited| awaited > self.boot) {
            return;
        }
        if expectation.strict {
            self.note(What::Excused { until: again });
            return;
        }
        let after = due.map_or(self.boot, |due| due.max(self.boot));
        let next = schedule.after(after.shifted(self.leap_ms)).shifted(-self.leap_ms);
        let run = if self.past.started().is_some() { expectation.longest_run() } else { Duration::ZERO };
        self.note(What::Excused { until: next + grace + run });
        self.note(What::Doubted { from: away_since, to: self.boot, said_at: moment.max(again), next });
    }

    fn snoozed(&mut self, until: Timestamp) {
        let Some(Expectation { schedule, grace, .. }) = self.past.policy().heartbeat.clone() else { return };
        let was_quiet = self.past.snoozed().is_some();
        if until > self.boot {
            let judged_from = (schedule.after(until.shifted(self.leap_ms)) + grace).shifted(-self.leap_ms);
            self.note(What::Snoozed(Some((until, judged_from))));
        } else {
            self.note(What::Snoozed(None));
            if was_quiet {
                self.excuse_until_next();
            }
        }
    }

    fn clock_moved(&mut self, by_ms: i64) {
        let waiting = self.past.deadline(self.leap_ms - by_ms);
        let Some(Expectation { schedule, grace, .. }) = self.past.policy().heartbeat.clone() else { return };
        let Some((waiting, _)) = waiting.filter(|_| schedule.is_by_the_wall()) else { return };
        let next = (schedule.after(self.now - grace) + grace).shifted(-self.leap_ms);
        let until = if self.past.started().is_some() { waiting } else { waiting.max(next) };
        self.note(What::Excused { until });
    }

    fn excuse_until_next(&mut self) {
        let heard =
            self.past.past.iter().any(|it| matches!(&it.what, What::Pinged { signal, .. } if *signal != Signal::Log));
        let heard = heard || self.past.past.iter().any(|it| matches!(it.what, What::Snoozed(_)));
        if let (true, Some(Expectation { schedule, grace, .. })) = (heard, self.past.policy().heartbeat.clone()) {
            let until = (schedule.after(self.now) + grace).shifted(-self.leap_ms);
            self.note(What::Excused { until });
            self.note(What::Sure);
        }
    }

    fn stop(&mut self, code: &'static str, words: &str) {
        let to = self.past.waiting_for_the_end();
        let incident = self.past.incident().map(|(_, it)| (it.seq, it.since));
        let reason = Reason::new(code, words);
        if !matches!(self.past.verdict(), Verdict::Pending | Verdict::Unknown) {
            self.go(Verdict::Unknown, self.boot, reason.clone(), incident.map(|(seq, _)| seq));
        }
        if !to.is_empty() {
            self.tell(NoticeKind::Closed, "closed", self.now, reason, incident, None, to);
        }
    }

    fn go_down(&mut self, since: Timestamp, reason: Reason) {
        let seq = self.past.moves().count() as u64 + 1;
        self.go(Verdict::Down, since, reason.clone(), Some(seq));
        let since = since.shifted(self.leap_ms);
        self.tell_all(NoticeKind::Down, "down", since, reason, Some((seq, since)), None);
    }

    fn go_up(&mut self, since: Timestamp, reason: Reason) {
        let to = self.past.waiting_for_the_end();
        let incident = self.past.incident().map(|(_, it)| (it.seq, it.since));
        self.go(Verdict::Up, since, reason.clone(), incident.map(|(seq, _)| seq));
        if !to.is_empty() {
            self.tell(NoticeKind::Up, "up", since.shifted(self.leap_ms), reason, incident, None, to);
        }
    }

    /// `since` by the stopwatch.
    fn go(&mut self, new: Verdict, since: Timestamp, reason: Reason, incident: Option<u64>) {
        let (at, seq) = (self.at(), self.past.moves().count() as u64 + 1);
        let old = self.past.verdict();
        self.note(What::Moved(Move { seq, at, since: since.shifted(self.leap_ms), old, new, reason, incident }));
    }

    fn tell_all(
        &mut self,
        kind: NoticeKind,
        tag: &str,
        since: Timestamp,
        reason: Reason,
        incident: Option<(u64, Timestamp)>,
        reminder: Option<u32>,
    ) {
        let to = self.past.notify.iter().cloned().collect();
        self.tell(kind, tag, since, reason, incident, reminder, to);
    }

    #[expect(clippy::too_many_arguments, reason = "they are the notice's fields")]
    fn tell(
        &mut self,
        kind: NoticeKind,
        tag: &str,
        since: Timestamp,
        reason: Reason,
        incident: Option<(u64, Timestamp)>,
        reminder: Option<u32>,
        to: BTreeSet<Slug>,
    ) {
        let (at, seq) = (self.at(), self.past.moves().count() as u64);
        self.note(What::Told(Said { kind, seq, tag: tag.to_owned(), at, since, reason, incident, reminder, to }));
    }

    /// The moment written down: the wall's, but never before one already written down.
    fn at(&self) -> Timestamp {
        let latest = self.past.moves().next_back().map_or(self.past.made, |(_, moved)| moved.at);
        self.now.max(latest)
    }
}
