//! The checksums of files at direct addresses, as they were when they were fetched first. Nobody
//! announces such a checksum beforehand, so that later downloads are compared with the first one;
//! the record outlives the removal of a model.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::super::hub::{Digest, HubError};
use super::{Cache, write_durably};

/// Checksums by the addresses of the files.
pub(in crate::registry) struct Known {
    path: PathBuf,
    digests: BTreeMap<String, Digest>,
}

impl Cache {
    /// What is known of the files of a model.
    pub(in crate::registry) fn known(&self, name: &str) -> Result<Known, HubError> {
        let path = self.root.join("known").join(format!("{name}.json"));
        let digests = match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| HubError::Damaged {
                name: name.to_owned(),
                path: path.clone(),
                reason: error.to_string(),
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(HubError::disk(path, error)),
        };
        Ok(Known { path, digests })
    }
}

impl Known {
    /// The checksum of the file at this address, if it was fetched before.
    pub(in crate::registry) fn get(&self, url: &str) -> Option<Digest> {
        self.digests.get(url).copied()
    }

    /// Keeps the checksum of a file that was fetched.
    pub(in crate::registry) fn keep(&mut self, url: &str, digest: Digest) -> Result<(), HubError> {
        if self.digests.insert(url.to_owned(), digest) == Some(digest) {
            return Ok(());
        }
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| HubError::disk(folder, error))?;
        }
        let text = serde_json::to_vec_pretty(&self.digests).map_err(std::io::Error::other);
        let text = text.map_err(|error| HubError::disk(&self.path, error))?;
        let draft = self.path.with_extension("part");
        write_durably(&draft, &text)?;
        std::fs::rename(&draft, &self.path).map_err(|error| HubError::disk(&self.path, error))
    }
}
