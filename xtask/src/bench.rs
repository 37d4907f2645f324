//! `bench`: figures of the release binary on this machine, for `docs/performance.md`. What is measured and how stands
//! in `crates/bench`.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::packages;
use crate::postgres::Postgres;
use crate::shell::{cargo, root, run};

pub(crate) fn bench(arguments: &[String]) -> Result<()> {
    if arguments.iter().any(|argument| argument != "--quick") {
        bail!("usage: cargo xtask bench [--quick]");
    }
    run(cargo().args(["build", "--release", "-p", "watchbell", "-p", "watchbell-bench"]))?;
    let release = target_folder()?.join("release");
    let mut measuring = std::process::Command::new(release.join("watchbell-bench"));
    // The second store is measured, too.
    packages::ensure()?;
    let postgres = Postgres::start()?;
    measuring.env("WATCHBELL_BENCH_POSTGRES", postgres.url());
    run(measuring.arg("run").arg(release.join("watchbell")).args(arguments))
}

fn target_folder() -> Result<PathBuf> {
    let folder = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    std::path::absolute(folder).context("the target folder")
}
