//! Finds the frames of a native FLAC stream by their checksums, so that damage costs one frame.

use std::io;

use super::frame::{FrameHeader, MAX_HEADER_BYTES, StreamInfo};
use crate::decode::mpeg::{is_start_byte, tag_size};
use crate::decode::open::is_recording;
use crate::decode::source::{Source, read_full};
use crate::flac::crc16;

/// Bytes that are read at a time.
const CHUNK_BYTES: usize = 1 << 16;
/// Bytes behind a place that decide what it is: a header, a tag of 128 bytes, or another stream.
const LOOK_AHEAD: usize = 160;

/// What comes next in a stream.
pub(super) enum Item {
    /// A frame with the right checksum.
    Frame { header: FrameHeader, data: Vec<u8> },
    /// The header of a frame whose samples are damaged.
    Damaged(FrameHeader),
    /// The last frame as far as it goes, without a checksum that fits.
    Cut,
}

/// Splits a source into frames.
pub(super) struct FrameFinder {
    source: Source,
    info: StreamInfo,
    buffer: Vec<u8>,
    at: usize,
    ended: bool,
    /// Bytes that belonged to no frame and no tag.
    pub(super) skipped: u64,
}

impl FrameFinder {
    pub(super) fn new(source: Source, info: StreamInfo) -> Self {
        Self { source, info, buffer: Vec::new(), at: 0, ended: false, skipped: 0 }
    }

    /// The next frame; `None` at the end of the source or where another stream begins.
    pub(super) fn next(&mut self) -> io::Result<Option<Item>> {
        loop {
            self.fill(LOOK_AHEAD)?;
            let rest = &self.buffer[self.at..];
            if rest.is_empty() || is_recording(rest) {
                return Ok(None);
            }
            if let Some(size) = self.tag_size(0) {
                self.discard(size)?;
            } else if let Some(header) = self.header(0) {
                return self.frame(header).map(Some);
            } else {
                let step = rest[1..].iter().position(|&byte| is_start_byte(byte));
                let step = step.map_or(rest.len(), |step| step + 1);
                self.at += step;
                self.skipped += step as u64;
            }
        }
    }

    /// What has not been used, to be read as another stream.
    pub(super) fn take_rest(&mut self) -> io::Result<Source> {
        let rest = self.buffer.split_off(self.at);
        self.ended = true;
        self.source.take_rest().unread(&rest)
    }

    fn header(&self, offset: usize) -> Option<FrameHeader> {
        let rest = &self.buffer[self.at + offset..];
        FrameHeader::parse(&rest[..rest.len().min(MAX_HEADER_BYTES)])
            .filter(|header| header.fits(&self.info))
    }

    fn tag_size(&self, offset: usize) -> Option<u64> {
        let rest = &self.buffer[self.at + offset..];
        tag_size(rest).filter(|_| !rest.starts_with(b"TAG") || self.ended)
    }

    /// Take the frame that begins here. It ends where its checksum fits and something known
    /// follows; where nothing known follows, at the last place at which its checksum fits, because
    /// the decoder reads no further than it needs.
    fn frame(&mut self, header: FrameHeader) -> io::Result<Item> {
        let most = self.info.max_frame_bytes(header.frames);
        let mut crc = 0;
        let mut done = 0;
        let mut fits = None;
        let mut ended_at = 0;
        loop {
            self.fill(done + CHUNK_BYTES)?;
            let have = self.buffer.len() - self.at;
            let stop = if self.ended { have } else { have - LOOK_AHEAD };
            while done < stop.min(most) {
                crc = crc16(crc, &self.buffer[self.at + done..][..1]);
                done += 1;
                let follows = self.buffer.get(self.at + done).copied();
                if done > header.bytes + 2 && crc == 0 {
                    // Zeros behind a frame change nothing.
                    let zero = self.buffer[self.at + done - 1] == 0 && ended_at == done - 1;
                    ended_at = done;
                    fits = fits.filter(|_| zero).or(Some(done));
                    if follows.is_none_or(is_start_byte) && self.is_boundary(done) {
                        // One or two zeros may be the end of the checksum; more are stray.
                        let end = fits.filter(|end| done - end > 2).unwrap_or(done);
                        return Ok(self.take(header, end));
                    }
                } else if follows == Some(0xff)
                    && self.header(done).is_some_and(|later| header.is_before(&later))
                {
                    if let Some(end) = fits {
                        return Ok(self.take(header, end)); // rubbish behind an intact frame
                    }
                    self.at += done;
                    return Ok(Item::Damaged(header));
                }
            }
            if done >= most || self.ended {
                break;
            }
        }
        if let Some(end) = fits {
            return Ok(self.take(header, end));
        }
        if self.ended && done < most {
            self.at = self.buffer.len();
            return Ok(Item::Cut);
        }
        self.at += header.bytes;
        Ok(Item::Damaged(header))
    }

    fn is_boundary(&self, offset: usize) -> bool {
        let rest = &self.buffer[self.at + offset..];
        rest.is_empty()
            || is_recording(rest)
            || self.tag_size(offset).is_some()
            || self.header(offset).is_some()
    }

    fn take(&mut self, header: FrameHeader, bytes: usize) -> Item {
        let data = self.buffer[self.at..self.at + bytes].to_vec();
        self.at += bytes;
        Item::Frame { header, data }
    }

    /// Drop `count` bytes, which may be more than the buffer holds.
    fn discard(&mut self, count: u64) -> io::Result<()> {
        let held = (self.buffer.len() - self.at) as u64;
        self.at += count.min(held) as usize;
        crate::decode::source::skip(&mut self.source, count.saturating_sub(held)).map(drop)
    }

    /// Have at least `count` bytes in the buffer, unless the source ends before.
    fn fill(&mut self, count: usize) -> io::Result<()> {
        let have = self.buffer.len() - self.at;
        if have >= count || self.ended {
            return Ok(());
        }
        self.buffer.drain(..self.at);
        self.at = 0;
        self.buffer.resize(count.max(CHUNK_BYTES), 0);
        let got = read_full(&mut self.source, &mut self.buffer[have..])?;
        self.ended = have + got < self.buffer.len();
        self.buffer.truncate(have + got);
        Ok(())
    }
}
