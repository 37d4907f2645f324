//! Time for tests: the one place here that reads a clock, and waiting with an end.

use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How often [`until`] looks.
const LOOK: Duration = Duration::from_millis(20);

/// Now, for measuring.
#[expect(clippy::disallowed_methods, reason = "tests measure and wait in real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Milliseconds since the epoch, to compare with what the product wrote down.
#[expect(clippy::disallowed_methods, reason = "tests compare with the wall clock of the process they watch")]
pub(crate) fn wall_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

/// Waits until `look` finds something. Fails the test with `what` when patience runs out.
#[track_caller]
pub(crate) fn until<T>(what: &str, patience: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let end = now() + patience;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(now() < end, "waited {patience:?} in vain for: {what}");
        sleep(LOOK);
    }
}
