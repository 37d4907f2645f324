//! What the rest of the server may ask of the engine. Every answer comes after the commit.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use watchbell_core::decide::Signal;
use watchbell_core::{Finding, Slug};
use watchbell_notify::Channel;

use crate::config::spec::{Defaults, LONGEST_TIMEOUT, MonitorSpec};
use crate::live::Origin;

/// Longer than the longest check and shorter than people wait.
const PATIENCE: Duration = LONGEST_TIMEOUT.saturating_add(Duration::from_secs(10));

/// A heartbeat that was not committed within this time is told to call again.
const PING_PATIENCE: Duration = Duration::from_secs(5);

/// A cheap, cloneable way to the engine's loop.
#[derive(Clone)]
pub(crate) struct Handle {
    pub(super) commands: mpsc::Sender<Command>,
}

/// Why the engine did not do what was asked. The text is a sentence for the person who asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("There is no monitor `{0}`.")]
    NoMonitor(String),
    #[error("There is no channel `{0}`.")]
    NoChannel(String),
    #[error("`{0}` is written in the configuration file; change it there.")]
    FromFile(Slug),
    #[error("There is already a monitor or channel `{0}`; choose another slug.")]
    Exists(Slug),
    #[error("{0}")]
    Invalid(String),
    #[error("`{0}` has no open incident.")]
    NoIncident(Slug),
    #[error("The database does not answer; what you asked for will be done when it does again.")]
    Store,
    #[error("Watchbell is stopping; nothing was changed.")]
    Stopping,
}

pub(crate) type Answer<T> = Result<T, Refused>;
type Reply<T> = oneshot::Sender<Answer<T>>;

/// One request with the place for its answer.
pub(crate) enum Command {
    PutMonitor { slug: Slug, spec: Box<MonitorSpec>, make: Make, reply: Reply<()> },
    DeleteMonitor { slug: Slug, reply: Reply<()> },
    Pause { slug: Slug, reply: Reply<()> },
    Resume { slug: Slug, reply: Reply<()> },
    Acknowledge { slug: Slug, by: String, note: String, reply: Reply<()> },
    CheckNow { slug: Slug, reply: Reply<Finding> },
    Ping { slug: Slug, signal: Signal, reply: Reply<()> },
    PutChannel { slug: Slug, channel: Box<Channel>, make: Make, reply: Reply<()> },
    DeleteChannel { slug: Slug, reply: Reply<()> },
    ApplyFile { file: Box<FromFile>, reply: Reply<()> },
}

/// Whether something may or must be there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Make {
    /// It must not be there yet.
    New,
    /// It must be there.
    Change,
}

/// Everything the configuration file says about monitors and channels; what it no longer names is taken away.
#[derive(Debug, Default)]
pub(crate) struct FromFile {
    pub monitors: BTreeMap<Slug, MonitorSpec>,
    pub channels: BTreeMap<Slug, Channel>,
    pub defaults: Defaults,
}

impl Handle {
    pub(crate) async fn put_monitor(&self, slug: Slug, spec: MonitorSpec, make: Make) -> Answer<()> {
        self.ask(|reply| Command::PutMonitor { slug, spec: Box::new(spec), make, reply }).await
    }

    pub(crate) async fn delete_monitor(&self, slug: Slug) -> Answer<()> {
        self.ask(|reply| Command::DeleteMonitor { slug, reply }).await
    }

    pub(crate) async fn pause(&self, slug: Slug) -> Answer<()> {
        self.ask(|reply| Command::Pause { slug, reply }).await
    }

    pub(crate) async fn resume(&self, slug: Slug) -> Answer<()> {
        self.ask(|reply| Command::Resume { slug, reply }).await
    }

    /// Notes that somebody has the open incident; `note` may be empty.
    pub(crate) async fn acknowledge(&self, slug: Slug, by: String, note: String) -> Answer<()> {
        self.ask(|reply| Command::Acknowledge { slug, by, note, reply }).await
    }

    /// Checks at once, outside the grid. The result counts like any other.
    pub(crate) async fn check_now(&self, slug: Slug) -> Answer<Finding> {
        self.ask(|reply| Command::CheckNow { slug, reply }).await
    }

    /// A heartbeat called in. `Ok` means committed.
    pub(crate) async fn ping(&self, slug: Slug, signal: Signal) -> Answer<()> {
        let asking = self.ask(|reply| Command::Ping { slug, signal, reply });
        tokio::time::timeout(PING_PATIENCE, asking).await.unwrap_or(Err(Refused::Store))
    }

    pub(crate) async fn put_channel(&self, slug: Slug, channel: Channel, make: Make) -> Answer<()> {
        self.ask(|reply| Command::PutChannel { slug, channel: Box::new(channel), make, reply }).await
    }

    pub(crate) async fn delete_channel(&self, slug: Slug) -> Answer<()> {
        self.ask(|reply| Command::DeleteChannel { slug, reply }).await
    }

    /// Makes monitors and channels of origin [`Origin::File`] exactly these.
    pub(crate) async fn apply_file(&self, file: FromFile) -> Answer<()> {
        self.ask(|reply| Command::ApplyFile { file: Box::new(file), reply }).await
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Answer<T> {
        let (reply, answer) = oneshot::channel();
        let asking = async {
            self.commands.send(command(reply)).await.map_err(|_| Refused::Stopping)?;
            answer.await.map_err(|_| Refused::Stopping)?
        };
        tokio::time::timeout(PATIENCE, asking).await.unwrap_or(Err(Refused::Store))
    }
}

impl Origin {
    /// Refuses changes to what a file says.
    pub(super) fn may_change(self, slug: &Slug) -> Answer<()> {
        match self {
            Self::Console => Ok(()),
            Self::File => Err(Refused::FromFile(slug.clone())),
        }
    }
}
