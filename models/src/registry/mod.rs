//! Names of models: weights that are part of the program, and published checkpoints with the cache
//! that they are fetched into. What a checkpoint is made of is the business of `checkpoint`.

mod bundled;
mod cache;
mod hub;
mod published;

use std::path::{Path, PathBuf};

pub use bundled::{BUNDLED, Bundled, bundled, bundled_lm, default_for};
pub use cache::{Cache, CachedFile, Manifest, Snapshot};
pub use hub::{
    Digest, HubError, HubOptions, PUBLIC_HUB, Patience, Proxies, PullEvent, Pulled, Watch, pull,
};
pub use published::{
    Direct, Pin, Place, Published, UNPUBLISHED, Want, published, published_models,
};

use self::bundled::unknown;
use crate::checkpoint::{self, Architecture, Container};
use crate::error::{Error, Result};
use crate::source::ModelSource;

impl ModelSource {
    /// The model that was asked for, or the bundled one that a task uses otherwise.
    ///
    /// # Errors
    /// As [`default_for`]; [`Error::Config`] for a name that no model has, with those of the task.
    pub fn or_default(asked: Option<Self>, task: &str) -> Result<Self> {
        match asked {
            Some(Self::Bundled(name)) if bundled(&name).is_err() => Err(unknown(&name, task)),
            Some(source) => Ok(source),
            None => Ok(default_for(task)?.source()),
        }
    }

    /// What a user means by `text`: a path when there is such a file, or when it looks like one;
    /// else a name, of a bundled model where none is published under it.
    #[must_use]
    pub fn named(text: &str) -> Self {
        let path = Path::new(text);
        if path.components().count() > 1 || path.extension().is_some() || path.exists() {
            Self::Path(path.to_owned())
        } else if published(text).is_some() {
            Self::Published(text.to_owned())
        } else {
            Self::Bundled(text.to_owned())
        }
    }
}

/// Where the weights of a source are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Located {
    /// In the program.
    Bundled(&'static Bundled),
    /// In a file or folder, which [`crate::checkpoint::Container::open`] takes.
    Path(PathBuf),
}

/// Finds the weights that a source names; published ones in the cache of [`Cache::from_env`].
///
/// # Errors
/// [`Error::Config`] for a name that does not exist, [`Error::Hub`] for a published checkpoint that
/// is not in the cache.
pub fn locate(source: &ModelSource) -> Result<Located> {
    Ok(match source {
        ModelSource::Path(path) => Located::Path(path.clone()),
        ModelSource::Bundled(name) => Located::Bundled(bundled(name)?),
        ModelSource::Published(name) => Located::Path(published_path(name, &Cache::from_env()?)?),
    })
}

/// The network that a source holds, as far as that can be seen.
///
/// # Errors
/// As [`locate`]; what reading the checkpoint says.
pub fn architecture(source: &ModelSource) -> Result<Option<Architecture>> {
    let found = match locate(source)? {
        Located::Bundled(model) => {
            checkpoint::detect(&checkpoint::read_bytes(model.bytes()?, model.name)?)
        }
        Located::Path(path) => checkpoint::detect(Container::open(path)?.state_dict()?),
    };
    Ok(found.map(|found| found.architecture))
}

/// The file or folder of a published checkpoint in a cache.
///
/// # Errors
/// As [`locate`].
pub fn published_path(name: &str, cache: &Cache) -> Result<PathBuf> {
    let model = published(name)
        .ok_or_else(|| Error::config("model", format!("no published model `{name}`")))?;
    match cache.require(name) {
        Ok(snapshot) => Ok(snapshot.path()),
        Err(HubError::NotCached { .. }) if !model.can_be_pulled() => {
            let (name, page) = (name.to_owned(), model.page());
            Err(HubError::Elsewhere { name, page }.into())
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_paths_are_told_apart() {
        let bundled = ModelSource::Bundled("spot-commands".to_owned());
        assert_eq!(ModelSource::named("spot-commands"), bundled);
        let published = ModelSource::Published("ecapa-voxceleb".to_owned());
        assert_eq!(ModelSource::named("ecapa-voxceleb"), published);
        for path in ["a/b", "mine.safetensors", "./mine"] {
            assert_eq!(ModelSource::named(path), ModelSource::Path(path.into()));
        }
    }
}
