//! `bench`: figures of the release binary on this machine, for `docs/performance.md`.
//!
//! The target, the callers and the binary share the machine's cores, so the figures are lower bounds. Each phase
//! starts the binary anew on an empty SQLite folder.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::{scope, sleep, spawn};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::shell::{cargo, root, run, say};

/// Ticks of `/proc/<pid>/stat` per second on Linux.
const TICKS: f64 = 100.0;
/// So long the binary may take to answer after its start.
const START: Duration = Duration::from_secs(120);
/// Callers of heartbeats, each with a kept-alive connection.
const CALLERS: usize = 16;

pub(crate) fn bench(arguments: &[String]) -> Result<()> {
    let (monitors, seconds) = parse(arguments)?;
    run(cargo().args(["build", "--release", "-p", "watchbell", "--bin", "watchbell"]))?;
    let binary = target_folder()?.join("release/watchbell");
    let folder = std::env::temp_dir().join(format!("watchbell-bench-{}", std::process::id()));
    let outcome = measure(&binary, &folder, monitors, seconds);
    fs::remove_dir_all(&folder).with_context(|| format!("{} could not be removed", folder.display()))?;
    let rows = outcome?;
    println!("\n| what | figure |\n|---|---|");
    for (what, figure) in rows {
        println!("| {what} | {figure} |");
    }
    Ok(())
}

fn parse(arguments: &[String]) -> Result<(usize, u64)> {
    let (mut monitors, mut seconds) = (10_000, 30);
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let mut number = || words.next().and_then(|number| number.parse::<u64>().ok()).filter(|&number| number > 0);
        match (word.as_str(), number()) {
            ("--monitors", Some(number)) => monitors = usize::try_from(number)?,
            ("--seconds", Some(number)) => seconds = number,
            _ => bail!("usage: cargo xtask bench [--monitors N] [--seconds N]"),
        }
    }
    Ok((monitors, seconds))
}

type Rows = Vec<(String, String)>;

fn measure(binary: &Path, folder: &Path, monitors: usize, seconds: u64) -> Result<Rows> {
    let target = target()?;
    let mut rows = Vec::new();
    let size = fs::metadata(binary)?.len() as f64 / 1e6;
    rows.push(("size of the binary".to_owned(), format!("{size:.1} MB")));

    let server = Server::start(binary, &folder.join("none"), "monitors: {}\n")?;
    rows.push(("start with no monitors until it answers".to_owned(), format!("{} ms", server.started_in.as_millis())));
    rows.push(("memory with no monitors".to_owned(), format!("{:.0} MB", server.memory()?)));
    drop(server);

    say(&format!("{monitors} monitors, one check a minute each, for {seconds} s"));
    let server = Server::start(binary, &folder.join("calm"), &probes(monitors, "60s", target))?;
    let started = format!("start with {monitors} monitors until it answers");
    rows.push((started, format!("{} ms", server.started_in.as_millis())));
    sleep(Duration::from_secs(10));
    let calm = server.watch(seconds)?;
    let what = format!("{monitors} HTTP monitors every 60 s");
    rows.push((format!("{what}: checks"), format!("{:.0}/s, {} missed", calm.checks_per_second, calm.missed)));
    rows.push((format!("{what}: processor"), format!("{:.1} % of one core", calm.processor * 100.0)));
    rows.push((format!("{what}: memory"), format!("{:.0} MB", server.memory()?)));
    rows.push((format!("{what}: begun within 100 ms of their moment"), format!("{:.1} %", calm.punctual * 100.0)));
    let asked = now();
    server.get("/metrics")?;
    rows.push((format!("`/metrics` with {monitors} monitors"), format!("{} ms", asked.elapsed().as_millis())));
    drop(server);

    let interval_ms = (monitors as u64 * 1000 / 3000).max(250);
    say(&format!("{monitors} monitors, one check every {interval_ms} ms each, for {seconds} s"));
    let busy = probes(monitors, &format!("{interval_ms}ms"), target);
    let server = Server::start(binary, &folder.join("busy"), &busy)?;
    sleep(Duration::from_secs(10));
    let load = server.watch(seconds)?;
    let what = format!("{monitors} HTTP monitors every {interval_ms} ms, each check a new connection");
    rows.push((format!("{what}: checks"), format!("{:.0}/s, {} missed", load.checks_per_second, load.missed)));
    rows.push((format!("{what}: processor"), format!("{:.0} % of one core", load.processor * 100.0)));
    rows.push((format!("{what}: memory"), format!("{:.0} MB", server.memory()?)));
    rows.push((format!("{what}: begun within 100 ms of their moment"), format!("{:.1} %", load.punctual * 100.0)));
    drop(server);

    say(&format!("heartbeats from {CALLERS} callers, for {seconds} s"));
    let server = Server::start(binary, &folder.join("beats"), &heartbeats(1000))?;
    let mut waits = server.call(1000, seconds)?;
    waits.sort_unstable();
    let at = |part: f64| waits[((waits.len() - 1) as f64 * part) as usize].as_micros() as f64 / 1000.0;
    let rate = waits.len() as f64 / seconds as f64;
    rows.push((format!("heartbeats stored before the answer, {CALLERS} callers"), format!("{rate:.0}/s")));
    let figure = format!("{:.1} ms, {:.1} ms, {:.1} ms", at(0.5), at(0.99), at(1.0));
    rows.push(("their answer: median, 99 of 100, slowest".to_owned(), figure));
    Ok(rows)
}

fn probes(monitors: usize, interval: &str, target: SocketAddr) -> String {
    let mut text =
        format!("defaults: {{ interval: {interval}, retry_interval: {interval}, timeout: 5s }}\nmonitors:\n");
    for number in 0..monitors {
        let _ = writeln!(text, "  m{number}: {{ probe: {{ http: {{ url: \"http://{target}/{number}\" }} }} }}");
    }
    text
}

fn heartbeats(monitors: usize) -> String {
    let mut text = "monitors:\n".to_owned();
    for number in 0..monitors {
        let _ = writeln!(text, "  b{number}: {{ heartbeat: {{ interval: 1h, ping_id: {} }} }}", ping_id(number));
    }
    text
}

fn ping_id(number: usize) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

/// A web server that answers every request with a few bytes and closes.
fn target() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    spawn(move || {
        for stream in listener.incoming().flatten() {
            spawn(move || answer(stream));
        }
    });
    Ok(address)
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut request = [0; 4096];
    let _ = stream.read(&mut request)?;
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
}

/// A running binary. Dropping it ends it.
struct Server {
    process: Child,
    address: SocketAddr,
    started_in: Duration,
}

/// What a while of watching showed.
struct Seen {
    checks_per_second: f64,
    missed: u64,
    /// Part of one core.
    processor: f64,
    /// Part of all checks.
    punctual: f64,
}

impl Server {
    fn start(binary: &Path, folder: &Path, configuration: &str) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let file = folder.join("watchbell.yaml");
        fs::write(&file, configuration)?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let log = fs::File::create(folder.join("log"))?;
        let began = now();
        let process = Command::new(binary)
            .args(["serve", "--listen", &address.to_string(), "--config"])
            .arg(&file)
            .arg("--data")
            .arg(folder.join("data"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("{} could not be started", binary.display()))?;
        let mut server = Self { process, address, started_in: Duration::ZERO };
        while server.get("/healthz").is_err() {
            if server.process.try_wait()?.is_some() || began.elapsed() > START {
                bail!("watchbell did not start:\n{}", fs::read_to_string(folder.join("log"))?);
            }
            sleep(Duration::from_millis(2));
        }
        server.started_in = began.elapsed();
        Ok(server)
    }

    fn get(&self, path: &str) -> Result<String> {
        let mut stream = connect(self.address)?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        match answer.starts_with("HTTP/1.1 200") {
            true => Ok(answer),
            false => bail!("{path} was answered with {:?}", answer.lines().next().unwrap_or_default()),
        }
    }

    /// Resident memory in megabytes.
    fn memory(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS in /proc")?;
        let kilobytes: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kilobytes / 1000.0)
    }

    /// Seconds of processor time so far.
    fn processor(&self) -> Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        // The name in brackets may hold spaces; user and system time are the 12th and 13th field after it.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |place: usize| fields.get(place).and_then(|field| field.parse::<f64>().ok());
        Ok(ticks(11).zip(ticks(12)).map(|(user, system)| user + system).context("times in /proc")? / TICKS)
    }

    fn watch(&self, seconds: u64) -> Result<Seen> {
        let figures = || -> Result<[f64; 5]> {
            let page = self.get("/metrics")?;
            let figure = |name: &str| {
                let line = page.lines().find_map(|line| line.strip_prefix(name));
                line.and_then(|rest| rest.trim().parse::<f64>().ok()).with_context(|| format!("{name} in /metrics"))
            };
            Ok([
                figure("watchbell_checks_total ")?,
                figure("watchbell_checks_missed_total ")?,
                figure("watchbell_check_lateness_seconds_bucket{le=\"0.1\"}")?,
                figure("watchbell_check_lateness_seconds_count ")?,
                self.processor()?,
            ])
        };
        let (before, began) = (figures()?, now());
        sleep(Duration::from_secs(seconds));
        let (after, took) = (figures()?, began.elapsed().as_secs_f64());
        let [checks, missed, punctual, all, processor] = std::array::from_fn(|place| after[place] - before[place]);
        Ok(Seen {
            checks_per_second: checks / took,
            missed: missed as u64,
            processor: processor / took,
            punctual: if all > 0.0 { punctual / all } else { 0.0 },
        })
    }

    /// Calls heartbeats in turn from several connections; how long each answer took. Anything but 200 is an error.
    fn call(&self, monitors: usize, seconds: u64) -> Result<Vec<Duration>> {
        let end = now() + Duration::from_secs(seconds);
        scope(|threads| {
            let callers: Vec<_> =
                (0..CALLERS).map(|caller| threads.spawn(move || self.caller(caller, monitors, end))).collect();
            let mut waits = Vec::new();
            for caller in callers {
                waits.extend(caller.join().map_err(|_| anyhow::anyhow!("a caller panicked"))??);
            }
            Ok(waits)
        })
    }

    fn caller(&self, first: usize, monitors: usize, end: Instant) -> Result<Vec<Duration>> {
        let mut stream = connect(self.address)?;
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut waits = Vec::new();
        let mut number = first;
        while now() < end {
            let began = now();
            write!(stream, "GET /ping/{} HTTP/1.1\r\nHost: {}\r\n\r\n", ping_id(number % monitors), self.address)?;
            let mut line = String::new();
            reader.read_line(&mut line)?;
            if !line.starts_with("HTTP/1.1 200") {
                bail!("a heartbeat was answered with {line:?}");
            }
            let mut length = 0;
            while line.trim() != "" {
                line.clear();
                reader.read_line(&mut line)?;
                if let Some((name, value)) = line.split_once(':')
                    && name.eq_ignore_ascii_case("content-length")
                {
                    length = value.trim().parse()?;
                }
            }
            reader.read_exact(&mut vec![0; length])?;
            waits.push(began.elapsed());
            number += CALLERS;
        }
        Ok(waits)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.process.kill().is_ok()
            && let Err(error) = self.process.wait()
        {
            eprintln!("xtask: watchbell (process {}) did not end: {error}", self.process.id());
        }
    }
}

fn connect(address: SocketAddr) -> Result<TcpStream> {
    #[expect(clippy::disallowed_methods, reason = "a build tool talks to the binary from outside")]
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    Ok(stream)
}

#[expect(clippy::disallowed_methods, reason = "a build tool measures")]
fn now() -> Instant {
    Instant::now()
}

fn target_folder() -> Result<PathBuf> {
    let folder = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    std::path::absolute(folder).context("the target folder")
}
