//! `check` and `docs`: what is judged without running the product.

use anyhow::{Result, bail};

use crate::shell::{cargo, run, say, which};

/// Comments on settings and arguments are also the manual and the help, where an address stands plain.
const RUSTDOC: &str = "-D warnings -A rustdoc::bare_urls";

/// Runs every check, also after one has failed, and names those that did.
pub(crate) fn check(_: &[String]) -> Result<()> {
    let mut failed = Vec::new();
    let mut step = |what: &'static str, outcome: Result<()>| {
        if let Err(error) = outcome {
            say(&format!("{what}: {error:#}"));
            failed.push(what);
        }
    };
    step("formatting", run(cargo().args(["fmt", "--all", "--check"])));
    step("lints", run(cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])));
    step("licences and bans", deny());
    step("documentation", run(cargo().args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", RUSTDOC)));
    step("generated documents", reference(false));
    if !failed.is_empty() {
        bail!("not in order: {}", failed.join(", "));
    }
    say("everything is in order");
    Ok(())
}

/// Writes the generated documents again; the tests that compare them do it when they are told to.
pub(crate) fn docs(_: &[String]) -> Result<()> {
    reference(true)
}

fn reference(write: bool) -> Result<()> {
    let mut command = cargo();
    command.args(["test", "-p", "watchbell", "--bin", "watchbell", "reference"]);
    if write {
        command.env("UPDATE", "1");
    }
    run(&mut command)
}

fn deny() -> Result<()> {
    if which("cargo-deny").is_none() {
        bail!("cargo-deny is not installed: `cargo install cargo-deny --locked` brings it, once, in some minutes");
    }
    run(cargo().args(["deny", "--offline", "check", "bans", "licenses", "sources"]))
}
