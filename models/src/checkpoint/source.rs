//! Where bytes come from: a file, a stretch of a file, or memory. Readers open a source as often
//! as they need, so that tensors can be read when they are used.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::fault::{Outcome, within};

/// A readable and seekable stream.
pub trait ReadSeek: Read + Seek + Send + std::fmt::Debug {}
impl<T: Read + Seek + Send + std::fmt::Debug> ReadSeek for T {}

/// Bytes of a checkpoint.
#[derive(Debug, Clone)]
pub enum Source {
    /// A stretch of a file, such as a member of an uncompressed tar.
    File {
        /// The file.
        path: PathBuf,
        /// First byte.
        start: u64,
        /// Number of bytes.
        len: u64,
    },
    /// Bytes in memory.
    Bytes(Arc<[u8]>),
}

impl Source {
    /// A whole file.
    ///
    /// # Errors
    /// When the file can't be found; for a folder, device or pipe, of which reading may never end.
    pub fn file(path: &Path) -> io::Result<Self> {
        let found = std::fs::metadata(path)?;
        if !found.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        Ok(Self::File { path: path.to_path_buf(), start: 0, len: found.len() })
    }

    /// Number of bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::File { len, .. } => *len,
            Self::Bytes(bytes) => bytes.len() as u64,
        }
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A part of this source; `None` when it is not inside.
    #[must_use]
    pub fn slice(&self, offset: u64, size: u64) -> Option<Self> {
        let end = offset.checked_add(size)?;
        if end > self.len() {
            return None;
        }
        Some(match self {
            Self::File { path, start, .. } => {
                Self::File { path: path.clone(), start: start + offset, len: size }
            }
            Self::Bytes(bytes) => {
                Self::Bytes(bytes[usize::try_from(offset).ok()?..usize::try_from(end).ok()?].into())
            }
        })
    }

    /// Opens the source at its beginning.
    ///
    /// # Errors
    /// When the file can't be opened.
    pub fn open(&self) -> io::Result<Box<dyn ReadSeek>> {
        Ok(match self {
            Self::File { path, start, len } => {
                let mut inner = BufReader::new(File::open(path)?);
                inner.seek(SeekFrom::Start(*start))?;
                Box::new(Window { inner, start: *start, len: *len, pos: 0 })
            }
            Self::Bytes(bytes) => Box::new(Cursor::new(bytes.clone())),
        })
    }

    /// Reads `size` bytes from `offset`.
    ///
    /// # Errors
    /// When they are not all there.
    pub fn read_at(&self, offset: u64, size: usize) -> io::Result<Vec<u8>> {
        if offset.checked_add(size as u64).is_none_or(|end| end > self.len()) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut data = vec![0; size];
        match self {
            Self::File { path, start, .. } => {
                let mut file = File::open(path)?;
                file.seek(SeekFrom::Start(start + offset))?;
                file.read_exact(&mut data)?;
            }
            Self::Bytes(bytes) => {
                // `read_at` checked that the range is inside.
                data.copy_from_slice(&bytes[offset as usize..offset as usize + size]);
            }
        }
        Ok(data)
    }

    /// All bytes, when there are at most `limit`.
    ///
    /// # Errors
    /// When there are more, or they can't be read.
    pub fn read_all(&self, limit: u64) -> Outcome<Vec<u8>> {
        within("file size", self.len(), limit)?;
        Ok(self.read_at(0, self.len() as usize)?)
    }
}

#[derive(Debug)]
struct Window {
    inner: BufReader<File>,
    start: u64,
    len: u64,
    pos: u64,
}

impl Read for Window {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = self.len.saturating_sub(self.pos);
        let want = buf.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let got = self.inner.read(&mut buf[..want])?;
        self.pos += got as u64;
        Ok(got)
    }
}

impl Seek for Window {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(pos) => Some(pos),
            SeekFrom::End(delta) => self.len.checked_add_signed(delta),
            SeekFrom::Current(delta) => self.pos.checked_add_signed(delta),
        };
        let target = target.ok_or(io::ErrorKind::InvalidInput)?;
        let absolute = self.start.checked_add(target).ok_or(io::ErrorKind::InvalidInput)?;
        self.inner.seek(SeekFrom::Start(absolute))?;
        self.pos = target;
        Ok(target)
    }
}
