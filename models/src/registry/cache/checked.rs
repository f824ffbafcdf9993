//! A record beside a snapshot of which of its files were compared with their checksums, and what
//! their sizes and times of change were then. A file that changed since is compared again before it
//! is used, so that a damaged one is never run.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::super::hub::HubError;
use super::{CachedFile, damaged};

/// Name of the record, beside `manifest.json`.
const NAME: &str = "checked.json";
/// A younger file may change again without another time: file systems count in steps of up to 2 s.
const SETTLED: Duration = Duration::from_secs(3);

/// What tells a file that was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    size: u64,
    /// Nanoseconds since 1970.
    modified: u64,
}

impl Stamp {
    fn of(about: &Metadata) -> Option<Self> {
        let since = about.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        let modified = u64::try_from(since.as_nanos()).ok()?;
        Some(Self { size: about.len(), modified })
    }

    fn is_settled(&self) -> bool {
        let modified = UNIX_EPOCH + Duration::from_nanos(self.modified);
        SystemTime::now().duration_since(modified).is_ok_and(|age| age >= SETTLED)
    }
}

/// Compares the files of the snapshot in `folder` with their checksums, as far as they changed since
/// that was done last.
pub(super) fn check(name: &str, folder: &Path, files: &[CachedFile]) -> Result<(), HubError> {
    let record = folder.join(NAME);
    let known: BTreeMap<String, Stamp> = std::fs::read(&record)
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok())
        .unwrap_or_default();
    let mut checked = BTreeMap::new();
    for file in files {
        let path = folder.join("files").join(&file.path);
        let about = std::fs::metadata(&path).map_err(|error| HubError::disk(&path, error))?;
        // Before the comparison: what changes while it runs has another time.
        let stamp = Stamp::of(&about);
        if stamp.is_none() || known.get(&file.path) != stamp.as_ref() {
            compare(name, file, &path)?;
        }
        if let Some(stamp) = stamp.filter(Stamp::is_settled) {
            checked.insert(file.path.clone(), stamp);
        }
    }
    if checked != known {
        // A folder that can't be written to costs the comparison each time.
        let _ = write(&record, &checked);
    }
    Ok(())
}

/// Compares a file with its checksum.
pub(super) fn compare(name: &str, file: &CachedFile, path: &Path) -> Result<(), HubError> {
    let found = file.digest.same_kind_of(path).map_err(|error| HubError::disk(path, error))?;
    match found == file.digest {
        true => Ok(()),
        false => Err(damaged(name, path, format!("its checksum is {found}"))),
    }
}

fn write(record: &Path, checked: &BTreeMap<String, Stamp>) -> std::io::Result<()> {
    let draft = record.with_extension(format!("{}.part", std::process::id()));
    std::fs::write(&draft, serde_json::to_vec(checked)?)?;
    std::fs::rename(&draft, record)
}
