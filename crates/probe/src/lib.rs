//! Asks the world. One file per kind; what asking is stands here.

mod http;
mod ping;
mod reuse;
mod tcp;

use tokio::time::Instant;
use watchbell_core::kind::Kind;
use watchbell_core::{Finding, Timestamp, kinds};
use watchbell_net::Net;

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

impl Probe {
    pub async fn ask(&self, ctx: &Ask<'_>) -> Finding {
        each!(self, kind => kind.ask(ctx).await)
    }

    pub fn target(&self) -> String {
        each!(self, kind => kind.target())
    }
}
