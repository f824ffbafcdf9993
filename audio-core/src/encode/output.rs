//! Where bytes go: a temporary file that takes its name when it is complete, a file that is whole
//! while it grows, or a stream.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::{Error, Result};

/// A file under construction or a stream.
pub(super) struct Output {
    kind: Kind,
    path: PathBuf,
    written: u64,
}

enum Kind {
    File(BufWriter<NamedTempFile>),
    InPlace(BufWriter<File>),
    Stream(Box<dyn Write + Send>),
}

impl Output {
    /// Begin a file beside `path`; it appears under that name on [`Output::commit`] only.
    pub(super) fn create(path: &Path) -> Result<Self> {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let name = path.file_name().ok_or_else(|| {
            Error::config("output", format!("{} is no file name", path.display()))
        })?;
        if path.is_dir() {
            return Err(Error::config("output", format!("{} is a folder", path.display())));
        }
        let prefix = temporary_prefix(&name.to_string_lossy());
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).suffix(".part");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(std::fs::Permissions::from_mode(0o666)); // the umask applies
        }
        let file = builder.tempfile_in(folder).map_err(|e| Error::io(path, e))?;
        Ok(Self { kind: Kind::File(BufWriter::new(file)), path: path.to_owned(), written: 0 })
    }

    /// Begin a file under its own name, in place of one that is there.
    pub(super) fn in_place(path: &Path) -> Result<Self> {
        let file = File::create(path).map_err(|e| Error::io(path, e))?;
        Ok(Self { kind: Kind::InPlace(BufWriter::new(file)), path: path.to_owned(), written: 0 })
    }

    /// Write to a stream that can't go back.
    pub(super) fn stream(stream: Box<dyn Write + Send>) -> Self {
        Self { kind: Kind::Stream(stream), path: PathBuf::from("-"), written: 0 }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the start can be written again.
    pub(super) fn is_seekable(&self) -> bool {
        !matches!(self.kind, Kind::Stream(_))
    }

    /// Whether the file has its name while it grows.
    pub(super) fn is_in_place(&self) -> bool {
        matches!(self.kind, Kind::InPlace(_))
    }

    /// Bytes written so far.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let result = match &mut self.kind {
            Kind::File(file) => file.write_all(bytes),
            Kind::InPlace(file) => file.write_all(bytes),
            Kind::Stream(stream) => stream.write_all(bytes),
        };
        self.written += bytes.len() as u64;
        result.map_err(|e| Error::io(&self.path, e))
    }

    /// Write the first bytes again; a stream keeps what it has.
    pub(super) fn rewrite_start(&mut self, bytes: &[u8]) -> Result<()> {
        let result = match &mut self.kind {
            Kind::File(file) => rewrite(file, bytes),
            Kind::InPlace(file) => rewrite(file, bytes),
            Kind::Stream(_) => Ok(()),
        };
        result.map_err(|e| Error::io(&self.path, e))
    }

    /// Give the complete file its name.
    pub(super) fn commit(self) -> Result<()> {
        let path = self.path;
        match self.kind {
            Kind::Stream(mut stream) => stream.flush().map_err(|e| Error::io(&path, e)),
            Kind::InPlace(mut file) => file.flush().map_err(|e| Error::io(&path, e)),
            Kind::File(file) => {
                let file = file.into_inner().map_err(|e| Error::io(&path, e.into_error()))?;
                let written: std::result::Result<File, _> = file.persist(&path);
                written.map(drop).map_err(|e| Error::io(&path, e.error))
            }
        }
    }
}

/// The start of a temporary name: the file's own name, as far as the whole stays well below the 255
/// bytes that a name may have.
fn temporary_prefix(name: &str) -> String {
    const MAX_BYTES: usize = 200;
    let end = (0..=name.len().min(MAX_BYTES)).rfind(|&at| name.is_char_boundary(at)).unwrap_or(0);
    format!(".{}.", &name[..end])
}

fn rewrite(file: &mut (impl Write + Seek), bytes: &[u8]) -> io::Result<()> {
    file.seek(SeekFrom::Start(0))?;
    file.write_all(bytes)?;
    file.seek(SeekFrom::End(0))?;
    file.flush()
}
