//! What can go wrong between us and the database. Every error is a sentence for the person who runs the server;
//! the variants are what a caller chooses between.

use watchbell_core::Slug;

/// Why a question was not answered, or a change not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Another process works in the folder.
    #[error("{0}")]
    InUse(String),
    /// The database was written by a newer version.
    #[error("{0}")]
    Newer(String),
    /// The folder or a file in it cannot be used.
    #[error("{0}")]
    Folder(String),
    /// There is no room left.
    #[error("{0}")]
    Full(String),
    /// It can be read but not written.
    #[error("{0}")]
    ReadOnly(String),
    /// The database server does not answer, or does not let us in.
    #[error("{0}")]
    Unreachable(String),
    /// It took too long, or others were in the way again and again.
    #[error("{0}")]
    Busy(String),
    /// The name, key or slug is in use already.
    #[error("{0}")]
    Taken(String),
    /// Something stored cannot be understood.
    #[error("{0}")]
    Unreadable(String),
    /// This database cannot do it; the sentence says what to do instead.
    #[error("{0}")]
    Unsupported(String),
    /// The connection broke during the commit: it may have happened, or not.
    #[error("{0}")]
    Unknown(String),
    #[error("the store is closed")]
    Closed,
    #[error("{0}")]
    Other(String),
}

impl StoreError {
    /// The same may succeed later without anybody changing the request.
    pub const fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Full(_)
                | Self::ReadOnly(_)
                | Self::Unreachable(_)
                | Self::Busy(_)
                | Self::Unknown(_)
                | Self::Folder(_)
        )
    }
}

/// Why a [`crate::Commit`] was not made. Nothing of it was stored, except perhaps for [`CommitError::Unknown`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// The monitor's state is not the one this was decided from.
    #[error("monitor {monitor} was changed by somebody else in the meantime")]
    Conflict { monitor: i64 },
    /// Another node has taken over.
    #[error("this node's lease has passed to another node")]
    Fenced,
    #[error("another monitor is called `{slug}`")]
    SlugTaken { slug: Slug },
    /// Ask [`crate::Store::was_committed`].
    #[error("{0}")]
    Unknown(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a list of steps was not made; which step says whom it concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WriteError {
    /// The step changed or found another number of rows than it had to.
    Unmet {
        step: usize,
    },
    Failed {
        step: Option<usize>,
        error: StoreError,
    },
}

impl From<StoreError> for WriteError {
    fn from(error: StoreError) -> Self {
        Self::Failed { step: None, error }
    }
}

/// For writes whose steps expect nothing.
impl From<WriteError> for StoreError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Unmet { step } => Self::Busy(format!("step {step} met other rows than it expected; try again")),
            WriteError::Failed { error, .. } => error,
        }
    }
}
