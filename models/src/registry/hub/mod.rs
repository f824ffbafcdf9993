//! Fetching published checkpoints from the Hugging Face hub, a mirror, or direct addresses, into the
//! cache.
//!
//! [`pull`] finds out which commit and which files there are, fetches what is missing, and makes
//! the whole visible in the end. All that knows HTTP is in here.

mod address;
mod client;
mod digest;
mod download;
mod lock;
mod metadata;
mod proxy;
mod retry;
mod select;
mod settings;
mod source;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use crate::error::HubError;
pub use address::PUBLIC_HUB;
pub use digest::Digest;
pub use proxy::Proxies;
pub use settings::{HubOptions, Patience};

pub(super) use lock::Lock;
pub(super) use metadata::{is_commit, is_safe};
pub(super) use retry::tell;

use self::client::Client;
use self::download::{Job, fetch};
use self::source::{Source, Wanted};
use super::cache::{Cache, CachedFile, Manifest, Snapshot};
use super::published::Published;

/// What happens while a model is fetched.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PullEvent<'a> {
    /// Another process is fetching the same model.
    Waiting {
        /// The model.
        name: &'a str,
    },
    /// What will be fetched is known.
    Planned {
        /// Number of files.
        files: usize,
        /// Bytes of all of them.
        bytes: u64,
    },
    /// A file has come so far.
    Progress {
        /// The file.
        path: &'a str,
        /// Bytes that are there.
        done: u64,
        /// Bytes in all.
        size: u64,
    },
    /// A file of the cache is being compared with its checksum.
    Checking {
        /// The file.
        path: &'a str,
    },
    /// Something failed that may pass.
    Retrying {
        /// What failed.
        reason: &'a str,
        /// How long is waited.
        wait: Duration,
    },
    /// Nothing, except a chance to stop.
    Idle,
}

/// Who is told what happens, and can stop it with [`ControlFlow::Break`].
pub type Watch<'a> = dyn FnMut(&PullEvent<'_>) -> ControlFlow<()> + 'a;

/// What pulling came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// The checkpoint.
    pub snapshot: Snapshot,
    /// Whether it had to be fetched.
    pub fetched: bool,
}

/// Fetches a model into the cache, unless it is there.
///
/// # Errors
/// [`HubError`]; what was fetched before is kept and continued by the next call.
pub fn pull(
    model: &Published,
    cache: &Cache,
    options: &HubOptions,
    watch: &mut Watch<'_>,
) -> Result<Pulled, HubError> {
    let there = |snapshot| Pulled { snapshot, fetched: false };
    if !options.update
        && let Ok(Some(snapshot)) = cache.find(model.name)
    {
        return Ok(there(snapshot));
    }
    if !model.can_be_pulled() {
        return Err(HubError::Elsewhere { name: model.name.to_owned(), page: model.page() });
    }
    if let Some(why) = &options.offline {
        return Err(HubError::Offline { name: model.name.to_owned(), why: why.clone() });
    }
    let client = Client::new(options)?;
    let folder = cache.folder(model.name);
    make_folder(&folder)?;
    let _lock = cache.lock(model.name, watch)?;
    // Who held the lock before may have done the work, or removed the folder.
    make_folder(&folder)?;
    let found = cache.find(model.name).ok().flatten();
    if !options.update
        && let Some(snapshot) = found
    {
        return Ok(there(snapshot));
    }

    let source = Source::find(model, &client, options.patience, watch)?;
    let commit = source.commit.as_str();
    if let Ok(snapshot) = cache.publish(model.name, commit) {
        return Ok(there(snapshot));
    }
    let wanted = source.files(&client, cache, options.patience, watch)?;
    let bytes = wanted.iter().map(|file| file.size).sum();
    tell(watch, &PullEvent::Planned { files: wanted.len(), bytes })?;

    let incoming = incoming(&folder, commit)?;
    let mut files = Vec::new();
    for (index, file) in wanted.into_iter().enumerate() {
        let digest = bring(&client, &source, &file, &incoming, found.as_ref(), options, watch)?;
        if let Some(direct) = source.direct(index) {
            cache.known(model.name)?.keep(direct.url, digest)?;
        }
        files.push(CachedFile { path: file.path, size: file.size, digest });
    }
    Manifest::new(model.name, source.id(), commit, files).write(&incoming.join("manifest.json"))?;
    let snapshot = reveal(cache, model.name, &incoming, commit)?;
    forget_others(&folder, commit);
    Ok(Pulled { snapshot, fetched: true })
}

/// Brings a file into the folder in which a snapshot comes together, unless it is there; returns its
/// checksum.
fn bring(
    client: &Client,
    source: &Source<'_>,
    file: &Wanted,
    incoming: &Path,
    before: Option<&Snapshot>,
    options: &HubOptions,
    watch: &mut Watch<'_>,
) -> Result<Digest, HubError> {
    let target = incoming.join("files").join(&file.path);
    let known =
        file.digest.map(|digest| CachedFile { path: file.path.clone(), size: file.size, digest });
    if let Some(known) = &known
        && (is_there(known, &target, watch)? || take_over(known, before, &target))
    {
        return Ok(known.digest);
    }
    if let Some(parent) = target.parent() {
        make_folder(parent)?;
    }
    let job = Job {
        owner: source.owner(),
        path: &file.path,
        url: file.url.clone(),
        size: file.size,
        digest: file.digest,
        announced_by: file.announced_by,
        commit: source.hub_commit(),
        target,
    };
    fetch(client, &job, options.patience, watch)
}

/// Whether a file of an interrupted run is there; a wrong one is removed.
fn is_there(file: &CachedFile, path: &Path, watch: &mut Watch<'_>) -> Result<bool, HubError> {
    let Ok(about) = std::fs::metadata(path) else { return Ok(false) };
    tell(watch, &PullEvent::Checking { path: &file.path })?;
    if about.len() == file.size && file.digest.same_kind_of(path).is_ok_and(|d| d == file.digest) {
        return Ok(true);
    }
    std::fs::remove_file(path).map_err(|error| HubError::disk(path, error))?;
    Ok(false)
}

/// Takes a file that did not change over from the snapshot before.
fn take_over(file: &CachedFile, before: Option<&Snapshot>, target: &Path) -> bool {
    let Some(before) = before else { return false };
    let same = before.manifest.files.iter().any(|known| known == file);
    let source = before.folder.join(&file.path);
    let whole = || file.digest.same_kind_of(&source).is_ok_and(|found| found == file.digest);
    let link = || {
        target.parent().is_some_and(|parent| std::fs::create_dir_all(parent).is_ok())
            && std::fs::hard_link(&source, target).is_ok()
    };
    same && whole() && link()
}

/// The folder in which a snapshot comes together; those of other commits are given up, and a
/// damaged snapshot of this one is taken as a beginning.
fn incoming(folder: &Path, commit: &str) -> Result<PathBuf, HubError> {
    let incoming = folder.join(format!("{commit}.incoming"));
    let entries = std::fs::read_dir(folder).map_err(|error| HubError::disk(folder, error))?;
    for entry in entries.flatten() {
        let stale = entry.file_name().to_string_lossy().ends_with(".incoming");
        if stale && entry.path() != incoming {
            // It only takes room; what remains of it does no harm.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    let damaged = folder.join(commit);
    if damaged.is_dir() && !incoming.is_dir() {
        std::fs::rename(&damaged, &incoming).map_err(|error| HubError::disk(&damaged, error))?;
    }
    make_folder(&incoming.join("files"))?;
    Ok(incoming)
}

/// Gives a complete snapshot its name.
fn reveal(cache: &Cache, name: &str, incoming: &Path, commit: &str) -> Result<Snapshot, HubError> {
    let folder = cache.folder(name);
    let target = folder.join(commit);
    if target.is_dir() {
        // A damaged one, whose files have been fetched anew.
        std::fs::remove_dir_all(&target).map_err(|error| HubError::disk(&target, error))?;
    }
    std::fs::rename(incoming, &target).map_err(|error| HubError::disk(&target, error))?;
    cache.publish(name, commit)
}

/// Removes the snapshots of other commits, as far as nobody uses them.
fn forget_others(folder: &Path, commit: &str) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if is_commit(&name) && name != commit {
            // One that is open on a system that forbids this goes with the next update.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

fn make_folder(path: &Path) -> Result<(), HubError> {
    std::fs::create_dir_all(path).map_err(|error| HubError::disk(path, error))
}
