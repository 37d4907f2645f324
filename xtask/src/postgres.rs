//! A private PostgreSQL cluster: made in a temporary folder, on a free port, ended with the value that holds it.

use std::fs;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::packages::is_root;
use crate::shell::{output, say, which};

/// The folder's name, before the number of the process that made it.
const PREFIX: &str = "watchbell-postgres-";

/// A running cluster. Dropping it ends the server by its process number and removes its folder.
pub(crate) struct Postgres {
    server: Child,
    folder: PathBuf,
    port: u16,
}

/// What every program of the cluster needs: who runs it and where it lies.
struct Owner {
    user: Option<(u32, u32)>,
}

impl Postgres {
    /// Makes and starts a cluster; writes are really synced, as crash tests need it.
    pub(crate) fn start() -> Result<Self> {
        let initdb = program("initdb").context("initdb was not found; install PostgreSQL")?;
        let postgres = program("postgres").context("the program postgres was not found; install PostgreSQL")?;
        let owner = Owner::find()?;
        let folder = owner.folder()?;
        let data = folder.join("data");
        say(&format!("making a PostgreSQL cluster in {}", folder.display()));
        let made = owner
            .command(&initdb, &folder)
            .args(["--auth=trust", "--username=watchbell", "--encoding=UTF8", "--no-locale", "--pgdata"])
            .arg(&data)
            .output()
            .context("initdb could not be started")?;
        if !made.status.success() {
            let words = String::from_utf8_lossy(&made.stderr).trim().to_owned();
            remove(&folder);
            bail!("initdb ended with {}: {words}", made.status);
        }
        let port = free_port()?;
        let log = fs::File::create(folder.join("log"))?;
        let server = owner
            .command(&postgres, &folder)
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(&folder)
            .args(["-p", &port.to_string()])
            .args(["-c", "listen_addresses=127.0.0.1"])
            .args(["-c", "fsync=on", "-c", "synchronous_commit=on"])
            .args(["-c", "max_connections=300", "-c", "shared_buffers=64MB", "-c", "max_wal_size=256MB"])
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("PostgreSQL could not be started")?;
        let mut cluster = Self { server, folder, port };
        cluster.wait_until_ready()?;
        say(&format!("PostgreSQL listens on 127.0.0.1:{port}"));
        Ok(cluster)
    }

    /// Connects as a superuser; tests make their own databases and drop them.
    pub(crate) fn url(&self) -> String {
        format!("postgres://watchbell@127.0.0.1:{}/postgres", self.port)
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        const TRIES: u32 = 300;
        let ready = program("pg_isready").context("pg_isready was not found; install PostgreSQL")?;
        for _ in 0..TRIES {
            if let Some(status) = self.server.try_wait()? {
                bail!("PostgreSQL ended at its start with {status}: {}", self.log());
            }
            let port = self.port.to_string();
            let ready = ready.to_string_lossy();
            if output(&ready, &["-q", "-h", "127.0.0.1", "-p", &port, "-U", "watchbell", "-d", "postgres"]).is_some() {
                return Ok(());
            }
            sleep(Duration::from_millis(100));
        }
        bail!("PostgreSQL did not answer within {} s: {}", TRIES / 10, self.log())
    }

    fn log(&self) -> String {
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // SIGINT is PostgreSQL's "fast shutdown": connections are closed, data is written.
        signal(&self.server, "INT");
        for _ in 0..150 {
            if matches!(self.server.try_wait(), Ok(Some(_))) {
                remove(&self.folder);
                return;
            }
            sleep(Duration::from_millis(100));
        }
        signal(&self.server, "QUIT");
        if let Err(error) = self.server.wait() {
            eprintln!("xtask: PostgreSQL (process {}) did not end: {error}", self.server.id());
        }
        remove(&self.folder);
    }
}

/// One of PostgreSQL's programs: on `PATH`, else of the newest version that Debian keeps aside.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_string_lossy().parse().ok()?;
            let file = entry.path().join("bin").join(name);
            file.is_file().then_some((version, file))
        })
        .collect();
    versions.sort();
    versions.pop().map(|(_, file)| file).or_else(|| which(name))
}

impl Owner {
    /// PostgreSQL refuses to run as root, so root lends it to somebody who owns nothing.
    fn find() -> Result<Self> {
        if !is_root() {
            return Ok(Self { user: None });
        }
        for name in ["postgres", "nobody"] {
            let number = |flag| output("id", &[flag, name]).and_then(|text| text.parse::<u32>().ok());
            if let (Some(user), Some(group)) = (number("-u"), number("-g")) {
                return Ok(Self { user: Some((user, group)) });
            }
        }
        bail!("there is neither a user `postgres` nor `nobody` to run PostgreSQL as")
    }

    fn folder(&self) -> Result<PathBuf> {
        remove_leftovers();
        let folder = std::env::temp_dir().join(format!("{PREFIX}{}", std::process::id()));
        fs::create_dir(&folder).with_context(|| format!("{} could not be made", folder.display()))?;
        if let Some((user, group)) = self.user {
            std::os::unix::fs::chown(&folder, Some(user), Some(group))?;
        }
        Ok(folder)
    }

    fn command(&self, program: &Path, folder: &Path) -> Command {
        // Should we be killed, the server goes too: the kernel signals it when its parent ends.
        let mut command = match which("setpriv") {
            Some(setpriv) => {
                let mut command = Command::new(setpriv);
                if let Some((user, group)) = self.user {
                    command.arg(format!("--reuid={user}")).arg(format!("--regid={group}")).arg("--clear-groups");
                }
                command.arg("--pdeathsig=INT").arg("--").arg(program);
                command
            }
            None => {
                let mut command = Command::new(program);
                if let Some((user, group)) = self.user {
                    command.uid(user).gid(group);
                }
                command
            }
        };
        command.current_dir(folder).stdin(Stdio::null()).env("LC_ALL", "C.UTF-8").process_group(0);
        command
    }
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0").context("no free port on 127.0.0.1")?.local_addr()?.port())
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").arg(format!("-{name}")).arg(child.id().to_string()).status();
    if !sent.is_ok_and(|status| status.success()) {
        eprintln!("xtask: SIG{name} could not be sent to process {}", child.id());
    }
}

/// Folders of earlier runs that were killed: their process is gone, and so is their server.
fn remove_leftovers() {
    for entry in fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.strip_prefix(PREFIX)).filter(|id| id.parse::<u32>().is_ok());
        if process.is_some_and(|id| !Path::new("/proc").join(id).exists()) {
            remove(&entry.path());
        }
    }
}

fn remove(folder: &Path) {
    if folder.exists()
        && let Err(error) = fs::remove_dir_all(folder)
    {
        eprintln!("xtask: {} could not be removed: {error}", folder.display());
    }
}
