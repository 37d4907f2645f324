//! Every command of the project's own work, run as `cargo xtask <command>`.
//!
//! It uses nothing but the standard library, so that it is built before anybody has waited for it, and it never skips:
//! what a command needs and cannot get is a failure with a sentence.

mod bench;
mod check;
mod packages;
mod postgres;
mod shell;
mod testing;

use std::process::ExitCode;

/// One command: its name, its arguments, and what it does in one line.
struct Command {
    name: &'static str,
    arguments: &'static str,
    does: &'static str,
    run: fn(&[String]) -> anyhow::Result<()>,
}

const COMMANDS: &[Command] = &[
    Command {
        name: "test",
        arguments: "[-p CRATE]… [-- FILTER…]",
        does: "all tests, with the real servers they need: installs what is missing, starts a private PostgreSQL",
        run: testing::test,
    },
    Command {
        name: "check",
        arguments: "",
        does: "formatting, lints, licences and bans, documentation, and whether generated documents are fresh",
        run: check::check,
    },
    Command {
        name: "ledger",
        arguments: "[--kills N]",
        does: "kills the binary N times under load (100) on each store and compares what was told with what was stored",
        run: testing::ledger,
    },
    Command {
        name: "bench",
        arguments: "[--quick]",
        does: "figures of the release binary on this machine, as docs/performance.md shows them",
        run: bench::bench,
    },
    Command {
        name: "docs",
        arguments: "",
        does: "writes the generated documents again (docs/reference)",
        run: check::docs,
    },
];

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(name) = arguments.next() else {
        list();
        return ExitCode::SUCCESS;
    };
    if matches!(name.as_str(), "help" | "-h" | "--help") {
        list();
        return ExitCode::SUCCESS;
    }
    let Some(command) = COMMANDS.iter().find(|command| command.name == name) else {
        eprintln!("There is no command {name:?}. These are:\n");
        list();
        return ExitCode::from(2);
    };
    let rest: Vec<String> = arguments.collect();
    match (command.run)(&rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\ncargo xtask {name} failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn list() {
    for Command { name, arguments, does, .. } in COMMANDS {
        let call = format!("{name} {arguments}");
        println!("cargo xtask {call:<35} {does}");
    }
}
