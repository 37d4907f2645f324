//! What does not change is not written: the store sees a monitor only when there is something to remember.

use std::time::Duration;

use watchbell_core::decide::{Event, Observation, Sight, decide};
use watchbell_core::{Policy, State};

use crate::act::reason;
use crate::story::START;

/// Plays equal looks, a minute apart, and gives how many of the last hundred changed the state.
fn writes(state: State, sight: &Sight) -> usize {
    let policy = Policy::default();
    let mut state = state;
    let mut changes = 0;
    for minute in 0..110 {
        let now = START + Duration::from_secs(60 * minute);
        let seen = Observation { asked_at: now, rev: policy.rev, sight: sight.clone(), expires_at: None };
        let next = decide(&policy, &state, Event::Observed(seen), now).state;
        changes += usize::from(minute >= 10 && next != state);
        state = next;
    }
    changes
}

#[test]
fn a_monitor_that_goes_on_as_it_was_writes_nothing() {
    let new = State::new(START, 1);
    for sight in [
        Sight::Ok,
        Sight::Fail(reason("refused")),
        Sight::Slow(reason("4 s")),
        Sight::Local(reason("network")),
        Sight::Missed(reason("overload")),
    ] {
        assert_eq!(writes(new.clone(), &sight), 0, "{sight:?}");
    }
}
