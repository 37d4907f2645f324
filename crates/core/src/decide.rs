//! What an event means for one monitor: the state it leaves, the transition to record, the notices people should hear.
//!
//! [`decide`] is pure and cannot fail: there is nothing outside to fail. The same function runs in the server,
//! in the stories and under random input. Its rules, in the words people are told:
//!
//! - `failure_threshold` failures in a row open an incident, since the first of them; `success_threshold` good
//!   answers in a row close it. What we could not ask ([`Sight::Local`], [`Sight::Missed`]) is no evidence either way.
//! - Everybody who was told of a failure is told of its end, or that nobody looks any more.
//! - A pause, a changed setting, a restart or a leaping clock never opens an incident by itself.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::Expectation;
use crate::schedule::Schedule;
use crate::state::{Doubt, Heard, OpenIncident, OpenRun, Run, Snooze, Warned};
use crate::{Policy, Reason, RunId, Slug, Span, State, Timestamp, Verdict};

/// Something that happened to a monitor.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A check came back, or could not be made.
    Observed(Observation),
    /// A heartbeat called in.
    Pinged(Ping),
    /// The moment that [`Decision::wake_at`] asked for has come.
    Woken,
    /// We were away or deaf and are back: nobody was listening in between.
    Returned {
        away_since: Timestamp,
    },
    /// Somebody wants quiet until a moment; one that has passed ends it.
    Snoozed {
        until: Timestamp,
    },
    /// The wall clock leapt by so many milliseconds; all waiting goes on as if it had not.
    ClockMoved {
        by_ms: i64,
    },
    /// Someone has it: no more reminders.
    Acknowledged,
    Paused,
    Resumed,
    /// The settings given to this call are new.
    Changed,
    /// The monitor is being taken away.
    Deleted,
}

/// One look at a target.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// When the asking began.
    pub asked_at: Timestamp,
    /// The settings it was asked under.
    pub rev: u64,
    pub sight: Sight,
    /// The end of the certificate's validity, if one was presented.
    pub expires_at: Option<Timestamp>,
}

/// What one look showed. Only `Slow` and `Fail` speak against the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    Ok,
    Slow(Reason),
    Fail(Reason),
    /// Our side failed.
    Local(Reason),
    /// The moment passed without a look.
    Missed(Reason),
}

/// One signal of a heartbeat, stamped when we received it; the sender's clock does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ping {
    pub at: Timestamp,
    pub signal: Signal,
    /// The run that it starts or finishes, if the sender named it.
    pub run: Option<RunId>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signal {
    Success,
    Start,
    /// The job says that it failed.
    Fail(Reason),
    /// Kept for the record; changes nothing.
    Log,
}

/// What follows from an event.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Replaces the old state once it is stored.
    pub state: State,
    /// The change of verdict, for history and uptime.
    pub transition: Option<Transition>,
    /// What people should hear.
    pub notices: Vec<Notice>,
    /// When to send [`Event::Woken`], however little happens before.
    pub wake_at: Option<Timestamp>,
}

/// A change of verdict: the append-only truth.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    pub seq: u64,
    /// When it was decided.
    pub at: Timestamp,
    /// Since when the new verdict holds.
    pub since: Timestamp,
    pub old: Verdict,
    pub new: Verdict,
    pub reason: Reason,
    /// The incident that this opens or closes, by the `seq` that opened it.
    pub incident: Option<u64>,
}

/// What people should hear of a monitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    Down,
    /// It answers again, or answers quickly again.
    Up,
    /// Still down, and nobody has acknowledged it.
    Reminder,
    /// It answers, but slowly.
    Degraded,
    /// A certificate ends soon.
    Expiry,
    /// The incident ended without a recovery: paused or deleted.
    Closed,
}

impl NoticeKind {
    pub const ALL: [Self; 6] = [Self::Down, Self::Up, Self::Reminder, Self::Degraded, Self::Expiry, Self::Closed];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Up => "up",
            Self::Reminder => "reminder",
            Self::Degraded => "degraded",
            Self::Expiry => "expiry",
            Self::Closed => "closed",
        }
    }
}

/// One thing to tell, before it is known to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    pub kind: NoticeKind,
    /// The last transition at the time; with `tag` it makes the idempotency key.
    pub seq: u64,
    /// `down`, `reminder-2`, `expiry-1772332200-7`: unique among the notices of one `seq`.
    pub tag: String,
    pub at: Timestamp,
    /// Since when it has been so.
    pub since: Timestamp,
    pub reason: Reason,
    /// The incident it belongs to: its `seq` and first failure.
    pub incident: Option<(u64, Timestamp)>,
    /// Which reminder this is, beginning with 1.
    pub reminder: Option<u32>,
    /// For `up` and `closed`: who was told of the failure.
    pub told: Vec<Slug>,
}

/// Decides what `event` means for a monitor. `now` never lies before an earlier call's by more than the
/// clock leapt, and a leap is an event of its own.
pub fn decide(policy: &Policy, state: &State, event: Event, now: Timestamp) -> Decision {
    let mut turn = Turn { policy, now, state: state.clone(), transition: None, notices: Vec::new() };
    let is_last = event == Event::Deleted;
    match event {
        Event::Observed(seen) => turn.observed(seen),
        Event::Pinged(ping) => turn.pinged(ping),
        Event::Woken => turn.woken(),
        Event::Returned { away_since } => turn.returned(away_since),
        Event::Snoozed { until } => turn.snoozed(until),
        Event::ClockMoved { by_ms } => turn.clock_moved(by_ms),
        Event::Acknowledged => turn.acknowledged(),
        Event::Paused => turn.paused(),
        Event::Resumed => turn.resumed(),
        Event::Changed => turn.changed(),
        Event::Deleted => turn.stop_looking(Reason::new("deleted", "Deleted: nobody looks any more")),
    }
    let wake_at = if is_last { None } else { wake_at(policy, &turn.state) };
    Decision { state: turn.state, transition: turn.transition, notices: turn.notices, wake_at }
}

/// When silence or patience runs out, given nothing else happens.
pub fn wake_at(policy: &Policy, state: &State) -> Option<Timestamp> {
    let reminder = state.incident.as_ref().and_then(|incident| incident.remind_at);
    let silence = deadline(policy, state).map(|(moment, _)| moment);
    [reminder, silence, doubtful_at(policy, state)].into_iter().flatten().min()
}

/// When the next look is due after one that began at `asked_at`: soon while something is being confirmed,
/// else `None` for the monitor's own grid.
pub fn recheck_at(policy: &Policy, state: &State, asked_at: Timestamp) -> Option<Timestamp> {
    (state.is_confirming() && !state.paused).then(|| asked_at + policy.retry_interval)
}

/// When a heartbeat's silence becomes a failure, and what would then be said.
pub fn deadline(policy: &Policy, state: &State) -> Option<(Timestamp, Reason)> {
    let expectation = policy.heartbeat.as_ref()?;
    let heard = state.heard.as_ref()?;
    if state.paused || state.verdict == Verdict::Down {
        return None;
    }
    let (grace, longest) = (expectation.grace, expectation.longest_run());
    let quiet_until = heard.excused_until.max(heard.snoozed.map(|snooze| snooze.judged_from));
    let finish = heard.runs.iter().map(|run| run.at).min().map(|began| {
        (began + longest, Reason::new("overrun", format!("Started, but not finished within {}", Span(longest))))
    });
    let ping = heard.finished.map(|finished| {
        let expected = expected(&expectation.schedule, finished);
        // A start breaks the silence, but starting again and again does not put off the end for ever.
        let patience = if finish.is_some() { grace + longest } else { grace };
        let moment = expected + patience;
        let said = if quiet_until > Some(moment) {
            format!("No ping since {}", minute(finished))
        } else {
            format!("No ping: expected {}", minute(expected))
        };
        (moment, Reason::new("silent", said))
    });
    let (moment, reason) = [finish, ping].into_iter().flatten().min_by_key(|(moment, _)| *moment)?;
    Some((quiet_until.map_or(moment, |quiet| moment.max(quiet)), reason))
}

/// When we say that we do not know whether a heartbeat called, because we were deaf when it should have.
pub fn doubtful_at(policy: &Policy, state: &State) -> Option<Timestamp> {
    let heard = state.heard.as_ref().filter(|_| policy.heartbeat.is_some() && !state.paused)?;
    let doubt = heard.doubt.filter(|_| !matches!(state.verdict, Verdict::Down | Verdict::Unknown))?;
    Some(heard.snoozed.map_or(doubt.said_at, |snooze| doubt.said_at.max(snooze.judged_from)))
}

/// When a heartbeat calls next if it calls as it should; `None` until it has called for the first time.
pub fn next_expected(policy: &Policy, state: &State) -> Option<Timestamp> {
    let finished = state.heard.as_ref()?.finished?;
    Some(expected(&policy.heartbeat.as_ref()?.schedule, finished))
}

/// Senders' clocks differ from ours: a ping this much before its moment is the one that was awaited.
const EARLY: Duration = Duration::from_secs(60);

/// When a heartbeat is expected after one that finished at `finished`.
fn expected(schedule: &Schedule, finished: Timestamp) -> Timestamp {
    let next = schedule.after(finished);
    if !schedule.is_by_the_wall() {
        return next;
    }
    let following = schedule.after(next);
    let early = EARLY.min(following.since(next) / 10);
    if next.since(finished) <= early { following } else { next }
}

fn minute(moment: Timestamp) -> String {
    moment.to_jiff().strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// So many certificates of one monitor are told apart.
const MOST_CERTIFICATES: usize = 8;

/// One call of [`decide`] while it happens.
struct Turn<'a> {
    policy: &'a Policy,
    now: Timestamp,
    state: State,
    transition: Option<Transition>,
    notices: Vec<Notice>,
}

impl Turn<'_> {
    fn observed(&mut self, seen: Observation) {
        if self.state.paused || seen.rev != self.policy.rev || seen.rev != self.state.rev {
            return;
        }
        if let (Some(expires_at), Sight::Ok | Sight::Slow(_)) = (seen.expires_at, &seen.sight) {
            self.warn_of_expiry(expires_at);
        }
        // Asked before a clock went back, it would stand in the way of all that is asked from now on.
        let at = seen.asked_at.min(self.now);
        match seen.sight {
            Sight::Local(reason) | Sight::Missed(reason) => self.could_not_look(at, reason),
            Sight::Fail(reason) => self.failed(at, reason),
            Sight::Slow(reason) => self.answered(at, Some(reason)),
            Sight::Ok => self.answered(at, None),
        }
    }

    /// A gap. It neither accuses nor acquits; when it lasts, we say that we do not know.
    fn could_not_look(&mut self, at: Timestamp, reason: Reason) {
        let patience = self.policy.interval * 2;
        let blind = continued(self.state.blind.take(), at, reason, Duration::MAX);
        let lasting = blind.last.since(blind.since) >= patience;
        // Frozen once it has been said, so that a long blindness writes nothing more.
        if lasting && self.state.verdict != Verdict::Down && self.state.verdict != Verdict::Unknown {
            self.state.failing = None;
            self.state.passing = None;
            self.state.slow = None;
            let reason = blind.reason.clone().unwrap_or_else(|| Reason::new("local", "We could not look"));
            self.state.blind = Some(blind.clone());
            self.move_to(Verdict::Unknown, blind.since, reason, None);
        } else if lasting {
            self.state.blind = Some(Run { count: blind.count.min(2), last: blind.since + patience, ..blind });
        } else {
            self.state.blind = Some(blind);
        }
    }

    fn failed(&mut self, at: Timestamp, reason: Reason) {
        self.state.blind = None;
        self.state.passing = None;
        self.state.slow = None;
        if self.state.incident.is_some() {
            return;
        }
        let run = continued(self.state.failing.take(), at, reason, self.longest_pause());
        if run.count >= self.policy.failure_threshold {
            let reason = run.reason.clone().unwrap_or_else(|| Reason::new("failed", "It failed"));
            self.go_down(run.since, reason);
        } else {
            self.state.failing = Some(run);
        }
    }

    fn answered(&mut self, at: Timestamp, slow: Option<Reason>) {
        self.state.blind = None;
        self.state.failing = None;
        match self.state.verdict {
            Verdict::Pending => self.go_up(at, Reason::new("answers", "It answers")),
            Verdict::Down | Verdict::Unknown => self.confirm_up(at, Reason::new("recovered", "It answers again")),
            Verdict::Up => match slow {
                None => self.state.slow = None,
                Some(reason) => self.answered_slowly(at, reason),
            },
            Verdict::Degraded => match slow {
                None => self.confirm_up(at, Reason::new("quick", "It answers quickly again")),
                Some(_) => self.state.passing = None,
            },
        }
    }

    fn answered_slowly(&mut self, at: Timestamp, reason: Reason) {
        let run = continued(self.state.slow.take(), at, reason, self.longest_pause());
        if run.count < self.policy.slow_threshold {
            self.state.slow = Some(run);
            return;
        }
        let reason = run.reason.clone().unwrap_or_else(|| Reason::new("slow", "It answers slowly"));
        self.move_to(Verdict::Degraded, run.since, reason.clone(), None);
        self.state.told_degraded = Some(Vec::new());
        self.tell(NoticeKind::Degraded, "degraded".into(), run.since, reason, None, Vec::new());
    }

    fn confirm_up(&mut self, at: Timestamp, reason: Reason) {
        let run = continued(self.state.passing.take(), at, reason.clone(), self.longest_pause());
        if run.count >= self.policy.success_threshold {
            self.go_up(run.since, reason);
        } else {
            self.state.passing = Some(run);
        }
    }

    fn go_down(&mut self, since: Timestamp, reason: Reason) {
        self.state.failing = None;
        let seq = self.state.seq + 1;
        self.move_to(Verdict::Down, since, reason.clone(), Some(seq));
        self.state.incident = Some(OpenIncident {
            seq,
            since,
            reason: reason.clone(),
            told: Vec::new(),
            reminders: 0,
            remind_at: self.policy.remind_every.map(|every| self.now + every),
            acknowledged: false,
        });
        self.tell(NoticeKind::Down, "down".into(), since, reason, Some((seq, since)), Vec::new());
    }

    fn go_up(&mut self, since: Timestamp, reason: Reason) {
        self.state.passing = None;
        self.state.slow = None;
        self.end(Verdict::Up, NoticeKind::Up, since, reason);
    }

    /// Closes what is open and tells whoever heard of it, exactly once.
    fn end(&mut self, verdict: Verdict, kind: NoticeKind, since: Timestamp, reason: Reason) {
        let incident = self.state.incident.take();
        let degraded = self.state.told_degraded.take();
        self.move_to(verdict, since, reason.clone(), incident.as_ref().map(|incident| incident.seq));
        let opened = incident.as_ref().map(|incident| (incident.seq, incident.since));
        let told: Vec<Slug> =
            incident.into_iter().flat_map(|incident| incident.told).chain(degraded.into_iter().flatten()).collect();
        if !told.is_empty() {
            self.tell(kind, kind.name().into(), since, reason, opened, told);
        }
    }

    fn paused(&mut self) {
        if !self.state.paused {
            self.stop_looking(Reason::new("paused", "Paused: nobody looks for now"));
            self.state.paused = true;
        }
    }

    fn stop_looking(&mut self, reason: Reason) {
        self.forget_counters();
        if self.state.verdict != Verdict::Pending && self.state.verdict != Verdict::Unknown {
            self.end(Verdict::Unknown, NoticeKind::Closed, self.now, reason);
        } else if self.state.told_degraded.is_some() {
            // Degraded, then unknown: those who heard of the first still wait for an end.
            let told = self.state.told_degraded.take().unwrap_or_default();
            if !told.is_empty() {
                self.tell(NoticeKind::Closed, "closed".into(), self.now, reason, None, told);
            }
        }
    }

    fn resumed(&mut self) {
        if self.state.paused {
            self.state.paused = false;
            self.expect_anew();
        }
    }

    fn changed(&mut self) {
        self.state.rev = self.policy.rev;
        self.forget_counters();
        // By the new settings it may have been silent for too long already, and could not know.
        let silence = deadline(self.policy, &self.state).map(|(moment, _)| moment);
        if [silence, doubtful_at(self.policy, &self.state)].into_iter().flatten().any(|moment| moment <= self.now) {
            self.expect_anew();
        }
        let (every, now) = (self.policy.remind_every, self.now);
        if let Some(incident) = &mut self.state.incident
            && !incident.acknowledged
        {
            incident.remind_at = every.map(|every| incident.remind_at.map_or(now + every, |due| due.min(now + every)));
        }
    }

    /// Silence so far is forgiven: the next ping is the one that is expected after now.
    fn expect_anew(&mut self) {
        if let (Some(Expectation { schedule, grace, .. }), Some(heard)) =
            (&self.policy.heartbeat, &mut self.state.heard)
        {
            heard.excuse(schedule.after(self.now) + *grace);
            heard.doubt = None;
        }
    }

    fn forget_counters(&mut self) {
        self.state.failing = None;
        self.state.passing = None;
        self.state.slow = None;
        self.state.blind = None;
    }

    fn acknowledged(&mut self) {
        if let Some(incident) = &mut self.state.incident {
            incident.acknowledged = true;
            incident.remind_at = None;
        }
    }

    fn woken(&mut self) {
        if self.state.paused {
            return;
        }
        if let Some((moment, reason)) = deadline(self.policy, &self.state)
            && moment <= self.now
        {
            self.go_down(moment, reason);
        } else if let Some(moment) = doubtful_at(self.policy, &self.state)
            && moment <= self.now
        {
            self.do_not_know(moment);
        }
        self.remind();
    }

    /// The ping is missing, and may have come while we were deaf.
    fn do_not_know(&mut self, since: Timestamp) {
        let Some(doubt) = self.state.heard.as_ref().and_then(|heard| heard.doubt) else { return };
        self.forget_counters();
        let said =
            format!("May have called while we were not listening: {} to {}", minute(doubt.from), minute(doubt.to));
        self.move_to(Verdict::Unknown, since, Reason::new("deaf", said), None);
    }

    fn remind(&mut self) {
        let now = self.now;
        let (Some(every), Some(incident)) = (self.policy.remind_every, &mut self.state.incident) else { return };
        if incident.acknowledged || incident.remind_at.is_none_or(|due| due > now) {
            return;
        }
        // One for all that fell due while we were away.
        incident.reminders += 1;
        incident.remind_at = Some(now + every);
        let (n, opened, reason) = (incident.reminders, (incident.seq, incident.since), incident.reason.clone());
        self.tell(NoticeKind::Reminder, format!("reminder-{n}"), opened.1, reason, Some(opened), Vec::new());
        if let Some(notice) = self.notices.last_mut() {
            notice.reminder = Some(n);
        }
    }

    fn pinged(&mut self, ping: Ping) {
        let at = ping.at.min(self.now);
        let failure = match ping.signal {
            Signal::Log => return,
            Signal::Start => {
                self.state.heard.get_or_insert_with(Heard::default).begin(at, ping.run);
                return;
            }
            Signal::Success => None,
            Signal::Fail(reason) => Some(reason),
        };
        let heard = self.state.heard.get_or_insert_with(Heard::default);
        let began = heard.end(at, ping.run);
        let shortest = self.policy.heartbeat.as_ref().and_then(|expectation| expectation.min_run);
        let failure = failure.or_else(|| {
            let took = at.since(began?);
            let shortest = shortest.filter(|shortest| took < *shortest)?;
            let said = format!("Finished after {}, sooner than {}", Span(took), Span(shortest));
            Some(Reason::new("too_quick", said))
        });
        let is_quiet = heard.snoozed.is_some_and(|snooze| snooze.until > self.now);
        match failure {
            _ if self.state.paused => {}
            None => {
                self.state.failing = None;
                if self.state.verdict != Verdict::Up {
                    self.go_up(at, Reason::new("pinged", "It called in"));
                }
            }
            Some(reason) if self.state.incident.is_none() && !is_quiet => self.run_failed(at, reason),
            Some(_) => {}
        }
    }

    fn run_failed(&mut self, at: Timestamp, reason: Reason) {
        let threshold = self.policy.heartbeat.as_ref().map_or(1, |expectation| expectation.failure_threshold);
        let run = continued(self.state.failing.take(), at, reason, Duration::MAX);
        if run.count >= threshold {
            let reason = run.reason.clone().unwrap_or_else(|| Reason::new("failed", "It failed"));
            self.go_down(run.since, reason);
        } else {
            self.state.failing = Some(run);
        }
    }

    /// Whoever was to call while nobody listened may have called in vain. We cannot know; if the next ping is
    /// missing too, we can.
    fn returned(&mut self, away_since: Timestamp) {
        let Some(expectation) = &self.policy.heartbeat else { return };
        let Some((moment, _)) = deadline(self.policy, &self.state) else { return };
        let doubtful_at = doubtful_at(self.policy, &self.state);
        let Some(heard) = &mut self.state.heard else { return };
        let now = self.now;
        let again = now + expectation.grace.min(expectation.schedule.period(now));
        if let Some(doubt) = heard.doubt.as_mut().filter(|_| doubtful_at >= Some(away_since)) {
            doubt.said_at = doubt.said_at.max(again);
        }
        let expected = heard.finished.map(|finished| expected(&expectation.schedule, finished));
        let awaited = heard.doubt.map(|doubt| doubt.next).or(expected);
        let awaited_from = heard.runs.iter().map(|run| run.at).min().or(awaited.map(|awaited| awaited - EARLY));
        if moment < away_since || awaited_from.is_none_or(|from| from > now) {
            return;
        }
        if expectation.strict {
            heard.excuse(again);
            return;
        }
        let next = expectation.schedule.after(awaited.map_or(now, |awaited| awaited.max(now)));
        let run = if heard.runs.is_empty() { Duration::ZERO } else { expectation.longest_run() };
        heard.excuse(next + expectation.grace + run);
        heard.doubt = Some(Doubt { from: away_since, to: now, said_at: moment.max(again), next });
    }

    fn snoozed(&mut self, until: Timestamp) {
        let Some(Expectation { schedule, grace, .. }) = &self.policy.heartbeat else { return };
        let heard = self.state.heard.get_or_insert_with(Heard::default);
        let was_quiet = heard.snoozed.is_some();
        heard.snoozed = (until > self.now).then(|| Snooze { until, judged_from: schedule.after(until) + *grace });
        if was_quiet && heard.snoozed.is_none() {
            self.expect_anew();
        }
    }

    fn clock_moved(&mut self, by_ms: i64) {
        let waiting = deadline(self.policy, &self.state).map(|(moment, _)| moment.shifted(by_ms));
        let state = &mut self.state;
        for run in [&mut state.failing, &mut state.passing, &mut state.slow, &mut state.blind].into_iter().flatten() {
            run.since = run.since.shifted(by_ms);
            run.last = run.last.shifted(by_ms);
        }
        if let Some(incident) = &mut state.incident {
            incident.remind_at = incident.remind_at.map(|due| due.shifted(by_ms));
        }
        if let Some(heard) = &mut state.heard {
            let doubt = heard.doubt.iter_mut().flat_map(|it| [&mut it.from, &mut it.to, &mut it.said_at, &mut it.next]);
            let snooze = heard.snoozed.iter_mut().flat_map(|it| [&mut it.until, &mut it.judged_from]);
            let last = [&mut heard.finished, &mut heard.excused_until].into_iter().flatten();
            for moment in last.chain(heard.runs.iter_mut().map(|run| &mut run.at)).chain(doubt).chain(snooze) {
                *moment = moment.shifted(by_ms);
            }
            // Cron goes by the clock on the wall, which now shows another day: whichever is later, the wait that
            // was left or the moment that the clock brings next.
            if let (Some(waiting), Some(Expectation { schedule, grace, .. })) = (waiting, &self.policy.heartbeat)
                && schedule.is_by_the_wall()
            {
                let next = schedule.after(self.now - *grace) + *grace;
                heard.excuse(if heard.runs.is_empty() { waiting.max(next) } else { waiting });
            }
        }
    }

    fn warn_of_expiry(&mut self, expires_at: Timestamp) {
        const DAY_MS: i64 = 86_400_000;
        let left_ms = expires_at.as_millis() - self.now.as_millis();
        let reached = self.policy.expiry_days.iter().copied().filter(|&days| left_ms <= i64::from(days) * DAY_MS).min();
        let Some(days) = reached.filter(|_| left_ms > 0) else { return };
        // Several are remembered: a name may be served by machines whose certificates differ.
        let warned = &mut self.state.warned;
        match warned.iter_mut().find(|warned| warned.expires_at == expires_at) {
            Some(known) if known.days <= days => return,
            Some(known) => known.days = days,
            None => {
                if warned.len() == MOST_CERTIFICATES {
                    warned.remove(0);
                }
                warned.push(Warned { expires_at, days });
            }
        }
        let left = left_ms / DAY_MS;
        let length = match left {
            0 => "less than a day".to_owned(),
            1 => "1 day".to_owned(),
            n => format!("{n} days"),
        };
        let reason = Reason::new("expiry", format!("The certificate ends in {length}, on {}", minute(expires_at)));
        let tag = format!("expiry-{}-{days}", expires_at.as_secs());
        self.tell(NoticeKind::Expiry, tag, self.now, reason, None, Vec::new());
    }

    fn move_to(&mut self, new: Verdict, since: Timestamp, reason: Reason, incident: Option<u64>) {
        let at = self.now.max(self.state.moved_at);
        let old = std::mem::replace(&mut self.state.verdict, new);
        self.state.seq += 1;
        self.state.since = since;
        self.state.moved_at = at;
        self.transition = Some(Transition { seq: self.state.seq, at, since, old, new, reason, incident });
    }

    fn tell(
        &mut self,
        kind: NoticeKind,
        tag: String,
        since: Timestamp,
        reason: Reason,
        incident: Option<(u64, Timestamp)>,
        told: Vec<Slug>,
    ) {
        let at = self.now.max(self.state.moved_at);
        self.notices.push(Notice { kind, seq: self.state.seq, tag, at, since, reason, incident, reminder: None, told });
    }

    /// Results further apart than this are not "in a row": something else was the matter in between.
    fn longest_pause(&self) -> Duration {
        self.policy.interval.max(self.policy.retry_interval) * 2 + self.policy.timeout
    }
}

/// The run with one more result, or a new one if there was none, it is too old, or this result is no later.
fn continued(run: Option<Run>, at: Timestamp, reason: Reason, longest_pause: Duration) -> Run {
    match run {
        Some(run) if at <= run.last => run,
        Some(run) if at.since(run.last) <= longest_pause => {
            Run { count: run.count + 1, last: at, reason: Some(reason), since: run.since }
        }
        _ => Run { count: 1, since: at, last: at, reason: Some(reason) },
    }
}

/// So many runs at once are told apart, and so many names of ended ones remembered; then the oldest are forgotten.
const MOST_RUNS: usize = 8;

impl Heard {
    /// When the run began that a finish of this name ends, if its start was heard.
    pub fn began(&self, run: Option<RunId>) -> Option<Timestamp> {
        self.runs.iter().find(|open| open.id == run).map(|open| open.at)
    }

    fn begin(&mut self, at: Timestamp, run: Option<RunId>) {
        // Overtaken by the finish of its own run, it begins nothing.
        let is_over = match run {
            Some(id) => self.ended.contains(&id),
            None => self.finished.is_some_and(|finished| at < finished),
        };
        if is_over {
            return;
        }
        self.runs.retain(|open| open.id != run);
        self.runs.push(OpenRun { at, id: run });
        if self.runs.len() > MOST_RUNS {
            self.runs.remove(0);
        }
    }

    /// Notes a success or failure. Without a name it ends whatever was going on; a name that nobody began ends the
    /// run that has none. Gives the beginning of its own run.
    fn end(&mut self, at: Timestamp, run: Option<RunId>) -> Option<Timestamp> {
        let began = self.began(run);
        match run {
            None => self.runs.clear(),
            Some(_) if began.is_some() => self.runs.retain(|open| open.id != run),
            Some(_) => self.runs.retain(|open| open.id.is_some()),
        }
        if let Some(id) = run.filter(|id| !self.ended.contains(id)) {
            self.ended.push(id);
            if self.ended.len() > MOST_RUNS {
                self.ended.remove(0);
            }
        }
        self.finished = Some(self.finished.map_or(at, |finished| finished.max(at)));
        self.excused_until = None;
        self.doubt = None;
        began
    }

    /// Silence is not judged before `moment`.
    fn excuse(&mut self, moment: Timestamp) {
        self.excused_until = Some(self.excused_until.map_or(moment, |excused| excused.max(moment)));
    }
}

impl State {
    /// Notes who was told, so that the same people hear the end.
    pub fn note_told(&mut self, kind: NoticeKind, channels: impl IntoIterator<Item = Slug>) {
        let told = match kind {
            NoticeKind::Down | NoticeKind::Reminder => self.incident.as_mut().map(|incident| &mut incident.told),
            NoticeKind::Degraded => self.told_degraded.as_mut(),
            NoticeKind::Up | NoticeKind::Expiry | NoticeKind::Closed => None,
        };
        if let Some(told) = told {
            for channel in channels {
                if !told.contains(&channel) {
                    told.push(channel);
                }
            }
        }
    }
}
