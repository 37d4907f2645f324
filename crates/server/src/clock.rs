//! The only file that may read the time.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use watchbell_core::Timestamp;

/// A wall clock that never leaps: it goes on from its last reading by boot time, and tells of a leap of the
/// machine's clock instead of following it unawares.
pub(crate) struct Clock {
    base: Mutex<Base>,
}

#[derive(Clone, Copy)]
struct Base {
    wall: Timestamp,
    /// CLOCK_BOOTTIME, which also counts the time a machine was suspended.
    boot: Duration,
}

/// A difference smaller than this is drift and is followed silently.
const LEAP: i64 = 2000;

impl Clock {
    pub(crate) fn start() -> Self {
        Self { base: Mutex::new(Base { wall: wall(), boot: boot() }) }
    }

    /// Now, in steady steps.
    pub(crate) fn now(&self) -> Timestamp {
        let base = *self.base.lock();
        base.wall + boot().saturating_sub(base.boot)
    }

    /// Compares with the machine's clock. Returns by how many milliseconds it leapt since the last look, after
    /// having followed it; the caller tells every monitor.
    pub(crate) fn leapt(&self) -> Option<i64> {
        let mut base = self.base.lock();
        let boot = boot();
        let expected = base.wall + boot.saturating_sub(base.boot);
        let wall = wall();
        let difference = wall.as_millis() - expected.as_millis();
        // A small difference is followed forwards only: time never steps back without a word.
        if difference.abs() > LEAP {
            *base = Base { wall, boot };
            Some(difference)
        } else {
            if difference > 0 {
                *base = Base { wall, boot };
            }
            None
        }
    }

    /// The moment on tokio's clock that lies `length` from now.
    pub(crate) fn deadline(length: Duration) -> tokio::time::Instant {
        tokio::time::Instant::from_std(monotonic() + length)
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the monotonic clock for deadlines")]
pub(crate) fn monotonic() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
fn wall() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(0))
}

fn boot() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}
