//! What can go wrong with models and checkpoints, sorted by what the caller can do about it.

mod hub;

use std::path::PathBuf;

use crate::checkpoint::LoadReport;
pub use hub::HubError;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of `formant-models`. Each message names the input, what is wrong with it, and, where
/// there is one, the remedy.
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
    /// A file could not be opened, read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file could not be written.
    #[error("{}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file is of a kind that formant reads, but its content is broken: fetch it again.
    #[error("{}: the file is damaged: {reason}; copy or download it again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The file asks to run code while it is loaded: do not trust it.
    #[error(
        "{}: refused, because loading it would call `{global}`, which is not part of plain \
         weights; save the weights alone (a state dict or safetensors) where you trust the file",
        path.display()
    )]
    Refused {
        /// The file.
        path: PathBuf,
        /// The forbidden function or class as `module.name`.
        global: String,
    },
    /// The file or folder is no checkpoint that formant can read.
    #[error("{}: {reason}", path.display())]
    Unsupported {
        /// The file or folder.
        path: PathBuf,
        /// What was found and what to do.
        reason: String,
    },
    /// A file asks for more than formant is willing to allocate.
    #[error("{}: {what} of {found} is over the limit of {limit}", path.display())]
    Limit {
        /// The file.
        path: PathBuf,
        /// The quantity.
        what: &'static str,
        /// What the file says.
        found: u64,
        /// The most that is accepted.
        limit: u64,
    },
    /// What a checkpoint's card or config says about itself makes no sense: another file is needed.
    #[error("{}: {setting}: {reason}", path.display())]
    Card {
        /// The checkpoint.
        path: PathBuf,
        /// The setting.
        setting: String,
        /// What is wrong and which values are accepted.
        reason: String,
    },
    /// A weight, file or setting that is needed is not in the checkpoint.
    #[error("{}: no {what} in it", path.display())]
    Missing {
        /// The checkpoint.
        path: PathBuf,
        /// What was looked for.
        what: String,
    },
    /// Names or shapes of the checkpoint do not fit the network: wrong checkpoint or config.
    #[error("{0}")]
    Mismatch(Box<LoadReport>),
    /// The device that was asked for can't be used.
    #[error("device {0}")]
    Device(String),
    /// A published checkpoint is not in the cache, or could not be fetched.
    #[error("{}", with_remedy(.0))]
    Hub(Box<HubError>),
    /// The audio is the problem, not the model.
    #[error(transparent)]
    Audio(#[from] formant_audio_core::Error),
    /// libtorch could not do the work: out of memory, missing device, impossible shapes.
    #[error("libtorch: {0}")]
    Torch(String),
}

impl Error {
    /// An [`Error::Config`] for `setting`.
    pub fn config(setting: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Config { setting: setting.into(), reason: reason.into() }
    }

    /// An [`Error::Io`] for `path`.
    pub fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io { path: path.into(), source }
    }

    /// An [`Error::Unsupported`] for `path`.
    pub fn unsupported(path: impl Into<PathBuf>, reason: impl Into<String>) -> Self {
        Self::Unsupported { path: path.into(), reason: reason.into() }
    }
}

impl From<HubError> for Error {
    fn from(error: HubError) -> Self {
        Self::Hub(Box::new(error))
    }
}

fn with_remedy(error: &HubError) -> String {
    match error.remedy() {
        remedy if remedy.is_empty() => error.to_string(),
        remedy => format!("{error}; {remedy}"),
    }
}
