//! Bytes to decode: a file, or a stream that can't go back but can be looked into.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use symphonia::core::io::MediaSource;

use crate::error::{Error, Result};

/// Any source of bytes.
pub(super) enum Source {
    /// A regular file.
    File { file: File, len: u64 },
    /// A pipe or anything else that only reads forward; `peeked[at..]` comes before the rest.
    Stream { reader: Box<dyn Read + Send + Sync>, peeked: Vec<u8>, at: usize },
}

impl Source {
    /// Open a path; pipes and devices become streams.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::io(path, e))?;
        let meta = file.metadata().map_err(|e| Error::io(path, e))?;
        if meta.is_dir() {
            return Err(Error::unreadable(path, "this is a folder; name a file in it"));
        }
        if meta.is_file() {
            Ok(Self::File { file, len: meta.len() })
        } else {
            Ok(Self::stream(Box::new(file)))
        }
    }

    /// A source that only reads forward.
    pub(super) fn stream(reader: Box<dyn Read + Send + Sync>) -> Self {
        Self::Stream { reader, peeked: Vec::new(), at: 0 }
    }

    /// The next `count` bytes, or fewer at the end, without consuming them.
    pub(super) fn peek(&mut self, count: usize) -> io::Result<Vec<u8>> {
        match self {
            Self::File { file, .. } => {
                let start = file.stream_position()?;
                let mut bytes = Vec::new();
                file.take(count as u64).read_to_end(&mut bytes)?;
                file.seek(SeekFrom::Start(start))?;
                Ok(bytes)
            }
            Self::Stream { reader, peeked, at } => {
                let have = peeked.len() - *at;
                if have < count {
                    reader.take((count - have) as u64).read_to_end(peeked)?;
                }
                Ok(peeked[*at..].iter().take(count).copied().collect())
            }
        }
    }

    /// Make a stream seekable by copying it to an unnamed temporary file.
    pub(super) fn spool(mut self) -> io::Result<Self> {
        if matches!(self, Self::File { .. }) {
            return Ok(self);
        }
        let mut file = tempfile::tempfile()?;
        let len = io::copy(&mut self, &mut file)?;
        file.seek(SeekFrom::Start(0))?;
        Ok(Self::File { file, len })
    }
}

impl Read for Source {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File { file, .. } => file.read(out),
            Self::Stream { reader, peeked, at } => {
                if *at < peeked.len() {
                    let count = out.len().min(peeked.len() - *at);
                    out[..count].copy_from_slice(&peeked[*at..*at + count]);
                    *at += count;
                    if *at == peeked.len() {
                        *peeked = Vec::new();
                        *at = 0;
                    }
                    return Ok(count);
                }
                reader.read(out)
            }
        }
    }
}

impl Seek for Source {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match self {
            Self::File { file, .. } => file.seek(to),
            Self::Stream { .. } => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

impl MediaSource for Source {
    fn is_seekable(&self) -> bool {
        matches!(self, Self::File { .. })
    }

    fn byte_len(&self) -> Option<u64> {
        match self {
            Self::File { len, .. } => Some(*len),
            Self::Stream { .. } => None,
        }
    }
}

/// Fill `out` as far as the source goes; the number of bytes read is short only at the end.
pub(super) fn read_full(source: &mut dyn Read, out: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while done < out.len() {
        match source.read(&mut out[done..]) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Read and forget `count` bytes; fewer at the end of the source.
pub(super) fn skip(source: &mut Source, count: u64) -> io::Result<u64> {
    io::copy(&mut source.take(count), &mut io::sink())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peeking_a_stream_consumes_nothing() {
        let mut source = Source::stream(Box::new(io::Cursor::new(b"abcdef".to_vec())));
        assert_eq!(source.peek(2).expect("memory"), b"ab");
        assert_eq!(source.peek(4).expect("memory"), b"abcd");
        assert_eq!(source.peek(99).expect("memory"), b"abcdef");
        let mut one = [0];
        source.read_exact(&mut one).expect("memory");
        assert_eq!(source.peek(2).expect("memory"), b"bc");
        let mut rest = Vec::new();
        source.read_to_end(&mut rest).expect("memory");
        assert_eq!(rest, b"bcdef");
    }
}
