//! Where bytes go: a temporary file that takes its name when it is complete, a file that is whole
//! while it grows, or a stream.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::draft::Draft;
use crate::error::{Error, Result};

/// A file under construction or a stream.
pub(super) struct Output {
    kind: Kind,
    path: PathBuf,
    written: u64,
}

enum Kind {
    File(BufWriter<Draft>),
    InPlace(BufWriter<File>),
    Stream(Box<dyn Write + Send>),
}

impl Output {
    /// Begin a file at `path`; it appears under that name on [`Output::commit`] only. Devices and
    /// FIFOs are streams.
    pub(super) fn create(path: &Path) -> Result<Self> {
        let draft = Draft::create(path).map_err(|e| Error::io(path, e))?;
        let kind = match draft.is_stream() {
            true => Kind::Stream(Box::new(BufWriter::new(draft))),
            false => Kind::File(BufWriter::new(draft)),
        };
        Ok(Self { kind, path: path.to_owned(), written: 0 })
    }

    /// Begin a file under its own name, in place of one that is there.
    pub(super) fn in_place(path: &Path) -> Result<Self> {
        if std::fs::metadata(path).is_ok_and(|found| !found.is_file()) {
            return Self::create(path);
        }
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
                let draft = file.into_inner().map_err(|e| Error::io(&path, e.into_error()))?;
                draft.commit().map_err(|e| Error::io(&path, e))
            }
        }
    }
}

fn rewrite(file: &mut (impl Write + Seek), bytes: &[u8]) -> io::Result<()> {
    file.seek(SeekFrom::Start(0))?;
    file.write_all(bytes)?;
    file.seek(SeekFrom::End(0))?;
    file.flush()
}
