//! Files under construction: the one place that decides how an output comes into being.
//!
//! A regular file appears, or is replaced, when the new content is complete. A link is followed:
//! its target is replaced in the target's own folder. Devices and FIFOs are written through as
//! streams.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tempfile::NamedTempFile;

/// Temporary files of this program that still exist.
static UNDERWAY: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// End of the names of temporary files.
const SUFFIX: &str = ".part";
/// Random characters in the names of temporary files.
const RANDOM: usize = 6;
/// Links that are followed one after the other.
const MAX_LINKS: usize = 40;

/// An output under construction. Dropped without [`Draft::commit`], it leaves nothing behind but
/// what a stream has passed on.
#[derive(Debug)]
pub struct Draft(Kind);

#[derive(Debug)]
enum Kind {
    File { file: NamedTempFile, place: PathBuf, locked: bool, _underway: Underway },
    Stream(File),
}

impl Draft {
    /// Begins the output at `path`. Opening a FIFO waits for its reader.
    ///
    /// # Errors
    /// When the path is a folder, or its folder can't be written to.
    pub fn create(path: &Path) -> io::Result<Self> {
        let found = match fs::metadata(path) {
            Ok(found) => Some(found),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let place = followed(path)?;
        match found {
            Some(found) if found.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
            // The names behind links in /proc are not always those of files.
            Some(found) if !found.is_file() || !place.exists() => {
                Ok(Self(Kind::Stream(OpenOptions::new().write(true).open(path)?)))
            }
            _ => Self::beside(place),
        }
    }

    fn beside(place: PathBuf) -> io::Result<Self> {
        let prefix = prefix(&place)?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).rand_bytes(RANDOM).suffix(SUFFIX);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(fs::Permissions::from_mode(0o666)); // the umask applies
        }
        loop {
            let file = builder.tempfile_in(folder(&place)).map_err(|error| without_name(&error))?;
            let underway = Underway::new(file.path());
            let locked = file.as_file().try_lock().is_ok();
            // Another program may have taken it for a left-over before it was locked.
            if file.path().exists() {
                return Ok(Self(Kind::File { file, place, locked, _underway: underway }));
            }
        }
    }

    /// Whether bytes are passed on at once, so that none can be written again.
    #[must_use]
    pub fn is_stream(&self) -> bool {
        matches!(self.0, Kind::Stream(_))
    }

    /// Brings what was written so far to the disk.
    ///
    /// # Errors
    /// When the disk refuses it.
    pub fn sync(&self) -> io::Result<()> {
        match &self.0 {
            Kind::File { file, .. } => file.as_file().sync_all(),
            Kind::Stream(_) => Ok(()),
        }
    }

    /// Gives the complete file its name, and removes what ended programs left of the same output.
    ///
    /// # Errors
    /// When the file can't be renamed.
    pub fn commit(self) -> io::Result<()> {
        match self.0 {
            Kind::Stream(mut file) => file.flush(),
            Kind::File { file, place, locked, .. } => {
                file.persist(&place).map_err(|error| error.error)?;
                if locked {
                    remove_left_overs(&place);
                }
                Ok(())
            }
        }
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Kind::File { file, .. } => file.write(bytes),
            Kind::Stream(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Kind::File { file, .. } => file.flush(),
            Kind::Stream(file) => file.flush(),
        }
    }
}

impl Seek for Draft {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match &mut self.0 {
            Kind::File { file, .. } => file.seek(to),
            Kind::Stream(_) => Err(io::ErrorKind::NotSeekable.into()),
        }
    }
}

/// Begins a file without a name for what has to wait, in the folder for temporary files.
///
/// # Errors
/// When there is no such folder, or it can't be written to; the error names it.
pub fn spool() -> io::Result<File> {
    tempfile::tempfile().map_err(|error| no_spool(&error))
}

/// An error of the folder for temporary files. It has no kind, as the kind would be taken for what
/// is wrong with the file that is worked on.
pub(crate) fn no_spool(error: &io::Error) -> io::Error {
    let folder = std::env::temp_dir();
    io::Error::other(format!("temporary folder {}: {error}; set TMPDIR", folder.display()))
}

/// Removes all temporary files, when the program is about to end without unwinding.
pub fn clean_up() {
    for path in UNDERWAY.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        // Nobody is left who could be told that it did not work.
        let _ = fs::remove_file(path);
    }
}

/// A temporary file that [`clean_up`] knows.
#[derive(Debug)]
struct Underway(PathBuf);

impl Underway {
    fn new(path: &Path) -> Self {
        UNDERWAY.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned());
        Self(path.to_owned())
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        UNDERWAY.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}

/// An error of a temporary file without the file's name, which tells the user nothing.
fn without_name(error: &io::Error) -> io::Error {
    let text = error.to_string();
    io::Error::new(error.kind(), text.split(" at path ").next().unwrap_or_default())
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Where the links of `path` lead, whether or not there is something.
fn followed(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        if !fs::symlink_metadata(&path).is_ok_and(|found| found.is_symlink()) {
            return Ok(path);
        }
        path = folder(&path).join(fs::read_link(&path)?);
    }
    Err(io::Error::other("too many links, one after the other"))
}

/// The start of a temporary name: the file's own name, as far as the whole stays well below the 255
/// bytes that a name may have.
fn prefix(path: &Path) -> io::Result<String> {
    const MAX_BYTES: usize = 200;
    let Some(name) = path.file_name() else {
        return Err(io::Error::new(io::ErrorKind::InvalidFilename, "no file name"));
    };
    let name = name.to_string_lossy();
    let end = (0..=name.len().min(MAX_BYTES)).rfind(|&at| name.is_char_boundary(at)).unwrap_or(0);
    Ok(format!(".{}.", &name[..end]))
}

/// Removes temporary files of the output at `path` that no program holds any more.
fn remove_left_overs(path: &Path) {
    let (Ok(prefix), Ok(found)) = (prefix(path), fs::read_dir(folder(path))) else { return };
    for entry in found.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let random = name.strip_prefix(&prefix).and_then(|rest| rest.strip_suffix(SUFFIX));
        let ours = random.is_some_and(|random| {
            random.len() == RANDOM && random.bytes().all(|byte| byte.is_ascii_alphanumeric())
        });
        let free = |path: &Path| File::open(path).is_ok_and(|file| file.try_lock().is_ok());
        if ours && entry.file_type().is_ok_and(|kind| kind.is_file()) && free(&entry.path()) {
            // What can't be removed disturbs nobody.
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, bytes: &[u8]) {
        let mut draft = Draft::create(path).expect("begun");
        draft.write_all(bytes).expect("written");
        draft.commit().expect("named");
    }

    fn names(folder: &Path) -> Vec<String> {
        let found = fs::read_dir(folder).expect("a folder").flatten();
        let mut names: Vec<String> =
            found.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[cfg(unix)]
    #[test]
    fn d1_links_are_followed_and_stay() {
        let folder = tempfile::tempdir().expect("a folder");
        let (real, link) = (folder.path().join("real/a.wav"), folder.path().join("link.wav"));
        fs::create_dir(folder.path().join("real")).expect("a folder");
        std::os::unix::fs::symlink("real/a.wav", &link).expect("a link");
        for bytes in [b"first".as_slice(), b"second"] {
            write(&link, bytes);
            assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
            assert_eq!(fs::read(&real).expect("the target"), bytes);
        }
        assert_eq!(names(folder.path()), ["link.wav", "real"]);
    }

    #[cfg(unix)]
    #[test]
    fn d1_devices_are_written_through() {
        use std::os::unix::fs::FileTypeExt;
        let null = Path::new("/dev/null");
        let mut draft = Draft::create(null).expect("open");
        assert!(draft.is_stream());
        draft.write_all(b"gone").expect("taken");
        draft.commit().expect("closed");
        assert!(fs::metadata(null).expect("there").file_type().is_char_device());
    }

    #[test]
    fn errors_do_not_name_temporary_files() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = Draft::create(&folder.path().join("none/a.wav")).expect_err("no folder");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        let text = error.to_string();
        assert!(!text.is_empty() && !text.contains("a.wav"), "{text}");
    }

    #[test]
    fn d6_left_overs_go_and_files_underway_stay() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.wav");
        fs::write(folder.path().join(".a.wav.Ab12Cd.part"), b"left").expect("file");
        fs::write(folder.path().join(".a.wav.mine.part"), b"somebody's").expect("file");
        let other = Draft::create(&path).expect("begun");
        write(&path, b"whole");
        assert_eq!(names(folder.path()).len(), 3, "{:?}", names(folder.path()));
        drop(other);
        assert_eq!(names(folder.path()), [".a.wav.mine.part", "a.wav"]);
    }

    #[test]
    fn d6_the_longest_names_are_written() {
        let folder = tempfile::tempdir().expect("a folder");
        for length in [247, 255] {
            let path = folder.path().join("n".repeat(length));
            write(&path, b"x");
            assert_eq!(fs::read(&path).expect("there"), b"x");
        }
    }
}
