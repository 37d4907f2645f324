//! Remembers: SQLite and PostgreSQL, one set of statements.
//!
//! [`Store`]'s methods are the product's questions and changes, by name; the files hold one subject each. What the
//! engine decides is written by [`Store::commit`] in one transaction or not at all. Specs of monitors and channels
//! are JSON that nobody here looks into.

mod accounts;
mod codec;
mod commit;
mod db;
mod error;
mod folder;
mod history;
mod journal;
mod lease;
mod migrations;
mod monitors;
mod outbox;
mod pings;
mod postgres;
mod postgres_tls;
mod results;
mod sqlite;
mod statement;
mod upkeep;
mod value;

use std::path::PathBuf;
use std::sync::Arc;

use watchbell_core::Secret;

pub use crate::accounts::{ApiToken, NewPerson, NewToken, Person, Session};
pub use crate::commit::{Change, ChannelWrite, Commit, IncidentChange, MonitorWrite, NewDelivery};
pub use crate::error::{CommitError, StoreError};
pub use crate::history::{
    Acknowledgement, Closing, Gap, GapScope, Incident, IncidentFilter, NewEvidence, StoredTransition,
};
pub use crate::journal::{AuditEntry, NewAudit};
pub use crate::lease::{Holder, LEASE_FOR, Lease};
pub use crate::monitors::{ChannelRow, Loaded, MonitorRow, Origin};
pub use crate::outbox::{Attempt, Delivery, DeliveryCounts, DeliveryFilter, DeliveryState, Finished};
pub use crate::pings::{NewPing, PingBody, PingKind, StoredPing};
pub use crate::results::{Bucket, Compacted, StoredResult};
pub use crate::upkeep::{Keep, Stats};

use crate::db::Db;

/// What is remembered. Cloning it is cheap; all clones are the same store.
#[derive(Clone)]
pub struct Store {
    db: Db,
    shared: Arc<Shared>,
}

struct Shared {
    cluster_id: String,
    /// Two compactions at once would only undo each other.
    compacting: tokio::sync::Mutex<()>,
}

/// Where to remember, and with how many connections.
#[derive(Clone, Debug)]
pub struct OpenSettings {
    pub place: Place,
    /// Connections to PostgreSQL at most; SQLite needs no number.
    pub connections: usize,
}

#[derive(Clone, Debug)]
pub enum Place {
    /// SQLite, in this data folder; it is made if it is missing.
    Folder(PathBuf),
    /// PostgreSQL, at this URL.
    Postgres(Secret),
}

impl OpenSettings {
    pub fn folder(path: impl Into<PathBuf>) -> Self {
        Self { place: Place::Folder(path.into()), connections: 1 }
    }

    pub const fn postgres(url: Secret) -> Self {
        Self { place: Place::Postgres(url), connections: 8 }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

impl Store {
    /// Connects, and brings the tables up to date. On SQLite the folder is then ours alone, so whatever an earlier
    /// process held there, the lease and its claims on deliveries, is free at once.
    pub async fn open(settings: OpenSettings) -> Result<Self, StoreError> {
        let db = match settings.place {
            Place::Folder(path) => {
                let lite = tokio::task::spawn_blocking(move || sqlite::Lite::open(&path))
                    .await
                    .map_err(|error| StoreError::Other(format!("opening the database broke: {error}")))??;
                let db = Db::Lite(lite);
                lease::free(&db).await?;
                outbox::free(&db).await?;
                db
            }
            Place::Postgres(url) => Db::Pg(postgres::Pg::open(&url, settings.connections).await?),
        };
        let cluster_id = upkeep::cluster_id(&db).await?;
        Ok(Self { db, shared: Arc::new(Shared { cluster_id, compacting: tokio::sync::Mutex::new(()) }) })
    }

    /// Finishes what was begun and lets go of files and connections. Every later call of any clone is refused
    /// with [`StoreError::Closed`].
    pub async fn close(&self) -> Result<(), StoreError> {
        match &self.db {
            Db::Lite(lite) => lite.close().await,
            Db::Pg(pg) => {
                pg.close();
                Ok(())
            }
        }
    }

    pub const fn engine(&self) -> Engine {
        self.db.engine()
    }

    /// A UUID made with the database: the first part of every idempotency key.
    pub fn cluster_id(&self) -> &str {
        &self.shared.cluster_id
    }

    #[doc(hidden)]
    /// The name and text of every statement, for the test that prepares each.
    pub fn statements(engine: Engine) -> Vec<(&'static str, &'static str)> {
        statement::all().map(|statement| (statement.name, statement.text(engine))).collect()
    }
}

/// Where to go on in a list that is shown newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Only entries with a smaller `id`: that of the last one seen.
    pub before: Option<i64>,
    /// At most [`LONGEST_PAGE`].
    pub limit: usize,
}

/// Longer pages are cut to this.
pub const LONGEST_PAGE: usize = 500;

impl Page {
    pub const fn first(limit: usize) -> Self {
        Self { before: None, limit }
    }

    pub const fn after(id: i64, limit: usize) -> Self {
        Self { before: Some(id), limit }
    }

    fn before(self) -> i64 {
        self.before.unwrap_or(i64::MAX)
    }

    fn limit(self) -> usize {
        self.limit.clamp(1, LONGEST_PAGE)
    }
}
