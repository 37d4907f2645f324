//! The one way out. Every outbound connection of the product, whether it asks or tells, is opened here:
//! names resolved by our own resolver, the egress rule applied to the *resolved* address at connect time,
//! TLS by one configuration, each phase timed, everything within a deadline.

use std::net::SocketAddr;

use watchbell_core::{Phases, Reason};

/// Which address family to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Whatever the name gives; IPv4 and IPv6 are tried in turn.
    #[default]
    Any,
    V4,
    V6,
}

/// A connection that could not be made.
#[derive(Debug)]
pub struct DialError {
    pub reason: Reason,
    /// Our side's fault (no descriptors, no route at all, no resolver): a gap, never the target's failure.
    pub local: bool,
    /// What happened until then.
    pub phases: Phases,
    /// The address last tried.
    pub address: Option<SocketAddr>,
    /// The chain of errors, outermost first.
    pub chain: Vec<String>,
}
