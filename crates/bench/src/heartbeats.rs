//! Heartbeats under load: many callers over kept-alive connections, each waiting for its answer before it calls
//! again. An answer of 200 means committed, so the rate is that of durable pings.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::watcher::now;

const KEY: &str = "benchbenchbenchbench22";

/// What the callers saw.
pub(crate) struct Heard {
    pub per_second: f64,
    pub median: Duration,
    pub p99: Duration,
}

/// A configuration of so many heartbeats: a folder of files, since no file may be larger than 4 MiB.
pub(crate) fn configure(folder: &Path, monitors: usize, interval: &str) -> Result<()> {
    const IN_ONE: usize = 10_000;
    let place = folder.join("watchbell.yaml");
    std::fs::create_dir(&place)?;
    std::fs::write(place.join("general.yaml"), format!("ping_key: {KEY}\n"))?;
    for first in (0..monitors).step_by(IN_ONE) {
        let mut text = "monitors:\n".to_owned();
        for n in first..monitors.min(first + IN_ONE) {
            // Writing to a string does not fail.
            let _ = writeln!(text, "  h{n}: {{ heartbeat: {{ interval: {interval}, grace: 1s }} }}");
        }
        std::fs::write(place.join(format!("from-{first}.yaml")), text)?;
    }
    Ok(())
}

/// Calls from `connections` connections for `length`, all monitors in turn.
pub(crate) fn call(address: SocketAddr, monitors: usize, connections: usize, length: Duration) -> Result<Heard> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let began = now();
        let callers: Vec<_> = (0..connections)
            .map(|number| tokio::spawn(caller(address, number, monitors, connections, length)))
            .collect();
        let mut all: Vec<Duration> = Vec::new();
        for caller in callers {
            all.extend(caller.await??);
        }
        let took = began.elapsed();
        ensure!(!all.is_empty(), "nothing was answered");
        all.sort_unstable();
        let share = |part: f64| all[((all.len() - 1) as f64 * part) as usize];
        Ok(Heard { per_second: all.len() as f64 / took.as_secs_f64(), median: share(0.5), p99: share(0.99) })
    })
}

/// One call of each monitor.
pub(crate) fn call_all(address: SocketAddr, monitors: usize) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        const CONNECTIONS: usize = 64;
        let callers: Vec<_> = (0..CONNECTIONS)
            .map(|number| {
                tokio::spawn(async move {
                    let mut line = Line::open(address).await?;
                    for monitor in (number..monitors).step_by(CONNECTIONS) {
                        line.call(monitor).await?;
                    }
                    anyhow::Ok(())
                })
            })
            .collect();
        for caller in callers {
            caller.await??;
        }
        Ok(())
    })
}

async fn caller(
    address: SocketAddr,
    number: usize,
    monitors: usize,
    connections: usize,
    length: Duration,
) -> Result<Vec<Duration>> {
    let mut line = Line::open(address).await?;
    let mut took = Vec::new();
    let (began, mut monitor) = (now(), number);
    while began.elapsed() < length {
        let sent = now();
        line.call(monitor % monitors).await?;
        took.push(sent.elapsed());
        monitor += connections;
    }
    Ok(took)
}

/// A kept-alive connection.
struct Line {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Line {
    async fn open(address: SocketAddr) -> Result<Self> {
        #[expect(clippy::disallowed_methods, reason = "a benchmark talks to what it measures")]
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, answer: vec![0; 4096] })
    }

    async fn call(&mut self, monitor: usize) -> Result<()> {
        let call = format!("GET /ping/{KEY}/h{monitor} HTTP/1.1\r\nHost: bench\r\nUser-Agent: bench\r\n\r\n");
        self.stream.write_all(call.as_bytes()).await?;
        let mut length = 0;
        while !self.answer[..length].ends_with(b"\r\n\r\nOK") {
            let read = self.stream.read(&mut self.answer[length..]).await?;
            length += read;
            let text = || String::from_utf8_lossy(&self.answer[..length]).into_owned();
            ensure!(read > 0, "the connection was closed: {}", text());
            ensure!(length < 16 || self.answer.starts_with(b"HTTP/1.1 200"), "refused: {}", text());
        }
        Ok(())
    }
}

/// Monitors that count as up on the page of figures.
pub(crate) fn still_up(page: &[u8]) -> usize {
    let page = String::from_utf8_lossy(page);
    page.lines().filter(|line| line.starts_with("watchbell_monitor_up{") && line.ends_with(" 1")).count()
}
