//! Checkpoints that others have published: names, where they are, which files they need, and under
//! which terms. The rows are beside, one file a field of work; fetching is in `hub`.

mod music;
mod rows;
mod sounds;
mod speech;

use std::fmt;

use serde::Serialize;

use super::hub::Digest;
use crate::checkpoint::Architecture;

pub use rows::{UNPUBLISHED, published, published_models};

/// A published checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Published {
    /// Name to pull and load it by.
    pub name: &'static str,
    /// Task, named as the command.
    pub task: &'static str,
    /// The network.
    pub architecture: Architecture,
    /// What it does, in one line.
    pub summary: &'static str,
    /// Where it is.
    pub place: Place,
    /// The files that are needed, where a hub has them.
    pub files: &'static [Want],
    /// What is known about these files beforehand.
    pub pins: &'static [Pin],
    /// Licence of the weights, as far as their authors state one.
    pub licence: &'static str,
    /// Sample rate, Hz.
    pub rate: u32,
    /// Bytes to fetch, about; where it is known.
    pub bytes: Option<u64>,
    /// Parameters of the network, about; where they are known.
    pub parameters: Option<u64>,
    /// The quality that its authors state, in one line; may be empty.
    pub quality: &'static str,
    /// The paper.
    pub citation: &'static str,
}

/// A row whose other fields are those of most rows.
const BASE: Published = Published {
    name: "",
    task: "",
    architecture: Architecture::EcapaTdnn,
    summary: "",
    place: hub(""),
    files: &[],
    pins: &[],
    licence: "not stated; see the page",
    rate: 16_000,
    bytes: None,
    parameters: None,
    quality: "",
    citation: "",
};

const fn hub(id: &'static str) -> Place {
    Place::HuggingFace { id, revision: None }
}

const fn page(url: &'static str, item: &'static str) -> Place {
    Place::Page { url, item }
}

/// Where a checkpoint is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// A repository of the Hugging Face hub.
    HuggingFace {
        /// Owner and name.
        id: &'static str,
        /// Commit, where one is known to be right; else whatever is newest.
        revision: Option<&'static str>,
    },
    /// Files that have stable HTTPS addresses of their own.
    Url {
        /// The page that describes them.
        page: &'static str,
        /// The files.
        files: &'static [Direct],
    },
    /// A page from which people download it.
    Page {
        /// Its address.
        url: &'static str,
        /// What to look for there.
        item: &'static str,
    },
}

/// A file at an address of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Direct {
    /// The name that it gets.
    pub file: &'static str,
    /// Its address.
    pub url: &'static str,
}

/// A wish for a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Want {
    /// This one.
    File(&'static str),
    /// The first of these that is there.
    FirstOf(&'static [&'static str]),
    /// This one, where there is such a file.
    IfThere(&'static str),
    /// The only one with this ending.
    Ending(&'static str),
}

impl fmt::Display for Want {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(name) => f.write_str(name),
            Self::FirstOf(names) => f.write_str(&names.join(" or ")),
            Self::IfThere(name) => write!(f, "{name} (if there)"),
            Self::Ending(ending) => write!(f, "*{ending}"),
        }
    }
}

/// Size and checksum of a file that the program itself knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Pin {
    /// The file.
    pub file: &'static str,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: Option<&'static str>,
}

impl Pin {
    pub(super) fn digest(&self) -> Option<Digest> {
        self.sha256.and_then(Digest::from_hex)
    }
}

impl Published {
    /// Whether a program can fetch it.
    #[must_use]
    pub fn can_be_pulled(&self) -> bool {
        !matches!(self.place, Place::Page { .. })
    }

    /// Where people find it: the repository's page, or another.
    #[must_use]
    pub fn page(&self) -> String {
        match self.place {
            Place::HuggingFace { id, .. } => format!("{}/{id}", super::hub::PUBLIC_HUB),
            Place::Url { page: url, .. } | Place::Page { url, .. } => url.to_owned(),
        }
    }

    /// The files that are needed, as far as they are known beforehand.
    #[must_use]
    pub fn wanted(&self) -> Vec<String> {
        match self.place {
            Place::Url { files, .. } => files.iter().map(|file| file.file.to_owned()).collect(),
            _ => self.files.iter().map(ToString::to_string).collect(),
        }
    }
}
