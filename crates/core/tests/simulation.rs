//! Targets that break and recover in truth, asked on the grid as the engine asks. Whatever we decide is compared
//! with what really was: long outages are told in time (I18), short ones and our own troubles never (I19).

use std::time::Duration;

use watchbell_core::decide::{Event, Observation, Sight, decide, recheck_at};
use watchbell_core::route::Routes;
use watchbell_core::schedule::Grid;
use watchbell_core::{Policy, State, Timestamp, Verdict};

use crate::act::{Act, channels, reason};
use crate::machine::{Happened, Machine, REAL, Rules};
use crate::random::Random;
use crate::story::START;

const LIVES: u64 = 2000;

/// An outage as it really was, by the stopwatch.
#[derive(Clone, Copy, Debug)]
struct Outage {
    from: Timestamp,
    to: Timestamp,
    /// Whether it is long enough that people must hear of it; else it is too short for them to.
    is_long: bool,
}

#[test]
fn long_outages_are_told_in_time_and_short_ones_never() {
    for seed in 0..LIVES {
        live(REAL, seed).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
    }
}

#[test]
fn a_machine_that_waits_for_one_failure_more_breaks_the_promise() {
    let slow = |policy: &Policy, state: &State, event: Event, now: Timestamp| {
        decide(&Policy { failure_threshold: policy.failure_threshold + 1, ..policy.clone() }, state, event, now)
    };
    let found = (0..LIVES).find_map(|seed| live(Rules { decide: slow, ..REAL }, seed).err());
    assert!(found.as_ref().is_some_and(|why| why.starts_with("I18")), "{found:?}");
}

#[test]
fn an_outage_is_too_long_to_be_overlooked_exactly_by_the_promised_measure() {
    // A minute's grid, three looks 20 seconds apart, 10 seconds each: what the README promises.
    assert_eq!(Policy::default().told_within(), Duration::from_secs(130));
    assert_eq!(Policy { failure_threshold: 1, ..Policy::default() }.told_within(), Duration::from_secs(70));
}

/// One monitor's life of a dozen outages.
fn live(rules: Rules, seed: u64) -> Result<(), String> {
    let random = &mut Random::new(seed);
    let policy = policy(random);
    let outages = outages(random, &policy);
    let mut machine = Machine::new(rules, policy.clone(), Routes { notify: channels("ops") }, START);
    let grid = Grid::new(seed as i64, policy.interval);
    let end = outages.last().map_or(START, |outage| outage.to) + calm(&policy);
    let mut told: Vec<Happened> = Vec::new();
    let mut ask_at = grid_start(grid, &machine);
    while ask_at < end {
        // Our own clock may leap while the target is well; the grid goes by the wall, so a look may come later.
        let is_calm = !outages
            .iter()
            .any(|outage| outage.from - calm(&policy) / 2 < ask_at && ask_at < outage.to + calm(&policy) / 2);
        if is_calm && random.in_hundred(3) {
            let by_ms = random.pick(&[3_600_000, -3_600_000, 315_576_000_000, -315_576_000_000, 4000]);
            let at = machine.boot();
            told.extend(machine.play(at, &Act::Clock { by_ms })?);
            ask_at = grid_start(grid, &machine);
        }
        let asked_at = ask_at;
        let took = Duration::from_millis(random.below(policy.timeout.as_millis() as i64 + 1) as u64);
        let back_at = asked_at + took;
        let sight = look(random, &outages, closed_within(&policy), asked_at, back_at);
        // By the wall as it was when the asking began.
        let leap_ms = machine.wall().as_millis() - machine.boot().as_millis();
        told.extend(machine.play(back_at, &Act::Nothing)?);
        let seen = Observation { asked_at: asked_at.shifted(leap_ms), rev: policy.rev, sight, expires_at: None };
        told.push(machine.happen(&Event::Observed(seen), None)?);
        let soon = recheck_at(&machine.policy, &machine.state, asked_at);
        ask_at = soon.map_or_else(|| grid_start(grid, &machine), |soon| soon.max(back_at));
    }
    judge(&policy, &outages, &told)
}

/// The beginning of the next slot, by the stopwatch.
fn grid_start(grid: Grid, machine: &Machine) -> Timestamp {
    let leap_ms = machine.wall().as_millis() - machine.boot().as_millis();
    grid.start(grid.next(machine.wall())).shifted(-leap_ms)
}

fn policy(random: &mut Random) -> Policy {
    let interval = Duration::from_secs(random.pick(&[20, 30, 60, 300]));
    Policy {
        interval,
        retry_interval: random.pick(&[Policy::default_retry(interval), Duration::from_secs(5), interval]),
        timeout: Duration::from_secs(random.pick(&[1, 5, 10])),
        failure_threshold: random.pick(&[1, 2, 3, 5]),
        success_threshold: random.pick(&[1, 2, 3]),
        remind_every: random.pick(&[None, Some(Duration::from_secs(60))]),
        ..Policy::default()
    }
}

/// Long enough between two outages for the first to be over and for one look to find nothing.
fn calm(policy: &Policy) -> Duration {
    policy.interval * 4 + closed_within(policy) * 2
}

/// The longest that a recovery can last untold: the next slot, then confirmation.
fn closed_within(policy: &Policy) -> Duration {
    let gap = policy.retry_interval.max(policy.timeout);
    policy.interval + gap * policy.success_threshold + policy.timeout * 2
}

/// What is too short to be told: all looks but the last cannot fit into it.
fn never_told(policy: &Policy) -> Duration {
    (policy.retry_interval * (policy.failure_threshold - 1)).saturating_sub(policy.timeout)
}

fn outages(random: &mut Random, policy: &Policy) -> Vec<Outage> {
    let mut at = START + policy.interval * 2 + policy.timeout;
    let mut outages = Vec::new();
    for _ in 0..12 {
        at = at + calm(policy) + Duration::from_millis(random.below(policy.interval.as_millis() as i64 * 3) as u64);
        let shortest_long = policy.told_within().as_millis() as i64;
        let longest_short = never_told(policy).as_millis() as i64;
        let is_long = longest_short <= 1 || random.in_hundred(50);
        let length_ms =
            if is_long { shortest_long + random.below(shortest_long * 3) } else { random.below(longest_short) };
        let to = at + Duration::from_millis(length_ms as u64);
        outages.push(Outage { from: at, to, is_long });
        at = to;
    }
    outages
}

/// What one look shows of the truth: down all the while is a failure, up all the while is not, and what changed
/// in between may look like either. Now and then we cannot look, but not while we must see it break or recover.
fn look(random: &mut Random, outages: &[Outage], recovery: Duration, from: Timestamp, to: Timestamp) -> Sight {
    let outage = outages.iter().find(|outage| outage.from <= to && from < outage.to);
    let must_see = outages.iter().any(|outage| outage.is_long && outage.from <= to && from < outage.to + recovery);
    if !must_see && random.in_hundred(5) {
        return Sight::Local(reason("no descriptors"));
    }
    let failed = match outage {
        None => false,
        Some(outage) if outage.from <= from && to < outage.to => true,
        Some(_) => random.in_hundred(50),
    };
    if failed { Sight::Fail(reason("refused")) } else { Sight::Ok }
}

fn judge(policy: &Policy, outages: &[Outage], told: &[Happened]) -> Result<(), String> {
    let moves = |verdict| {
        let each = told.iter().filter(move |it| it.transition.as_ref().is_some_and(|moved| moved.new == verdict));
        each.map(|it| it.boot).collect::<Vec<_>>()
    };
    let (downs, ups) = (moves(Verdict::Down), moves(Verdict::Up));
    for outage in outages {
        let until = outage.to + closed_within(policy);
        let opened: Vec<Timestamp> = downs.iter().copied().filter(|at| outage.from <= *at && *at <= until).collect();
        match (outage.is_long, opened.as_slice()) {
            (false, []) => {}
            (false, _) => return Err(format!("I19: {outage:?} was too short, but told at {opened:?} by {policy:?}")),
            (true, [at]) if *at <= outage.from + policy.told_within() => {}
            (true, _) => return Err(format!("I18: {outage:?} was told at {opened:?}, promised by {policy:?}")),
        }
        if outage.is_long && !ups.iter().any(|at| outage.to <= *at && *at <= until) {
            return Err(format!("I18: the end of {outage:?} was not told by {until}: {ups:?}"));
        }
    }
    let long = outages.iter().filter(|outage| outage.is_long).count();
    if downs.len() != long {
        return Err(format!("I19: {} times down for {long} outages", downs.len()));
    }
    Ok(())
}
