//! `test` and `ledger`: cargo's own test runner, with the servers that tests talk to.

use std::time::Instant;

use anyhow::{Result, bail};

use crate::packages;
use crate::postgres::Postgres;
use crate::shell::{cargo, run, say};

/// `cargo xtask test [-p CRATE]… [-- FILTER…]`: builds once, then runs every test of the workspace or of the named crates.
pub(crate) fn test(arguments: &[String]) -> Result<()> {
    let Wanted { crates, filter } = Wanted::parse(arguments)?;
    let stopwatch = Stopwatch::start();
    packages::ensure()?;
    let mut scope: Vec<String> = crates.iter().flat_map(|name| ["-p".to_owned(), package(name)]).collect();
    if scope.is_empty() {
        scope.push("--workspace".to_owned());
    }
    run(cargo().arg("test").args(&scope).arg("--no-run"))?;
    say(&format!("built after {}", stopwatch.so_far()));

    let postgres = Postgres::start()?;
    let mut tests = cargo();
    // One failing crate does not hide the others' results.
    tests.arg("test").args(&scope).arg("--no-fail-fast").env("WATCHBELL_TEST_POSTGRES", postgres.url());
    if !filter.is_empty() {
        tests.arg("--").args(&filter);
    }
    let outcome = run(&mut tests);
    drop(postgres);
    say(&format!("{} after {}", if outcome.is_ok() { "all passed" } else { "failed" }, stopwatch.so_far()));
    outcome
}

/// `cargo xtask ledger [--kills N]`: the crash test of the server's suite, long.
pub(crate) fn ledger(arguments: &[String]) -> Result<()> {
    let kills = match arguments {
        [] => 100,
        [flag, number] if flag == "--kills" => match number.parse::<u32>() {
            Ok(kills) if kills > 0 => kills,
            _ => bail!("--kills takes a number from 1 on, not {number:?}"),
        },
        _ => bail!("usage: cargo xtask ledger [--kills N]"),
    };
    let stopwatch = Stopwatch::start();
    packages::ensure()?;
    run(cargo().args(["test", "-p", "watchbell", "--test", "main", "--no-run"]))?;
    let postgres = Postgres::start()?;
    let outcome = run(cargo()
        .args(["test", "-p", "watchbell", "--test", "main", "--", "ledger::", "--nocapture", "--test-threads=1"])
        .env("WATCHBELL_TEST_POSTGRES", postgres.url())
        .env("WATCHBELL_LEDGER_KILLS", kills.to_string()));
    drop(postgres);
    say(&format!("{kills} kills on each store took {}", stopwatch.so_far()));
    outcome
}

/// What `test` was asked for.
struct Wanted {
    crates: Vec<String>,
    filter: Vec<String>,
}

impl Wanted {
    fn parse(arguments: &[String]) -> Result<Self> {
        let mut wanted = Self { crates: Vec::new(), filter: Vec::new() };
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "-p" => match words.next() {
                    Some(name) => wanted.crates.push(name.clone()),
                    None => bail!("-p takes the name of a crate: core, net, probe, notify, store, server, xtask"),
                },
                "--" => wanted.filter.extend(words.by_ref().cloned()),
                other => bail!("{other:?} is not understood; usage: cargo xtask test [-p CRATE]… [-- FILTER…]"),
            }
        }
        Ok(wanted)
    }
}

/// The package of a crate's folder: `core` is `watchbell-core`, `server` is `watchbell` itself.
fn package(folder: &str) -> String {
    match folder {
        "server" | "watchbell" => "watchbell".to_owned(),
        "xtask" => "xtask".to_owned(),
        name if name.starts_with("watchbell-") => name.to_owned(),
        name => format!("watchbell-{name}"),
    }
}

/// How long a command has taken, for people.
struct Stopwatch(Instant);

impl Stopwatch {
    fn start() -> Self {
        #[expect(clippy::disallowed_methods, reason = "a build tool tells how long it took; nothing is decided by it")]
        let now = Instant::now();
        Self(now)
    }

    fn so_far(&self) -> String {
        let seconds = self.0.elapsed().as_secs();
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn crates_are_named_by_folder_or_by_package() {
        for (folder, expected) in
            [("core", "watchbell-core"), ("server", "watchbell"), ("watchbell-store", "watchbell-store")]
        {
            assert_eq!(package(folder), expected);
        }
    }

    #[test]
    fn everything_after_two_dashes_goes_to_the_tests() {
        let wanted = Wanted::parse(&words("-p core -- decide --nocapture")).expect("a good line");
        assert_eq!(wanted.crates, ["core"]);
        assert_eq!(wanted.filter, ["decide", "--nocapture"]);
        assert!(Wanted::parse(&words("core")).is_err());
    }
}
