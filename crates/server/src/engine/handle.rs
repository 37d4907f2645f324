//! What the rest of the server may ask of the engine. Every answer comes after the commit.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use watchbell_core::decide::Signal;
use watchbell_core::{Finding, RunId, Slug, Timestamp};
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
    pub(super) pings: mpsc::Sender<Box<Called>>,
}

/// One call of a heartbeat, understood and on its way to be decided.
pub(crate) struct Called {
    pub monitor: i64,
    /// When all of it had been received.
    pub at: Timestamp,
    pub signal: Signal,
    /// The run that the sender names.
    pub run: Option<RunId>,
    /// How long the job took, if the sender says so.
    pub took: Option<Duration>,
    pub exit_status: Option<u8>,
    pub last_line: String,
    pub method: String,
    pub address: String,
    pub agent: String,
    /// Bytes of the body as it was sent; `head` and `tail` are what is kept of it.
    pub size: u64,
    pub head: Vec<u8>,
    pub tail: Vec<u8>,
    /// Where the answer goes, after the commit.
    pub(super) reply: Option<Reply<()>>,
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

impl Called {
    /// A call that brings nothing along.
    pub(crate) fn new(monitor: i64, at: Timestamp, signal: Signal) -> Self {
        Self {
            monitor,
            at,
            signal,
            run: None,
            took: None,
            exit_status: None,
            last_line: String::new(),
            method: String::new(),
            address: String::new(),
            agent: String::new(),
            size: 0,
            head: Vec::new(),
            tail: Vec::new(),
            reply: None,
        }
    }
}

/// One request with the place for its answer.
pub(crate) enum Command {
    PutMonitor { slug: Slug, spec: Box<MonitorSpec>, make: Make, reply: Reply<()> },
    DeleteMonitor { slug: Slug, reply: Reply<()> },
    Pause { slug: Slug, reply: Reply<()> },
    Resume { slug: Slug, reply: Reply<()> },
    Acknowledge { slug: Slug, by: String, note: String, reply: Reply<()> },
    CheckNow { slug: Slug, reply: Reply<Finding> },
    Snooze { slug: Slug, until: Timestamp, reply: Reply<()> },
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

    /// Nothing that the heartbeat does or leaves undone before this moment counts as a failure.
    pub(crate) async fn snooze(&self, slug: Slug, until: Timestamp) -> Answer<()> {
        self.ask(|reply| Command::Snooze { slug, until, reply }).await
    }

    /// A heartbeat called in. `Ok` means committed.
    pub(crate) async fn ping(&self, mut called: Box<Called>) -> Answer<()> {
        let (reply, answer) = oneshot::channel();
        called.reply = Some(reply);
        // A full queue is not waited for: the sender does better to call again.
        self.pings.try_send(called).map_err(|_| Refused::Store)?;
        match tokio::time::timeout(PING_PATIENCE, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Refused::Stopping),
            Err(_) => Err(Refused::Store),
        }
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
