//! Errors of readers that work on bytes and do not know the file's name; [`Fault::at`] adds it.

use std::path::Path;

use crate::error::Error;

/// What a reader of bytes found wrong.
#[derive(Debug)]
pub enum Fault {
    /// The bytes contradict their own format.
    Damaged(String),
    /// A pickle wants to call `module.name`.
    Refused(String),
    /// Well-formed, but of a kind that is not read.
    Unsupported(String),
    /// Over a limit.
    Limit {
        /// The quantity.
        what: &'static str,
        /// What the file says.
        found: u64,
        /// The most that is accepted.
        limit: u64,
    },
    /// The system could not read.
    Io(std::io::Error),
}

/// Result of readers of bytes.
pub type Outcome<T> = std::result::Result<T, Fault>;

impl Fault {
    /// A [`Fault::Damaged`].
    pub fn damaged(reason: impl Into<String>) -> Self {
        Self::Damaged(reason.into())
    }

    /// The crate's error for the file at `path`.
    #[must_use]
    pub fn at(self, path: &Path) -> Error {
        let path = path.to_path_buf();
        match self {
            Self::Damaged(reason) => Error::Damaged { path, reason },
            Self::Refused(global) => Error::Refused { path, global },
            Self::Unsupported(reason) => Error::Unsupported { path, reason },
            Self::Limit { what, found, limit } => Error::Limit { path, what, found, limit },
            Self::Io(source) => Error::Io { path, source },
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Damaged(reason) | Self::Unsupported(reason) => f.write_str(reason),
            Self::Refused(global) => write!(f, "a call of {global} is refused"),
            Self::Limit { what, found, limit } => {
                write!(f, "{what} of {found} is over the limit of {limit}")
            }
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Fault {}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::UnexpectedEof => {
                Self::Damaged("it ends before its content does".into())
            }
            std::io::ErrorKind::InvalidData | std::io::ErrorKind::InvalidInput => {
                Self::Damaged(error.to_string())
            }
            _ => Self::Io(error),
        }
    }
}

/// `Err(Limit)` when `found` is over `limit`.
pub(crate) fn within(what: &'static str, found: u64, limit: u64) -> Outcome<()> {
    if found > limit { Err(Fault::Limit { what, found, limit }) } else { Ok(()) }
}

/// How much of a quantity one file may use in all.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    what: &'static str,
    limit: u64,
    spent: u64,
}

impl Budget {
    /// `times` the `size` of what describes the quantity, and `more`.
    pub(crate) fn new(what: &'static str, size: u64, times: u64, more: u64) -> Self {
        Self { what, limit: size.saturating_mul(times).saturating_add(more), spent: 0 }
    }

    /// `Err(Limit)` when all that was spent is over the limit.
    pub(crate) fn spend(&mut self, amount: u64) -> Outcome<()> {
        self.spent = self.spent.saturating_add(amount);
        within(self.what, self.spent, self.limit)
    }
}
