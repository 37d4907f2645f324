//! Logs and figures about ourselves.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use watchbell_core::Timestamp;

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// One readable line each.
    Text,
    /// One JSON object each.
    Json,
}

/// Starts logging to standard error. `filter` is a level or a list of `target=level`.
pub(crate) fn start_logging(format: LogFormat, filter: &str) -> anyhow::Result<()> {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_new(filter).map_err(|why| {
        anyhow::anyhow!("`{filter}` is no log level: {why}. Write error, warn, info, debug or trace.")
    })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours());
    match format {
        LogFormat::Text => builder.with_target(false).compact().init(),
        LogFormat::Json => builder.json().init(),
    }
    Ok(())
}

/// Colours are for terminals, and for those who did not say no (<https://no-color.org>).
fn colours() -> bool {
    use std::io::IsTerminal;
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Upper bounds of the lateness histogram, in milliseconds.
pub(crate) const LATENESS_BOUNDS_MS: [u64; 10] = [1, 2, 5, 10, 20, 50, 100, 250, 1000, 10_000];

/// Our own figures. Written by the engine, read by `/metrics` and the console's foot line.
#[derive(Debug, Default)]
pub(crate) struct Own {
    /// Checks begun, by how late they began: one count for each of [`LATENESS_BOUNDS_MS`], and one above.
    lateness: [AtomicU64; LATENESS_BOUNDS_MS.len() + 1],
    lateness_sum_ms: AtomicU64,
    pub checks: AtomicU64,
    /// Pings that were committed.
    pub pings: AtomicU64,
    /// Slots that passed without a look.
    pub missed: AtomicU64,
    pub incidents: AtomicU64,
    pub in_flight: AtomicI64,
    /// Results that wait to be decided.
    pub intake: AtomicI64,
    pub commits: AtomicU64,
    pub commit_failures: AtomicU64,
    pub commit_us: AtomicU64,
    pub deliveries_done: AtomicU64,
    pub deliveries_retried: AtomicU64,
    pub deliveries_dead: AtomicU64,
    pub deliveries_waiting: AtomicI64,
    oldest_waiting_since_ms: AtomicI64,
    /// When the engine's loop last went round.
    turned_at_ms: AtomicI64,
}

impl Own {
    pub(crate) fn began(&self, late: Duration) {
        let late_ms = u64::try_from(late.as_millis()).unwrap_or(u64::MAX);
        let place = LATENESS_BOUNDS_MS.iter().position(|&bound| late_ms <= bound).unwrap_or(LATENESS_BOUNDS_MS.len());
        self.lateness[place].fetch_add(1, Ordering::Relaxed);
        self.lateness_sum_ms.fetch_add(late_ms, Ordering::Relaxed);
        self.checks.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts per bound, cumulative as Prometheus wants them, the total, and the sum in seconds.
    pub(crate) fn lateness(&self) -> (Vec<u64>, u64, f64) {
        let mut total = 0;
        let cumulative = self.lateness.iter().map(|count| {
            total += count.load(Ordering::Relaxed);
            total
        });
        let cumulative: Vec<u64> = cumulative.collect();
        (cumulative, total, self.lateness_sum_ms.load(Ordering::Relaxed) as f64 / 1000.0)
    }

    /// The engine's loop went round.
    pub(crate) fn turned(&self, now: Timestamp) {
        self.turned_at_ms.store(now.as_millis(), Ordering::Relaxed);
    }

    /// When the engine's loop last went round.
    pub(crate) fn turned_at(&self) -> Timestamp {
        Timestamp::from_millis(self.turned_at_ms.load(Ordering::Relaxed))
    }

    pub(crate) fn set_oldest_waiting(&self, since: Option<Timestamp>) {
        self.oldest_waiting_since_ms.store(since.map_or(0, Timestamp::as_millis), Ordering::Relaxed);
    }

    /// When the oldest delivery that is due was made.
    pub(crate) fn oldest_waiting(&self) -> Option<Timestamp> {
        let millis = self.oldest_waiting_since_ms.load(Ordering::Relaxed);
        (millis != 0).then(|| Timestamp::from_millis(millis))
    }
}
