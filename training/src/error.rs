//! What can go wrong in training and evaluation.

use std::path::PathBuf;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of `formant-training`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Audio could not be read.
    #[error(transparent)]
    Audio(#[from] formant_audio_core::Error),
    /// A model could not be made, loaded or saved.
    #[error(transparent)]
    Model(#[from] formant_models::Error),
    /// A file (manifest, table, cache, state) could not be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file (cache, state) could not be written.
    #[error("{}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A manifest has a line that makes no sense.
    #[error("{}: line {line}: {reason}", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// Line number, from 1.
        line: usize,
        /// What is wrong and what is expected.
        reason: String,
    },
    /// There is not enough data for the job.
    #[error("{0}")]
    Data(String),
    /// A setting is out of its range or contradicts another.
    #[error("{setting}: {reason}")]
    Config {
        /// The setting's name.
        setting: &'static str,
        /// What is wrong and which values are accepted.
        reason: String,
    },
    /// The caller asked to stop; the state for a resume was saved.
    #[error("interrupted; run the same command again to go on from the last epoch")]
    Interrupted,
}

impl Error {
    /// An [`Error::Io`] for `path`.
    pub fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io { path: path.into(), source }
    }
}
