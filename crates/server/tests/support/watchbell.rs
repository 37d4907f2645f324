//! The product itself: the binary that was built for these tests, started as people start it.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::clock::until;
use super::database::Database;
use super::http::{Answer, get};
use super::process::{Process, free_port, log_file, program};

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_watchbell");

/// Starting includes making a database and, under load, waiting for a core.
const START: Duration = Duration::from_secs(30);
/// Stopping lets checks and deliveries under way come to their end.
const STOP: Duration = Duration::from_secs(30);

/// A place for one installation: its folder, address, configuration and database. It survives its processes.
pub(crate) struct Home {
    folder: TempDir,
    listen: SocketAddr,
    database: Database,
    environment: Vec<(String, String)>,
    open_files: Option<u32>,
}

/// A running `watchbell serve`. Dropping it kills it.
pub(crate) struct Watchbell<'a> {
    home: &'a Home,
    process: Process,
}

impl Home {
    pub(crate) fn new(database: Database, configuration: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("watchbell-home-").tempdir().expect("a temporary folder");
        let listen = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let home = Self { folder, listen, database, environment: Vec::new(), open_files: None };
        home.configure(configuration);
        home
    }

    /// Another node: its own folder and address, the same database.
    pub(crate) fn beside(&self, configuration: &str) -> Self {
        Self::new(self.database.clone(), configuration)
    }

    /// The most files and connections the process may have open at once.
    pub(crate) fn limit_files(mut self, open_files: u32) -> Self {
        self.open_files = Some(open_files);
        self
    }

    /// A variable of the process's environment.
    pub(crate) fn set(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// Writes `watchbell.yaml`.
    pub(crate) fn configure(&self, text: &str) {
        fs::write(self.configuration(), text).expect("a file in a folder of ours");
    }

    pub(crate) fn configuration(&self) -> PathBuf {
        self.folder.path().join("watchbell.yaml")
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listen
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.listen)
    }

    /// What the database holds, read past the server.
    #[track_caller]
    pub(crate) fn rows(&self, sql: &str) -> Vec<super::database::Row> {
        self.database.rows(&self.data(), sql)
    }

    /// `watchbell serve`, once it answers.
    #[track_caller]
    pub(crate) fn start(&self) -> Watchbell<'_> {
        let mut watchbell = Watchbell { home: self, process: self.spawn() };
        until("watchbell to answer", START, || {
            if let Some(status) = watchbell.process.ended() {
                panic!("watchbell ended with {status}:\n{}", self.log());
            }
            watchbell.get("/healthz").ok().filter(|answer| answer.status < 500)
        });
        watchbell
    }

    /// `watchbell serve` of a node that waits for another one to die: it runs, and need not answer.
    pub(crate) fn start_standing_by(&self) -> Watchbell<'_> {
        Watchbell { home: self, process: self.spawn() }
    }

    /// `watchbell serve`, just started.
    fn spawn(&self) -> Process {
        let log = log_file(&self.log_path());
        let program = self.open_files.map_or_else(|| PathBuf::from(BINARY), |_| program("prlimit"));
        Process::start(&program, |command| {
            if let Some(open_files) = self.open_files {
                command.arg(format!("--nofile={open_files}:{open_files}")).arg(BINARY);
            }
            command.args(self.serve_arguments());
            self.clean(command);
            command.stdout(log.try_clone().expect("a second handle")).stderr(log);
        })
    }

    fn serve_arguments(&self) -> Vec<String> {
        let text = |path: PathBuf| path.display().to_string();
        let mut arguments = vec!["serve".to_owned()];
        arguments.extend(["--config".to_owned(), text(self.configuration())]);
        arguments.extend(["--data".to_owned(), text(self.data())]);
        arguments.extend(["--listen".to_owned(), self.listen.to_string()]);
        if let Database::Postgres(database) = &self.database {
            arguments.extend(["--database".to_owned(), database.url()]);
        }
        arguments
    }

    /// Runs any command to its end, which must come within twenty seconds.
    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        const TIMED_OUT: i32 = 124;
        let mut command = Command::new("timeout");
        command.args(["--kill-after=5", "20", BINARY]).args(arguments).stdin(Stdio::null());
        self.clean(&mut command);
        let output = command.output().expect("the binary runs");
        assert_ne!(output.status.code(), Some(TIMED_OUT), "{arguments:?} did not come to an end");
        output
    }

    /// `serve` where it must fail: its end.
    #[track_caller]
    pub(crate) fn run_serve(&self) -> Output {
        let arguments = self.serve_arguments();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.run(&arguments)
    }

    /// Our own environment, without what would change the product's behaviour.
    fn clean(&self, command: &mut Command) {
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            let is_ours = name.starts_with("WATCHBELL_") || name.starts_with("TELEGRAM_") || name == "PING_KEY";
            let is_proxy = name.to_ascii_lowercase().ends_with("_proxy");
            if is_ours || is_proxy || matches!(name.as_str(), "SSL_CERT_FILE" | "SSL_CERT_DIR" | "TZ") {
                command.env_remove(&name);
            }
        }
        command.env("NO_COLOR", "1").current_dir(self.folder.path());
        for (name, value) in &self.environment {
            command.env(name, value);
        }
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Everything that all its processes printed.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }
}

impl Watchbell<'_> {
    pub(crate) fn get(&self, path: &str) -> io::Result<Answer> {
        get(self.home.listen, path)
    }

    /// The value of one of its own figures, e.g. `watchbell_deliveries_waiting`.
    pub(crate) fn metric(&self, name: &str) -> Option<f64> {
        let page = self.get("/metrics").ok()?.text();
        let line = page.lines().find(|line| line.split([' ', '{']).next() == Some(name))?;
        line.rsplit(' ').next()?.parse().ok()
    }

    /// The link that makes the first account, as it is printed at the first start.
    #[track_caller]
    pub(crate) fn setup_link(&self) -> String {
        let beginning = self.home.url("/setup");
        until("the set-up link in the log", Duration::from_secs(5), || {
            let log = self.home.log();
            let at = log.find(&beginning)?;
            let link: String = log[at..].chars().take_while(|c| !c.is_whitespace() && *c != '\u{1b}').collect();
            link.contains(['=', '?']).then_some(link)
        })
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.process.kill();
    }

    /// SIGTERM, as service managers do it.
    #[track_caller]
    pub(crate) fn stop(mut self) -> ExitStatus {
        self.process.terminate(STOP)
    }

    #[track_caller]
    pub(crate) fn expect_alive(&mut self) {
        if let Some(status) = self.process.ended() {
            panic!("watchbell ended with {status}:\n{}", self.home.log());
        }
    }
}
