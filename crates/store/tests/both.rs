//! Runs a test on either engine, each time in a database of its own.
//!
//! PostgreSQL is the server that `WATCHBELL_TEST_POSTGRES` names (a URL of a user who may create databases), or
//! one started here from the installed binaries. It ends with this process, however that ends: a shell waits
//! for the end of a pipe that only we hold, then stops the server and removes its files.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use watchbell_core::Secret;
use watchbell_store::{Engine, OpenSettings, Place, Store};

/// A store of one test, and how to open it again.
pub(crate) struct Fixture {
    pub(crate) store: Store,
    pub(crate) settings: OpenSettings,
    /// The data folder; an empty one for PostgreSQL.
    pub(crate) folder: TempDir,
}

impl Fixture {
    pub(crate) fn engine(&self) -> Engine {
        self.store.engine()
    }

    /// Changes the database behind the store's back; the text must be one that both understand.
    pub(crate) async fn tamper(&self, sql: &str) {
        match &self.settings.place {
            Place::Folder(folder) => {
                let connection = rusqlite::Connection::open(folder.join("watchbell.db")).unwrap();
                connection.execute_batch(sql).unwrap();
            }
            Place::Postgres(url) => execute(url.expose(), sql).await,
        }
    }

    /// Another process with the same settings would see this.
    pub(crate) async fn reopen(&mut self) {
        self.store.close().await.unwrap();
        self.store = Store::open(self.settings.clone()).await.unwrap();
    }
}

/// Runs the test twice. The engine it runs on is printed, for the message of a failure.
pub(crate) fn on_both(test: impl AsyncFn(&mut Fixture)) {
    on_sqlite(&test);
    on_postgres(test);
}

#[expect(clippy::needless_pass_by_value, reason = "a test reads better without a &")]
pub(crate) fn on_sqlite(test: impl AsyncFn(&mut Fixture)) {
    let folder = tempfile::tempdir().unwrap();
    let settings = OpenSettings::folder(folder.path());
    run("SQLite", folder, settings, &test);
}

#[expect(clippy::needless_pass_by_value, reason = "a test reads better without a &")]
pub(crate) fn on_postgres(test: impl AsyncFn(&mut Fixture)) {
    let database = Database::create();
    run("PostgreSQL", tempfile::tempdir().unwrap(), OpenSettings::postgres(Secret::new(&*database.url)), &test);
}

fn run(engine: &str, folder: TempDir, settings: OpenSettings, test: &impl AsyncFn(&mut Fixture)) {
    eprintln!("on {engine}:");
    runtime().block_on(async {
        let store = Store::open(settings.clone()).await.unwrap();
        let mut fixture = Fixture { store, settings, folder };
        test(&mut fixture).await;
        fixture.store.close().await.unwrap();
    });
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// A database that is dropped with this.
pub(crate) struct Database {
    pub(crate) url: String,
    name: String,
}

impl Database {
    pub(crate) fn create() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("watchbell_test_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        runtime().block_on(execute(server(), &format!("CREATE DATABASE {name}")));
        Self { url: with_database(server(), &name), name }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            runtime().block_on(execute(server(), &format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name)));
        }
    }
}

/// Runs plain SQL, as somebody else would.
pub(crate) async fn execute(url: &str, sql: &str) {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
        .await
        .unwrap_or_else(|error| panic!("the PostgreSQL of the tests does not answer: {error}"));
    let connection = tokio::spawn(connection);
    client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    drop(client);
    connection.await.unwrap().unwrap();
}

fn with_database(server: &str, name: &str) -> String {
    let (address, query) = server.split_once('?').map_or((server, None), |(address, query)| (address, Some(query)));
    let (host, _) = address.rsplit_once('/').expect("WATCHBELL_TEST_POSTGRES ends in /database");
    match query {
        None => format!("{host}/{name}"),
        Some(query) => format!("{host}/{name}?{query}"),
    }
}

/// The URL of the server that all tests of this process share.
fn server() -> &'static str {
    static SERVER: OnceLock<(String, Option<Server>)> = OnceLock::new();
    let (url, _) = SERVER.get_or_init(|| match std::env::var("WATCHBELL_TEST_POSTGRES") {
        Ok(url) => (url, None),
        Err(_) => {
            let server = Server::start();
            (server.url.clone(), Some(server))
        }
    });
    url
}

struct Server {
    url: String,
    /// Its standard input is the pipe.
    _shell: Child,
}

impl Server {
    fn start() -> Self {
        let binaries = binaries();
        let folder = tempfile::Builder::new().prefix("watchbell-pg-").tempdir().unwrap().keep();
        // PostgreSQL does not run as root.
        let as_root = rustix::process::geteuid().is_root();
        if as_root {
            assert!(Command::new("chown").arg("postgres").arg(&folder).status().unwrap().success());
        }
        let script = format!(
            "cd / && {initdb} -D {folder}/data -U postgres -A trust -E UTF8 --locale=C --no-sync >/dev/null || exit 1
             {postgres} -D {folder}/data -k {folder} -c listen_addresses='' -c max_connections=200 >{folder}/log 2>&1 &
             server=$!
             cat >/dev/null
             kill -INT $server; wait $server; rm -rf {folder}",
            folder = folder.display(),
            initdb = binaries.join("initdb").display(),
            postgres = binaries.join("postgres").display(),
        );
        let mut command = if as_root {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--", "sh", "-c"]);
            command
        } else {
            let mut command = Command::new("sh");
            command.arg("-c");
            command
        };
        let shell = command.arg(script).stdin(Stdio::piped()).spawn().expect("runuser and sh are installed");
        let url = format!("postgres://postgres@{}/postgres", folder.display().to_string().replace('/', "%2F"));
        wait_for(&url, &folder);
        Self { url, _shell: shell }
    }
}

fn binaries() -> PathBuf {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|version| version.path().join("bin"))
        .chain(std::env::var_os("PATH").iter().flat_map(std::env::split_paths))
        .filter(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())
        .collect();
    found.sort();
    found.pop().expect(
        "these tests need PostgreSQL: install its server (initdb and postgres), or set WATCHBELL_TEST_POSTGRES to the URL of one",
    )
}

fn wait_for(url: &str, folder: &Path) {
    let runtime = runtime();
    for _ in 0..300 {
        if runtime.block_on(tokio_postgres::connect(url, tokio_postgres::NoTls)).is_ok() {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
    panic!("PostgreSQL did not start within 30 s; its log:\n{log}");
}
