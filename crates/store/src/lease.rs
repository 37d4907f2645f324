//! The lease: which node is the active one. It is measured by the database's clock alone; what a node believes
//! meanwhile does not matter, because every commit begins by reading the row.

use std::time::Duration;

use crate::db::Db;
use crate::statement::{Expect, Step, statements};
use crate::value::values;
use crate::{Store, StoreError};

/// So long without a renewal, and another node may take over.
pub const LEASE_FOR: Duration = Duration::from_secs(15);

statements! {
    /// A new epoch each time, so that what the earlier holder still has under way is refused.
    ACQUIRE = "UPDATE lease SET holder = $1, epoch = epoch + 1, until_at = {now} + $2
               WHERE id = 1 AND (holder = $1 OR until_at <= {now}) RETURNING epoch";
    RENEW = "UPDATE lease SET until_at = {now} + $3 WHERE id = 1 AND holder = $1 AND epoch = $2";
    RELEASE = "UPDATE lease SET holder = '', until_at = 0 WHERE id = 1 AND holder = $1 AND epoch = $2";
    FREE = "UPDATE lease SET holder = '', until_at = 0 WHERE id = 1 AND holder <> ''";
    HOLDER = "SELECT holder, epoch, until_at - {now} FROM lease WHERE id = 1";
    /// A takeover waits until the transaction that read this ends; afterwards this finds nothing.
    FENCE = "SELECT 1 FROM lease WHERE id = 1 AND holder = $1 AND epoch = $2 {for share}";
    /// Not granted while any transaction holds the fence.
    ALONE = "SELECT 1 FROM lease WHERE id = 1 {for update}";
}

/// Proof of being the active node; every [`crate::Commit`] carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    pub node: String,
    pub epoch: u64,
}

/// Who is active.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    pub node: String,
    pub epoch: u64,
    /// Until it runs out, unless it is renewed.
    pub remaining: Duration,
}

impl Store {
    /// Becomes the active node for [`LEASE_FOR`] from now; `None` while another node is. Whoever held it under the
    /// same name before, held it before a restart, and is fenced off.
    pub async fn acquire_lease(&self, node: &str) -> Result<Option<Lease>, StoreError> {
        let done = self.db.write_one(&ACQUIRE, values![node, lease_millis()]).await?;
        let Some(row) = done.rows.into_iter().next() else { return Ok(None) };
        Ok(Some(Lease { node: node.to_owned(), epoch: row.columns().u64()? }))
    }

    /// `false`: it has passed to another node. A lease that ran out but was not taken is renewed.
    pub async fn renew_lease(&self, lease: &Lease) -> Result<bool, StoreError> {
        let done = self.db.write_one(&RENEW, values![&lease.node, lease.epoch, lease_millis()]).await?;
        Ok(done.count == 1)
    }

    /// Another node need not wait for the end of it.
    pub async fn release_lease(&self, lease: &Lease) -> Result<(), StoreError> {
        self.db.write_one(&RELEASE, values![&lease.node, lease.epoch]).await.map(drop)
    }

    /// `None` when nobody is active.
    pub async fn lease_holder(&self) -> Result<Option<Holder>, StoreError> {
        let Some(row) = self.db.read_one(&HOLDER, Vec::new()).await? else { return Ok(None) };
        let mut row = row.columns();
        let (node, epoch, millis) = (row.text()?, row.u64()?, row.int()?);
        let remaining = u64::try_from(millis).ok().filter(|millis| *millis > 0).map(Duration::from_millis);
        Ok(remaining.map(|remaining| Holder { node, epoch, remaining }))
    }
}

/// The step every commit of the engine begins with.
pub(crate) fn fence(lease: &Lease) -> Step {
    Step { statement: &FENCE, values: values![&lease.node, lease.epoch], expect: Expect::Rows(1) }
}

/// The step that waits until every commit that passed the fence has ended, one way or the other.
pub(crate) fn wait_for_commits() -> Step {
    Step::any(&ALONE, Vec::new())
}

/// For a database that only one process can have open.
pub(crate) async fn free(db: &Db) -> Result<(), StoreError> {
    db.write_one(&FREE, Vec::new()).await.map(drop)
}

fn lease_millis() -> i64 {
    i64::try_from(LEASE_FOR.as_millis()).unwrap_or(i64::MAX)
}
