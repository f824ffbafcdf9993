//! Bytes to decode: a file, or a stream that can't go back but can be looked into.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use symphonia::core::io::MediaSource;

use crate::draft;
use crate::error::{Error, Result};

/// Any source of bytes.
pub(super) enum Source {
    /// A regular file or a part of one.
    File(Section),
    /// A pipe or anything else that only reads forward; `peeked[at..]` comes before the rest.
    Stream { reader: Box<dyn Read + Send + Sync>, peeked: Vec<u8>, at: usize },
}

/// A part of a regular file that is read as if it were a file of its own.
pub(super) struct Section {
    file: File,
    start: u64,
    len: u64,
    at: u64,
    /// Bytes that are seen instead of the file's from a position on.
    overlays: Vec<(u64, Vec<u8>)>,
    /// Bytes at the end that the file does not have, but an overlay.
    appended: u64,
}

impl Section {
    fn new(file: File, start: u64, len: u64) -> Self {
        Self { file, start, len, at: 0, overlays: Vec::new(), appended: 0 }
    }

    fn lay_over(&self, out: &mut [u8]) {
        let end = self.at + out.len() as u64;
        for (from, bytes) in &self.overlays {
            let first = self.at.max(*from);
            let last = end.min(from + bytes.len() as u64);
            if first < last {
                let count = (last - first) as usize;
                let source = (first - from) as usize;
                out[(first - self.at) as usize..][..count]
                    .copy_from_slice(&bytes[source..][..count]);
            }
        }
    }
}

impl Read for Section {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let room_to = |end: u64| usize::try_from(end.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let wanted = out.len();
        let (own, all) = (room_to(self.len - self.appended), room_to(self.len));
        let got = if own == 0 {
            all.min(wanted)
        } else {
            // Sections of one file share its position.
            self.file.seek(SeekFrom::Start(self.start + self.at))?;
            self.file.read(&mut out[..own.min(wanted)])?
        };
        self.lay_over(&mut out[..got]);
        self.at += got as u64;
        Ok(got)
    }
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
            Ok(Self::File(Section::new(file, 0, meta.len())))
        } else {
            Ok(Self::stream(Box::new(file)))
        }
    }

    /// Bytes `start..end` of a file as a source of its own, at its start; of a stream nothing.
    pub(super) fn section(&self, start: u64, end: u64) -> io::Result<Self> {
        let Self::File(section) = self else { return Err(io::ErrorKind::Unsupported.into()) };
        let end = end.min(section.len - section.appended);
        let start = start.min(end);
        let file = section.file.try_clone()?;
        Ok(Self::File(Section::new(file, section.start + start, end - start)))
    }

    /// Show `bytes` in the place of a file's own from `position` on.
    pub(super) fn overlay(&mut self, position: u64, bytes: Vec<u8>) {
        if let Self::File(section) = self {
            section.overlays.push((position, bytes));
        }
    }

    /// Show `bytes` behind a file's own.
    pub(super) fn append(&mut self, bytes: Vec<u8>) {
        if let Self::File(section) = self {
            let (end, more) = (section.len, bytes.len() as u64);
            section.len += more;
            section.appended += more;
            section.overlays.push((end, bytes));
        }
    }

    /// The source with `bytes`, which were read last, still to come.
    pub(super) fn unread(self, bytes: &[u8]) -> io::Result<Self> {
        match self {
            Self::File(section) => {
                let (at, len) = (section.at, section.len);
                Self::File(section).section(at.saturating_sub(bytes.len() as u64), len)
            }
            Self::Stream { reader, peeked, at } => {
                let peeked = [bytes, &peeked[at..]].concat();
                Ok(Self::Stream { reader, peeked, at: 0 })
            }
        }
    }

    /// Leave nothing behind but an empty source.
    pub(super) fn take_rest(&mut self) -> Self {
        std::mem::replace(self, Self::stream(Box::new(io::empty())))
    }

    /// Size of a file; of a stream it is not known.
    pub(super) fn size(&self) -> Option<u64> {
        match self {
            Self::File(section) => Some(section.len),
            Self::Stream { .. } => None,
        }
    }

    /// A source that only reads forward.
    pub(super) fn stream(reader: Box<dyn Read + Send + Sync>) -> Self {
        Self::Stream { reader, peeked: Vec::new(), at: 0 }
    }

    /// The next `count` bytes, or fewer at the end, without consuming them.
    pub(super) fn peek(&mut self, count: usize) -> io::Result<Vec<u8>> {
        match self {
            Self::File(section) => {
                let start = section.at;
                let mut bytes = Vec::new();
                section.take(count as u64).read_to_end(&mut bytes)?;
                section.at = start;
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
        if matches!(self, Self::File(_)) {
            return Ok(self);
        }
        let mut file = draft::spool()?;
        let len = io::copy(&mut self, &mut file).map_err(|error| match error.kind() {
            io::ErrorKind::StorageFull => draft::no_spool(&error),
            _ => error,
        })?;
        Ok(Self::File(Section::new(file, 0, len)))
    }
}

impl Read for Source {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(section) => section.read(out),
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
            Self::File(section) => {
                let at = match to {
                    SeekFrom::Start(at) => Some(at),
                    SeekFrom::Current(by) => section.at.checked_add_signed(by),
                    SeekFrom::End(by) => section.len.checked_add_signed(by),
                };
                section.at = at.ok_or(io::ErrorKind::InvalidInput)?;
                Ok(section.at)
            }
            Self::Stream { .. } => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

impl MediaSource for Source {
    fn is_seekable(&self) -> bool {
        matches!(self, Self::File(_))
    }

    fn byte_len(&self) -> Option<u64> {
        self.size()
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

    #[test]
    fn a_section_is_a_file_of_its_own() {
        let mut file = tempfile::tempfile().expect("a file");
        io::Write::write_all(&mut file, b"0123456789").expect("writable");
        let whole = Source::File(Section::new(file, 0, 10));
        let mut part = whole.section(3, 8).expect("a file");
        part.overlay(1, b"xy".to_vec());
        part.append(b"ab".to_vec());
        let mut text = String::new();
        part.read_to_string(&mut text).expect("readable");
        assert_eq!((text.as_str(), part.size()), ("3xy67ab", Some(7)));
        part.seek(SeekFrom::End(-5)).expect("a place");
        assert_eq!(part.peek(9).expect("readable"), b"y67ab");
        part.seek(SeekFrom::Start(2)).expect("a place");
        let mut rest = String::new();
        part.unread(b"45").expect("a file").read_to_string(&mut rest).expect("readable");
        assert_eq!(rest, "34567"[0..].to_owned());
    }
}
