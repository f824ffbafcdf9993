//! MPEG audio layers I to III, and AAC in ADTS: framing and exact trimming here, decoding by symphonia.
//!
//! Files that were joined end to end play all the way through, each part trimmed by its own
//! information frame.

mod frames;
mod header;
mod id3v1;
mod info_tag;

use symphonia::core::audio::{Channels, Position};
use symphonia::core::codecs::audio::well_known::{
    CODEC_ID_AAC, CODEC_ID_MP1, CODEC_ID_MP2, CODEC_ID_MP3,
};
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;
use symphonia::core::packet::Packet;
use symphonia::core::units::{Duration, Timestamp};

use super::backend::{Backend, Damage, Stray, checked_spec, collect_tags, planar, relayout};
use super::info::SourceInfo;
use super::source::{Source, read_full};
use super::symphonia_backend::AAC_LIMITS;
use crate::buffer::{AudioBuf, AudioSpec};
use crate::error::{Error, Result};
use crate::layout::ChannelLayout;
use crate::warning::Warning;
use frames::{Frame, FrameReader, id3_size, run_of_frames};
pub(super) use frames::{is_start_byte, tag_size};
use header::{AAC, FrameHeader};
pub(super) use id3v1::read as read_id3v1;
use info_tag::InfoTag;

/// Bytes at the start in which the first frame must be found.
const PROBE_BYTES: usize = 1 << 16;
/// Tags larger than this are skipped unread.
const MAX_TAG_BYTES: u64 = 1 << 24;

/// Which part of the frames since the last information frame is audio.
#[derive(Debug, Clone, Copy, Default)]
struct Segment {
    position: u64,
    start: u64,
    end: u64,
    total: u64, // from here on the information frame knows nothing
}

struct Mpeg {
    frames: FrameReader<Source>,
    pending: Option<Frame>,
    decoder: Box<dyn AudioDecoder>,
    format: FrameHeader,
    info: SourceInfo,
    spec: AudioSpec,
    segment: Segment,
    damage: Damage,
    stray: Stray,
    ended: bool, // in front of frames that are left out
}

/// Bytes in front of the first frame, tags apart; `None` when the bytes are no MPEG audio.
pub(super) fn probe(source: &mut Source) -> std::io::Result<Option<usize>> {
    let bytes = source.peek(PROBE_BYTES)?;
    let complete = bytes.len() < PROBE_BYTES;
    let start = bytes.iter().position(|&b| b != 0).unwrap_or(0);
    let start = [0, start].into_iter().find(|&at| run_of_frames(&bytes[at..], complete).is_some());
    Ok(start.or_else(|| {
        (0..bytes.len()).find(|&at| {
            // Far from the start chance hits are likely, so that more frames must fit together.
            run_of_frames(&bytes[at..], false).is_some_and(|header| {
                bytes
                    .get(at + header.size..)
                    .is_some_and(|rest| run_of_frames(rest, false).is_some())
            })
        })
    }))
}

/// Consume an ID3v2 tag at the start and collect its texts.
pub(super) fn read_id3(source: &mut Source, info: &mut SourceInfo) -> std::io::Result<bool> {
    let Some(size) = id3_size(&source.peek(10)?) else { return Ok(false) };
    if size > MAX_TAG_BYTES {
        super::source::skip(source, size)?;
        return Ok(true);
    }
    let mut tag = vec![0; size as usize];
    let got = read_full(source, &mut tag)?;
    tag.truncate(got);
    let stream = MediaSourceStream::new(Box::new(std::io::Cursor::new(tag)), Default::default());
    let reader = symphonia::default::meta::Id3v2Reader::try_new(stream, MetadataOptions::default());
    if let Ok(tags) = reader.and_then(|mut reader| {
        use symphonia::core::meta::MetadataReader;
        reader.read_all()
    }) {
        collect_tags(&tags.revision.media, &mut info.tags);
    }
    Ok(true)
}

/// Open MPEG audio; `info` already holds the tags in front.
pub(super) fn open(source: Source, mut info: SourceInfo) -> Result<Box<dyn Backend>> {
    let mut frames = FrameReader::new(source);
    let first = frames.next().map_err(|e| Error::io(&info.path, e))?;
    let first = first
        .ok_or_else(|| Error::unreadable(&info.path, "no MPEG audio frame was found in it"))?;
    let format = first.header;
    if format.layer == AAC && !(1..=2).contains(&format.channels) {
        return Err(Error::unreadable(&info.path, AAC_LIMITS));
    }
    let spec = checked_spec(&info, format.rate, ChannelLayout::from_count(format.channels.into()))?;
    if format.layer == AAC {
        "aac".clone_into(&mut info.container);
        "aac".clone_into(&mut info.codec);
    } else {
        info.codec = format!("mp{}", format.layer);
    }
    info.rate = spec.rate;
    info.layout = spec.layout;
    let decoder = make_decoder(&info, &format)?;
    let mut mpeg = Mpeg {
        frames,
        pending: None,
        decoder,
        format,
        info,
        spec,
        segment: Segment { end: u64::MAX, total: u64::MAX, ..Segment::default() },
        damage: Damage::default(),
        stray: Stray::default(),
        ended: false,
    };
    match InfoTag::parse(&first.header, &first.data) {
        Some(tag) => mpeg.start_segment(tag),
        None => {
            mpeg.pending = Some(first);
            mpeg.warn_unknown_delay();
        }
    }
    Ok(Box::new(mpeg))
}

fn make_decoder(info: &SourceInfo, format: &FrameHeader) -> Result<Box<dyn AudioDecoder>> {
    let mut params = AudioCodecParameters::new();
    let codec = match format.layer {
        AAC => CODEC_ID_AAC,
        1 => CODEC_ID_MP1,
        2 => CODEC_ID_MP2,
        _ => CODEC_ID_MP3,
    };
    let channels = if format.channels == 1 {
        Position::FRONT_LEFT
    } else {
        Position::FRONT_LEFT | Position::FRONT_RIGHT
    };
    params
        .for_codec(codec)
        .with_sample_rate(format.rate)
        .with_channels(Channels::Positioned(channels));
    symphonia::default::get_codecs()
        .make_audio_decoder(&params, &AudioDecoderOptions::default().gapless(false))
        .map_err(|error| Error::unreadable(&info.path, error.to_string()))
}

impl Mpeg {
    /// A new part begins with an information frame.
    fn start_segment(&mut self, tag: InfoTag) {
        let (start, padding) = tag.trim.unwrap_or((0, 0));
        let total = tag.total.unwrap_or(u64::MAX);
        let end = if total == u64::MAX { total } else { total.saturating_sub(padding) };
        self.segment = Segment { position: 0, start, end, total };
        if tag.trim.is_none() || tag.total.is_none() {
            self.warn_unknown_delay();
        }
        if tag.total.is_some() {
            let declared = end.saturating_sub(start);
            // Behind a part that makes no promise, none can be made for the whole.
            let before = match self.info.found_frames {
                0 => Some(0),
                _ => self.info.declared_frames,
            };
            self.info.declared_frames = before.map(|before| before + declared);
        }
    }

    fn warn_unknown_delay(&mut self) {
        let warning = Warning::DelayUnknown { codec: self.info.codec.clone() };
        if !self.info.warnings.contains(&warning) {
            self.info.warnings.push(warning);
        }
    }

    fn next_frame(&mut self) -> Result<Option<Frame>> {
        if let Some(frame) = self.pending.take() {
            return Ok(Some(frame));
        }
        let before = self.frames.skipped;
        let frame = self.frames.next().map_err(|e| Error::io(&self.info.path, e))?;
        let stray = self.frames.skipped - before;
        if stray > 0 {
            self.stray.found(&mut self.info, stray);
        }
        Ok(frame)
    }

    /// A part of another kind was joined on: follow a change of channels, stop at one of rate.
    fn change_format(&mut self, header: FrameHeader) -> Result<bool> {
        if header.rate != self.format.rate {
            self.info.warnings.push(Warning::Repaired {
                what: format!(
                    "the sample rate changes from {} to {} Hz at {:.3} s; the rest was left out",
                    self.format.rate,
                    header.rate,
                    self.info.seconds()
                ),
            });
            return Ok(false);
        }
        if header.layer != self.format.layer {
            self.info.warnings.push(Warning::Joined { at: self.info.seconds() });
            self.info.declared_frames = None;
        }
        self.format = header;
        self.decoder = make_decoder(&self.info, &header)?;
        Ok(true)
    }

    /// Decode a frame; a damaged one becomes silence of the same length.
    fn decode(&mut self, frame: Frame) -> Result<AudioBuf> {
        let layout = ChannelLayout::from_count(frame.header.channels.into());
        let spec = AudioSpec { rate: self.spec.rate, layout };
        let duration = Duration::new(frame.header.frames as u64);
        let payload = &frame.data[frame.header.payload()..];
        let packet = Packet::new(0, Timestamp::new(0), duration, payload);
        let decoded = self.decoder.decode(&packet).ok().and_then(|buffer| {
            let matches =
                buffer.num_planes() == spec.channels() && buffer.frames() == frame.header.frames;
            matches.then(|| planar(&buffer))
        });
        match decoded {
            Some(data) => {
                self.damage.good();
                AudioBuf::from_planar(spec, data)
            }
            None => {
                let (at, frames) = (self.info.seconds(), frame.header.frames as u64);
                self.damage.bad(&self.info, at, frames)?;
                Ok(AudioBuf::silence(spec, frame.header.frames))
            }
        }
    }

    /// Cut a decoded frame to the part that is audio.
    fn trim(&mut self, block: AudioBuf) -> AudioBuf {
        let Segment { position, start, end, total } = self.segment;
        let frames = block.frames() as u64;
        self.segment.position += frames;
        if position >= total {
            return block; // more frames than were promised; the audit reports them
        }
        let from = start.saturating_sub(position).min(frames);
        let to = end.saturating_sub(position).clamp(from, frames);
        self.info.trimmed_delay += from;
        self.info.trimmed_padding += frames - to;
        if from == 0 && to == frames {
            return block;
        }
        block.view().slice(from as usize..to as usize).to_owned()
    }

    fn finish(&mut self) {
        self.damage.report(&mut self.info);
        self.stray.report(&mut self.info);
    }
}

impl Backend for Mpeg {
    fn info(&mut self) -> &mut SourceInfo {
        &mut self.info
    }

    fn next(&mut self) -> Result<Option<AudioBuf>> {
        loop {
            let Some(frame) = self.next_frame()? else {
                self.finish();
                return Ok(None);
            };
            let same =
                frame.header.matches(&self.format) && frame.header.channels == self.format.channels;
            if !same && !self.change_format(frame.header)? {
                self.finish();
                self.ended = true;
                return Ok(None);
            }
            if let Some(tag) = InfoTag::parse(&frame.header, &frame.data) {
                self.decoder.reset();
                self.start_segment(tag);
                continue;
            }
            let block = self.decode(frame)?;
            let block = self.trim(block);
            if !block.is_empty() {
                return Ok(Some(relayout(block, self.spec.layout)));
            }
        }
    }

    fn rest(&mut self) -> Option<Source> {
        if self.ended { None } else { self.frames.take_rest().ok() }
    }
}
