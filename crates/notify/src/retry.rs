//! When to try again, and when to leave a channel in peace for a while. Pure: time and randomness are arguments.

use std::time::Duration;

use watchbell_core::Timestamp;

/// A notice that could not be delivered for so long is dead: it is shown, and somebody else is told.
pub const DEAD_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// Before the second try.
const FIRST_WAIT: Duration = Duration::from_secs(5);
/// Between any two tries, whatever the service asks for: an hour's silence would be worse than a refused try.
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);
/// Waits are spread by so much to either side, so that many channels do not come back at the same moment.
const SPREAD: f64 = 0.2;

/// How long to wait before the next try. `attempt` is the number of tries made, beginning with 1; `after` is what the
/// service asked for; `jitter` is a random number between 0 and 1.
///
/// 5 s, 10 s, 20 s, … each ± 20 %, at least what the service asked for, at most 15 minutes.
pub fn next_try(attempt: u32, after: Option<Duration>, jitter: f64) -> Duration {
    let doublings = attempt.saturating_sub(1).min(16);
    let jitter = if jitter.is_finite() { jitter.clamp(0.0, 1.0) } else { 0.5 };
    let factor = 1.0 - SPREAD + 2.0 * SPREAD * jitter;
    // Spread below the cap too: else all would meet there.
    let wait = (FIRST_WAIT * 2u32.pow(doublings)).min(LONGEST_WAIT.div_f64(1.0 + SPREAD)).mul_f64(factor);
    wait.max(after.unwrap_or_default()).min(LONGEST_WAIT)
}

/// Leaves a channel in peace after five failures in a row, for all its notices together: then one probe after a
/// growing wait, until one succeeds. Kept per channel; forgotten at a restart, which costs five tries.
///
/// A failure is a [`crate::Refusal::Later`]; anything else is an answer, and counts as success here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Breaker {
    /// Failures in a row.
    failures: u32,
    /// No tries before this moment.
    open_until: Option<Timestamp>,
}

impl Breaker {
    /// So many failures in a row open it.
    pub const OPENS_AFTER: u32 = 5;
    /// One probe at a time; one that was never reported counts as lost after this long.
    const PROBE: Duration = Duration::from_secs(60);

    /// Whether a try may be made now; if not, when to ask again. While it is half open this admits one probe,
    /// whose outcome must be reported.
    pub fn admit(&mut self, now: Timestamp) -> Result<(), Timestamp> {
        match self.open_until {
            None => Ok(()),
            Some(until) if now < until => Err(until),
            Some(_) => {
                self.open_until = Some(now + Self::PROBE);
                Ok(())
            }
        }
    }

    /// The channel answered: it is closed again.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// The channel failed at `now`; the other arguments are those of [`next_try`].
    pub fn failed(&mut self, now: Timestamp, after: Option<Duration>, jitter: f64) {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= Self::OPENS_AFTER {
            self.open_until = Some(now + next_try(self.failures - Self::OPENS_AFTER + 1, after, jitter));
        }
    }

    /// Until when no tries are made.
    pub fn open_until(&self) -> Option<Timestamp> {
        self.open_until
    }

    /// Whether it has opened: people see the channel as broken.
    pub fn is_open(&self) -> bool {
        self.open_until.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(secs: f64) -> Duration {
        Duration::from_secs_f64(secs)
    }

    #[test]
    fn waits_double_from_five_seconds_up_to_a_quarter_of_an_hour() {
        for (attempt, middle) in [
            (0, 5.0),
            (1, 5.0),
            (2, 10.0),
            (3, 20.0),
            (4, 40.0),
            (7, 320.0),
            (8, 640.0),
            (9, 750.0),
            (40, 750.0),
            (u32::MAX, 750.0),
        ] {
            assert_eq!(next_try(attempt, None, 0.5).as_millis(), secs(middle).as_millis(), "attempt {attempt}");
            assert_eq!(next_try(attempt, None, 0.0).as_millis(), secs(middle * 0.8).as_millis(), "attempt {attempt}");
            let longest = next_try(attempt, None, 1.0);
            assert!(longest.abs_diff(secs(middle * 1.2)) < secs(0.01), "attempt {attempt}: {longest:?}");
            assert!(longest <= LONGEST_WAIT);
        }
    }

    #[test]
    fn what_the_service_asks_for_is_honoured_within_reason() {
        assert_eq!(next_try(1, Some(secs(30.0)), 0.5), secs(30.0));
        assert_eq!(next_try(5, Some(secs(1.0)), 0.5), secs(80.0), "asking for less does not hurry us");
        assert_eq!(next_try(1, Some(secs(86_400.0)), 0.5), LONGEST_WAIT);
        assert_eq!(next_try(1, Some(Duration::MAX), 0.5), LONGEST_WAIT);
        assert_eq!(next_try(1, None, f64::NAN), secs(5.0));
        assert_eq!(next_try(1, None, 99.0), secs(6.0));
    }

    #[test]
    fn a_day_of_trying_is_about_a_hundred_tries() {
        let (mut waited, mut tries) = (Duration::ZERO, 1u32);
        while waited < DEAD_AFTER {
            waited += next_try(tries, None, 0.5);
            tries += 1;
        }
        assert_eq!(tries, 123);
    }

    #[test]
    fn a_breaker_opens_after_five_failures_and_closes_with_the_first_success() {
        let mut breaker = Breaker::default();
        let at = |secs: i64| Timestamp::from_secs(1_000_000 + secs);
        for n in 0..4 {
            breaker.failed(at(n), None, 0.5);
            assert_eq!(breaker.admit(at(n)), Ok(()));
        }
        breaker.failed(at(10), None, 0.5);
        assert!(breaker.is_open());
        assert_eq!(breaker.admit(at(14)), Err(at(15)), "the first wait is five seconds");
        assert_eq!(breaker.admit(at(15)), Ok(()), "one probe");
        assert_eq!(breaker.admit(at(15)), Err(at(75)), "and only one");
        breaker.failed(at(16), None, 0.5);
        assert_eq!(breaker.admit(at(25)), Err(at(26)), "the second wait is ten");
        assert_eq!(breaker.admit(at(26)), Ok(()));
        breaker.failed(at(27), Some(secs(100.0)), 0.5);
        assert_eq!(breaker.open_until(), Some(at(127)), "the service asked for more");
        assert_eq!(breaker.admit(at(127)), Ok(()));
        breaker.succeeded();
        assert_eq!(breaker, Breaker::default());
        assert_eq!(breaker.admit(at(127)), Ok(()));
    }

    #[test]
    fn a_success_in_between_keeps_it_closed() {
        let mut breaker = Breaker::default();
        let at = Timestamp::from_secs(1_000_000);
        for _ in 0..100 {
            (0..4).for_each(|_| breaker.failed(at, None, 0.5));
            breaker.succeeded();
        }
        assert!(!breaker.is_open());
    }

    #[test]
    fn a_probe_that_was_never_reported_does_not_block_for_ever() {
        let mut breaker = Breaker::default();
        let at = Timestamp::from_secs(1_000_000);
        (0..5).for_each(|_| breaker.failed(at, None, 0.5));
        assert_eq!(breaker.admit(at + secs(5.0)), Ok(()));
        assert_eq!(breaker.admit(at + secs(64.0)), Err(at + secs(65.0)));
        assert_eq!(breaker.admit(at + secs(65.0)), Ok(()));
    }
}
