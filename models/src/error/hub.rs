//! What can go wrong on the way from a hub to the cache, and what to do about each.

use std::path::PathBuf;

/// A model could not be fetched, or is not in the cache.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// The model has not been pulled yet.
    #[error("`{name}` is not in the cache {}", folder.display())]
    NotCached {
        /// The model.
        name: String,
        /// The cache folder.
        folder: PathBuf,
    },
    /// The model is published where programs can't fetch it.
    #[error("`{name}` can't be fetched by a program; its authors publish it at {page}")]
    Elsewhere {
        /// The model.
        name: String,
        /// Where people get it.
        page: String,
    },
    /// Fetching was forbidden.
    #[error("`{name}` is not in the cache, and fetching is off ({why})")]
    Offline {
        /// The model.
        name: String,
        /// The option or variable that says so.
        why: String,
    },
    /// A setting, such as an address, can't be used.
    #[error("{setting}: {reason}")]
    Setting {
        /// The option or variable.
        setting: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The hub wants to know who asks, or has not granted access.
    #[error("{url}: the hub refuses access (status {status})")]
    Denied {
        /// What was asked for.
        url: String,
        /// 401 or 403.
        status: u16,
        /// Page on which access is granted.
        page: String,
        /// Whether a token was sent.
        with_token: bool,
    },
    /// The hub does not have it.
    #[error("{url}: not on the hub (status 404)")]
    NotFound {
        /// What was asked for.
        url: String,
    },
    /// A direct address does not give its file any more, or not to everybody.
    #[error("{url}: the file is not to be had there (status {status})")]
    Gone {
        /// The address.
        url: String,
        /// HTTP status.
        status: u16,
        /// The page that describes the file.
        page: String,
    },
    /// The hub answers with an error, also after some patience.
    #[error("{url}: the server answers with status {status}")]
    Status {
        /// What was asked for.
        url: String,
        /// HTTP status.
        status: u16,
    },
    /// No connection, or one that breaks again and again.
    #[error("{url}: {reason}")]
    Connection {
        /// What was asked for.
        url: String,
        /// What the network says.
        reason: String,
    },
    /// The server could not prove who it is.
    #[error("{url}: the certificate of the server is not trusted: {reason}")]
    Certificate {
        /// What was asked for.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The hub says something that makes no sense, or contradicts itself.
    #[error("{url}: unusable answer: {reason}")]
    Answer {
        /// What was asked for.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The repository lacks a file that the model needs.
    #[error("{repository}: no file {wanted} in it")]
    NoFile {
        /// Repository and revision.
        repository: String,
        /// What was looked for.
        wanted: String,
    },
    /// A file is not the one that the hub, this program or an earlier download announces.
    #[error("{file}: {what} is {found}, but {expected} was announced by {announced_by}")]
    Mismatch {
        /// The file.
        file: String,
        /// `size` or the name of a checksum.
        what: &'static str,
        /// What came.
        found: String,
        /// What should have come.
        expected: String,
        /// Who says what should have come.
        announced_by: &'static str,
    },
    /// A file of the cache was changed or damaged.
    #[error("{}: the cached file is damaged: {reason}", path.display())]
    Damaged {
        /// The model.
        name: String,
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The cache can't be read or written.
    #[error("{}: {source}", path.display())]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The caller asked to stop.
    #[error("stopped; what was fetched so far is kept and will be continued")]
    Stopped,
}

impl HubError {
    /// An [`HubError::Disk`] for `path`.
    pub fn disk(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Disk { path: path.into(), source }
    }

    /// What to do about it; may be empty.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::NotCached { name, .. } => format!(
                "`formant models pull {name}` fetches it; FORMANT_CACHE names another cache folder"
            ),
            Self::Elsewhere { .. } => {
                "download it there with a browser and give the path with --model".to_owned()
            }
            Self::Offline { name, .. } => {
                format!("run `formant models pull {name}` where there is a network")
            }
            Self::Setting { setting, .. } => format!("correct or unset {setting}"),
            Self::Denied { page, with_token: false, .. } => format!(
                "accept the conditions on {page} if there are any, make a token for reading, and \
                 set HF_TOKEN to it"
            ),
            Self::Denied { page, .. } => format!(
                "see on {page} whether your account has access, and whether the token in HF_TOKEN \
                 is valid and may read it"
            ),
            Self::NotFound { .. } => {
                "see whether it was renamed or removed, or whether HF_ENDPOINT names the wrong \
                 mirror; a private one needs HF_TOKEN"
                    .to_owned()
            }
            Self::Gone { page, .. } => format!(
                "see {page}: download it from there and give the path with --model; if it was meant \
                 to come from a mirror, see that FORMANT_MIRROR names the right one"
            ),
            Self::Status { status: 429, .. } => {
                "too many requests: wait some minutes, or set HF_TOKEN; what was fetched is kept"
                    .to_owned()
            }
            Self::Status { .. } => "try again later; what was fetched so far is kept".to_owned(),
            Self::Connection { .. } => {
                "see that the network is there; behind a proxy set HTTPS_PROXY, or name a mirror \
                 with HF_ENDPOINT (the hub) or FORMANT_MIRROR (direct addresses); what was fetched \
                 so far is kept"
                    .to_owned()
            }
            Self::Certificate { .. } => {
                "if a proxy of yours re-encrypts, name its certificate (PEM) in SSL_CERT_FILE; \
                 also see that the clock is right"
                    .to_owned()
            }
            Self::Answer { .. } => {
                "see that HF_ENDPOINT names a Hugging Face hub or a mirror of it, FORMANT_MIRROR a \
                 mirror of direct addresses, and that no log-in page of the network is in between"
                    .to_owned()
            }
            Self::NoFile { .. } => {
                "the repository has changed; download what you need by hand and give the path \
                 with --model"
                    .to_owned()
            }
            Self::Mismatch { .. } => {
                "the file was thrown away; try again, and if it stays so, do not use the mirror \
                 or the repository"
                    .to_owned()
            }
            Self::Damaged { name, .. } => format!(
                "`formant models remove {name}` and `formant models pull {name}` fetch it anew"
            ),
            Self::Disk { source, .. } => disk_remedy(source.kind()).to_owned(),
            Self::Stopped => String::new(),
        }
    }
}

fn disk_remedy(kind: std::io::ErrorKind) -> &'static str {
    use std::io::ErrorKind;
    match kind {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "make room, or name a folder on another disk with --cache-dir or FORMANT_CACHE; what \
             was fetched so far is kept"
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "name a folder that you may write with --cache-dir or FORMANT_CACHE"
        }
        ErrorKind::Unsupported => {
            "this file system has no locks; name a folder on a local disk with --cache-dir or \
             FORMANT_CACHE"
        }
        _ => "name another folder with --cache-dir or FORMANT_CACHE",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_depends_on_the_cause() {
        let denied = |with_token| HubError::Denied {
            url: "u".into(),
            status: 401,
            page: "https://hub/x".into(),
            with_token,
        };
        assert!(denied(false).remedy().contains("set HF_TOKEN"));
        assert!(denied(true).remedy().contains("whether the token"));
        let full = HubError::disk("/c", std::io::ErrorKind::StorageFull.into());
        assert!(full.remedy().contains("make room"), "{}", full.remedy());
        let forbidden = HubError::disk("/c", std::io::ErrorKind::PermissionDenied.into());
        assert!(forbidden.remedy().contains("may write") && forbidden.to_string().contains("/c"));
    }
}
