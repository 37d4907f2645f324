//! SQLite: one thread that writes, a few connections that read, and the little that is said differently there.
//!
//! The writing thread takes all that waits, runs each caller's steps in a savepoint of one transaction, commits once
//! and only then answers: many callers share one fsync, and one caller's conflict does not touch the others.

use std::fs::{OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OpenFlags, ToSql, params_from_iter};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::error::WriteError;
use crate::folder::{Folder, refusal};
use crate::statement::{Done, Query, Step};
use crate::value::{Row, Value};
use crate::{Engine, StoreError, migrations};

/// The transaction is `BEGIN IMMEDIATE` and there is one writer: rows need no locks of their own.
pub(crate) const PHRASES: [(&str, &str); 5] = [
    ("{now}", "CAST(unixepoch('subsec') * 1000 AS INTEGER)"),
    ("{for share}", ""),
    ("{for update}", ""),
    ("{skip locked}", ""),
    ("{bytes}", "BLOB"),
];

const FILE: &str = "watchbell.db";
/// Pages stay in memory, so this many readers at once are plenty for two cores.
const READERS: usize = 3;
/// Callers answered by one fsync.
const LARGEST_GROUP: usize = 64;
/// Callers waiting for the writer; the next one waits for a place.
const LONGEST_QUEUE: usize = 256;
/// Only a backup tool that opens the file can be in the way.
const PATIENCE: Duration = Duration::from_secs(5);
const CACHED_STATEMENTS: usize = 128;

#[derive(Clone)]
pub(crate) struct Lite {
    writer: mpsc::Sender<Job>,
    readers: Arc<Readers>,
    file: Arc<PathBuf>,
}

struct Readers {
    places: Semaphore,
    idle: Mutex<Vec<Connection>>,
}

enum Job {
    Write(Write),
    /// Something that is no transaction, on the writing connection.
    Run(Box<dyn FnOnce(&Connection) + Send>),
    Close(oneshot::Sender<()>),
}

struct Write {
    steps: Vec<Step>,
    answer: oneshot::Sender<Result<Vec<Done>, WriteError>>,
}

impl Lite {
    /// Locks the folder, opens and migrates the database in it. Blocks.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let folder = Folder::lock(path)?;
        let file = folder.path.join(FILE);
        let connection = open_writer(&file)?;
        let readers = (0..READERS).map(|_| open_reader(&file)).collect::<Result<_, _>>()?;
        let (writer, jobs) = mpsc::channel(LONGEST_QUEUE);
        std::thread::Builder::new()
            .name("store-writer".into())
            .spawn({
                let file = file.clone();
                move || write_all(connection, jobs, &file, folder)
            })
            .map_err(|error| refusal(path, &error))?;
        Ok(Self {
            writer,
            readers: Arc::new(Readers { places: Semaphore::new(READERS), idle: Mutex::new(readers) }),
            file: Arc::new(file),
        })
    }

    /// Of the file and its journal.
    pub(crate) fn bytes(&self) -> u64 {
        let journal = self.file.with_extension("db-wal");
        [&*self.file, &journal].into_iter().filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum()
    }

    pub(crate) async fn write(&self, steps: Vec<Step>) -> Result<Vec<Done>, WriteError> {
        let (answer, answered) = oneshot::channel();
        self.writer.send(Job::Write(Write { steps, answer })).await.map_err(|_| StoreError::Closed)?;
        answered.await.map_err(|_| StoreError::Closed)?
    }

    /// All queries see one moment.
    pub(crate) async fn read(&self, queries: Vec<Query>) -> Result<Vec<Vec<Row>>, StoreError> {
        self.with_reader(move |connection| {
            let transaction = connection.unchecked_transaction()?;
            let rows = queries
                .iter()
                .map(|query| {
                    let mut prepared = connection.prepare_cached(query.statement.text(Engine::Sqlite))?;
                    collect(prepared.query(params_from_iter(&query.values))?)
                })
                .collect::<rusqlite::Result<_>>()?;
            transaction.commit()?;
            Ok(rows)
        })
        .await
    }

    /// Runs `question` on a connection that reads.
    pub(crate) async fn with_reader<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let readers = Arc::clone(&self.readers);
        let file = Arc::clone(&self.file);
        // The place is given back by the thread, not by us: whoever asked may have stopped waiting.
        let work = move || {
            let Some(connection) = lock(&readers.idle).pop() else { return Err(StoreError::Closed) };
            let answer = question(&connection).map_err(|error| explain(&file, &error));
            lock(&readers.idle).push(connection);
            answer
        };
        let readers = Arc::clone(&self.readers);
        let place = readers.places.acquire().await.map_err(|_| StoreError::Closed)?;
        place.forget();
        tokio::task::spawn_blocking(move || {
            let answer = work();
            readers.places.add_permits(1);
            answer
        })
        .await
        .map_err(|error| StoreError::Other(format!("a question to the database broke: {error}")))?
    }

    /// Runs `work` on the writing connection, between transactions.
    pub(crate) async fn with_writer<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let file = Arc::clone(&self.file);
        let job = Job::Run(Box::new(move |connection| {
            let _ = answer.send(work(connection).map_err(|error| explain(&file, &error)));
        }));
        self.writer.send(job).await.map_err(|_| StoreError::Closed)?;
        answered.await.map_err(|_| StoreError::Closed)?
    }

    /// Answers what waits, closes the files and frees the folder.
    pub(crate) async fn close(&self) -> Result<(), StoreError> {
        self.readers.places.close();
        let idle = std::mem::take(&mut *lock(&self.readers.idle));
        drop(idle);
        let (answer, answered) = oneshot::channel();
        if self.writer.send(Job::Close(answer)).await.is_ok() {
            let _ = answered.await;
        }
        Ok(())
    }
}

/// Asks the database of a folder that another process may have locked. Blocks.
pub(crate) fn read_unlocked<T>(
    folder: &Path,
    question: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> Result<T, StoreError> {
    let file = folder.join(FILE);
    question(&open_reader(&file)?).map_err(|error| explain(&file, &error))
}

/// A panic while holding it cannot leave a list of connections half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn open_writer(file: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    only_owner(file)?;
    let open = || -> rusqlite::Result<(Connection, i64)> {
        let connection = Connection::open_with_flags(file, flags)?;
        connection.busy_timeout(PATIENCE)?;
        connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
        // FULL: a commit that was answered survives a power cut, not only a crash.
        connection.execute_batch(
            "PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             PRAGMA cache_size = -16384;
             PRAGMA temp_store = MEMORY;
             PRAGMA wal_autocheckpoint = 1000;
             PRAGMA journal_size_limit = 16777216;
             PRAGMA trusted_schema = OFF;",
        )?;
        let version = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        Ok((connection, version))
    };
    let (connection, version) = open().map_err(|error| explain(file, &error))?;
    let place = format!("the database `{}`", file.display());
    for (version, script) in migrations::pending(migrations::SQLITE, version, &place)? {
        connection
            .execute_batch(&format!("BEGIN IMMEDIATE; {script} PRAGMA user_version = {version}; COMMIT;"))
            .map_err(|error| explain(file, &error))?;
        tracing::info!(version, "the database was brought up to date");
    }
    connection.execute_batch("PRAGMA optimize = 0x10002;").map_err(|error| explain(file, &error))?;
    Ok(connection)
}

/// Specs hold passwords; nobody else needs to read the file, nor the journal, which SQLite makes after its likeness.
fn only_owner(file: &Path) -> Result<(), StoreError> {
    let made = OpenOptions::new().append(true).create(true).mode(0o600).open(file);
    made.and_then(|file| file.set_permissions(Permissions::from_mode(0o600))).map_err(|error| refusal(file, &error))
}

fn open_reader(file: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || -> rusqlite::Result<Connection> {
        let connection = Connection::open_with_flags(file, flags)?;
        connection.busy_timeout(PATIENCE)?;
        connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
        connection
            .execute_batch("PRAGMA cache_size = -8192; PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF;")?;
        Ok(connection)
    };
    open().map_err(|error| explain(file, &error))
}

/// The writing thread, from open to close. The folder stays locked until the connection is closed.
fn write_all(connection: Connection, mut jobs: mpsc::Receiver<Job>, file: &Path, folder: Folder) {
    let mut closing = None;
    let mut next = jobs.blocking_recv();
    while let Some(job) = next {
        match job {
            Job::Write(first) => {
                let mut group = vec![first];
                next = None;
                while group.len() < LARGEST_GROUP {
                    match jobs.try_recv() {
                        Ok(Job::Write(write)) => group.push(write),
                        Ok(other) => {
                            next = Some(other);
                            break;
                        }
                        Err(_) => break,
                    }
                }
                write_group(&connection, group, file);
                next = next.or_else(|| jobs.blocking_recv());
            }
            Job::Run(work) => {
                work(&connection);
                next = jobs.blocking_recv();
            }
            Job::Close(answer) => {
                closing = Some(answer);
                break;
            }
        }
    }
    let _ = connection.execute_batch("PRAGMA optimize;");
    if let Err((_, error)) = connection.close() {
        tracing::warn!(%error, "the database was not closed cleanly");
    }
    drop(folder);
    drop(jobs);
    if let Some(answer) = closing {
        let _ = answer.send(());
    }
}

fn write_group(connection: &Connection, group: Vec<Write>, file: &Path) {
    let (steps, answers): (Vec<_>, Vec<_>) = group.into_iter().map(|write| (write.steps, write.answer)).unzip();
    match run_group(connection, &steps, file) {
        Ok(outcomes) => {
            for (answer, outcome) in answers.into_iter().zip(outcomes) {
                let _ = answer.send(outcome);
            }
        }
        Err(error) => {
            let error = explain(file, &error);
            if !connection.is_autocommit() {
                let _ = connection.execute_batch("ROLLBACK");
            }
            for answer in answers {
                let _ = answer.send(Err(error.clone().into()));
            }
        }
    }
}

type Outcome = Result<Vec<Done>, WriteError>;

/// An error here is the whole group's: nothing was committed.
fn run_group(connection: &Connection, group: &[Vec<Step>], file: &Path) -> rusqlite::Result<Vec<Outcome>> {
    let run = |text: &str| connection.prepare_cached(text)?.execute([]).map(drop);
    run("BEGIN IMMEDIATE")?;
    let mut outcomes = Vec::with_capacity(group.len());
    for steps in group {
        run("SAVEPOINT one")?;
        let outcome = run_steps(connection, steps);
        // A full disk ends the transaction by itself, and with it what the others wrote.
        if let Err((_, Some(error))) = &outcome
            && connection.is_autocommit()
        {
            return Err(rusqlite::Error::SqliteFailure(
                error.sqlite_error().copied().unwrap_or(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ABORT)),
                Some(error.to_string()),
            ));
        }
        if outcome.is_err() {
            run("ROLLBACK TO one")?;
        }
        run("RELEASE one")?;
        outcomes.push(outcome.map_err(|(step, error)| match error {
            None => WriteError::Unmet { step },
            Some(error) => WriteError::Failed { step: Some(step), error: explain(file, &error) },
        }));
    }
    run("COMMIT")?;
    Ok(outcomes)
}

/// The step that failed, and the error unless it met other rows than it expected.
type Failure = (usize, Option<rusqlite::Error>);

fn run_steps(connection: &Connection, steps: &[Step]) -> Result<Vec<Done>, Failure> {
    let mut all = Vec::with_capacity(steps.len());
    for (number, step) in steps.iter().enumerate() {
        let done = run_step(connection, step).map_err(|error| (number, Some(error)))?;
        if !done.meets(step.expect) {
            return Err((number, None));
        }
        all.push(done);
    }
    Ok(all)
}

fn run_step(connection: &Connection, step: &Step) -> rusqlite::Result<Done> {
    let mut prepared = connection.prepare_cached(step.statement.text(Engine::Sqlite))?;
    if prepared.column_count() > 0 {
        let rows = collect(prepared.query(params_from_iter(&step.values))?)?;
        let count = rows.len() as u64;
        Ok(Done { rows, count })
    } else {
        let count = prepared.execute(params_from_iter(&step.values))? as u64;
        Ok(Done { rows: Vec::new(), count })
    }
}

fn collect(mut rows: rusqlite::Rows<'_>) -> rusqlite::Result<Vec<Row>> {
    let columns = rows.as_ref().map_or(0, rusqlite::Statement::column_count);
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let values = (0..columns)
            .map(|column| {
                Ok(match row.get_ref(column)? {
                    ValueRef::Null => Value::Null,
                    ValueRef::Integer(number) => Value::Int(number),
                    // No column of ours holds one, and no statement computes one.
                    ValueRef::Real(number) => Value::Text(number.to_string()),
                    ValueRef::Text(bytes) => Value::Text(String::from_utf8_lossy(bytes).into_owned()),
                    ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
                })
            })
            .collect::<rusqlite::Result<_>>()?;
        all.push(Row(values));
    }
    Ok(all)
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// What happened, for the person who runs the server.
fn explain(file: &Path, error: &rusqlite::Error) -> StoreError {
    use rusqlite::ErrorCode;
    let place = file.display();
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => {
            StoreError::Full(format!("there is no room left on the disk of `{place}`; free some space"))
        }
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => StoreError::ReadOnly(format!(
            "`{place}` cannot be written ({error}); check who owns it and whether its disk is mounted read-only"
        )),
        Some(ErrorCode::CannotOpen) => StoreError::Folder(format!(
            "`{place}` cannot be opened ({error}); check that it is a file this user may write"
        )),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Unreadable(format!(
            "`{place}` is damaged or no database ({error}); restore a backup, or move it away to begin anew"
        )),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            StoreError::Busy(format!("another program keeps `{place}` locked; stop it"))
        }
        Some(ErrorCode::SystemIoFailure) => {
            StoreError::Folder(format!("reading or writing `{place}` failed ({error}); check the disk"))
        }
        Some(ErrorCode::ConstraintViolation) => StoreError::Taken(format!("it exists already ({error})")),
        _ => StoreError::Other(format!("the database `{place}` refused: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::{Expect, Statement};
    use crate::value::values;

    static PUT: Statement = Statement::new("PUT", "INSERT INTO setting (key, value) VALUES ($1, $2)");
    static SIZE: Statement = Statement::new("SIZE", "SELECT COUNT(*) FROM setting");

    fn put(key: &str, bytes: usize) -> Vec<Step> {
        vec![Step::any(&PUT, values![key, "x".repeat(bytes)])]
    }

    async fn size(lite: &Lite) -> Value {
        lite.read(vec![Query { statement: &SIZE, values: Vec::new() }]).await.unwrap()[0][0].0[0].clone()
    }

    async fn limit_pages(lite: &Lite, pages: u32) {
        lite.with_writer(move |connection| connection.execute_batch(&format!("PRAGMA max_page_count = {pages}")))
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn a_full_disk_is_said_and_work_goes_on_when_there_is_room_again() {
        let folder = tempfile::tempdir().unwrap();
        let lite = Lite::open(folder.path()).unwrap();
        lite.write(put("first", 1)).await.unwrap();
        // SQLite treats a reached limit as it treats a full disk.
        limit_pages(&lite, 1).await;
        let callers = (0..10).map(|n| {
            let lite = lite.clone();
            tokio::spawn(async move { lite.write(put(&n.to_string(), 100_000)).await })
        });
        for caller in callers.collect::<Vec<_>>() {
            match caller.await.unwrap().unwrap_err() {
                WriteError::Failed { error: StoreError::Full(sentence), .. } => {
                    assert!(sentence.contains("no room left on the disk of `"), "{sentence}");
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(size(&lite).await, Value::Int(1));
        limit_pages(&lite, 1_000_000).await;
        lite.write(put("second", 100_000)).await.unwrap();
        assert_eq!(size(&lite).await, Value::Int(2));
        lite.close().await.unwrap();
    }

    #[tokio::test]
    async fn a_database_that_may_only_be_read_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let lite = Lite::open(folder.path()).unwrap();
        lite.with_writer(|connection| connection.execute_batch("PRAGMA query_only = ON")).await.unwrap();
        let error = lite.write(put("first", 1)).await.unwrap_err();
        assert!(matches!(error, WriteError::Failed { error: StoreError::ReadOnly(_), .. }), "{error:?}");
        assert_eq!(size(&lite).await, Value::Int(0));
        lite.close().await.unwrap();
    }

    #[tokio::test]
    async fn one_callers_conflict_is_not_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let lite = Lite::open(folder.path()).unwrap();
        // The writer is kept busy until all of them wait, so that they share one transaction.
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let busy = tokio::spawn({
            let lite = lite.clone();
            async move { lite.with_writer(move |_| Ok(wait.recv().is_ok())).await }
        });
        let callers: Vec<_> = (0..30)
            .map(|n| {
                let lite = lite.clone();
                let key = if n % 3 == 0 { "the same".to_owned() } else { n.to_string() };
                let mut steps = vec![Step::any(&PUT, values![format!("before-{n}"), ""])];
                steps.extend(put(&key, 10));
                if n % 5 == 4 {
                    steps.push(Step { statement: &SIZE, values: Vec::new(), expect: Expect::Rows(2) });
                }
                tokio::spawn(async move { lite.write(steps).await })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(100)).await;
        go.send(()).unwrap();
        busy.await.unwrap().unwrap();
        let mut stored = 0;
        for caller in callers {
            match caller.await.unwrap() {
                Ok(_) => stored += 1,
                Err(WriteError::Unmet { step: 2 })
                | Err(WriteError::Failed { step: Some(1), error: StoreError::Taken(_) }) => {}
                other => panic!("{other:?}"),
            }
        }
        // 20 keys of their own and one that is shared, less those whose third step is not met.
        assert!((15..=21).contains(&stored), "{stored}");
        assert_eq!(size(&lite).await, Value::Int(2 * stored));
        lite.close().await.unwrap();
    }

    #[tokio::test]
    async fn a_reader_who_stops_waiting_gives_the_connection_back() {
        let folder = tempfile::tempdir().unwrap();
        let lite = Lite::open(folder.path()).unwrap();
        for _ in 0..50 {
            let question = lite.read(vec![Query { statement: &SIZE, values: Vec::new() }]);
            let _ = tokio::time::timeout(Duration::ZERO, question).await;
        }
        tokio::time::timeout(Duration::from_secs(5), size(&lite)).await.unwrap();
        lite.close().await.unwrap();
    }
}
