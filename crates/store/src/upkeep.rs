//! The store about itself: that we were there, copies, sizes, and what is thrown away when it is old.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use watchbell_core::Timestamp;

use crate::db::Db;
use crate::statement::{Query, Step, statements};
use crate::value::{Row, values};
use crate::{Store, StoreError, sqlite};

const HOUR: i64 = 3_600_000;
/// Thrown away by one transaction: others wait for the writer.
const DELIVERIES_AT_ONCE: usize = 500;

statements! {
    CLUSTER_ID = "SELECT value FROM meta WHERE key = 'cluster_id'";
    ALIVE_AT = "SELECT value FROM meta WHERE key = 'alive_at'";
    ALIVE = "INSERT INTO meta (key, value) VALUES ('alive_at', $1) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    COUNTS = "SELECT (SELECT COUNT(*) FROM monitor WHERE deleted_at IS NULL), (SELECT COUNT(*) FROM incident),
                (SELECT COUNT(*) FROM delivery), (SELECT COUNT(*) FROM result_log), (SELECT MIN(from_at) FROM result_log)";
    DROP_SESSIONS = "DELETE FROM session WHERE expires_at <= $1";
    DROP_TOKENS = "DELETE FROM api_token WHERE expires_at <= $1";
    /// The same deliveries as the next one, which therefore follows it in the same transaction.
    DROP_ATTEMPTS = "DELETE FROM attempt WHERE delivery_id IN
                       (SELECT id FROM delivery WHERE done_at < $1 ORDER BY done_at, id LIMIT $2)";
    DROP_DELIVERIES = "DELETE FROM delivery WHERE id IN
                         (SELECT id FROM delivery WHERE done_at < $1 ORDER BY done_at, id LIMIT $2)";
    DROP_AUDIT = "DELETE FROM audit WHERE at < $1";
    DROP_GAPS = "DELETE FROM gap WHERE to_at < $1";
    DROP_EVIDENCE = "DELETE FROM evidence WHERE monitor_id IN (SELECT id FROM monitor WHERE deleted_at IS NOT NULL)";
}

/// How big it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// On the disk, journal included.
    pub bytes: u64,
    pub monitors: u64,
    pub incidents: u64,
    pub deliveries: u64,
    /// Commits whose results are not put away yet.
    pub log_rows: u64,
    pub oldest_result: Option<Timestamp>,
}

/// How long things are kept once they are over. Transitions and incidents are kept for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// With their tries.
    pub deliveries: Duration,
    pub audit: Duration,
    pub gaps: Duration,
}

impl Store {
    /// Says that we are there; after a restart it tells how long nobody was.
    pub async fn alive(&self, now: Timestamp) -> Result<(), StoreError> {
        self.db.write_one(&ALIVE, values![now.as_millis().to_string()]).await.map(drop)
    }

    /// Writes a complete copy to a file that must not exist yet, while work goes on.
    pub async fn backup_to(&self, path: &Path) -> Result<(), StoreError> {
        let Db::Lite(lite) = &self.db else {
            return Err(StoreError::Unsupported(
                "a backup of PostgreSQL is made with its own tool: pg_dump --format=custom --file=FILE URL".into(),
            ));
        };
        let backup = Backup::begin(path)?;
        let copied = lite.with_reader(copy_into(backup.target.clone())).await;
        backup.finish(copied).await
    }

    /// The same of a data folder that another process may be working in.
    pub async fn backup_folder(folder: &Path, path: &Path) -> Result<(), StoreError> {
        let backup = Backup::begin(path)?;
        let (folder, copy) = (folder.to_owned(), copy_into(backup.target.clone()));
        let copied = tokio::task::spawn_blocking(move || sqlite::read_unlocked(&folder, copy))
            .await
            .unwrap_or_else(|error| Err(StoreError::Other(error.to_string())));
        backup.finish(copied).await
    }

    pub async fn stats(&self) -> Result<Stats, StoreError> {
        let row = self.db.read_one(&COUNTS, Vec::new()).await?;
        let mut row = row.ok_or_else(|| StoreError::Other("counting gave no row".into()))?.columns();
        let blocks_since = self.block_hours().await?.map(|(oldest, _)| Timestamp::from_millis(oldest * HOUR));
        Ok(Stats {
            monitors: row.u64()?,
            incidents: row.u64()?,
            deliveries: row.u64()?,
            log_rows: row.u64()?,
            oldest_result: row.maybe_moment()?.into_iter().chain(blocks_since).min(),
            bytes: match &self.db {
                Db::Lite(lite) => lite.bytes(),
                Db::Pg(pg) => pg.bytes().await?,
            },
        })
    }

    /// Throws away what is over and old, and lets the database look after itself. Gives the number of rows.
    pub async fn tidy(&self, now: Timestamp, keep: &Keep) -> Result<u64, StoreError> {
        let done = self
            .db
            .write(vec![
                Step::any(&DROP_SESSIONS, values![now]),
                Step::any(&DROP_TOKENS, values![now]),
                Step::any(&DROP_AUDIT, values![now - keep.audit]),
                Step::any(&DROP_GAPS, values![now - keep.gaps]),
                Step::any(&DROP_EVIDENCE, Vec::new()),
            ])
            .await?;
        let mut dropped: u64 = done.iter().map(|done| done.count).sum();
        loop {
            let old = || values![now - keep.deliveries, DELIVERIES_AT_ONCE];
            let done =
                self.db.write(vec![Step::any(&DROP_ATTEMPTS, old()), Step::any(&DROP_DELIVERIES, old())]).await?;
            let count: u64 = done.iter().map(|done| done.count).sum();
            dropped += count;
            if count == 0 {
                break;
            }
        }
        if let Db::Lite(lite) = &self.db {
            lite.with_writer(|connection| connection.execute_batch("PRAGMA optimize;")).await?;
        }
        Ok(dropped)
    }
}

/// A backup while it is being written.
struct Backup {
    path: PathBuf,
    target: String,
    file: File,
}

impl Backup {
    fn begin(path: &Path) -> Result<Self, StoreError> {
        let shown = path.display();
        let Some(target) = path.to_str().map(str::to_owned) else {
            return Err(StoreError::Folder(format!("`{shown}` is not UTF-8; name another file for the backup")));
        };
        // Made empty first: SQLite accepts that, and nobody else may read it.
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
            Ok(file) => Ok(Self { path: path.to_owned(), target, file }),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                Err(StoreError::Folder(format!("`{shown}` exists; name a new file for the backup")))
            }
            Err(error) => Err(StoreError::Folder(format!("the backup `{shown}` cannot be made: {error}"))),
        }
    }

    async fn finish(self, copied: Result<(), StoreError>) -> Result<(), StoreError> {
        let Self { path, file, .. } = self;
        let kept = match copied {
            Ok(()) => tokio::task::spawn_blocking(move || file.sync_all())
                .await
                .map_err(|error| StoreError::Other(error.to_string()))
                .and_then(|synced| synced.map_err(|error| StoreError::Folder(error.to_string()))),
            Err(error) => Err(error),
        };
        kept.map_err(|error| {
            // Half a backup is worse than none. What went wrong is said in any case.
            let _ = std::fs::remove_file(&path);
            let shown = path.display();
            match error {
                StoreError::Full(_) => {
                    StoreError::Full(format!("there is no room for the backup `{shown}`; free some space"))
                }
                StoreError::Closed => StoreError::Closed,
                error => StoreError::Folder(format!("the backup `{shown}` could not be written: {error}")),
            }
        })
    }
}

fn copy_into(target: String) -> impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<()> + Send + 'static {
    move |connection| connection.execute("VACUUM INTO ?1", [target]).map(drop)
}

pub(crate) async fn cluster_id(db: &Db) -> Result<String, StoreError> {
    let row = db.read_one(&CLUSTER_ID, Vec::new()).await?;
    row.ok_or_else(|| StoreError::Unreadable("the database has no cluster id; restore a backup".into()))?
        .columns()
        .text()
}

pub(crate) fn alive_at() -> Query {
    Query { statement: &ALIVE_AT, values: Vec::new() }
}

pub(crate) fn read_alive_at(row: Row) -> Result<Timestamp, StoreError> {
    let text = row.columns().text()?;
    let millis = text.parse().map_err(|_| StoreError::Unreadable(format!("`{text}` is no moment we were alive at")))?;
    Ok(Timestamp::from_millis(millis))
}
