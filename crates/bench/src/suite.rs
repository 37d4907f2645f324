//! The measurements, one after the other, and the table they make.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::watcher::{Watcher, now, request};
use crate::{heartbeats, process};

/// One line of the table.
struct Figure {
    what: &'static str,
    measured: String,
    goal: &'static str,
    met: bool,
}

/// The targets and sinks, in a process of their own.
struct Peers {
    child: Child,
    http: u16,
    https: u16,
    ca: String,
}

/// How long and how often; the quick run measures the same things once and shortly.
struct Scale {
    bare: usize,
    rounds: usize,
    settle: Duration,
    measure: Duration,
    flips: usize,
    large: usize,
}

pub(crate) async fn run(binary: &str, quick: bool) -> Result<()> {
    let scale = if quick {
        Scale { bare: 2000, rounds: 1, settle: secs(3), measure: secs(3), flips: 10, large: 10_000 }
    } else {
        Scale { bare: 20_000, rounds: 3, settle: secs(5), measure: secs(20), flips: 100, large: 10_000 }
    };
    let binary = binary.to_owned();
    tokio::task::spawn_blocking(move || measure(&binary, &scale)).await?
}

fn measure(binary: &str, scale: &Scale) -> Result<()> {
    let peers = Peers::start()?;
    let mut figures = Vec::new();
    let size = std::fs::metadata(binary)?.len();
    figures.push(figure("release binary", mib(size), "≤ 30 MB", size <= 30_000_000));
    step("plain HTTP");
    ratio(binary, &peers, scale, false, &mut figures)?;
    step("HTTPS");
    ratio(binary, &peers, scale, true, &mut figures)?;
    step("2,000 checks a second");
    lateness(binary, &peers, scale, &mut figures)?;
    step("from failure to bell");
    bell(binary, &peers, scale, &mut figures)?;
    step("1,000 monitors");
    many(binary, &peers, 1000, scale, &mut figures)?;
    step("10,000 monitors");
    many(binary, &peers, scale.large, scale, &mut figures)?;
    step("heartbeats");
    listening(binary, scale, &mut figures)?;
    print(&figures);
    Ok(())
}

/// The heartbeats' lines alone.
pub(crate) fn heartbeats_alone(binary: &str) -> Result<()> {
    let scale = Scale { bare: 0, rounds: 0, settle: secs(2), measure: secs(10), flips: 0, large: 10_000 };
    let mut figures = Vec::new();
    listening(binary, &scale, &mut figures)?;
    print(&figures);
    Ok(())
}

fn print(figures: &[Figure]) {
    println!("\n| what | measured | goal | |\n|---|---|---|---|");
    for Figure { what, measured, goal, met } in figures {
        println!("| {what} | {measured} | {goal} | {} |", if *met { "met" } else { "**missed**" });
    }
}

/// Durable pings a second on both stores, deadlines, and the memory of very many heartbeats.
fn listening(binary: &str, scale: &Scale, figures: &mut Vec<Figure>) -> Result<()> {
    const MONITORS: usize = 1000;
    let postgres = std::env::var("WATCHBELL_BENCH_POSTGRES").ok();
    let stores = [
        (None, "durable heartbeats over 256 kept-alive connections, SQLite", "≥ 20,000/s, p99 ≤ 50 ms", 20_000.0),
        (postgres.as_deref(), "… PostgreSQL", "≥ 5,000/s, p99 ≤ 50 ms", 5000.0),
    ];
    for (database, what, goal, least) in stores {
        if database.is_none() && least < 10_000.0 {
            println!("  no PostgreSQL: set WATCHBELL_BENCH_POSTGRES to the URL of one");
            continue;
        }
        let folder = tempfile::tempdir()?;
        heartbeats::configure(folder.path(), MONITORS, "1h")?;
        let watcher = Watcher::start_on(binary, folder.path(), database)?;
        heartbeats::call(watcher.address, MONITORS, 256, secs(1))?;
        let cpu = process::cpu(watcher.pid())?;
        let heard = heartbeats::call(watcher.address, MONITORS, 256, scale.measure)?;
        let each =
            (process::cpu(watcher.pid())? - cpu).as_secs_f64() * 1e6 / (heard.per_second * scale.measure.as_secs_f64());
        let (half, most) = (heard.median.as_secs_f64() * 1000.0, heard.p99.as_secs_f64() * 1000.0);
        let measured = format!("{:.0}/s, p50 {half:.1} ms, p99 {most:.1} ms, {each:.0} µs CPU each", heard.per_second);
        figures.push(figure(what, measured, goal, heard.per_second >= least && most <= 50.0));
        watcher.stop()?;
    }
    let folder = tempfile::tempdir()?;
    heartbeats::configure(folder.path(), MONITORS, "3s")?;
    let watcher = Watcher::start(binary, folder.path())?;
    heartbeats::call_all(watcher.address, MONITORS)?;
    // Three seconds, one of grace, and the second in which it must be noticed.
    std::thread::sleep(secs(5));
    let (_, page) = watcher.get("/metrics", "")?;
    let late = heartbeats::still_up(&page);
    figures.push(figure(
        "deadlines noticed within 1 s, of 1,000 at once",
        format!("{} of {MONITORS}", MONITORS - late),
        "all",
        late == 0,
    ));
    watcher.stop()?;

    let many = scale.large * 10;
    let folder = tempfile::tempdir()?;
    heartbeats::configure(folder.path(), many, "1h")?;
    let watcher = Watcher::start(binary, folder.path())?;
    heartbeats::call_all(watcher.address, many)?;
    std::thread::sleep(scale.settle);
    let resident = process::resident(watcher.pid())?;
    figures.push(figure(
        "resident memory, 100,000 heartbeats, each heard",
        mib(resident),
        "≤ 400 MB",
        resident <= 400_000_000,
    ));
    watcher.stop()
}

/// CPU per check through the whole pipeline, against the bare loop, in turns.
fn ratio(binary: &str, peers: &Peers, scale: &Scale, tls: bool, figures: &mut Vec<Figure>) -> Result<()> {
    let url =
        if tls { format!("https://localhost:{}/", peers.https) } else { format!("http://127.0.0.1:{}/", peers.http) };
    let per_second: u32 = if tls { 500 } else { 2000 };
    let folder = tempfile::tempdir()?;
    let ca = std::fs::read_to_string(&peers.ca)?.lines().fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "          {line}");
        text
    });
    let probe = if tls {
        format!(
            "    probe:\n      http:\n        url: {url}\n        tls:\n          ca: |\n{}",
            ca.replace("          ", "            ")
        )
    } else {
        format!("    probe: {{ http: {{ url: \"{url}\" }} }}\n")
    };
    write_config(folder.path(), per_second, "1s", &probe)?;
    let (mut ratios, mut flat_ratios) = (Vec::new(), Vec::new());
    let (mut bares, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..scale.rounds {
        let flat = peers.bare(&url, if tls { scale.bare / 4 } else { scale.bare }, 0)?;
        let bare = peers.bare(&url, per_second as usize * scale.measure.as_secs() as usize / 2, per_second)?;
        let watcher = Watcher::start(binary, folder.path())?;
        std::thread::sleep(scale.settle);
        let (checks, cpu) = (watcher.metric("watchbell_checks_total")?, process::cpu(watcher.pid())?);
        std::thread::sleep(scale.measure);
        let (checks, cpu) = (watcher.metric("watchbell_checks_total")? - checks, process::cpu(watcher.pid())? - cpu);
        let own = cpu.as_secs_f64() * 1e6 / checks;
        let up = watcher.metric("watchbell_monitor_up")?;
        anyhow::ensure!(up > f64::from(per_second) * 0.9, "only {up} of {per_second} monitors are up");
        watcher.stop()?;
        println!(
            "  bare {bare:.1} µs at this pace, {flat:.1} µs flat out, ours {own:.1} µs ({:.0} checks/s)",
            checks / scale.measure.as_secs_f64()
        );
        ratios.push(own / bare);
        flat_ratios.push(own / flat);
        bares.push(bare);
        ours.push(own);
    }
    let (ratio, bare, own) = (median(&mut ratios), median(&mut bares), median(&mut ours));
    let flat = median(&mut flat_ratios);
    let measured = format!("{ratio:.2} × ({own:.0} µs against {bare:.0} µs)");
    let measured_flat = format!("{flat:.2} ×");
    if tls {
        figures.push(figure(
            "CPU per HTTPS check, full handshake, 500/s, against a bare loop at that pace",
            measured,
            "≤ 1.3 ×",
            ratio <= 1.3,
        ));
        figures.push(figure("… against the bare loop flat out", measured_flat, "≤ 1.3 ×", flat <= 1.3));
    } else {
        figures.push(figure(
            "CPU per plain HTTP check (ask, decide, commit), 2,000/s, against a bare loop at that pace",
            measured,
            "≤ 1.6 ×",
            ratio <= 1.6,
        ));
        figures.push(figure("… against the bare loop flat out", measured_flat, "≤ 1.6 ×", flat <= 1.6));
    }
    Ok(())
}

fn lateness(binary: &str, peers: &Peers, scale: &Scale, figures: &mut Vec<Figure>) -> Result<()> {
    let folder = tempfile::tempdir()?;
    write_config(
        folder.path(),
        2000,
        "1s",
        &format!("    probe: {{ http: {{ url: \"http://127.0.0.1:{}/\" }} }}\n", peers.http),
    )?;
    let watcher = Watcher::start(binary, folder.path())?;
    std::thread::sleep(scale.settle);
    let before = watcher.lateness_counts()?;
    std::thread::sleep(scale.measure);
    let (half, most) = (watcher.lateness(&before, 0.5)?, watcher.lateness(&before, 0.99)?);
    let missed = watcher.metric("watchbell_checks_missed_total")?;
    let measured = format!("p50 ≤ {half:.0} ms, p99 ≤ {most:.0} ms, {missed} missed");
    figures.push(figure("start lateness at 2,000 checks/s", measured, "p99 ≤ 20 ms", most <= 20.0 && missed == 0.0));
    watcher.stop()
}

/// From the answer that confirms a failure to the first byte at a webhook, while 50 checks a second go on.
fn bell(binary: &str, peers: &Peers, scale: &Scale, figures: &mut Vec<Figure>) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut text = format!(
        "channels:\n  hook: {{ webhook: {{ url: \"http://127.0.0.1:{}/hook\" }} }}\n\
         defaults: {{ interval: 1s, retry_interval: 1s, failure_threshold: 1, success_threshold: 1, notify: [hook] }}\nmonitors:\n",
        peers.http
    );
    for n in 0..50 {
        let _ = writeln!(
            text,
            "  m{n}: {{ probe: {{ http: {{ url: \"http://127.0.0.1:{}/switch/m{n}\" }} }} }}",
            peers.http
        );
    }
    std::fs::write(folder.path().join("watchbell.yaml"), text)?;
    let watcher = Watcher::start(binary, folder.path())?;
    std::thread::sleep(scale.settle);
    for flip in 0..scale.flips {
        let name = format!("m{}", flip % 50);
        peers.ask(&format!("/turn/{name}/off"))?;
        std::thread::sleep(Duration::from_millis(1100));
        peers.ask(&format!("/turn/{name}/on"))?;
        std::thread::sleep(Duration::from_millis(100));
    }
    std::thread::sleep(secs(2));
    let report = peers.ask("/report")?;
    let mut latencies: Vec<f64> = report.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    anyhow::ensure!(
        latencies.len() >= scale.flips * 9 / 10,
        "only {} of {} failures were told",
        latencies.len(),
        scale.flips
    );
    latencies.sort_by(f64::total_cmp);
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share).round() as usize] / 1000.0;
    let (half, most) = (at(0.5), at(0.99));
    figures.push(figure(
        "confirmed failure to first byte at the webhook, 50 checks/s",
        format!("p50 {half:.1} ms, p99 {most:.1} ms"),
        "p50 ≤ 5 ms, p99 ≤ 25 ms",
        half <= 5.0 && most <= 25.0,
    ));
    // The same fifty monitors, all well now: what an unchanged result costs the disk.
    std::thread::sleep(scale.settle);
    let (checks, written) = (watcher.metric("watchbell_checks_total")?, process::written(watcher.pid())?);
    std::thread::sleep(scale.measure * 2);
    let (checks, written) =
        (watcher.metric("watchbell_checks_total")? - checks, process::written(watcher.pid())? - written);
    let each = written as f64 / checks;
    figures.push(figure(
        "written to disk per unchanged result, 50 checks/s",
        format!("{each:.0} B"),
        "≤ 1 kB",
        each <= 1000.0,
    ));
    watcher.stop()
}

/// Memory, start-up, idling, and the Overview with many monitors.
fn many(binary: &str, peers: &Peers, monitors: usize, scale: &Scale, figures: &mut Vec<Figure>) -> Result<()> {
    let folder = tempfile::tempdir()?;
    write_config(
        folder.path(),
        u32::try_from(monitors)?,
        "60s",
        &format!("    group: G{{n}}\n    probe: {{ http: {{ url: \"http://127.0.0.1:{}/\" }} }}\n", peers.http),
    )?;
    let first = Watcher::start(binary, folder.path())?;
    println!("  first start {:.0} ms", first.started_in.as_secs_f64() * 1000.0);
    let cookie = first.sign_in()?;
    // Every monitor has been looked at once after 30 seconds.
    std::thread::sleep(secs(35));
    let resident = process::resident(first.pid())?;
    let began = now();
    let (status, page) = first.get("/", &cookie)?;
    let took = began.elapsed();
    anyhow::ensure!(status == 200, "the Overview answered {status}");
    first.stop()?;
    let large = monitors > 1000;
    let (name, goal, limit) = if large {
        ("resident memory, 10,000 monitors", "≤ 128 MB", 128_000_000)
    } else {
        ("resident memory, 1,000 monitors", "≤ 60 MB", 60_000_000)
    };
    figures.push(figure(name, mib(resident), goal, resident <= limit));
    if !large {
        return Ok(());
    }
    let again = Watcher::start(binary, folder.path())?;
    let started = again.started_in.as_secs_f64() * 1000.0;
    figures.push(figure("start-up, 10,000 monitors", format!("{started:.0} ms"), "≤ 1 s", started <= 1000.0));
    again.stop()?;
    let (millis, kilobytes) = (took.as_secs_f64() * 1000.0, page.len() as f64 / 1000.0);
    figures.push(figure(
        "Overview, 10,000 monitors",
        format!("{millis:.0} ms, {kilobytes:.0} kB uncompressed"),
        "≤ 100 ms, ≤ 300 kB",
        millis <= 100.0 && kilobytes <= 300.0,
    ));
    write_config(
        folder.path(),
        u32::try_from(monitors)?,
        "1h",
        &format!("    group: G{{n}}\n    probe: {{ http: {{ url: \"http://127.0.0.1:{}/\" }} }}\n", peers.http),
    )?;
    let idle = Watcher::start(binary, folder.path())?;
    std::thread::sleep(secs(35));
    let cpu = process::cpu(idle.pid())?;
    std::thread::sleep(scale.measure);
    let spent = process::cpu(idle.pid())? - cpu;
    let each = spent.as_secs_f64() * 1e6 / scale.measure.as_secs_f64() / monitors as f64;
    figures.push(figure("CPU per idle monitor (one check an hour)", format!("{each:.2} µs/s"), "small", each < 5.0));
    idle.stop()
}

fn write_config(folder: &Path, monitors: u32, interval: &str, probe: &str) -> Result<()> {
    let mut text = format!("defaults: {{ interval: {interval}, timeout: 10s }}\nmonitors:\n");
    for n in 0..monitors {
        let _ = write!(text, "  m{n}:\n{}", probe.replace("G{n}", &format!("Group {}", n % 40)));
    }
    std::fs::write(folder.join("watchbell.yaml"), text)?;
    Ok(())
}

impl Peers {
    fn start() -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?).arg("serve").stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no output")?).read_line(&mut line)?;
        let mut words = line.split_whitespace();
        let mut word = || words.next().context("the peers did not say their ports");
        let (http, https, ca) = (word()?.parse()?, word()?.parse()?, word()?.to_owned());
        Ok(Self { child, http, https, ca })
    }

    fn bare(&self, url: &str, count: usize, pace: u32) -> Result<f64> {
        let output = Command::new(std::env::current_exe()?)
            .args(["bare", url, &count.to_string(), &self.ca, &pace.to_string()])
            .output()?;
        anyhow::ensure!(output.status.success(), "the bare loop failed: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?.trim().parse()?)
    }

    fn ask(&self, path: &str) -> Result<String> {
        let address: SocketAddr = ([127, 0, 0, 1], self.http).into();
        let (_, answer) = request(address, "GET", path, "", "")?;
        let text = String::from_utf8(answer)?;
        Ok(text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.ca);
    }
}

fn figure(what: &'static str, measured: String, goal: &'static str, met: bool) -> Figure {
    println!("  {what}: {measured} (goal {goal})");
    Figure { what, measured, goal, met }
}

fn step(what: &str) {
    println!("{what} …");
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}
