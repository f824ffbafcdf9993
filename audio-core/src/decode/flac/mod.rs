//! Native FLAC: framing, checksums and places here, decoding by symphonia.

mod frame;
mod frames;
mod track;

use std::io::{self, Read};

use super::backend::{Backend, Damage, Stray, checked_spec};
use super::info::SourceInfo;
use super::source::{Source, read_full, skip};
use super::vorbis_comment;
use crate::buffer::AudioBuf;
use crate::error::{Error, Result};
use crate::layout::ChannelLayout;
use crate::warning::Warning;
use frame::{FrameHeader, MAX_HEADER_BYTES, StreamInfo};
use frames::{FrameFinder, Item};
pub(super) use track::{Decoded, FlacTrack};

const STREAMINFO: u8 = 0;
const VORBIS_COMMENT: u8 = 4;
const STREAMINFO_BYTES: usize = 34;

struct Flac {
    frames: FrameFinder,
    track: FlacTrack,
    info: SourceInfo,
    damage: Damage,
    stray: Stray,
    broken: bool, // the frame before was damaged, so that bytes which fit nowhere belong to it
    ready: Option<AudioBuf>,
    any: bool, // whether a frame was decoded
    ended: bool,
}

/// Open a stream at its marker; `info` may hold the tags in front.
pub(super) fn open(mut source: Source, mut info: SourceInfo) -> Result<Box<dyn Backend>> {
    "flac".clone_into(&mut info.container);
    "flac".clone_into(&mut info.codec);
    let (mut stream_info, layout) = read_metadata(&mut source, &mut info).map_err(|error| {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            Error::unreadable(&info.path, "the file ends inside its header")
        } else {
            Error::io(&info.path, error)
        }
    })?;
    let first = source.peek(MAX_HEADER_BYTES).map_err(|e| Error::io(&info.path, e))?;
    if let (Some(header), Some(told)) =
        (FrameHeader::parse(&first), StreamInfo::parse(&stream_info))
        && !header.fits(&told)
    {
        // A header with a checksum is right where one without is not.
        header.correct(&mut stream_info);
        let what = format!(
            "the header tells {} channels of {} bits at {} Hz, and the frames are different",
            told.channels, told.bits, told.rate
        );
        info.warnings.push(Warning::Repaired { what });
    }
    let unreadable = |reason| Error::unreadable(&info.path, reason);
    let track = FlacTrack::new(&stream_info, layout).map_err(unreadable)?;
    let spec = checked_spec(&info, track.spec().rate, track.spec().layout)?;
    info.rate = spec.rate;
    info.layout = spec.layout;
    info.bits_per_sample = Some(track.bits());
    info.declared_frames = Some(track.stream().total).filter(|&total| total > 0);
    Ok(Box::new(Flac {
        frames: FrameFinder::new(source, *track.stream()),
        track,
        info,
        damage: Damage::default(),
        stray: Stray::default(),
        broken: false,
        ready: None,
        any: false,
        ended: false,
    }))
}

/// Go over the metadata blocks; the body of the stream description, and the layout if one is told.
fn read_metadata(
    source: &mut Source,
    info: &mut SourceInfo,
) -> io::Result<(Vec<u8>, Option<ChannelLayout>)> {
    let mut marker = [0; 4];
    source.read_exact(&mut marker)?;
    let mut stream_info = Vec::new();
    let mut layout = None;
    loop {
        let mut head = [0; 4];
        source.read_exact(&mut head)?;
        let size = u32::from_be_bytes([0, head[1], head[2], head[3]]);
        match head[0] & 0x7f {
            kind @ (STREAMINFO | VORBIS_COMMENT) => {
                let mut body = vec![0; size as usize];
                let got = read_full(source, &mut body)?;
                body.truncate(got);
                if kind == STREAMINFO && stream_info.is_empty() {
                    body.truncate(STREAMINFO_BYTES);
                    stream_info = body;
                } else if kind == VORBIS_COMMENT {
                    layout = vorbis_comment::read(&body, &mut info.tags).or(layout);
                }
            }
            _ => {
                if skip(source, size.into())? < size.into() {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
        }
        if head[0] & 0x80 != 0 {
            let channels = StreamInfo::parse(&stream_info).map_or(0, |stream| stream.channels);
            let layout = layout.map(|mask| ChannelLayout::from_mask(mask, channels.into()));
            return Ok((stream_info, layout));
        }
    }
}

impl Flac {
    fn silence(&self, frames: u64) -> Option<AudioBuf> {
        (frames > 0).then(|| AudioBuf::silence(self.track.spec(), frames as usize))
    }

    /// Silence for what is missing in front of a frame, and then the frame; `stray` bytes were
    /// found in front of it.
    fn queue(&mut self, decoded: Decoded, stray: u64) -> Result<Option<AudioBuf>> {
        let Decoded { lost, frames, block } = decoded;
        let at = self.info.seconds();
        if lost > 0 {
            self.damage.lost(at, lost.div_ceil(frames.max(1)), lost);
        } else if stray > 0 && !self.broken {
            self.stray.found(&mut self.info, stray);
        }
        self.broken = block.is_none();
        let at = at + lost as f64 / f64::from(self.info.rate);
        let block = match block {
            Some(block) => {
                self.damage.good();
                self.any = true;
                Some(block)
            }
            None => {
                self.damage.bad(&self.info, at, frames)?;
                self.silence(frames)
            }
        };
        match self.silence(lost) {
            None => Ok(block),
            silence => {
                self.ready = block;
                Ok(silence)
            }
        }
    }

    /// The end: silence for a last frame whose header is damaged too, and what there is to tell.
    /// `stray` bytes are at the very end.
    fn finish(&mut self, cut: bool, stray: u64) -> Result<Option<AudioBuf>> {
        self.ended = true;
        if !self.any && (cut || self.frames.skipped > 0) {
            return Err(Error::unreadable(&self.info.path, "none of its frames could be decoded"));
        }
        let missing = self.track.missing();
        let last = u64::from(self.track.stream().max_block);
        let silence = if missing > 0 && missing <= last && (cut || stray > 16) {
            self.damage.lost(self.info.seconds(), 1, missing);
            self.silence(missing)
        } else {
            if stray > 0 && !self.broken {
                self.stray.found(&mut self.info, stray);
            }
            None
        };
        self.stray.report(&mut self.info);
        if !self.track.is_whole() {
            self.info.warnings.push(Warning::Checksum);
        }
        self.damage.report(&mut self.info);
        Ok(silence)
    }
}

impl Backend for Flac {
    fn info(&mut self) -> &mut SourceInfo {
        &mut self.info
    }

    fn next(&mut self) -> Result<Option<AudioBuf>> {
        if let Some(block) = self.ready.take() {
            return Ok(Some(block));
        }
        while !self.ended {
            let before = self.frames.skipped;
            let item = self.frames.next().map_err(|e| Error::io(&self.info.path, e))?;
            let stray = self.frames.skipped - before;
            if self.frames.skipped > 0 {
                self.track.count_from_zero();
            }
            let decoded = match item {
                None => return self.finish(false, stray),
                Some(Item::Cut) => return self.finish(true, stray),
                Some(Item::Frame { header, data }) => self.track.decode_frame(&header, &data),
                Some(Item::Damaged(header)) => self.track.damaged(&header),
            };
            if let Some(block) = self.queue(decoded, stray)? {
                return Ok(Some(block));
            }
        }
        Ok(None)
    }

    fn rest(&mut self) -> Option<Source> {
        self.frames.take_rest().ok()
    }
}
