//! A running Watchbell under measurement, and the small HTTP client that talks to it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

pub(crate) struct Watcher {
    child: Child,
    pub address: SocketAddr,
    setup: Option<String>,
    /// From starting the process until it answered.
    pub started_in: Duration,
}

impl Watcher {
    /// Starts the binary on a folder that holds `watchbell.yaml` and, later, the data.
    pub(crate) fn start(binary: &str, folder: &Path) -> Result<Self> {
        Self::start_on(binary, folder, None)
    }

    /// The same on a PostgreSQL of this URL.
    pub(crate) fn start_on(binary: &str, folder: &Path, database: Option<&str>) -> Result<Self> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let address: SocketAddr = ([127, 0, 0, 1], port).into();
        let began = now();
        let mut child = Command::new(binary)
            .args(["serve", "--listen", &address.to_string(), "--log-level", "warn"])
            .arg("--config")
            .arg(folder.join("watchbell.yaml"))
            .arg("--data")
            .arg(folder.join("data"))
            .args(database.into_iter().flat_map(|url| ["--database", url]))
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{binary} cannot be started"))?;
        let stdout = child.stdout.take().context("no standard output")?;
        let (send, receive) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Some((_, token)) = line.split_once("setup?token=") {
                    let _ = send.send(token.trim().to_owned());
                }
            }
        });
        Self::wait(child, address, began, &receive)
    }

    fn wait(
        mut child: Child,
        address: SocketAddr,
        began: Instant,
        token: &std::sync::mpsc::Receiver<String>,
    ) -> Result<Self> {
        loop {
            if let Ok((200, _)) = request(address, "GET", "/healthz", "", "") {
                break;
            }
            if let Some(status) = child.try_wait()? {
                bail!("watchbell ended at once: {status}");
            }
            ensure!(began.elapsed() < Duration::from_secs(120), "watchbell did not answer within two minutes");
            std::thread::sleep(Duration::from_millis(5));
        }
        let started_in = began.elapsed();
        let setup = token.recv_timeout(Duration::from_millis(300)).ok();
        Ok(Self { child, address, setup, started_in })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Makes the first person and returns their session's cookie.
    pub(crate) fn sign_in(&self) -> Result<String> {
        let token = self.setup.as_ref().context("no set-up link was printed")?;
        let body = format!("token={token}&name=bench&password=a+long+bench+password");
        let (status, answer) = request(self.address, "POST", "/setup", &form_headers(self.address), &body)?;
        let head = String::from_utf8_lossy(&answer).into_owned();
        let cookie = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().starts_with("set-cookie:").then(|| line[11..].trim().to_owned()))
            .with_context(|| format!("setting up answered {status} without a cookie"))?;
        Ok(cookie.split(';').next().unwrap_or_default().to_owned())
    }

    pub(crate) fn get(&self, path: &str, cookie: &str) -> Result<(u16, Vec<u8>)> {
        let headers = if cookie.is_empty() { String::new() } else { format!("Cookie: {cookie}\r\n") };
        request(self.address, "GET", path, &headers, "")
    }

    /// One of our own figures, summed over its labels.
    pub(crate) fn metric(&self, name: &str) -> Result<f64> {
        let (_, text) = self.get("/metrics", "")?;
        let text = String::from_utf8_lossy(&text);
        let values = text.lines().filter_map(|line| {
            let (key, value) = line.rsplit_once(' ')?;
            (key == name || key.starts_with(&format!("{name}{{"))).then(|| value.parse::<f64>().ok())?
        });
        Ok(values.sum())
    }

    /// The smallest bound that holds `share` of the looks begun since `before`, in milliseconds.
    pub(crate) fn lateness(&self, before: &[(f64, f64)], share: f64) -> Result<f64> {
        let after = self.lateness_counts()?;
        let since = |i: usize| after[i].1 - before.get(i).map_or(0.0, |(_, count)| *count);
        let all = since(after.len() - 1);
        let place = (0..after.len()).find(|&i| since(i) >= all * share).context("no looks were counted")?;
        Ok(after[place].0 * 1000.0)
    }

    /// Bound in seconds and cumulative count.
    pub(crate) fn lateness_counts(&self) -> Result<Vec<(f64, f64)>> {
        let (_, text) = self.get("/metrics", "")?;
        let text = String::from_utf8_lossy(&text);
        let counts = text.lines().filter_map(|line| {
            let rest = line.strip_prefix("watchbell_check_lateness_seconds_bucket{le=\"")?;
            let (bound, count) = rest.split_once("\"} ")?;
            Some((bound.replace("+Inf", "inf").parse().ok()?, count.parse().ok()?))
        });
        Ok(counts.collect())
    }

    /// Ends it as an administrator would, and waits.
    pub(crate) fn stop(mut self) -> Result<()> {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.pid())?).context("no process number")?;
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn form_headers(address: SocketAddr) -> String {
    format!(
        "Content-Type: application/x-www-form-urlencoded\r\nOrigin: http://{address}\r\nSec-Fetch-Site: same-origin\r\n"
    )
}

/// One request on a connection of its own; the answer holds the head as well.
pub(crate) fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> Result<(u16, Vec<u8>)> {
    #[expect(clippy::disallowed_methods, reason = "a benchmark talks to what it measures")]
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let status = std::str::from_utf8(answer.get(9..12).context("no answer")?)?.parse()?;
    Ok((status, answer))
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
