//! Where the files of a model come from: a repository of the hub at one commit, or direct addresses.

use sha1::{Digest as _, Sha1};

use super::client::{Client, Owner};
use super::digest::Digest;
use super::metadata::{RemoteFile, Repository, is_commit};
use super::retry::retrying;
use super::settings::Patience;
use super::{Watch, select};
use crate::error::HubError;
use crate::registry::cache::Cache;
use crate::registry::published::{Direct, Place, Published};

/// Where a model comes from.
pub(super) struct Source<'a> {
    model: &'a Published,
    kind: Kind<'a>,
    /// Names the snapshot: the repository's commit, or a checksum of the addresses.
    pub(super) commit: String,
}

enum Kind<'a> {
    Hub { id: &'a str, repository: Repository },
    Direct { page: &'a str, files: &'a [Direct] },
}

/// A file to be fetched.
pub(super) struct Wanted {
    /// Path below the snapshot's folder.
    pub(super) path: String,
    pub(super) url: String,
    pub(super) size: u64,
    /// `None` where nobody says it before the file has come.
    pub(super) digest: Option<Digest>,
    /// Who says size and checksum.
    pub(super) announced_by: &'static str,
}

impl<'a> Source<'a> {
    /// Finds out which commit there is.
    pub(super) fn find(
        model: &'a Published,
        client: &Client,
        patience: Patience,
        watch: &mut Watch<'_>,
    ) -> Result<Self, HubError> {
        let (id, revision) = match model.place {
            Place::HuggingFace { id, revision } => (id, revision.unwrap_or("main")),
            Place::Url { page, files } => {
                let kind = Kind::Direct { page, files };
                return Ok(Self { model, kind, commit: name_of(files) });
            }
            Place::Page { .. } => {
                let (name, page) = (model.name.to_owned(), model.page());
                return Err(HubError::Elsewhere { name, page });
            }
        };
        let repository = retrying(patience, watch, || client.repository(id, revision))?;
        let commit = repository.commit.clone();
        if is_commit(revision) && revision != commit {
            return Err(HubError::Mismatch {
                file: id.to_owned(),
                what: "commit",
                found: commit,
                expected: revision.to_owned(),
                announced_by: "this program",
            });
        }
        Ok(Self { model, kind: Kind::Hub { id, repository }, commit })
    }

    /// Name of the source in a manifest: the repository, or the page that describes the files.
    pub(super) fn id(&self) -> &'a str {
        match self.kind {
            Kind::Hub { id, .. } => id,
            Kind::Direct { page, .. } => page,
        }
    }

    pub(super) fn owner(&self) -> Owner<'a> {
        match self.kind {
            Kind::Hub { id, .. } => Owner::Repository(id),
            Kind::Direct { page, .. } => Owner::Page(page),
        }
    }

    /// The commit that a hub speaks of.
    pub(super) fn hub_commit(&self) -> Option<&str> {
        matches!(self.kind, Kind::Hub { .. }).then_some(self.commit.as_str())
    }

    /// The address that a checksum is kept by, for the file number `index`.
    pub(super) fn direct(&self, index: usize) -> Option<&'a Direct> {
        match self.kind {
            Kind::Hub { .. } => None,
            Kind::Direct { files, .. } => files.get(index),
        }
    }

    /// The files that the model needs.
    pub(super) fn files(
        &self,
        client: &Client,
        cache: &Cache,
        patience: Patience,
        watch: &mut Watch<'_>,
    ) -> Result<Vec<Wanted>, HubError> {
        match &self.kind {
            Kind::Hub { id, repository } => {
                let shown = format!("{id} at {}", self.commit);
                let wanted = select::select(repository, &shown, self.model.files, self.model.pins)?;
                let complete = |file| self.complete(id, client, file, patience, watch);
                wanted.into_iter().map(complete).collect()
            }
            Kind::Direct { page, files } => {
                let known = cache.known(self.model.name)?;
                let mut wanted = Vec::new();
                for file in *files {
                    let url = client.direct_address(file.url);
                    let pin = self.model.pins.iter().find(|pin| pin.file == file.file);
                    let size = match pin {
                        Some(pin) => pin.bytes,
                        None => retrying(patience, watch, || client.size(&url, page))?,
                    };
                    let pinned = pin.and_then(|pin| pin.digest());
                    wanted.push(Wanted {
                        path: file.file.to_owned(),
                        url,
                        size,
                        digest: pinned.or_else(|| known.get(file.url)),
                        announced_by: match pinned {
                            Some(_) => "this program",
                            None => "the first download",
                        },
                    });
                }
                Ok(wanted)
            }
        }
    }

    /// Size and checksum of a file of the hub, asked for one by one where the list of files lacks
    /// them.
    fn complete(
        &self,
        id: &str,
        client: &Client,
        file: RemoteFile,
        patience: Patience,
        watch: &mut Watch<'_>,
    ) -> Result<Wanted, HubError> {
        let RemoteFile { path, mut size, mut digest } = file;
        let url = client.file_address(id, &self.commit, &path);
        if size.is_none() || digest.is_none() {
            let linked = retrying(patience, watch, || client.look(&url, id))?;
            size = size.or(linked.size);
            digest = digest.or(linked.digest);
        }
        match (size, digest) {
            (Some(size), Some(_)) => {
                Ok(Wanted { path, url, size, digest, announced_by: "the hub" })
            }
            _ => Err(HubError::Answer { url, reason: "it gives no size or no checksum".into() }),
        }
    }
}

/// What stands for a commit where there is none: other addresses are another snapshot.
fn name_of(files: &[Direct]) -> String {
    let mut sha1 = Sha1::new();
    for Direct { file, url } in files {
        sha1.update(format!("{file}\0{url}\0"));
    }
    sha1.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
