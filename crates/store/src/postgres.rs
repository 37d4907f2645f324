//! PostgreSQL: a pool of connections, and the little that is said differently there.
//!
//! A transaction goes out in windows of several statements at once, so that it costs round trips by the dozen
//! of statements and not by the statement. It runs in a task of its own: a caller who stops waiting leaves no half
//! transaction on a connection.

use std::fmt::Write as _;
use std::time::Duration;

use bytes::BytesMut;
use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime};
use futures_util::future::{join, join_all};
use futures_util::{StreamExt as _, pin_mut};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Config, NoTls};
use watchbell_core::Secret;

use crate::error::WriteError;
use crate::postgres_tls;
use crate::statement::{Done, Query, Statement, Step};
use crate::value::{Row, Value};
use crate::{Engine, StoreError, migrations};

/// Several nodes write at once: rows that are read to be relied upon are locked.
pub(crate) const PHRASES: [(&str, &str); 5] = [
    ("{now}", "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"),
    ("{for share}", "FOR SHARE"),
    ("{for update}", "FOR UPDATE"),
    ("{skip locked}", "FOR UPDATE SKIP LOCKED"),
    ("{bytes}", "BYTEA"),
];

/// A server that does not answer at all is as good as away.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Longer than any statement of ours takes on ten million rows, shorter than a lease.
const STATEMENT_WITHIN: Duration = Duration::from_secs(10);
/// Statements on their way at once within one transaction.
const WINDOW: usize = 30;
/// A serialisation failure is the database's polite request to try again; more often than this it is a fault.
const TRIES: u32 = 6;
/// The name under which nodes that start together take turns at migrating: "watchbel" as a number.
const MIGRATION_LOCK: i64 = 0x7761_7463_6862_656c;

#[derive(Clone)]
pub(crate) struct Pg {
    pool: Pool,
    /// `host:port/database`, for sentences.
    place: String,
}

impl Pg {
    pub(crate) async fn open(url: &Secret, connections: usize) -> Result<Self, StoreError> {
        let (mut config, wish) = postgres_tls::read_url(url)?;
        let place = place_of(&config);
        let mut options = config.get_options().unwrap_or_default().to_owned();
        let _ = write!(
            options,
            " -c statement_timeout={} -c lock_timeout=5000 -c idle_in_transaction_session_timeout=15000",
            STATEMENT_WITHIN.as_millis()
        );
        config.options(options.trim_start());
        config.connect_timeout(CONNECT_WITHIN);
        config.keepalives_idle(Duration::from_secs(30));
        config.tcp_user_timeout(Duration::from_secs(15));
        if config.get_application_name().is_none() {
            config.application_name("watchbell");
        }
        let by_socket = config.get_hosts().iter().all(|host| matches!(host, Host::Unix(_)));
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = if by_socket || config.get_ssl_mode() == SslMode::Disable {
            // A socket file has no name that a certificate could carry.
            config.ssl_mode(SslMode::Disable);
            Manager::from_config(config, NoTls, recycling)
        } else {
            Manager::from_config(config, postgres_tls::connector(&wish)?, recycling)
        };
        let pool = Pool::builder(manager)
            .max_size(connections.max(1))
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(CONNECT_WITHIN))
            .create_timeout(Some(CONNECT_WITHIN))
            .build()
            .map_err(|error| StoreError::Other(format!("no pool of PostgreSQL connections: {error}")))?;
        let this = Self { pool, place };
        this.migrate().await?;
        Ok(this)
    }

    pub(crate) fn close(&self) {
        self.pool.close();
    }

    pub(crate) async fn write(&self, steps: Vec<Step>) -> Result<Vec<Done>, WriteError> {
        let this = self.clone();
        tokio::spawn(async move { this.write_until_settled(&steps).await })
            .await
            .map_err(|error| StoreError::Other(format!("writing to the database broke: {error}")))?
    }

    async fn write_until_settled(&self, steps: &[Step]) -> Result<Vec<Done>, WriteError> {
        let mut pause = Duration::from_millis(5);
        for _ in 1..TRIES {
            match self.write_once(steps).await {
                Err(Broken::TryAgain(_)) => tokio::time::sleep(pause).await,
                Err(Broken::For(error)) => return Err(error),
                Ok(done) => return Ok(done),
            }
            pause *= 2;
        }
        self.write_once(steps).await.map_err(|broken| match broken {
            Broken::TryAgain(error) | Broken::For(error) => error,
        })
    }

    async fn write_once(&self, steps: &[Step]) -> Result<Vec<Done>, Broken> {
        let borrowed = Borrowed(Some(self.connection().await?));
        let connection = borrowed.connection();
        let mut prepared = Vec::with_capacity(steps.len());
        for step in steps {
            let statement = prepare(connection, step.statement).await.map_err(|error| self.broken(None, &error))?;
            prepared.push((statement, step));
        }
        let mut all = Vec::with_capacity(steps.len());
        for (window, prepared) in prepared.chunks(WINDOW).enumerate() {
            let steps = join_all(prepared.iter().map(|(statement, step)| run(connection, statement, &step.values)));
            let answers = if window == 0 {
                // Polled in this order, so that BEGIN is sent first.
                let (begun, answers) = join(connection.batch_execute("BEGIN"), steps).await;
                begun.map_err(|error| self.broken(None, &error))?;
                answers
            } else {
                steps.await
            };
            for ((_, step), answer) in prepared.iter().zip(answers) {
                let number = all.len();
                let done = match answer {
                    Ok(done) if done.meets(step.expect) => done,
                    Ok(_) => {
                        self.roll_back(borrowed).await;
                        return Err(Broken::For(WriteError::Unmet { step: number }));
                    }
                    Err(error) => {
                        let broken = self.broken(Some(number), &error);
                        self.roll_back(borrowed).await;
                        return Err(broken);
                    }
                };
                all.push(done);
            }
        }
        match connection.batch_execute("COMMIT").await {
            Ok(()) => {
                borrowed.give_back();
                Ok(all)
            }
            // The server said no: nothing was committed.
            Err(error) if error.as_db_error().is_some_and(|error| !ends_connection(error.code())) => {
                Err(self.broken(None, &error))
            }
            Err(error) => Err(Broken::For(WriteError::from(StoreError::Unknown(format!(
                "the connection to PostgreSQL at {} broke during a commit ({error}); whether it was stored is not known",
                self.place
            ))))),
        }
    }

    async fn roll_back(&self, borrowed: Borrowed) {
        if borrowed.connection().batch_execute("ROLLBACK").await.is_ok() {
            borrowed.give_back();
        }
    }

    /// All queries see one moment.
    pub(crate) async fn read(&self, queries: Vec<Query>) -> Result<Vec<Vec<Row>>, StoreError> {
        match self.read_once(&queries).await {
            // The pool may hand out a connection that has died since; reading twice harms nobody.
            Err(StoreError::Unreachable(_)) => self.read_once(&queries).await,
            answer => answer,
        }
    }

    /// Of the whole database.
    pub(crate) async fn bytes(&self) -> Result<u64, StoreError> {
        let connection = self.connection().await?;
        let row = connection.query_one("SELECT pg_database_size(current_database())", &[]).await;
        let bytes: i64 = row.and_then(|row| row.try_get(0)).map_err(|error| self.explain(&error))?;
        Ok(u64::try_from(bytes).unwrap_or(0))
    }

    async fn read_once(&self, queries: &[Query]) -> Result<Vec<Vec<Row>>, StoreError> {
        let borrowed = Borrowed(Some(self.connection().await?));
        let connection = borrowed.connection();
        let alone = queries.len() == 1;
        let answer: Result<Vec<Vec<Row>>, tokio_postgres::Error> = async {
            if !alone {
                connection.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?;
            }
            let mut all = Vec::with_capacity(queries.len());
            for query in queries {
                let statement = prepare(connection, query.statement).await?;
                all.push(run(connection, &statement, &query.values).await?.rows);
            }
            if !alone {
                connection.batch_execute("COMMIT").await?;
            }
            Ok(all)
        }
        .await;
        match answer {
            Ok(rows) => {
                borrowed.give_back();
                Ok(rows)
            }
            Err(error) => Err(self.explain(&error)),
        }
    }

    async fn connection(&self) -> Result<Object, StoreError> {
        self.pool.get().await.map_err(|error| match error {
            PoolError::Closed => StoreError::Closed,
            PoolError::Backend(error) => self.explain(&error),
            PoolError::Timeout(deadpool_postgres::TimeoutType::Wait) => StoreError::Busy(format!(
                "all {} connections to PostgreSQL at {} were in use for 5 s",
                self.pool.status().max_size,
                self.place
            )),
            PoolError::Timeout(_) => {
                StoreError::Unreachable(format!("PostgreSQL at {} did not answer within 5 s", self.place))
            }
            PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => StoreError::Other(error.to_string()),
        })
    }

    async fn migrate(&self) -> Result<(), StoreError> {
        let borrowed = Borrowed(Some(self.connection().await?));
        let connection = borrowed.connection();
        let done: Result<Result<(), StoreError>, tokio_postgres::Error> = async {
            // One transaction: a failure leaves the old version, and the lock goes with it.
            connection
                .batch_execute(&format!(
                    "BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0; SELECT pg_advisory_xact_lock({MIGRATION_LOCK});
                     CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL);"
                ))
                .await?;
            let found: i64 =
                connection.query_one("SELECT COALESCE(MAX(version), 0) FROM schema_version", &[]).await?.try_get(0)?;
            let place = format!("the database at {}", self.place);
            let pending = match migrations::pending(migrations::POSTGRES, found, &place) {
                Ok(pending) => pending,
                Err(error) => return Ok(Err(error)),
            };
            for (version, script) in pending {
                connection.batch_execute(script).await?;
                connection.execute("INSERT INTO schema_version (version) VALUES ($1)", &[&version]).await?;
                tracing::info!(version, "the database was brought up to date");
            }
            connection.batch_execute("COMMIT").await?;
            Ok(Ok(()))
        }
        .await;
        match done {
            Ok(Ok(())) => {
                borrowed.give_back();
                Ok(())
            }
            // The connection is closed, which rolls back.
            Ok(Err(error)) => Err(error),
            Err(error) => Err(self.explain(&error)),
        }
    }

    fn broken(&self, step: Option<usize>, error: &tokio_postgres::Error) -> Broken {
        let wrapped = WriteError::Failed { step, error: self.explain(error) };
        match error.code() {
            Some(&SqlState::T_R_SERIALIZATION_FAILURE | &SqlState::T_R_DEADLOCK_DETECTED) => Broken::TryAgain(wrapped),
            _ => Broken::For(wrapped),
        }
    }

    /// What happened, for the person who runs the server. Never the URL: it holds the password.
    fn explain(&self, error: &tokio_postgres::Error) -> StoreError {
        let place = &self.place;
        let Some(refusal) = error.as_db_error() else {
            let why = chain(error);
            return if error.is_closed() || is_io(error) {
                StoreError::Unreachable(format!("PostgreSQL at {place} cannot be reached: {why}"))
            } else {
                StoreError::Other(format!("talking to PostgreSQL at {place} failed: {why}"))
            };
        };
        let code = refusal.code();
        let text = refusal.message();
        match code {
            &SqlState::UNIQUE_VIOLATION => {
                StoreError::Taken(format!("it exists already ({})", refusal.constraint().unwrap_or(text)))
            }
            &SqlState::DISK_FULL => StoreError::Full(format!(
                "there is no room left on the disk of PostgreSQL at {place} ({text}); free some space"
            )),
            &SqlState::READ_ONLY_SQL_TRANSACTION => StoreError::ReadOnly(format!(
                "PostgreSQL at {place} is read-only ({text}); connect to the primary server"
            )),
            &SqlState::QUERY_CANCELED
            | &SqlState::LOCK_NOT_AVAILABLE
            | &SqlState::T_R_SERIALIZATION_FAILURE
            | &SqlState::T_R_DEADLOCK_DETECTED => {
                StoreError::Busy(format!("PostgreSQL at {place} was too busy ({text})"))
            }
            &SqlState::INVALID_PASSWORD | &SqlState::INVALID_AUTHORIZATION_SPECIFICATION => StoreError::Unreachable(
                format!("PostgreSQL at {place} refuses the login ({text}); check user and password in the URL"),
            ),
            &SqlState::INVALID_CATALOG_NAME => StoreError::Unreachable(format!(
                "PostgreSQL at {place} has no such database ({text}); create it with createdb"
            )),
            &SqlState::INSUFFICIENT_PRIVILEGE => StoreError::Other(format!(
                "PostgreSQL at {place} does not allow it ({text}); make the user the owner of the database"
            )),
            code if ends_connection(code) || code == &SqlState::TOO_MANY_CONNECTIONS => {
                StoreError::Unreachable(format!("PostgreSQL at {place} is not available ({text})"))
            }
            code => StoreError::Other(format!("PostgreSQL at {place} refused ({}): {text}", code.code())),
        }
    }
}

/// Why a transaction did not happen.
enum Broken {
    /// The same steps may succeed at once.
    TryAgain(WriteError),
    For(WriteError),
}

impl From<StoreError> for Broken {
    fn from(error: StoreError) -> Self {
        Self::For(error.into())
    }
}

/// A connection that goes back to the pool only if it is known to be in no transaction; else it is closed.
struct Borrowed(Option<Object>);

impl Borrowed {
    fn connection(&self) -> &Object {
        self.0.as_ref().expect("it is taken out only when this is consumed")
    }

    fn give_back(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(Object::take(connection));
        }
    }
}

async fn prepare(
    connection: &Object,
    statement: &Statement,
) -> Result<tokio_postgres::Statement, tokio_postgres::Error> {
    connection.prepare_cached(statement.text(Engine::Postgres)).await
}

async fn run(
    connection: &Object,
    statement: &tokio_postgres::Statement,
    values: &[Value],
) -> Result<Done, tokio_postgres::Error> {
    let answer = connection.query_raw(statement, values.iter().map(|value| value as &dyn ToSql)).await?;
    pin_mut!(answer);
    let mut rows = Vec::new();
    while let Some(row) = answer.next().await {
        rows.push(read_row(&row?)?);
    }
    let count = answer.rows_affected().unwrap_or(rows.len() as u64);
    Ok(Done { rows, count })
}

fn read_row(row: &tokio_postgres::Row) -> Result<Row, tokio_postgres::Error> {
    let column = |(number, column): (usize, &tokio_postgres::Column)| {
        Ok(match *column.type_() {
            Type::INT8 => row.try_get::<_, Option<i64>>(number)?.map_or(Value::Null, Value::Int),
            Type::INT4 => row.try_get::<_, Option<i32>>(number)?.map_or(Value::Null, |small| Value::Int(small.into())),
            Type::BYTEA => row.try_get::<_, Option<Vec<u8>>>(number)?.map_or(Value::Null, Value::Blob),
            _ => row.try_get::<_, Option<String>>(number)?.map_or(Value::Null, Value::Text),
        })
    };
    row.columns().iter().enumerate().map(column).collect::<Result<_, _>>().map(Row)
}

impl ToSql for Value {
    fn to_sql(&self, wanted: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Int(number) if *wanted == Type::INT4 => i32::try_from(*number)?.to_sql(wanted, out),
            Self::Int(number) if *wanted == Type::INT8 => number.to_sql(wanted, out),
            Self::Text(text) if <String as ToSql>::accepts(wanted) => text.to_sql(wanted, out),
            Self::Blob(bytes) if *wanted == Type::BYTEA => bytes.to_sql(wanted, out),
            value => Err(format!("{value:?} was given where {wanted} is wanted").into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// After these the session is gone, and what became of its transaction is not known.
fn ends_connection(code: &SqlState) -> bool {
    code.code().starts_with("08") || code.code().starts_with("57P")
}

fn is_io(error: &tokio_postgres::Error) -> bool {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if error.is::<std::io::Error>() {
            return true;
        }
        next = error.source();
    }
    // "timed out waiting for", which has no source, when connecting takes too long.
    error.to_string().contains("connecting to server")
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let _ = write!(text, ": {error}");
        next = error.source();
    }
    text
}

fn place_of(config: &Config) -> String {
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(name)) => name.clone(),
        Some(Host::Unix(path)) => path.display().to_string(),
        None => "localhost".to_owned(),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let database = config.get_dbname().or_else(|| config.get_user()).unwrap_or("postgres");
    format!("{host}:{port}/{database}")
}
