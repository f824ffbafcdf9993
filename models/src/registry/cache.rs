//! The cache folder: `models/NAME/COMMIT/files` holds a checkpoint, `models/NAME/current` names the
//! commit, and `manifest.json` beside the files their sizes and checksums. Nothing is visible here
//! before it is complete; fetching is in `hub`, and what changed is found in `checked`.

mod checked;
mod known;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::hub::{Digest, HubError, Lock, PullEvent, Watch, is_commit, is_safe};

/// Version of the manifest's form.
const FORMAT: u32 = 1;

/// A folder with published checkpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    root: PathBuf,
}

/// A checkpoint in the cache, complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// The folder that holds the files.
    pub folder: PathBuf,
    /// Where they come from.
    pub manifest: Manifest,
}

/// Where the files of a snapshot come from and what they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this form.
    pub format: u32,
    /// The registry's name.
    pub name: String,
    /// Repository on the hub.
    pub id: String,
    /// Commit of the repository.
    pub commit: String,
    /// The files.
    pub files: Vec<CachedFile>,
}

/// A file of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachedFile {
    /// Path below the snapshot's folder.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Checksum.
    pub digest: Digest,
}

impl Snapshot {
    /// What to open: the file when there is one, else the folder.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        match self.manifest.files.as_slice() {
            [only] => self.folder.join(&only.path),
            _ => self.folder.clone(),
        }
    }

    /// Bytes of all files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.manifest.files.iter().map(|file| file.size).sum()
    }
}

impl Cache {
    /// The cache in this folder, which need not exist yet.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The cache that `FORMANT_CACHE` names, or `formant` in the system's folder for caches
    /// (`$XDG_CACHE_HOME` or `~/.cache`, `~/Library/Caches`, `%LOCALAPPDATA%`).
    ///
    /// # Errors
    /// [`HubError::Setting`] where no such folder is known.
    pub fn from_env() -> Result<Self, HubError> {
        let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let home = || set("HOME");
        let base = if cfg!(windows) {
            set("LOCALAPPDATA")
        } else if cfg!(target_os = "macos") {
            home().map(|home| home.join("Library").join("Caches"))
        } else {
            set("XDG_CACHE_HOME").or_else(|| home().map(|home| home.join(".cache")))
        };
        let root = set("FORMANT_CACHE").or_else(|| base.map(|base| base.join("formant")));
        root.map(Self::at).ok_or_else(|| HubError::Setting {
            setting: "FORMANT_CACHE".into(),
            reason: "not set, and this system names no folder for caches".into(),
        })
    }

    /// The folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of a model.
    pub(super) fn folder(&self, name: &str) -> PathBuf {
        self.root.join("models").join(name)
    }

    /// The checkpoint of this name, if it is there. Sizes and times of change are compared, and the
    /// contents of files that changed since they were compared last.
    ///
    /// # Errors
    /// [`HubError::Damaged`] when files are missing or changed; [`HubError::Disk`].
    pub fn find(&self, name: &str) -> Result<Option<Snapshot>, HubError> {
        let current = self.folder(name).join("current");
        let commit = match std::fs::read_to_string(&current) {
            Ok(text) => text.trim().to_owned(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(HubError::disk(current, error)),
        };
        match is_commit(&commit) {
            true => self.snapshot(name, &commit).map(Some),
            false => Err(damaged(name, &current, "it names no commit")),
        }
    }

    /// The checkpoint of this name.
    ///
    /// # Errors
    /// [`HubError::NotCached`], and those of [`Cache::find`].
    pub fn require(&self, name: &str) -> Result<Snapshot, HubError> {
        let missing = || HubError::NotCached { name: name.to_owned(), folder: self.root.clone() };
        self.find(name)?.ok_or_else(missing)
    }

    /// The snapshot of a commit.
    pub(super) fn snapshot(&self, name: &str, commit: &str) -> Result<Snapshot, HubError> {
        let folder = self.folder(name).join(commit);
        let path = folder.join("manifest.json");
        let text = std::fs::read(&path).map_err(|error| damaged(name, &path, error))?;
        let manifest: Manifest =
            serde_json::from_slice(&text).map_err(|error| damaged(name, &path, error))?;
        if manifest.format != FORMAT || manifest.commit != commit || manifest.files.is_empty() {
            return Err(damaged(name, &path, "it describes something else"));
        }
        let files = folder.join("files");
        for file in &manifest.files {
            let path = files.join(&file.path);
            if !is_safe(&file.path) {
                return Err(damaged(name, &path, "its name leads elsewhere"));
            }
            match std::fs::metadata(&path) {
                Ok(about) if about.len() == file.size => {}
                Ok(about) => {
                    let reason = format!("{} bytes instead of {}", about.len(), file.size);
                    return Err(damaged(name, &path, reason));
                }
                Err(error) => return Err(damaged(name, &path, error)),
            }
        }
        checked::check(name, &folder, &manifest.files)?;
        Ok(Snapshot { folder: files, manifest })
    }

    /// Compares the contents of a checkpoint with its checksums.
    ///
    /// # Errors
    /// [`HubError::Damaged`] naming the first file that differs, and those of [`Cache::require`].
    pub fn verify(&self, name: &str, watch: &mut Watch<'_>) -> Result<Snapshot, HubError> {
        let snapshot = self.require(name)?;
        for file in &snapshot.manifest.files {
            super::hub::tell(watch, &PullEvent::Checking { path: &file.path })?;
            checked::compare(name, file, &snapshot.folder.join(&file.path))?;
        }
        Ok(snapshot)
    }

    /// Removes a checkpoint and whatever was fetched of it; says how many bytes that freed.
    ///
    /// # Errors
    /// [`HubError::NotCached`] when there is nothing; [`HubError::Disk`].
    pub fn remove(&self, name: &str, watch: &mut Watch<'_>) -> Result<u64, HubError> {
        let folder = self.folder(name);
        if !folder.is_dir() {
            return Err(HubError::NotCached { name: name.to_owned(), folder: self.root.clone() });
        }
        // First it becomes invisible, then it goes.
        let _lock = self.lock(name, watch)?;
        let current = folder.join("current");
        match std::fs::remove_file(&current) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(HubError::disk(current, error));
            }
            _ => {}
        }
        let bytes = size_of(&folder);
        std::fs::remove_dir_all(&folder).map_err(|error| HubError::disk(&folder, error))?;
        // A download that never began leaves a folder and no files.
        match bytes {
            0 => Err(HubError::NotCached { name: name.to_owned(), folder: self.root.clone() }),
            bytes => Ok(bytes),
        }
    }

    /// Waits for the right to change a model's folder. The lock lies beside the folders, so that a
    /// folder can be removed while it is held.
    pub(super) fn lock(&self, name: &str, watch: &mut Watch<'_>) -> Result<Lock, HubError> {
        let folder = self.root.join("locks");
        std::fs::create_dir_all(&folder).map_err(|error| HubError::disk(&folder, error))?;
        Lock::take(&folder.join(format!("{name}.lock")), name, watch)
    }

    /// Makes a complete snapshot the one that is found.
    pub(super) fn publish(&self, name: &str, commit: &str) -> Result<Snapshot, HubError> {
        let snapshot = self.snapshot(name, commit)?;
        let folder = self.folder(name);
        let (draft, current) = (folder.join("current.part"), folder.join("current"));
        write_durably(&draft, format!("{commit}\n").as_bytes())?;
        std::fs::rename(&draft, &current).map_err(|error| HubError::disk(&current, error))?;
        Ok(snapshot)
    }
}

impl Manifest {
    pub(super) fn new(name: &str, id: &str, commit: &str, files: Vec<CachedFile>) -> Self {
        let (name, id, commit) = (name.to_owned(), id.to_owned(), commit.to_owned());
        Self { format: FORMAT, name, id, commit, files }
    }

    pub(super) fn write(&self, path: &Path) -> Result<(), HubError> {
        let text = serde_json::to_vec_pretty(self)
            .map_err(|error| HubError::disk(path, std::io::Error::other(error)))?;
        write_durably(path, &text)
    }
}

/// Writes a small file and waits until it is on the disk.
fn write_durably(path: &Path, bytes: &[u8]) -> Result<(), HubError> {
    use std::io::Write;
    let write = || -> std::io::Result<()> {
        let mut file = std::fs::File::create(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|error| HubError::disk(path, error))
}

/// The error of a file that is not as it was fetched.
fn damaged(name: &str, path: &Path, reason: impl std::fmt::Display) -> HubError {
    HubError::Damaged {
        name: name.to_owned(),
        path: path.to_path_buf(),
        reason: reason.to_string(),
    }
}

/// Bytes of all files below a folder, as far as they can be seen.
fn size_of(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(about) if about.is_dir() => size_of(&entry.path()),
            Ok(about) => about.len(),
            Err(_) => 0,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;

    const COMMIT: &str = "39eb1f25ea84f5e0315ade9ac0070fff216fc690";
    const HELLO: &str = "ce013625030ba8dba906f756967f9e9ca394464a";

    /// A cache with one model of one file.
    fn cache() -> (tempfile::TempDir, Cache) {
        let place = tempfile::tempdir().expect("folder");
        let cache = Cache::at(place.path());
        let folder = cache.folder("m").join(COMMIT);
        std::fs::create_dir_all(folder.join("files")).expect("folder");
        std::fs::write(folder.join("files/a.txt"), "hello\n").expect("file");
        let digest = Digest::from_hex(HELLO).expect("hexadecimal");
        let files = vec![CachedFile { path: "a.txt".into(), size: 6, digest }];
        Manifest::new("m", "a/b", COMMIT, files).write(&folder.join("manifest.json")).expect("ok");
        (place, cache)
    }

    fn go_on(_: &PullEvent<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    #[test]
    fn only_what_is_published_is_found() {
        let (_place, cache) = cache();
        assert_eq!(cache.find("m").expect("readable"), None);
        let error = cache.require("m").expect_err("not yet");
        assert!(error.remedy().contains("formant models pull m"), "{error}");
        let snapshot = cache.publish("m", COMMIT).expect("complete");
        assert_eq!(cache.require("m").expect("there"), snapshot);
        assert!(snapshot.path().ends_with("files/a.txt") && snapshot.bytes() == 6);
        assert_eq!(cache.verify("m", &mut go_on).expect("whole"), snapshot);
    }

    #[test]
    fn what_was_never_fetched_is_not_removed() {
        let (_place, cache) = cache();
        std::fs::create_dir(cache.folder("begun")).expect("folder");
        for name in ["begun", "begun", "never"] {
            let error = cache.remove(name, &mut go_on).expect_err("nothing is there");
            assert!(matches!(error, HubError::NotCached { .. }), "{name}: {error}");
        }
        assert!(cache.remove("m", &mut go_on).expect("removed") > 0);
    }

    #[test]
    fn damage_is_seen() {
        let (_place, cache) = cache();
        let file = cache.publish("m", COMMIT).expect("complete").path();
        std::fs::write(&file, "hallo\n").expect("changed");
        let error = cache.verify("m", &mut go_on).expect_err("changed");
        assert!(error.to_string().contains("a.txt") && error.remedy().contains("remove m"));
        std::fs::write(&file, "hell").expect("cut");
        assert!(cache.find("m").expect_err("cut").to_string().contains("4 bytes instead of 6"));
        std::fs::remove_file(&file).expect("removed");
        assert!(matches!(cache.find("m"), Err(HubError::Damaged { .. })));
        std::fs::write(cache.folder("m").join("current"), "../../x").expect("changed");
        assert!(matches!(cache.find("m"), Err(HubError::Damaged { .. })));
    }

    #[test]
    fn d5_a_changed_file_of_the_same_size_is_compared_once_and_refused() {
        let (_place, cache) = cache();
        let snapshot = cache.publish("m", COMMIT).expect("complete");
        let (file, record) = (snapshot.path(), cache.folder("m").join(COMMIT).join("checked.json"));
        assert!(!record.exists(), "a file that was written now may change without another time");
        let age = |seconds| {
            let time = std::time::SystemTime::now() - std::time::Duration::from_secs(seconds);
            let opened = std::fs::File::options().append(true).open(&file).expect("there");
            opened.set_modified(time).expect("a time");
        };
        age(100);
        cache.require("m").expect("whole");
        assert!(record.exists());
        // Neither size nor time differ: it is not read again.
        let time = std::fs::metadata(&file).and_then(|about| about.modified()).expect("a time");
        std::fs::write(&file, "hallo\n").expect("changed");
        std::fs::File::options()
            .append(true)
            .open(&file)
            .and_then(|opened| opened.set_modified(time))
            .expect("a time");
        cache.require("m").expect("not compared");
        // Another time: it is.
        age(50);
        let error = cache.require("m").expect_err("changed");
        assert!(error.to_string().contains("a.txt"), "{error}");
        assert!(matches!(cache.find("m"), Err(HubError::Damaged { .. })), "nothing was recorded");
        std::fs::write(&file, "hello\n").expect("mended");
        cache.require("m").expect("whole again");
    }

    #[test]
    fn a_manifest_cannot_lead_elsewhere() {
        let (_place, cache) = cache();
        let digest = Digest::from_hex(HELLO).expect("hexadecimal");
        let files = vec![CachedFile { path: "../../../x".into(), size: 6, digest }];
        let path = cache.folder("m").join(COMMIT).join("manifest.json");
        Manifest::new("m", "a/b", COMMIT, files).write(&path).expect("written");
        assert!(cache.publish("m", COMMIT).is_err());
    }

    #[test]
    fn removal_leaves_nothing() {
        let (_place, cache) = cache();
        cache.publish("m", COMMIT).expect("complete");
        assert!(cache.remove("m", &mut go_on).expect("removed") > 6);
        assert!(!cache.folder("m").exists());
        assert!(matches!(cache.remove("m", &mut go_on), Err(HubError::NotCached { .. })));
    }
}
