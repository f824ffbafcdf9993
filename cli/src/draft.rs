//! Files under construction: they appear under their name only when they are complete.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use formant_audio_core::plot::Image;
use tempfile::NamedTempFile;

use crate::failure::{Failure, Kind};
use crate::outputs::Target;
use crate::stdout;

/// Outputs whose files are under construction.
static UNDERWAY: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Makes the folder of an output that is about to be written. Until the guard is dropped,
/// [`clean_up`] knows of it.
pub(crate) fn begin(target: &Target) -> Result<Underway, Failure> {
    let Target::File(path) = target else { return Ok(Underway(None)) };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|error| Failure::output(folder, &error))?;
    }
    UNDERWAY.lock().unwrap_or_else(PoisonError::into_inner).insert(path.clone());
    Ok(Underway(Some(path.clone())))
}

/// An output that is being written.
#[must_use]
pub(crate) struct Underway(Option<PathBuf>);

impl Drop for Underway {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            UNDERWAY.lock().unwrap_or_else(PoisonError::into_inner).remove(path);
        }
    }
}

/// Removes the temporary files of outputs under construction, `.NAME.*.part`, when the program is
/// about to end without unwinding.
pub(crate) fn clean_up() {
    for path in UNDERWAY.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        let Some(name) = path.file_name() else { continue };
        let start = format!(".{}.", name.to_string_lossy());
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let Ok(found) = std::fs::read_dir(folder.unwrap_or(Path::new("."))) else { continue };
        for file in found.flatten() {
            let name = file.file_name().to_string_lossy().into_owned();
            if name.starts_with(&start) && name.ends_with(".part") {
                // Nobody is left who could be told that it did not work.
                let _ = std::fs::remove_file(file.path());
            }
        }
    }
}

/// A file under construction, invisible until [`Draft::commit`].
pub(crate) struct Draft {
    file: NamedTempFile,
    target: Target,
}

impl Draft {
    /// Begins an output.
    pub(crate) fn new(target: &Target) -> Result<Self, Failure> {
        let mut builder = tempfile::Builder::new();
        let file = match target {
            Target::Stdout => builder.tempfile(),
            Target::File(path) => {
                let mut prefix = OsString::from(".");
                prefix.push(path.file_name().unwrap_or_default());
                prefix.push(".");
                builder.prefix(&prefix).suffix(".part");
                #[cfg(unix)]
                {
                    use std::os::unix::fs::PermissionsExt;
                    // The umask still applies.
                    builder.permissions(std::fs::Permissions::from_mode(0o666));
                }
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
                builder.tempfile_in(folder.unwrap_or(Path::new(".")))
            }
        };
        let file = file.map_err(|error| Failure::output(target.name().as_ref(), &error))?;
        Ok(Self { file, target: target.clone() })
    }

    /// The file to write to.
    pub(crate) fn file(&mut self) -> &mut std::fs::File {
        self.file.as_file_mut()
    }

    /// An error of writing it.
    pub(crate) fn failure(target: &Target, error: &std::io::Error) -> Failure {
        Failure::output(target.name().as_ref(), error)
    }

    /// Gives the complete file its name, or copies it to standard output.
    pub(crate) fn commit(self) -> Result<(), Failure> {
        match &self.target {
            Target::Stdout => {
                let mut file = self.file.reopen().map_err(|e| Self::failure(&self.target, &e))?;
                stdout::copy(&mut file)
            }
            Target::File(path) => {
                let saved = self.file.persist(path);
                saved.map(drop).map_err(|error| Failure::output(path, &error.error))
            }
        }
    }
}

/// Writes a whole file, in a folder that is made where there is none, or standard output.
pub(crate) fn write(target: &Target, bytes: &[u8]) -> Result<(), Failure> {
    let _underway = begin(target)?;
    let mut draft = Draft::new(target)?;
    draft.file().write_all(bytes).map_err(|error| Draft::failure(target, &error))?;
    draft.commit()
}

/// Writes a picture as PNG.
pub(crate) fn write_image(image: &Image, target: &Target) -> Result<(), Failure> {
    let png = image
        .to_png()
        .map_err(|error| Failure::new(Kind::Output, target.name(), error.to_string()))?;
    write(target, &png)
}

/// A place that gathers the results of many inputs: standard output as they come, or a file that
/// appears when all is done.
pub(crate) struct Gathered {
    draft: Option<Mutex<Draft>>,
    target: Target,
    _underway: Underway,
}

impl Gathered {
    /// Begins the output.
    pub(crate) fn new(target: &Target) -> Result<Self, Failure> {
        let underway = begin(target)?;
        let draft = match target {
            Target::Stdout => None,
            Target::File(_) => Some(Mutex::new(Draft::new(target)?)),
        };
        Ok(Self { draft, target: target.clone(), _underway: underway })
    }

    /// Appends a result.
    pub(crate) fn print(&self, text: &str) -> Result<(), Failure> {
        let Some(draft) = &self.draft else { return stdout::print(text) };
        let mut draft = draft.lock().unwrap_or_else(PoisonError::into_inner);
        let written = draft.file().write_all(text.as_bytes());
        written.map_err(|error| Draft::failure(&self.target, &error))
    }

    /// Gives a file its name.
    pub(crate) fn commit(self) -> Result<(), Failure> {
        let draft = self.draft.map(|draft| draft.into_inner());
        draft.map_or(Ok(()), |draft| draft.unwrap_or_else(PoisonError::into_inner).commit())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outputs::Existing;

    #[test]
    fn drafts_appear_when_complete() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let target = Target::File(folder.path().join("a.bin"));
        drop(Draft::new(&target).expect("draft"));
        assert_eq!(std::fs::read_dir(folder.path()).expect("folder").count(), 0);
        write(&target, b"abc").expect("written");
        assert!(!Existing::Skip.admits(&target).expect("skipped"));
        assert!(Existing::Overwrite.admits(&target).expect("overwritten"));
        assert_eq!(Existing::Refuse.admits(&target).expect_err("there").kind, Kind::Output);
        assert_eq!(
            target.with_suffix("_left").name(),
            folder.path().join("a_left.bin").display().to_string()
        );
    }
}
