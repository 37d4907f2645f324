//! Measures a release build of Watchbell as ratios within one run: our whole pipeline against a bare loop that
//! does nothing but ask. `cargo xtask bench` builds and starts it; `docs/performance.md` keeps the table.
//!
//! Everything runs on loopback in processes of its own, so that CPU time is accounted by the system:
//! `watchbell-bench serve` answers, `watchbell-bench bare …` asks barely, and this process watches the watcher.

mod bare;
mod heartbeats;
mod process;
mod server;
mod suite;
mod watcher;

use anyhow::{Context, Result, bail};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["serve"] => block_on(server::run()),
        ["bare", url, count, ca, pace] => {
            let (count, pace) =
                (count.parse().context("the count is a number")?, pace.parse().context("the pace is a number")?);
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?
                .block_on(bare::run(url, count, ca, pace))
        }
        ["heartbeats", binary] => {
            let binary = (*binary).to_owned();
            std::thread::spawn(move || suite::heartbeats_alone(&binary))
                .join()
                .map_err(|_| anyhow::anyhow!("the bench panicked"))?
        }
        ["run", binary] => block_on(suite::run(binary, false)),
        ["run", binary, "--quick"] => block_on(suite::run(binary, true)),
        _ => bail!("usage: watchbell-bench run|heartbeats <path of the watchbell binary> [--quick]"),
    }
}

fn block_on(future: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(future)
}
