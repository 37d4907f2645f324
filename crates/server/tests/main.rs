//! The whole product, from outside: the real binary with real servers around it, and a real browser.

mod api;
mod command_line;
mod configuration;
mod documents;
mod heartbeats;
mod ledger;
mod promises;
mod support;
mod whole_path;
