//! What can go wrong with models and checkpoints, sorted by what the caller can do about it.

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of `formant-models`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting is out of its range or contradicts another.
    #[error("{setting}: {reason}")]
    Config {
        /// The setting's name.
        setting: String,
        /// What is wrong and which values are accepted.
        reason: String,
    },
}

impl Error {
    /// An [`Error::Config`] for `setting`.
    pub fn config(setting: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Config { setting: setting.into(), reason: reason.into() }
    }
}
