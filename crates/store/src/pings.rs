//! The run log of heartbeats: every ping, with what came along with it, kept for the last so many of each monitor.
//!
//! A ping is named by its monitor and number. The engine counts; the same one stored twice, because a commit was made
//! again, is stored once.

use std::time::Duration;

use watchbell_core::{RunId, Timestamp};

use crate::statement::{Query, Step, statements};
use crate::value::{Row, readable, values};
use crate::{Page, Store, StoreError};

/// Old pings of a monitor are dropped whenever so many new ones have come.
const DROP_EVERY: u64 = 64;
/// Monitors whose old pings are dropped by one transaction.
const MONITORS_AT_ONCE: usize = 200;

statements! {
    APPEND = "INSERT INTO ping (monitor_id, n, at, kind, run, took_ms, exit_status, last_line, method, address, agent, size, head, tail)
              VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT (monitor_id, n) DO NOTHING";
    DROP_OLDEST = "DELETE FROM ping WHERE monitor_id = $1 AND n <= $2";
    DROP_BEFORE = "DELETE FROM ping WHERE monitor_id = $1 AND at < $2";
    PINGS = "SELECT n, at, kind, run, took_ms, exit_status, last_line, method, address, agent, size FROM ping
             WHERE monitor_id = $1 AND at >= $2 AND at < $3 AND n < $4 ORDER BY n DESC LIMIT $5";
    BODY = "SELECT size, head, tail FROM ping WHERE monitor_id = $1 AND n = $2";
    /// One look into the key for each monitor.
    LAST_NUMBERS = "SELECT id, (SELECT MAX(n) FROM ping WHERE monitor_id = monitor.id) FROM monitor";
}

/// What a ping said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PingKind {
    Success,
    Start,
    Fail,
    Log,
}

impl PingKind {
    pub const ALL: [Self; 4] = [Self::Success, Self::Start, Self::Fail, Self::Log];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Start => "start",
            Self::Fail => "fail",
            Self::Log => "log",
        }
    }

    fn from_name(name: &str) -> Result<Self, StoreError> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == name);
        found.ok_or_else(|| StoreError::Unreadable(format!("`{name}` is no kind of ping")))
    }
}

/// One ping, but for its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPing {
    /// Counts up from 1 for each monitor.
    pub n: u64,
    pub at: Timestamp,
    pub kind: PingKind,
    /// The run that it belongs to, if the sender named it.
    pub run: Option<RunId>,
    /// From the start of its run, if that was heard.
    pub took: Option<Duration>,
    pub exit_status: Option<u8>,
    /// The last line of the body that says anything; empty if there is none.
    pub last_line: String,
    pub method: String,
    /// Where it came from.
    pub address: String,
    /// What the sender calls itself.
    pub agent: String,
    /// Bytes of the body as it was sent.
    pub size: u64,
}

/// The body of a ping: all of it in `head`, or its first and its last bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PingBody {
    pub size: u64,
    pub head: Vec<u8>,
    pub tail: Vec<u8>,
}

impl PingBody {
    /// Bytes between head and tail that were not kept.
    pub fn left_out(&self) -> u64 {
        self.size.saturating_sub((self.head.len() + self.tail.len()) as u64)
    }
}

/// A ping to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPing {
    pub monitor: i64,
    pub ping: StoredPing,
    pub head: Vec<u8>,
    pub tail: Vec<u8>,
}

impl Store {
    /// From `from`, before `to`, newest first; go on with [`Page::after`] the last one's `n`.
    pub async fn pings(
        &self,
        monitor: i64,
        from: Timestamp,
        to: Timestamp,
        page: Page,
    ) -> Result<Vec<StoredPing>, StoreError> {
        let rows = self.db.read(&PINGS, values![monitor, from, to, page.before(), page.limit()]).await?;
        Ok(readable(rows, read_ping))
    }

    /// `None`: there is no such ping, or none any more.
    pub async fn ping_body(&self, monitor: i64, n: u64) -> Result<Option<PingBody>, StoreError> {
        let row = self.db.read_one(&BODY, values![monitor, n]).await?;
        row.map(|row| {
            let mut row = row.columns();
            Ok(PingBody { size: row.u64()?, head: row.blob()?, tail: row.blob()? })
        })
        .transpose()
    }

    /// Forgets the pings before this moment. Gives their number.
    pub async fn drop_pings(&self, before: Timestamp) -> Result<u64, StoreError> {
        let monitors = self.db.read(&LAST_NUMBERS, Vec::new()).await?;
        let numbers = readable(monitors, read_last);
        let with_pings: Vec<i64> = numbers.into_iter().filter_map(|(id, last)| last.map(|_| id)).collect();
        let mut dropped = 0;
        // A few at a time: others wait for the writer.
        for some in with_pings.chunks(MONITORS_AT_ONCE) {
            let steps = some.iter().map(|id| Step::any(&DROP_BEFORE, values![*id, before])).collect();
            dropped += self.db.write(steps).await?.iter().map(|done| done.count).sum::<u64>();
        }
        Ok(dropped)
    }
}

/// The steps that store pings, and now and then drop what is older than the last `keep` of a monitor.
pub(crate) fn append(pings: &[NewPing], keep: u64) -> impl Iterator<Item = Step> {
    pings.iter().flat_map(move |NewPing { monitor, ping, head, tail }| {
        let took = ping.took.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        let append = Step::any(
            &APPEND,
            values![
                *monitor,
                ping.n,
                ping.at,
                ping.kind.name(),
                ping.run.map(|run| run.to_string()),
                took,
                ping.exit_status.map(u32::from),
                &ping.last_line,
                &ping.method,
                &ping.address,
                &ping.agent,
                ping.size,
                head.as_slice(),
                tail.as_slice()
            ],
        );
        let is_time = ping.n.is_multiple_of(DROP_EVERY) && ping.n > keep;
        let drop = is_time.then(|| Step::any(&DROP_OLDEST, values![*monitor, ping.n - keep]));
        [Some(append), drop].into_iter().flatten()
    })
}

pub(crate) fn last_numbers() -> Query {
    Query { statement: &LAST_NUMBERS, values: Vec::new() }
}

/// A monitor and the number of its last ping.
pub(crate) fn read_last(row: Row) -> Result<(i64, Option<u64>), StoreError> {
    let mut row = row.columns();
    Ok((row.int()?, row.maybe_int()?.and_then(|n| u64::try_from(n).ok())))
}

fn read_ping(row: Row) -> Result<StoredPing, StoreError> {
    let mut row = row.columns();
    Ok(StoredPing {
        n: row.u64()?,
        at: row.moment()?,
        kind: PingKind::from_name(&row.text()?)?,
        run: row.maybe_text()?.map(|run| run.parse().map_err(StoreError::Unreadable)).transpose()?,
        took: row.maybe_int()?.and_then(|took| u64::try_from(took).ok()).map(Duration::from_millis),
        exit_status: row.maybe_int()?.and_then(|status| u8::try_from(status).ok()),
        last_line: row.text()?,
        method: row.text()?,
        address: row.text()?,
        agent: row.text()?,
        size: row.u64()?,
    })
}
