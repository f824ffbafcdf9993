//! What went wrong: what failed, why, what to do, and whose fault it is.

use formant_models::compute::libtorch_reason;
use std::path::Path;

use serde::Serialize;

use crate::escape::one_line;
use crate::unicode_form::other_form;

/// Whose fault a failure is, which decides the exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// The command line.
    Usage,
    /// An input that can't be read or used.
    Input,
    /// An output that exists or can't be written.
    Output,
    /// A model or checkpoint.
    Model,
    /// A device.
    Device,
    /// The program itself.
    Internal,
    /// The user stopped it.
    Interrupted,
    /// Who reads our standard output has gone.
    BrokenPipe,
}

/// A failure, ready to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    /// What failed: usually a file's name.
    pub(crate) what: String,
    /// Why; may be empty.
    pub(crate) why: String,
    /// What to do; may be empty.
    pub(crate) remedy: String,
}

impl Failure {
    /// A failure of `kind`.
    pub(crate) fn new(kind: Kind, what: impl Into<String>, why: impl Into<String>) -> Self {
        let (what, why) = (what.into(), why.into());
        // Errors of libraries begin with the name of the file, too.
        let rest = why.strip_prefix(&what).and_then(|rest| rest.strip_prefix(": "));
        let why = rest.filter(|_| !what.is_empty()).map(str::to_owned).unwrap_or(why);
        Self { kind, what, why, remedy: String::new() }
    }

    /// A wrong command line.
    pub(crate) fn usage(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::new(Kind::Usage, what, why)
    }

    /// A failure to write `path`.
    pub(crate) fn output(path: &Path, error: &std::io::Error) -> Self {
        // A FIFO that was named as an output is another matter.
        let is_stdout = [path.as_os_str() == "-", path.as_os_str() == "standard output"];
        if error.kind() == std::io::ErrorKind::BrokenPipe && is_stdout.contains(&true) {
            return Self::broken_pipe();
        }
        let remedy = match error.kind() {
            std::io::ErrorKind::NotFound => "make the folder first, or name one that exists",
            std::io::ErrorKind::NotADirectory | std::io::ErrorKind::AlreadyExists => {
                "a file stands where a folder is needed; write to another folder"
            }
            std::io::ErrorKind::PermissionDenied => "write to another folder",
            std::io::ErrorKind::ReadOnlyFilesystem => "write to another disk",
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                "make room, or write to another disk"
            }
            std::io::ErrorKind::FileTooLarge => {
                "files may not become that large here; see `ulimit -f` and the limits of the disk"
            }
            _ => "",
        };
        Self::new(Kind::Output, path.display().to_string(), error.to_string()).help(remedy)
    }

    /// A failure to read `path`.
    pub(crate) fn input(path: &Path, error: &std::io::Error) -> Self {
        let remedy = match error.kind() {
            std::io::ErrorKind::NotFound => match other_form(path) {
                Some(other) => format!(
                    "there is {}, whose name looks the same in another Unicode form; \
                     let the shell complete it",
                    other.display()
                ),
                None => "check the name".to_owned(),
            },
            std::io::ErrorKind::PermissionDenied => "see that you may read it".to_owned(),
            _ => String::new(),
        };
        Self::new(Kind::Input, path.display().to_string(), error.to_string()).help(remedy)
    }

    /// Standard output was closed.
    pub(crate) fn broken_pipe() -> Self {
        Self::new(Kind::BrokenPipe, "standard output", "closed by its reader")
    }

    /// The user stopped the work.
    pub(crate) fn interrupted() -> Self {
        Self::new(Kind::Interrupted, "interrupted", "")
    }

    /// A failure of the program itself.
    pub(crate) fn internal(what: &str, why: impl std::fmt::Display) -> Self {
        Self::new(Kind::Internal, what, why.to_string())
    }

    /// A failure to write audio, which the library reports as it reports failures to read.
    pub(crate) fn of_writing(error: formant_audio_core::Error) -> Self {
        match error {
            formant_audio_core::Error::Io { path, source } => Self::output(&path, &source),
            other => other.into(),
        }
    }

    /// Adds what to do.
    pub(crate) fn help(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }

    /// Everything but the remedy, in one line.
    pub(crate) fn message(&self) -> String {
        match (self.what.as_str(), self.why.as_str()) {
            (what, "") => what.to_owned(),
            ("", why) => why.to_owned(),
            (what, why) => format!("{what}: {why}"),
        }
    }

    /// What a caught panic means. The hook has already told all but what libtorch says.
    pub(crate) fn of_panic(payload: &(dyn std::any::Any + Send)) -> Self {
        match payload.downcast_ref::<String>().and_then(|text| libtorch_reason(text)) {
            Some(reason) => Self::new(Kind::Model, "libtorch", reason),
            None => Self::new(Kind::Internal, "", "internal fault"),
        }
    }

    /// The failure of the input called `name`: errors that do not name a file get its name.
    pub(crate) fn of_input(mut self, name: &str) -> Self {
        if !self.message().contains(name) {
            self.why = self.message();
            self.what = name.to_owned();
        } else if self.what != name {
            // Line ends in names are shown, not printed.
            self.why = self.why.replace(name, &one_line(name));
        }
        self
    }
}

impl From<formant_audio_core::Error> for Failure {
    fn from(error: formant_audio_core::Error) -> Self {
        use formant_audio_core::Error;
        match error {
            Error::Io { source, .. } if source.kind() == std::io::ErrorKind::BrokenPipe => {
                Self::broken_pipe()
            }
            Error::Io { path, source } => Self::input(&path, &source),
            Error::Config { setting, reason } => Self::usage(setting, reason),
            Error::NoChannel { .. } => Self::new(Kind::Input, "", error.to_string())
                .help("choose a channel that is there, or mix to have all of them"),
            Error::Empty | Error::TooShort { .. } => Self::new(Kind::Input, "", error.to_string())
                .help("leave it out, or give a longer recording"),
            other => Self::new(Kind::Input, "", other.to_string()),
        }
    }
}

impl From<formant_models::Error> for Failure {
    fn from(error: formant_models::Error) -> Self {
        use formant_models::Error;
        match error {
            Error::Audio(inner) => inner.into(),
            Error::Device(why) => Self::new(Kind::Device, "device", why),
            Error::Hub(inner) => (*inner).into(),
            Error::Config { setting, reason } if setting == "model" => {
                Self::new(Kind::Model, setting, reason)
                    .help("`formant models list` shows all names")
            }
            Error::Config { setting, reason } => Self::usage(setting, reason),
            Error::Write { path, source } => Self::output(&path, &source),
            Error::Io { path, source } => {
                let what = path.display().to_string();
                Self::new(Kind::Model, what, source.to_string())
                    .help("give a checkpoint file, or a name from `formant models list`")
            }
            other => Self::new(Kind::Model, "", other.to_string()),
        }
    }
}

impl From<formant_models::registry::HubError> for Failure {
    fn from(error: formant_models::registry::HubError) -> Self {
        use formant_models::registry::HubError;
        let kind = match error {
            HubError::Setting { .. } => Kind::Usage,
            HubError::Stopped => Kind::Interrupted,
            _ => Kind::Model,
        };
        Self::new(kind, "", error.to_string()).help(error.remedy())
    }
}

impl From<formant_streaming::Error> for Failure {
    fn from(error: formant_streaming::Error) -> Self {
        use formant_streaming::Error;
        match error {
            Error::Audio(inner) => inner.into(),
            Error::Model(inner) => inner.into(),
            Error::Config { setting, reason } => Self::usage(setting, reason),
            Error::Write { path, source } => Self::output(&path, &source),
            Error::Fault(_) => Self::new(Kind::Internal, "", error.to_string()),
            Error::UnknownDevice { .. } | Error::UnknownOutput { .. } => {
                Self::new(Kind::Device, "", error.to_string())
                    .help("take one of these names, or a part of it that no other has")
            }
            Error::NoAudioSystem { .. } => Self::new(Kind::Device, "", error.to_string())
                .help("or listen to a file with --file, or to standard input with `-`"),
            other => Self::new(Kind::Device, "", other.to_string()),
        }
    }
}

impl From<formant_training::Error> for Failure {
    fn from(error: formant_training::Error) -> Self {
        use formant_training::Error;
        match error {
            Error::Audio(inner) => inner.into(),
            Error::Model(inner) => inner.into(),
            Error::Io { path, source } => Self::input(&path, &source),
            Error::Write { path, source } => Self::output(&path, &source),
            Error::Config { setting, reason } => Self::usage(setting, reason),
            Error::Interrupted => Self::new(Kind::Interrupted, "", error.to_string()),
            other => Self::new(Kind::Input, "", other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_the_input_once() {
        let failure = Failure::new(Kind::Input, "a.wav", "damaged").of_input("a.wav");
        assert_eq!(failure.message(), "a.wav: damaged");
        let named = Failure::new(Kind::Input, "a.npy", "a.npy: damaged");
        assert_eq!(named.message(), "a.npy: damaged");
        let empty = Failure::from(formant_audio_core::Error::Empty).of_input("a.wav");
        assert!(empty.message().starts_with("a.wav: empty input"), "{}", empty.message());
        assert_eq!(empty.kind, Kind::Input);
    }

    #[test]
    fn closed_pipes_are_told_from_bad_files() {
        let closed = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        let failure = Failure::from(formant_audio_core::Error::io("-", closed));
        assert_eq!(failure.kind, Kind::BrokenPipe);
    }
}
