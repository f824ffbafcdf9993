//! Files under construction: they appear under their name only when they are complete.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::sync::{Mutex, PoisonError};

use formant_audio_core::draft::{self, spool};
use formant_audio_core::plot::Image;

use crate::failure::{Failure, Kind};
use crate::outputs::Target;
use crate::stdout;

/// Makes the folder of an output that is about to be written.
pub(crate) fn make_folder(target: &Target) -> Result<(), Failure> {
    let Target::File(path) = target else { return Ok(()) };
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => {
            std::fs::create_dir_all(folder).map_err(|error| Failure::output(folder, &error))
        }
        None => Ok(()),
    }
}

/// A file under construction, invisible until [`Draft::commit`]. What goes to standard output or
/// another stream waits in a temporary file until then, so that its start can be written again.
pub(crate) struct Draft {
    place: Place,
    target: Target,
}

enum Place {
    File(draft::Draft),
    Stream(File, draft::Draft),
    Stdout(File),
}

impl Draft {
    /// Begins an output, in a folder that is made where there is none.
    pub(crate) fn new(target: &Target) -> Result<Self, Failure> {
        make_folder(target)?;
        let place = || match target {
            Target::Stdout => Ok(Place::Stdout(spool()?)),
            Target::File(path) => match draft::Draft::create(path)? {
                stream if stream.is_stream() => Ok(Place::Stream(spool()?, stream)),
                file => Ok(Place::File(file)),
            },
        };
        let place = place().map_err(|error| Self::failure(target, &error))?;
        Ok(Self { place, target: target.clone() })
    }

    /// An error of writing it.
    pub(crate) fn failure(target: &Target, error: &io::Error) -> Failure {
        Failure::output(target.name().as_ref(), error)
    }

    /// Gives the complete file its name, or passes it on.
    pub(crate) fn commit(self) -> Result<(), Failure> {
        let Self { place, target } = self;
        let of = |error| Self::failure(&target, &error);
        match place {
            Place::File(file) => file.commit().map_err(of),
            Place::Stream(mut spool, mut stream) => {
                spool.seek(SeekFrom::Start(0)).map_err(of)?;
                io::copy(&mut spool, &mut stream).map_err(of)?;
                stream.commit().map_err(of)
            }
            Place::Stdout(mut spool) => {
                spool.seek(SeekFrom::Start(0)).map_err(of)?;
                stdout::copy(&mut spool)
            }
        }
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.place {
            Place::File(file) => file.write(bytes),
            Place::Stream(spool, _) | Place::Stdout(spool) => spool.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.place {
            Place::File(file) => file.flush(),
            Place::Stream(spool, _) | Place::Stdout(spool) => spool.flush(),
        }
    }
}

impl Seek for Draft {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match &mut self.place {
            Place::File(file) => file.seek(to),
            Place::Stream(spool, _) | Place::Stdout(spool) => spool.seek(to),
        }
    }
}

/// Finds out whether a file can be written, before the work that fills it. What is no regular file is
/// left alone.
pub(crate) fn probe(target: &Target) -> Result<(), Failure> {
    match target.path() {
        Some(path) if path.is_file() || !path.exists() => Draft::new(target).map(drop),
        _ => Ok(()),
    }
}

/// Writes a whole file, in a folder that is made where there is none, or standard output.
pub(crate) fn write(target: &Target, bytes: &[u8]) -> Result<(), Failure> {
    let mut draft = Draft::new(target)?;
    draft.write_all(bytes).map_err(|error| Draft::failure(target, &error))?;
    draft.commit()
}

/// Writes a picture as PNG.
pub(crate) fn write_image(image: &Image, target: &Target) -> Result<(), Failure> {
    let png = image
        .to_png()
        .map_err(|error| Failure::new(Kind::Output, target.name(), error.to_string()))?;
    write(target, &png)
}

/// A place that gathers the results of many inputs: standard output or another stream as they come,
/// or a file that appears when all is done.
pub(crate) struct Gathered {
    draft: Option<Mutex<draft::Draft>>,
    target: Target,
}

impl Gathered {
    /// Begins the output.
    pub(crate) fn new(target: &Target) -> Result<Self, Failure> {
        make_folder(target)?;
        let draft = match target {
            Target::Stdout => None,
            Target::File(path) => {
                let draft = draft::Draft::create(path);
                Some(Mutex::new(draft.map_err(|error| Draft::failure(target, &error))?))
            }
        };
        Ok(Self { draft, target: target.clone() })
    }

    /// Appends a result.
    pub(crate) fn print(&self, text: &str) -> Result<(), Failure> {
        let Some(draft) = &self.draft else { return stdout::print(text) };
        let mut draft = draft.lock().unwrap_or_else(PoisonError::into_inner);
        let written = draft.write_all(text.as_bytes());
        written.map_err(|error| Draft::failure(&self.target, &error))
    }

    /// Gives a file its name.
    pub(crate) fn commit(self) -> Result<(), Failure> {
        let Some(draft) = self.draft else { return Ok(()) };
        let draft = draft.into_inner().unwrap_or_else(PoisonError::into_inner);
        draft.commit().map_err(|error| Draft::failure(&self.target, &error))
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
        assert_eq!(Existing::Refuse("").admits(&target).expect_err("there").kind, Kind::Output);
        assert_eq!(
            target.with_suffix("_left").name(),
            folder.path().join("a_left.bin").display().to_string()
        );
    }
}
