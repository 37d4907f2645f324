//! The settings of [`crate::decide`]: when an outage counts, when it is over, when people hear of it again.

use std::time::Duration;

use crate::ping::Hearing;
use crate::schedule::Schedule;

/// What deciding needs to know of one monitor, defaults filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Number of these settings. Results asked under an older one are dropped.
    pub rev: u64,
    /// The monitor's grid: one check each.
    pub interval: Duration,
    /// Between re-checks while an outage or a recovery is being confirmed.
    pub retry_interval: Duration,
    /// A check that takes longer has failed.
    pub timeout: Duration,
    /// So many failures in a row open an incident.
    pub failure_threshold: u32,
    /// So many good answers in a row close it.
    pub success_threshold: u32,
    /// So many slow answers in a row make a monitor degraded; `success_threshold` quick ones end it.
    pub slow_threshold: u32,
    /// While down and not acknowledged, people hear again after this long.
    pub remind_every: Option<Duration>,
    /// Days before the end of a certificate at which people hear of it, in any order.
    pub expiry_days: Vec<u32>,
    /// Someone else calls in; silence is the failure.
    pub heartbeat: Option<Expectation>,
}

/// When a heartbeat is expected, and how late it may be.
#[derive(Clone, Debug, PartialEq)]
pub struct Expectation {
    pub schedule: Schedule,
    /// How long after the expected moment silence becomes a failure.
    pub grace: Duration,
    /// How long a run may take between its start and its finish; `grace` if not set.
    pub max_run: Option<Duration>,
    /// A run that finishes sooner after its start than this has failed.
    pub min_run: Option<Duration>,
    /// So many failed runs in a row open an incident.
    pub failure_threshold: u32,
    /// Silence counts even if we may have been deaf when the ping came.
    pub strict: bool,
    /// What its calls mean.
    pub hearing: Hearing,
}

impl Expectation {
    /// How late a ping may be unless something else is said.
    pub const GRACE: Duration = Duration::from_secs(60);

    pub fn new(schedule: Schedule) -> Self {
        Self {
            schedule,
            grace: Self::GRACE,
            max_run: None,
            min_run: None,
            failure_threshold: 1,
            strict: false,
            hearing: Hearing::default(),
        }
    }

    /// The longest that a run may take.
    pub fn longest_run(&self) -> Duration {
        self.max_run.unwrap_or(self.grace)
    }
}

impl Policy {
    /// Where nothing is set: a check a minute, an outage confirmed by three failures 20 seconds apart.
    pub const INTERVAL: Duration = Duration::from_secs(60);
    pub const TIMEOUT: Duration = Duration::from_secs(10);
    pub const FAILURE_THRESHOLD: u32 = 3;
    pub const SUCCESS_THRESHOLD: u32 = 2;
    pub const SLOW_THRESHOLD: u32 = 5;
    pub const EXPIRY_DAYS: [u32; 3] = [21, 7, 1];
    /// People are never reminded more often than this.
    pub const SHORTEST_REMINDER: Duration = Duration::from_secs(60);

    /// A third of the interval, but 5 to 20 seconds: soon enough to tell early, late enough to be another look.
    pub fn default_retry(interval: Duration) -> Duration {
        (interval / 3).clamp(Duration::from_secs(5), Duration::from_secs(20)).min(interval)
    }

    /// The longest an outage can last untold: `interval + (F − 1) · gap + F · timeout`.
    pub fn told_within(&self) -> Duration {
        self.interval
            + self.retry_interval * self.failure_threshold.saturating_sub(1)
            + self.timeout * self.failure_threshold
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            rev: 1,
            interval: Self::INTERVAL,
            retry_interval: Self::default_retry(Self::INTERVAL),
            timeout: Self::TIMEOUT,
            failure_threshold: Self::FAILURE_THRESHOLD,
            success_threshold: Self::SUCCESS_THRESHOLD,
            slow_threshold: Self::SLOW_THRESHOLD,
            remind_every: None,
            expiry_days: Self::EXPIRY_DAYS.to_vec(),
            heartbeat: None,
        }
    }
}
