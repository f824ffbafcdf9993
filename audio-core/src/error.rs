//! What can go wrong with audio, sorted by what the caller can do about it.

use std::path::PathBuf;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of `formant-audio-core`. Each message names the input, what is wrong with it, and,
/// where there is one, the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be opened, read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file, or `-` for standard input or output.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The input is no audio that formant can read.
    #[error("{}: {reason}", path.display())]
    Unreadable {
        /// The file, or `-`.
        path: PathBuf,
        /// What was found and what to do.
        reason: String,
    },
    /// A channel is asked for that the input does not have.
    #[error(
        "{}: there is no channel {number}: {}",
        path.display(),
        match count {
            1 => "it has one channel".to_owned(),
            _ => format!("it has {count} channels, numbered from 1"),
        }
    )]
    NoChannel {
        /// The file, or `-`.
        path: PathBuf,
        /// The channel's number, from 1.
        number: u16,
        /// Channels that are there.
        count: usize,
    },
    /// A header asks for more than formant is willing to allocate.
    #[error("{}: {what} of {found} is over the limit of {limit}", path.display())]
    Limit {
        /// The file, or `-`.
        path: PathBuf,
        /// The quantity, such as "channel count".
        what: &'static str,
        /// What the file says.
        found: u64,
        /// The most that is accepted.
        limit: u64,
    },
    /// The input holds no samples.
    #[error("empty input: there are no samples to work on")]
    Empty,
    /// The input is shorter than the operation needs.
    #[error("too short: have {have} samples, need {need}")]
    TooShort {
        /// Samples that are there.
        have: usize,
        /// Samples that are needed.
        need: usize,
    },
    /// Sizes that must agree do not.
    #[error("{what}: expected {expected}, found {found}")]
    Shape {
        /// The data in question.
        what: &'static str,
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// A setting is out of its range or contradicts another.
    #[error("{setting}: {reason}")]
    Config {
        /// The setting's name.
        setting: &'static str,
        /// What is wrong and which values are accepted.
        reason: String,
    },
}

impl Error {
    /// An [`Error::Io`] for `path`.
    pub fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io { path: path.into(), source }
    }

    /// An [`Error::Unreadable`] for `path`.
    pub fn unreadable(path: impl Into<PathBuf>, reason: impl Into<String>) -> Self {
        Self::Unreadable { path: path.into(), reason: reason.into() }
    }

    /// An [`Error::Config`] for `setting`.
    pub fn config(setting: &'static str, reason: impl Into<String>) -> Self {
        Self::Config { setting, reason: reason.into() }
    }
}
