//! Finds MPEG audio frames in a source and steps over tags and rubbish between them.

use std::io::{self, Read};

use super::header::{FrameHeader, MAX_HEADER_BYTES};
use crate::decode::open::is_recording;
use crate::decode::source::{Source, read_full};

const CHUNK_BYTES: usize = 1 << 16;
/// Frames in a row that must fit together before a position counts as the start of a stream.
const FRAMES_TO_LOCK: usize = 3;

/// A frame with its header in front.
pub(super) struct Frame {
    pub(super) header: FrameHeader,
    pub(super) data: Box<[u8]>,
}

/// Splits a source into frames.
pub(super) struct FrameReader<R> {
    source: R,
    buffer: Vec<u8>,
    at: usize,
    ended: bool,
    lock: Option<FrameHeader>,
    /// Bytes between frames that were neither audio nor a tag.
    pub(super) skipped: u64,
}

impl<R: Read> FrameReader<R> {
    pub(super) fn new(source: R) -> Self {
        Self { source, buffer: Vec::new(), at: 0, ended: false, lock: None, skipped: 0 }
    }

    /// The next frame; `None` where another recording begins, and at the end, where a frame that is cut off counts as skipped.
    pub(super) fn next(&mut self) -> io::Result<Option<Frame>> {
        loop {
            self.fill(MAX_HEADER_BYTES)?;
            let rest = &self.buffer[self.at..];
            if rest.is_empty() || (self.lock.is_none() && is_recording(rest)) {
                return Ok(None);
            }
            if let Some(size) = tag_size(rest) {
                self.discard(size)?;
                continue;
            }
            let header = FrameHeader::parse(rest);
            let locked =
                self.lock.is_some_and(|lock| header.is_some_and(|header| lock.matches(&header)));
            let Some(header) = header.filter(|_| locked) else {
                self.resynchronise()?;
                continue;
            };
            if !self.fill(header.size)? {
                self.skip(self.buffer.len() - self.at);
                return Ok(None);
            }
            let data = self.buffer[self.at..self.at + header.size].into();
            self.at += header.size;
            return Ok(Some(Frame { header, data }));
        }
    }

    /// Go to the next byte where a few frames fit together, or where a tag starts.
    fn resynchronise(&mut self) -> io::Result<()> {
        self.lock = None;
        loop {
            self.fill(CHUNK_BYTES)?;
            let rest = &self.buffer[self.at..];
            if rest.is_empty() || tag_size(rest).is_some() || is_recording(rest) {
                return Ok(());
            }
            if let Some(header) = run_of_frames(rest, self.ended) {
                self.lock = Some(header);
                return Ok(());
            }
            let step = rest[1..].iter().position(|&byte| is_start_byte(byte));
            self.skip(step.map_or(rest.len(), |step| step + 1));
        }
    }

    fn skip(&mut self, count: usize) {
        self.at += count;
        self.skipped += count as u64;
    }

    /// Drop `count` bytes, which may be more than the buffer holds.
    fn discard(&mut self, count: u64) -> io::Result<()> {
        let held = (self.buffer.len() - self.at) as u64;
        if count <= held {
            self.at += count as usize;
        } else {
            self.at = self.buffer.len();
            io::copy(&mut (&mut self.source).take(count - held), &mut io::sink())?;
        }
        Ok(())
    }

    /// Have at least `count` bytes in the buffer, unless the source ends before.
    fn fill(&mut self, count: usize) -> io::Result<bool> {
        let have = self.buffer.len() - self.at;
        if have >= count || self.ended {
            return Ok(have >= count);
        }
        self.buffer.drain(..self.at);
        self.at = 0;
        self.buffer.resize(count.max(CHUNK_BYTES / 8), 0);
        let got = read_full(&mut self.source, &mut self.buffer[have..])?;
        self.ended = have + got < self.buffer.len();
        self.buffer.truncate(have + got);
        Ok(self.buffer.len() >= count)
    }
}

impl FrameReader<Source> {
    /// What has not been used, to be read as another recording.
    pub(super) fn take_rest(&mut self) -> io::Result<Source> {
        let rest = self.buffer.split_off(self.at);
        self.ended = true;
        self.source.take_rest().unread(&rest)
    }
}

/// Whether a frame, a tag or another recording may begin with this byte.
pub(in crate::decode) fn is_start_byte(byte: u8) -> bool {
    matches!(byte, 0xff | 0x1a | b'f' | b'I' | b'T' | b'A' | b'R' | b'B' | b'O' | b'F' | b'c')
}

/// The header at the start of `bytes` if frames of one stream follow one another from there.
///
/// At the end of the source (`complete`) fewer than the usual number may be left.
pub(super) fn run_of_frames(bytes: &[u8], complete: bool) -> Option<FrameHeader> {
    let first = FrameHeader::parse(bytes)?;
    let mut at = 0;
    for count in 0..FRAMES_TO_LOCK {
        let rest = &bytes[at..];
        match FrameHeader::parse(rest) {
            Some(header) if header.matches(&first) => {
                if rest.len() < header.size {
                    return (complete && count > 0).then_some(first);
                }
                at += header.size;
            }
            _ => {
                let ends = rest.is_empty() || tag_size(rest).is_some();
                return (complete && count > 0 && ends).then_some(first);
            }
        }
    }
    Some(first)
}

/// The size of the tag that starts here: ID3v2, ID3v1, or APE.
pub(in crate::decode) fn tag_size(bytes: &[u8]) -> Option<u64> {
    if bytes.starts_with(b"TAG") && bytes.len() <= 128 {
        return Some(128);
    }
    if bytes.starts_with(b"APETAGEX") {
        let size = bytes.get(12..16)?;
        return Some(32 + u64::from(u32::from_le_bytes([size[0], size[1], size[2], size[3]])));
    }
    id3_size(bytes)
}

/// The size of the ID3v2 tag that starts here, header included.
pub(super) fn id3_size(bytes: &[u8]) -> Option<u64> {
    let header = bytes.get(..10).filter(|header| header.starts_with(b"ID3"))?;
    if header[3] == 0xff || header[6..10].iter().any(|&b| b >= 0x80) {
        return None;
    }
    let body = header[6..10].iter().fold(0, |size, &b| size << 7 | u64::from(b));
    let footer = if header[5] & 0x10 != 0 { 10 } else { 0 };
    Some(10 + body + footer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(fill: u8) -> Vec<u8> {
        let mut frame = vec![0xff, 0xfb, 0x90, 0x64];
        frame.resize(417, fill);
        frame
    }

    #[test]
    fn tags_and_rubbish_are_stepped_over() {
        let mut bytes = b"ID3\x04\0\0\0\0\0\x05hello".to_vec();
        bytes.extend([0, 0xff, 0xfb, 7]);
        bytes.extend([frame(1), frame(2), frame(3)].concat());
        bytes.extend(b"ID3\x03\0\0\0\0\0\x02hi");
        bytes.extend([frame(4), frame(5)].concat());
        bytes.extend(&frame(6)[..200]);
        let mut tag = b"TAG".to_vec();
        tag.resize(128, 0);
        let mut reader = FrameReader::new(bytes.as_slice());
        let mut found = Vec::new();
        while let Some(frame) = reader.next().expect("memory") {
            found.push(frame.data[10]);
        }
        assert_eq!(found, [1, 2, 3, 4, 5]);
        assert_eq!(reader.skipped, 4 + 200);
    }

    #[test]
    fn text_is_no_stream() {
        let text = "This is no audio at all. \u{ff}".repeat(5000);
        let mut reader = FrameReader::new(text.as_bytes());
        assert!(reader.next().expect("memory").is_none());
    }
}
