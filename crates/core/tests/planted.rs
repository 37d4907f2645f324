//! Mistakes planted in the rules, to show that the tests bite: each is found within a thousand random stories, most
//! of them by the invariants alone, and by the one that its sentence names.

use watchbell_core::decide::{Decision, Event, NoticeKind, Sight, decide};
use watchbell_core::{Policy, Slug, State, Timestamp, Verdict};

use crate::machine::{REAL, Rules};
use crate::random;

const STORIES: u64 = 1000;

/// Plays until something is found; what, and by which story.
fn hunt(rules: Rules, with_reference: bool) -> Option<(u64, String)> {
    (0..STORIES).find_map(|seed| random::story(seed).play(rules, with_reference).err().map(|why| (seed, why)))
}

/// The mistake is found by the invariants, and the first to speak is one of `named`.
fn found_by(named: &[&str], rules: Rules) {
    let (seed, why) = hunt(rules, false).expect("no invariant notices the mistake");
    assert!(named.iter().any(|name| why.starts_with(name)), "seed {seed} finds something else: {why}");
}

/// No invariant speaks of it, but the reference does otherwise.
fn found_by_the_reference(rules: Rules) {
    let (_, why) = hunt(rules, true).expect("the reference makes the same mistake");
    assert!(why.starts_with("reference"), "{why}");
}

const fn deciding(decide: fn(&Policy, &State, Event, Timestamp) -> Decision) -> Rules {
    Rules { decide, ..REAL }
}

#[test]
fn the_real_rules_are_not_accused() {
    assert_eq!(hunt(REAL, true), None);
}

#[test]
fn counting_our_own_trouble_as_a_failure_is_found() {
    fn wrong(policy: &Policy, state: &State, event: Event, now: Timestamp) -> Decision {
        let event = match event {
            Event::Observed(mut seen) => {
                if let Sight::Local(why) = seen.sight {
                    seen.sight = Sight::Fail(why);
                }
                Event::Observed(seen)
            }
            other => other,
        };
        decide(policy, state, event, now)
    }
    found_by(&["I11", "I12"], deciding(wrong));
}

#[test]
fn forgetting_who_was_told_is_found() {
    fn wrong(_: &mut State, _: NoticeKind, _: Vec<Slug>) {}
    found_by(&["I8"], Rules { note_told: wrong, ..REAL });
}

#[test]
fn forgetting_who_was_told_by_a_reminder_is_found() {
    fn wrong(state: &mut State, kind: NoticeKind, channels: Vec<Slug>) {
        if kind != NoticeKind::Reminder {
            state.note_told(kind, channels);
        }
    }
    found_by(&["I8"], Rules { note_told: wrong, ..REAL });
}

#[test]
fn opening_one_failure_too_soon_is_found() {
    fn wrong(policy: &Policy, state: &State, event: Event, now: Timestamp) -> Decision {
        let hasty = Policy { failure_threshold: (policy.failure_threshold - 1).max(1), ..policy.clone() };
        decide(&hasty, state, event, now)
    }
    found_by(&["I11"], deciding(wrong));
}

#[test]
fn opening_one_failure_too_late_is_found() {
    fn wrong(policy: &Policy, state: &State, event: Event, now: Timestamp) -> Decision {
        let slack = Policy { failure_threshold: policy.failure_threshold + 1, ..policy.clone() };
        decide(&slack, state, event, now)
    }
    found_by_the_reference(deciding(wrong));
}

#[test]
fn losing_a_number_is_found() {
    fn wrong(policy: &Policy, state: &State, event: Event, now: Timestamp) -> Decision {
        let mut decision = decide(policy, state, event, now);
        if decision.transition.as_ref().is_some_and(|moved| moved.new == Verdict::Unknown) {
            decision.state.seq -= 1;
        }
        decision
    }
    found_by(&["I1:", "I3", "I24"], deciding(wrong));
}

#[test]
fn believing_results_of_older_settings_is_found() {
    fn wrong(policy: &Policy, state: &State, event: Event, now: Timestamp) -> Decision {
        let event = match event {
            Event::Observed(mut seen) => {
                seen.rev = policy.rev;
                Event::Observed(seen)
            }
            other => other,
        };
        decide(policy, state, event, now)
    }
    found_by(&["I11", "I12"], deciding(wrong));
}

#[test]
fn looking_on_while_paused_is_found() {
    fn wrong(policy: &Policy, state: &State, event: Event, now: Timestamp) -> Decision {
        let awake = State { paused: state.paused && !matches!(event, Event::Observed(_)), ..state.clone() };
        let mut decision = decide(policy, &awake, event, now);
        decision.state.paused |= state.paused;
        decision
    }
    found_by(&["I10"], deciding(wrong));
}

#[test]
fn pausing_without_a_word_is_found() {
    fn wrong(policy: &Policy, state: &State, event: Event, now: Timestamp) -> Decision {
        let mut decision = decide(policy, state, event, now);
        decision.notices.retain(|notice| notice.kind != NoticeKind::Closed);
        decision
    }
    found_by(&["I8"], deciding(wrong));
}

#[test]
fn reminding_after_an_acknowledgement_is_found() {
    fn wrong(policy: &Policy, state: &State, event: Event, now: Timestamp) -> Decision {
        let acknowledged = event == Event::Acknowledged;
        let mut decision = decide(policy, state, event, now);
        if acknowledged {
            decision.state = state.clone();
            decision.wake_at = watchbell_core::decide::wake_at(policy, state);
        }
        decision
    }
    found_by(&["I21"], deciding(wrong));
}

#[test]
fn reminding_too_often_is_found() {
    fn wrong(policy: &Policy, state: &State, event: Event, now: Timestamp) -> Decision {
        let hasty = Policy { remind_every: policy.remind_every.map(|every| every / 2), ..policy.clone() };
        decide(&hasty, state, event, now)
    }
    found_by(&["I21"], deciding(wrong));
}

#[test]
fn letting_the_clock_leap_through_is_found() {
    fn wrong(policy: &Policy, state: &State, event: Event, now: Timestamp) -> Decision {
        match event {
            Event::ClockMoved { .. } => decide(policy, state, Event::ClockMoved { by_ms: 0 }, now),
            other => decide(policy, state, other, now),
        }
    }
    found_by(&["I22"], deciding(wrong));
}

#[test]
fn taking_the_silence_of_a_pause_for_a_failure_is_found() {
    fn wrong(policy: &Policy, state: &State, event: Event, now: Timestamp) -> Decision {
        let resumed = event == Event::Resumed;
        let mut decision = decide(policy, state, event, now);
        if resumed && let Some(heard) = &mut decision.state.heard {
            heard.excused_until = None;
        }
        decision
    }
    found_by(&["I10"], deciding(wrong));
}

#[test]
fn taking_the_silence_of_our_absence_for_a_failure_is_found() {
    fn wrong(policy: &Policy, state: &State, event: Event, now: Timestamp) -> Decision {
        match event {
            Event::Returned { .. } => decide(policy, state, Event::Returned { away_since: now }, now),
            other => decide(policy, state, other, now),
        }
    }
    found_by(&["I23"], deciding(wrong));
}

#[test]
fn being_sure_of_what_came_while_we_were_deaf_is_found() {
    fn wrong(policy: &Policy, state: &State, event: Event, now: Timestamp) -> Decision {
        let returned = matches!(event, Event::Returned { .. });
        let mut strict = policy.clone();
        if let Some(expectation) = &mut strict.heartbeat {
            expectation.strict |= returned;
        }
        decide(&strict, state, event, now)
    }
    found_by_the_reference(deciding(wrong));
}

#[test]
fn ending_every_run_with_the_first_finish_is_found() {
    fn wrong(policy: &Policy, state: &State, event: Event, now: Timestamp) -> Decision {
        let event = match event {
            Event::Pinged(ping) => Event::Pinged(watchbell_core::decide::Ping { run: None, ..ping }),
            other => other,
        };
        decide(policy, state, event, now)
    }
    found_by_the_reference(deciding(wrong));
}

#[test]
fn taking_new_settings_for_old_silence_is_found() {
    fn wrong(policy: &Policy, state: &State, event: Event, now: Timestamp) -> Decision {
        let changed = event == Event::Changed;
        let mut decision = decide(policy, state, event, now);
        if changed && let (Some(heard), Some(before)) = (&mut decision.state.heard, &state.heard) {
            heard.excused_until = before.excused_until;
        }
        decision
    }
    found_by(&["I11"], deciding(wrong));
}

#[test]
fn telling_the_end_twice_is_found() {
    fn wrong(policy: &Policy, state: &State, event: Event, now: Timestamp) -> Decision {
        let mut decision = decide(policy, state, event, now);
        if let Some(notice) = decision.notices.last().filter(|notice| notice.kind == NoticeKind::Up) {
            decision.notices.push(notice.clone());
        }
        decision
    }
    found_by(&["I2"], deciding(wrong));
}

#[test]
fn telling_nobody_of_a_failure_is_found() {
    fn wrong(policy: &Policy, state: &State, event: Event, now: Timestamp) -> Decision {
        let mut decision = decide(policy, state, event, now);
        if decision.state.seq % 5 == 4 {
            decision.notices.retain(|notice| notice.kind != NoticeKind::Down);
        }
        decision
    }
    found_by(&["I2"], deciding(wrong));
}

#[test]
fn forgetting_the_slowness_once_it_is_down_is_found() {
    fn wrong(policy: &Policy, state: &State, event: Event, now: Timestamp) -> Decision {
        let mut decision = decide(policy, state, event, now);
        if decision.state.verdict == Verdict::Down {
            decision.state.told_degraded = None;
        }
        decision
    }
    found_by(&["I8"], deciding(wrong));
}

#[test]
fn warning_of_a_certificate_again_and_again_is_found() {
    fn wrong(policy: &Policy, state: &State, event: Event, now: Timestamp) -> Decision {
        decide(policy, &State { warned: Vec::new(), ..state.clone() }, event, now)
    }
    found_by(&["I2"], deciding(wrong));
}

#[test]
fn remembering_something_that_is_not_stored_is_found() {
    fn wrong(policy: &Policy, state: &State, event: Event, now: Timestamp) -> Decision {
        use std::cell::Cell;
        thread_local!(static CALLS: Cell<u32> = const { Cell::new(0) });
        let calls = CALLS.replace(CALLS.get() + 1);
        let late = Policy { failure_threshold: policy.failure_threshold + calls % 2, ..policy.clone() };
        decide(&late, state, event, now)
    }
    found_by(&["I23"], deciding(wrong));
}

#[test]
fn deciding_against_the_order_of_time_is_found() {
    fn wrong(policy: &Policy, state: &State, event: Event, now: Timestamp) -> Decision {
        decide(policy, &State { moved_at: Timestamp::EPOCH, ..state.clone() }, event, now)
    }
    found_by(&["I1:", "I24"], deciding(wrong));
}

#[test]
fn waking_without_end_is_found() {
    fn wrong(policy: &Policy, state: &State, event: Event, now: Timestamp) -> Decision {
        let mut decision = decide(policy, state, event, now);
        decision.wake_at = decision.wake_at.map(|moment| moment.min(now));
        decision
    }
    found_by(&["wake"], deciding(wrong));
}

#[test]
fn forgetting_to_wake_is_found() {
    fn wrong(policy: &Policy, state: &State, event: Event, now: Timestamp) -> Decision {
        Decision { wake_at: None, ..decide(policy, state, event, now) }
    }
    found_by(&["I22"], deciding(wrong));
}

#[test]
fn closing_at_the_first_good_answer_is_found() {
    fn wrong(policy: &Policy, state: &State, event: Event, now: Timestamp) -> Decision {
        decide(&Policy { success_threshold: 1, ..policy.clone() }, state, event, now)
    }
    found_by_the_reference(deciding(wrong));
}

#[test]
fn dating_an_outage_by_its_confirmation_is_found() {
    fn wrong(policy: &Policy, state: &State, event: Event, now: Timestamp) -> Decision {
        let mut decision = decide(policy, state, event, now);
        if let Some(moved) = &mut decision.transition
            && moved.new == Verdict::Down
        {
            moved.since = moved.at;
            decision.state.since = moved.at;
        }
        decision
    }
    found_by_the_reference(deciding(wrong));
}

#[test]
fn counting_failures_that_lie_far_apart_is_found() {
    fn wrong(policy: &Policy, state: &State, event: Event, now: Timestamp) -> Decision {
        let patient = Policy { retry_interval: policy.retry_interval * 1000, ..policy.clone() };
        decide(&patient, state, event, now)
    }
    found_by_the_reference(deciding(wrong));
}

#[test]
fn never_saying_that_we_are_blind_is_found() {
    fn wrong(policy: &Policy, state: &State, event: Event, now: Timestamp) -> Decision {
        match &event {
            Event::Observed(seen) if matches!(seen.sight, Sight::Missed(_)) => decide(policy, state, Event::Woken, now),
            _ => decide(policy, state, event, now),
        }
    }
    found_by_the_reference(deciding(wrong));
}
