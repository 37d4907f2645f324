//! The only place that reads a monotonic clock: for phases, and for deadlines that begin now.

use std::time::{Duration, Instant};

/// Measures from its start, and from lap to lap.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch {
    start: Instant,
    lap: Instant,
}

impl Stopwatch {
    pub fn start() -> Self {
        let start = now();
        Self { start, lap: start }
    }

    /// Since the start.
    pub fn elapsed(&self) -> Duration {
        now() - self.start
    }

    /// Microseconds since the start or the last lap; the next lap begins here.
    pub fn lap(&mut self) -> u32 {
        let now = now();
        let lap = now - self.lap;
        self.lap = now;
        micros(lap)
    }
}

/// As phases hold it: more than an hour counts as an hour and a bit.
pub fn micros(length: Duration) -> u32 {
    u32::try_from(length.as_micros()).unwrap_or(u32::MAX)
}

/// The deadline `length` from now.
#[expect(clippy::disallowed_methods, reason = "the one place that reads a monotonic clock")]
pub fn deadline_in(length: Duration) -> tokio::time::Instant {
    tokio::time::Instant::now() + length
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads a monotonic clock")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn laps_add_up_to_the_whole() {
        let mut watch = Stopwatch::start();
        std::thread::sleep(Duration::from_millis(5));
        let first = watch.lap();
        std::thread::sleep(Duration::from_millis(5));
        let second = watch.lap();
        assert!(first >= 5000 && second >= 5000, "{first} {second}");
        assert!(micros(watch.elapsed()) >= first + second);
    }
}
