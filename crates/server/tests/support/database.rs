//! The two stores as tests see them: where a server keeps its data, and reading it past the server.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio_postgres::{NoTls, SimpleQueryMessage};

/// The private cluster that `cargo xtask test` starts.
const VARIABLE: &str = "WATCHBELL_TEST_POSTGRES";

/// Where a server keeps its data.
#[derive(Clone)]
pub(crate) enum Database {
    /// In its data folder.
    Sqlite,
    /// Shared by several nodes, if wanted.
    Postgres(Arc<PostgresDatabase>),
}

/// A database of its own in the test cluster, dropped with the value.
pub(crate) struct PostgresDatabase {
    /// The cluster's own database, from which ours is made and dropped.
    server: String,
    name: String,
}

/// One row, each column as text.
pub(crate) type Row = Vec<Option<String>>;

impl Database {
    pub(crate) fn postgres() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let server = std::env::var(VARIABLE).unwrap_or_else(|_| {
            panic!("{VARIABLE} is not set: run `cargo xtask test`, which starts a PostgreSQL for the tests")
        });
        let name = format!("watchbell_e2e_{}_{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        ask_postgres(&server, &format!("create database {name}"));
        Self::Postgres(Arc::new(PostgresDatabase { server, name }))
    }

    /// What `sql` gives, read past the server.
    #[track_caller]
    pub(crate) fn rows(&self, data: &Path, sql: &str) -> Vec<Row> {
        match self {
            Self::Sqlite => ask_sqlite(&sqlite_file(data), sql),
            Self::Postgres(database) => ask_postgres(&database.url(), sql),
        }
    }
}

impl PostgresDatabase {
    pub(crate) fn url(&self) -> String {
        let mut url: url::Url = self.server.parse().expect("the cluster's address is a URL");
        url.set_path(&self.name);
        url.into()
    }
}

impl Drop for PostgresDatabase {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            ask_postgres(&self.server, &format!("drop database {} with (force)", self.name));
        }
    }
}

fn sqlite_file(data: &Path) -> PathBuf {
    data.join("watchbell.db")
}

#[track_caller]
fn ask_sqlite(file: &Path, sql: &str) -> Vec<Row> {
    use rusqlite::types::ValueRef;
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE;
    let connection = rusqlite::Connection::open_with_flags(file, flags).expect("the server's database");
    connection.busy_timeout(std::time::Duration::from_secs(10)).expect("a time limit");
    let mut statement = connection.prepare(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    let width = statement.column_count();
    let rows = statement.query_map([], |row| {
        (0..width)
            .map(|column| {
                Ok(match row.get_ref(column)? {
                    ValueRef::Null => None,
                    ValueRef::Integer(number) => Some(number.to_string()),
                    ValueRef::Real(number) => Some(number.to_string()),
                    ValueRef::Text(text) | ValueRef::Blob(text) => Some(String::from_utf8_lossy(text).into_owned()),
                })
            })
            .collect()
    });
    rows.and_then(Iterator::collect).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

#[track_caller]
fn ask_postgres(url: &str, sql: &str) -> Vec<Row> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let answer = runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        let connection = tokio::spawn(connection);
        let answer = client.simple_query(sql).await;
        drop(client);
        connection.await.ok();
        answer
    });
    let messages = answer.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    let rows = messages.into_iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    rows.map(|row| (0..row.len()).map(|column| row.get(column).map(str::to_owned)).collect()).collect()
}
