//! Asks the world. One file per kind; what asking is stands here.

mod http;
mod ping;
mod reuse;
mod tcp;

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::{Instant, timeout_at};
use watchbell_core::kind::Kind;
use watchbell_core::{Finding, Reason, Timestamp, kinds};
use watchbell_net::stopwatch::Stopwatch;
use watchbell_net::{Net, fault};

pub use reuse::Reuse;

kinds! {
    /// How a monitor asks its target whether it is alive.
    pub enum Probe {
        http::Http,
        tcp::Tcp,
        ping::Ping,
    }
}

/// What every kind of probe can do.
pub trait ProbeKind: Kind {
    /// Asks once. Being refused, timing out and answering badly are findings, not errors. It ends no later than 250 ms
    /// after `ctx.deadline`, reads a bounded amount, and leaves no socket open when it is dropped.
    fn ask(&self, ctx: &Ask<'_>) -> impl Future<Output = Finding> + Send;

    /// What is asked, for people, without credentials.
    fn target(&self) -> String;
}

/// What one asking is given.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    pub net: &'a Net,
    pub deadline: Instant,
    pub now: Timestamp,
    pub reuse: &'a Reuse,
    /// The key under which `reuse` keeps this monitor's connection.
    pub monitor: i64,
}

/// How long after its deadline a check that does not end by itself is ended.
const GRACE: Duration = Duration::from_millis(200);

impl Probe {
    /// Asks once. A kind that panics or overruns its deadline ends here, as a finding: one bad check must not harm
    /// another.
    pub async fn ask(&self, ctx: &Ask<'_>) -> Finding {
        contained(ctx.deadline, async { each!(self, kind => kind.ask(ctx).await) }).await
    }

    /// What is asked, for people, without credentials.
    pub fn target(&self) -> String {
        each!(self, kind => kind.target())
    }
}

async fn contained(deadline: Instant, asking: impl Future<Output = Finding>) -> Finding {
    let watch = Stopwatch::start();
    match timeout_at(deadline + GRACE, AssertUnwindSafe(asking).catch_unwind()).await {
        Ok(Ok(finding)) => finding,
        Ok(Err(panic)) => {
            let text = format!("Watchbell has a fault in this check: {}", said(panic.as_ref()));
            Finding::local(Reason::new("panic", text), watch.elapsed())
        }
        Err(_) => fault::timed_out("no answer", watch.elapsed()).into_finding(watch.elapsed()),
    }
}

fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("it panicked without a word")
}

#[cfg(test)]
mod tests {
    use watchbell_core::{Outcome, catalog};
    use watchbell_net::stopwatch::deadline_in;

    use super::*;

    #[test]
    fn every_kind_obeys_the_rules_for_kinds() {
        assert_eq!(catalog::complaints_about(Probe::ALL), [""; 0]);
    }

    #[test]
    fn every_example_can_be_stored_and_works() {
        for entry in Probe::ALL {
            let json = (entry.example)();
            let probe: Probe = serde_json::from_value(json.clone()).unwrap();
            assert_eq!(probe.kind(), entry.name);
            assert_eq!(probe.validate(), [], "{json}");
            assert_eq!(serde_json::to_value(&probe).unwrap(), json);
            assert_ne!(probe.target(), "", "{json}");
        }
    }

    #[tokio::test]
    async fn a_check_that_panics_or_never_ends_harms_nobody() {
        let panicking = async { panic!("index out of bounds") };
        let finding = contained(deadline_in(Duration::from_secs(1)), panicking).await;
        let text = "Watchbell has a fault in this check: index out of bounds";
        assert_eq!(finding.outcome, Outcome::Local(Reason::new("panic", text)));
        let finding = contained(deadline_in(Duration::ZERO), std::future::pending()).await;
        assert!(matches!(finding.outcome, Outcome::Fail(reason) if reason.code == "timeout"));
    }
}
