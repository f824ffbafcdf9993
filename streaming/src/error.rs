//! What can go wrong with live audio, sorted by what the caller can do about it.

use std::path::PathBuf;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of `formant-streaming`. Each message names the device or file, what is wrong with it,
/// and, where there is one, the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Microphones can't be used at all on this machine.
    #[error("microphones: {reason}")]
    NoAudioSystem {
        /// What is missing and what to do.
        reason: String,
    },
    /// There is no microphone of this name.
    #[error("microphone `{name}`: there is none of this name; there are: {}", list(.known))]
    UnknownDevice {
        /// The name that was asked for.
        name: String,
        /// The names that would have worked.
        known: Vec<String>,
    },
    /// A microphone is there but can't be used.
    #[error("microphone `{name}`: {reason}")]
    Device {
        /// The device.
        name: String,
        /// What the system said and what to do.
        reason: String,
    },
    /// The device went away, and the policy is to stop then.
    #[error("microphone `{name}` was lost: {reason}; plug it in again, or use another policy")]
    Lost {
        /// The device.
        name: String,
        /// What was seen.
        reason: String,
    },
    /// There is no output device of this name.
    #[error("output device `{name}`: there is none of this name; there are: {}", list(.known))]
    UnknownOutput {
        /// The name that was asked for.
        name: String,
        /// The names that would have worked.
        known: Vec<String>,
    },
    /// An output device is not there or can't be used.
    #[error("output device `{name}`: {reason}")]
    Output {
        /// The device.
        name: String,
        /// What the system said and what to do.
        reason: String,
    },
    /// A setting is out of its range or contradicts another.
    #[error("{setting}: {reason}")]
    Config {
        /// The setting's name.
        setting: &'static str,
        /// What is wrong and which values are accepted.
        reason: String,
    },
    /// A file could not be written.
    #[error("{}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The audio is the problem.
    #[error(transparent)]
    Audio(#[from] formant_audio_core::Error),
    /// A model is the problem.
    #[error(transparent)]
    Model(#[from] formant_models::Error),
    /// A thread of the session ended by a fault.
    #[error("the thread `{0}` ended by a fault of the program; please report it")]
    Fault(&'static str),
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

impl Error {
    /// An [`Error::Config`] for `setting`.
    pub fn config(setting: &'static str, reason: impl Into<String>) -> Self {
        Self::Config { setting, reason: reason.into() }
    }

    /// An [`Error::Device`] for `name`.
    pub fn device(name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Device { name: name.into(), reason: reason.into() }
    }

    /// An [`Error::Output`] for `name`.
    pub fn output(name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Output { name: name.into(), reason: reason.into() }
    }
}
