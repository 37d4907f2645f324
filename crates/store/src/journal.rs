//! Who did what, and the settings people made in the console.

use watchbell_core::Timestamp;

use crate::statement::{Query, Step, statements};
use crate::value::{Row, values};
use crate::{Page, Store, StoreError};

statements! {
    APPEND = "INSERT INTO audit (at, who, action, object, detail) VALUES ($1, $2, $3, $4, $5)";
    AUDIT = "SELECT id, at, who, action, object, detail FROM audit WHERE id < $1 ORDER BY id DESC LIMIT $2";
    SETTINGS = "SELECT key, value FROM setting ORDER BY key";
    SETTING = "SELECT key, value FROM setting WHERE key = $1";
    PUT_SETTING = "INSERT INTO setting (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
}

/// One thing somebody did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    pub id: i64,
    pub at: Timestamp,
    pub who: String,
    pub action: String,
    pub object: String,
    pub detail: String,
}

/// To be written down, at the moment it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAudit {
    /// A person's name, a token's, or `file`.
    pub who: String,
    /// `monitor.pause`, `channel.put`, `login`, …
    pub action: String,
    /// The slug or name it was done to.
    pub object: String,
    /// Never a secret.
    pub detail: String,
}

impl Store {
    /// For what belongs to no commit: logins, people, tokens.
    pub async fn append_audit(&self, at: Timestamp, entry: &NewAudit) -> Result<(), StoreError> {
        self.db.write(vec![append(at, entry)]).await?;
        Ok(())
    }

    /// Newest first; go on with [`Page::after`] the last one's `id`.
    pub async fn audit(&self, page: Page) -> Result<Vec<AuditEntry>, StoreError> {
        let rows = self.db.read(&AUDIT, values![page.before(), page.limit()]).await?;
        rows.into_iter()
            .map(|row| {
                let mut row = row.columns();
                Ok(AuditEntry {
                    id: row.int()?,
                    at: row.moment()?,
                    who: row.text()?,
                    action: row.text()?,
                    object: row.text()?,
                    detail: row.text()?,
                })
            })
            .collect()
    }

    pub async fn setting(&self, key: &str) -> Result<Option<String>, StoreError> {
        let row = self.db.read_one(&SETTING, values![key]).await?;
        Ok(row.map(read_setting).transpose()?.map(|(_, value)| value))
    }

    pub async fn put_setting(&self, key: &str, value: &str) -> Result<(), StoreError> {
        self.db.write_one(&PUT_SETTING, values![key, value]).await.map(drop)
    }
}

pub(crate) fn append(at: Timestamp, entry: &NewAudit) -> Step {
    Step::any(&APPEND, values![at, &entry.who, &entry.action, &entry.object, &entry.detail])
}

pub(crate) fn all_settings() -> Query {
    Query { statement: &SETTINGS, values: Vec::new() }
}

pub(crate) fn read_setting(row: Row) -> Result<(String, String), StoreError> {
    let mut row = row.columns();
    Ok((row.text()?, row.text()?))
}
