//! One monitor as the engine runs it: decides, routes, notes who was told, wakes when asked to. Everything that
//! happens is shown to the ledger, and to the reference if there is one.

use watchbell_core::decide::{Decision, Event, Notice, NoticeKind, Transition, decide};
use watchbell_core::route::{Routes, route};
use watchbell_core::{Policy, Slug, State, Timestamp};

use crate::act::{self, Act};
use crate::ledger::{Ledger, Step};
use crate::reference::Reference;

/// What is being tested: the real rules, or some with a mistake planted in them.
#[derive(Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) decide: fn(&Policy, &State, Event, Timestamp) -> Decision,
    pub(crate) note_told: fn(&mut State, NoticeKind, Vec<Slug>),
}

pub(crate) const REAL: Rules = Rules { decide, note_told: State::note_told };

/// A monitor, its engine, and the clocks.
pub(crate) struct Machine {
    rules: Rules,
    pub(crate) policy: Policy,
    pub(crate) state: State,
    pub(crate) routes: Routes,
    /// A stopwatch that no leap of the wall clock disturbs; it began with the story's first moment.
    boot: Timestamp,
    /// How far the wall clock has leapt from it.
    leap_ms: i64,
    wake_at: Option<Timestamp>,
    deleted: bool,
    ledger: Ledger,
    reference: Option<Reference>,
}

/// What came of one event.
#[derive(Clone, Debug)]
pub(crate) struct Happened {
    /// By the stopwatch.
    pub(crate) boot: Timestamp,
    /// What happened; `None` if the machine woke by itself.
    pub(crate) act: Option<Act>,
    pub(crate) transition: Option<Transition>,
    /// Each with those who hear it.
    pub(crate) notices: Vec<(Notice, Vec<Slug>)>,
}

impl Happened {
    pub(crate) fn is_quiet(&self) -> bool {
        self.transition.is_none() && self.notices.is_empty()
    }
}

impl Machine {
    pub(crate) fn new(rules: Rules, policy: Policy, routes: Routes, start: Timestamp) -> Self {
        let state = State::new(start, policy.rev);
        Self {
            ledger: Ledger::new(&state),
            reference: None,
            rules,
            policy,
            state,
            routes,
            boot: start,
            leap_ms: 0,
            wake_at: None,
            deleted: false,
        }
    }

    pub(crate) fn with_reference(mut self) -> Self {
        self.reference = Some(Reference::new(self.policy.clone(), self.routes.notify.clone(), self.boot));
        self
    }

    pub(crate) fn boot(&self) -> Timestamp {
        self.boot
    }

    /// What the clock on the wall shows.
    pub(crate) fn wall(&self) -> Timestamp {
        self.boot.shifted(self.leap_ms)
    }

    /// When the machine wants to be woken, by the stopwatch.
    pub(crate) fn wakes(&self) -> Option<Timestamp> {
        self.wake_at.filter(|_| !self.deleted).map(|moment| moment.shifted(-self.leap_ms))
    }

    /// Plays `act` at a moment of the stopwatch, and before it every waking that falls between.
    pub(crate) fn play(&mut self, at: Timestamp, act: &Act) -> Result<Vec<Happened>, String> {
        let mut happened = Vec::new();
        let asleep_from = match act {
            Act::Late => self.boot,
            Act::Returned { away_ms } => at.shifted(-away_ms),
            _ => at,
        };
        while let Some(wakes) = self.wakes().map(|wakes| wakes.max(self.boot)).filter(|wakes| *wakes < asleep_from) {
            self.boot = wakes;
            happened.push(self.happen(&Event::Woken, None)?);
        }
        self.boot = at;
        let mut came = Happened { boot: at, act: Some(act.clone()), transition: None, notices: Vec::new() };
        match act {
            Act::Notify(channels) => {
                self.routes.notify.clone_from(channels);
                if let Some(reference) = &mut self.reference {
                    reference.notify(channels);
                }
            }
            Act::Nothing | Act::Late => {
                while self.wakes().is_some_and(|wakes| wakes <= at) {
                    let woken = self.happen(&Event::Woken, Some(act))?;
                    came.transition = came.transition.or(woken.transition);
                    came.notices.extend(woken.notices);
                }
            }
            act => {
                if let Act::Change(settings) = act {
                    act::apply(&mut self.policy, settings);
                    self.policy.rev += 1;
                }
                if let Act::Clock { by_ms } = act {
                    self.leap_ms += by_ms;
                }
                let event = act.event(&self.policy, self.wall()).expect("only what is handled above is no event");
                came = self.happen(&event, Some(act))?;
            }
        }
        happened.push(came);
        Ok(happened)
    }

    /// One event as the engine handles it.
    pub(crate) fn happen(&mut self, event: &Event, act: Option<&Act>) -> Result<Happened, String> {
        let now = self.wall();
        let decision = (self.rules.decide)(&self.policy, &self.state, event.clone(), now);
        let mut after = decision.state.clone();
        let mut notices = Vec::new();
        for notice in &decision.notices {
            let told: Vec<Slug> = route(notice, &self.routes).into_iter().map(|recipient| recipient.channel).collect();
            (self.rules.note_told)(&mut after, notice.kind, told.clone());
            notices.push((notice.clone(), told));
        }
        let step = Step {
            rules: self.rules,
            policy: &self.policy,
            before: &self.state,
            event,
            now,
            boot: self.boot,
            decision: &decision,
            notices: &notices,
            after: &after,
        };
        self.ledger.check(&step)?;
        if let Some(reference) = &mut self.reference {
            reference.check(&step)?;
        }
        self.deleted |= *event == Event::Deleted;
        self.state = after;
        self.wake_at = decision.wake_at;
        Ok(Happened { boot: self.boot, act: act.cloned(), transition: decision.transition, notices })
    }
}
