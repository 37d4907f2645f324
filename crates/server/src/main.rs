//! The watch that never sleeps: one program that asks, listens, tells and shows.

use std::process::ExitCode;

mod app;
mod cli;
mod clock;
mod config;
mod engine;
mod live;
mod process;
mod random;
mod seal;
mod telemetry;
mod web;

fn main() -> ExitCode {
    cli::main()
}
