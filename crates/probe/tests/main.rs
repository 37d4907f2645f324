//! Probes against a zoo of servers that misbehave, all on loopback.

mod dialing;
mod http;
mod ping;
mod proxies;
mod targets;
mod tcp;
mod tls;
