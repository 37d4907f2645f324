//! Monitors, their states, and channels: what is loaded once at start and changed by commits.

use watchbell_core::{Slug, State, Timestamp};

use crate::history::{self, Incident, StoredTransition};
use crate::statement::{Query, statements};
use crate::value::{Row, values};
use crate::{Store, StoreError, journal, pings, upkeep};

statements! {
    MONITORS = "SELECT id, slug, origin, spec, rev, paused, created_at, updated_at FROM monitor
                WHERE deleted_at IS NULL ORDER BY id";
    NEXT_MONITOR = "SELECT COALESCE(MAX(id), 0) + 1 FROM monitor";
    STATES = "SELECT monitor_id, body FROM state ORDER BY monitor_id";
    STATE = "SELECT monitor_id, body FROM state WHERE monitor_id = $1";
    CHANNELS = "SELECT slug, origin, spec, rev, disabled, created_at, updated_at FROM channel ORDER BY slug";
    PUT_CHANNEL = "INSERT INTO channel (slug, origin, spec, rev, disabled, created_at, updated_at)
                   VALUES ($1, $2, $3, $4, $5, $6, $7)
                   ON CONFLICT (slug) DO UPDATE SET origin = excluded.origin, spec = excluded.spec, rev = excluded.rev,
                     disabled = excluded.disabled, updated_at = excluded.updated_at";
    DELETE_CHANNEL = "DELETE FROM channel WHERE slug = $1";
}

/// Who changes it: the file, or people in the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    File,
    Console,
}

impl Origin {
    pub const fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Console => "console",
        }
    }

    fn from_name(name: &str) -> Result<Self, StoreError> {
        [Self::File, Self::Console]
            .into_iter()
            .find(|origin| origin.name() == name)
            .ok_or_else(|| StoreError::Unreadable(format!("`{name}` is no origin of a monitor or channel")))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MonitorRow {
    /// Given by whoever makes it, beginning with [`Loaded::next_monitor`]; never used again.
    pub id: i64,
    /// Unique among the monitors that are not deleted.
    pub slug: Slug,
    pub origin: Origin,
    /// The settings, as JSON.
    pub spec: String,
    /// Number of these settings.
    pub rev: u64,
    pub paused: bool,
    /// Kept as it was when a monitor is written again.
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelRow {
    pub slug: Slug,
    pub origin: Origin,
    /// The settings, as JSON.
    pub spec: String,
    pub rev: u64,
    /// Why nothing is sent by it, if so.
    pub disabled: Option<String>,
    /// Kept as it was when a channel is written again.
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// Everything a server needs to go on where it stopped.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    pub monitors: Vec<MonitorRow>,
    /// By monitor.
    pub states: Vec<(i64, State)>,
    pub channels: Vec<ChannelRow>,
    pub settings: Vec<(String, String)>,
    /// Since the moment asked for, oldest first.
    pub transitions: Vec<StoredTransition>,
    pub open_incidents: Vec<Incident>,
    /// When we last said that we were there.
    pub alive_at: Option<Timestamp>,
    /// The number of the next new monitor.
    pub next_monitor: i64,
    /// The number of the last ping, by monitor, of those that have any.
    pub last_pings: Vec<(i64, u64)>,
    /// Sentences about rows that could not be read. Everything else is there.
    pub unreadable: Vec<String>,
}

impl Store {
    /// One bad row does not hide the others: it is named in [`Loaded::unreadable`].
    pub async fn load(&self, transitions_since: Timestamp) -> Result<Loaded, StoreError> {
        let ask = |statement| Query { statement, values: Vec::new() };
        let answers = self
            .db
            .read_all(vec![
                ask(&MONITORS),
                ask(&STATES),
                ask(&CHANNELS),
                journal::all_settings(),
                history::transitions_since(transitions_since),
                history::open_incidents(),
                upkeep::alive_at(),
                ask(&NEXT_MONITOR),
                pings::last_numbers(),
            ])
            .await?;
        let mut answers = answers.into_iter();
        let mut next = || answers.next().unwrap_or_default();
        let mut unreadable = Vec::new();
        Ok(Loaded {
            monitors: readable(next(), read_monitor, &mut unreadable),
            states: readable(next(), read_state, &mut unreadable),
            channels: readable(next(), read_channel, &mut unreadable),
            settings: readable(next(), journal::read_setting, &mut unreadable),
            transitions: readable(next(), history::read_transition, &mut unreadable),
            open_incidents: readable(next(), history::read_incident, &mut unreadable),
            alive_at: next().into_iter().next().map(upkeep::read_alive_at).transpose()?,
            next_monitor: next().into_iter().next().map_or(Ok(1), |row| row.columns().int())?,
            last_pings: readable(next(), pings::read_last, &mut unreadable)
                .into_iter()
                .filter_map(|(monitor, last)| Some((monitor, last?)))
                .collect(),
            unreadable,
        })
    }

    /// The states of these monitors as they are stored, for whoever lost track of them. Those without one are left out.
    pub async fn states(&self, monitors: &[i64]) -> Result<Vec<(i64, State)>, StoreError> {
        let queries = monitors.iter().map(|id| Query { statement: &STATE, values: values![*id] }).collect();
        self.db.read_all(queries).await?.into_iter().flatten().map(read_state).collect()
    }

    pub async fn channels(&self) -> Result<Vec<ChannelRow>, StoreError> {
        self.db.read(&CHANNELS, Vec::new()).await?.into_iter().map(read_channel).collect()
    }

    /// New, or in place of the one of the same slug.
    pub async fn put_channel(&self, channel: &ChannelRow) -> Result<(), StoreError> {
        self.db.write(vec![put_channel(channel)]).await?;
        Ok(())
    }

    /// `false`: there is none.
    pub async fn delete_channel(&self, slug: &Slug) -> Result<bool, StoreError> {
        Ok(self.db.write(vec![delete_channel(slug)]).await?.iter().any(|done| done.count > 0))
    }
}

pub(crate) fn put_channel(channel: &ChannelRow) -> crate::statement::Step {
    crate::statement::Step::any(
        &PUT_CHANNEL,
        values![
            &channel.slug,
            channel.origin.name(),
            &channel.spec,
            channel.rev,
            channel.disabled.clone(),
            channel.created_at,
            channel.updated_at
        ],
    )
}

pub(crate) fn delete_channel(slug: &Slug) -> crate::statement::Step {
    crate::statement::Step::any(&DELETE_CHANNEL, values![slug])
}

fn readable<T>(rows: Vec<Row>, read: impl Fn(Row) -> Result<T, StoreError>, unreadable: &mut Vec<String>) -> Vec<T> {
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        match read(row) {
            Ok(value) => all.push(value),
            Err(error) => unreadable.push(error.to_string()),
        }
    }
    all
}

fn read_monitor(row: Row) -> Result<MonitorRow, StoreError> {
    let mut row = row.columns();
    Ok(MonitorRow {
        id: row.int()?,
        slug: row.slug()?,
        origin: Origin::from_name(&row.text()?)?,
        spec: row.text()?,
        rev: row.u64()?,
        paused: row.bool()?,
        created_at: row.moment()?,
        updated_at: row.moment()?,
    })
}

fn read_state(row: Row) -> Result<(i64, State), StoreError> {
    let mut row = row.columns();
    let monitor = row.int()?;
    Ok((monitor, row.json(|| format!("the state of monitor {monitor}"))?))
}

fn read_channel(row: Row) -> Result<ChannelRow, StoreError> {
    let mut row = row.columns();
    Ok(ChannelRow {
        slug: row.slug()?,
        origin: Origin::from_name(&row.text()?)?,
        spec: row.text()?,
        rev: row.u64()?,
        disabled: row.maybe_text()?,
        created_at: row.moment()?,
        updated_at: row.moment()?,
    })
}
