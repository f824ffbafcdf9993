//! What symphonia unpacks: FLAC, Vorbis, AAC, ALAC, AIFF, CAF, MP4, Matroska, and so on.
//!
//! Symphonia decodes all of them but Opus, which [`super::opus`] does; delay and padding that
//! symphonia leaves in place are cut off here.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::well_known::{CODEC_ID_AAC, CODEC_ID_MP3, CODEC_ID_OPUS};
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error as SymphoniaError;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, Track, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;
use symphonia::core::packet::Packet;

use super::backend::{
    Backend, Damage, checked_spec, collect_tags, layout_of_channels, planar, relayout,
};
use super::info::SourceInfo;
use super::matroska::{self, MatroskaTrim};
use super::mp4::{self, Mp4Trim};
use super::opus::{OpusHead, OpusPackets};
use super::source::Source;
use crate::buffer::{AudioBuf, AudioSpec};
use crate::error::{Error, Result};
use crate::warning::Warning;

/// What is said of AAC that symphonia does not decode.
const AAC_LIMITS: &str = "its AAC is of a kind that formant does not decode (HE-AAC, more than two \
     channels, or another profile than LC); convert it to FLAC or AAC-LC with the program that made it";

/// The most padding, in nanoseconds, that is cut off; no encoder makes more.
const MAX_PADDING: u64 = 1_000_000_000;

/// Turns packets into samples.
enum Decoder {
    Symphonia(Box<dyn AudioDecoder>),
    Opus(Box<OpusPackets>),
}

/// Decodes the first audio track.
struct SymphoniaBackend {
    format: Box<dyn FormatReader>,
    decoder: Decoder,
    track: u32,
    info: SourceInfo,
    spec: Option<AudioSpec>,
    ready: VecDeque<AudioBuf>,
    skip_left: u64,
    keep_left: u64,
    held_back: u64, // frames at the very end that are padding
    damage: Damage,
    damaged_ahead: u64, // packets before the first intact one, whose length is not known yet
    last_frames: u64,
}

/// Open any source that symphonia recognises.
pub(super) fn open(source: Source, path: PathBuf) -> Result<Box<dyn Backend>> {
    open_with(source, path, &Trims::default())
}

/// Open an MP4 file; from a stream it is first copied to a temporary file, because its index may
/// come last.
pub(super) fn open_mp4(source: Source, path: PathBuf) -> Result<Box<dyn Backend>> {
    let mut source = source.spool().map_err(|e| Error::io(&path, e))?;
    let mp4 = mp4::read_trims(&mut source).map_err(|e| Error::io(&path, e))?;
    open_with(source, path, &Trims { mp4, ..Trims::default() })
}

/// Open a Matroska or WebM file; from a stream it is first copied to a temporary file, because what
/// belongs to the end is said at the end.
pub(super) fn open_matroska(source: Source, path: PathBuf) -> Result<Box<dyn Backend>> {
    let mut source = source.spool().map_err(|e| Error::io(&path, e))?;
    let matroska = matroska::read_trims(&mut source).map_err(|e| Error::io(&path, e))?;
    open_with(source, path, &Trims { matroska, ..Trims::default() })
}

/// What the container says about trimming and symphonia does not hand on.
#[derive(Default)]
struct Trims {
    mp4: Vec<Mp4Trim>,
    matroska: Vec<MatroskaTrim>,
}

fn open_with(source: Source, path: PathBuf, trims: &Trims) -> Result<Box<dyn Backend>> {
    let stream = MediaSourceStream::new(Box::new(source), Default::default());
    let mut format = symphonia::default::get_probe()
        .probe(&Hint::new(), stream, FormatOptions::default(), MetadataOptions::default())
        .map_err(|error| describe(&path, &error))?;
    let container = format.format_info().short_name;
    let container = if container == "isomp4" { "mp4" } else { container };
    let mut info = SourceInfo::new(path, container, "");
    if let Some(revision) = format.metadata().skip_to_latest() {
        collect_tags(&revision.media, &mut info.tags);
    }
    let track = format.default_track(TrackType::Audio).ok_or_else(|| {
        Error::unreadable(&info.path, "there is no audio track of a known codec in it")
    })?;
    let Some(CodecParameters::Audio(params)) = &track.codec_params else {
        return Err(Error::unreadable(&info.path, "the audio track has no codec description"));
    };
    let (skip_left, keep_left) = trimming(&mut info, track, params, trims);
    let decoder = make_decoder(&mut info, params)?;
    let track = track.id;
    let padding = trims.matroska.iter().find(|trim| trim.track == track);
    let padding = padding.map_or(0, |trim| trim.padding).min(MAX_PADDING);
    let mut backend = SymphoniaBackend {
        format,
        decoder,
        track,
        info,
        spec: None,
        ready: VecDeque::new(),
        skip_left,
        keep_left,
        held_back: 0,
        damage: Damage::default(),
        damaged_ahead: 0,
        last_frames: 0,
    };
    while backend.spec.is_none() && backend.decode()? {}
    if backend.spec.is_none() {
        let reason = match backend.damaged_ahead {
            0 => "it has a header but no audio".to_owned(),
            count => format!("none of its {count} packets could be decoded"),
        };
        return Err(Error::unreadable(&backend.info.path, reason));
    }
    backend.held_back = frames_of(padding, backend.info.rate);
    Ok(Box::new(backend))
}

/// Symphonia's error in formant's words.
fn describe(path: &Path, error: &SymphoniaError) -> Error {
    match error {
        SymphoniaError::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
            Error::unreadable(path, "the file ends inside its header")
        }
        error => {
            Error::unreadable(path, format!("{error}; `formant formats` lists what can be read"))
        }
    }
}

fn make_decoder(info: &mut SourceInfo, params: &AudioCodecParameters) -> Result<Decoder> {
    info.bits_per_sample = params.bits_per_sample;
    if params.codec == CODEC_ID_OPUS {
        info.codec = "opus".to_owned();
        let unreadable = |reason: String| Error::unreadable(&info.path, reason);
        let head = opus_head(info, params).map_err(unreadable)?;
        return Ok(Decoder::Opus(Box::new(OpusPackets::new(&head).map_err(unreadable)?)));
    }
    let decoder = symphonia::default::get_codecs()
        .make_audio_decoder(params, &AudioDecoderOptions::default())
        .map_err(|error| match error {
            SymphoniaError::Unsupported(_) if params.codec == CODEC_ID_AAC => {
                Error::unreadable(&info.path, AAC_LIMITS)
            }
            error => describe(&info.path, &error),
        })?;
    let name = decoder.codec_info().short_name;
    info.float = name.starts_with("pcm_f");
    if let Some(kind) = name.strip_prefix("pcm_") {
        info.codec = if kind.ends_with("law") { kind } else { "pcm" }.to_owned();
        info.container_bits = params.bits_per_coded_sample.or(params.bits_per_sample);
    } else {
        info.codec = name.to_owned();
    }
    Ok(Decoder::Symphonia(decoder))
}

/// The Opus header as the container keeps it.
fn opus_head(
    info: &SourceInfo,
    params: &AudioCodecParameters,
) -> std::result::Result<OpusHead, String> {
    let head = params.extra_data.as_deref().unwrap_or_default();
    if info.container == "mp4" { OpusHead::parse_mp4(head) } else { OpusHead::parse(head) }
}

/// Frames to drop from the start and to keep after that, as far as symphonia does not see to it.
fn trimming(
    info: &mut SourceInfo,
    track: &Track,
    params: &AudioCodecParameters,
    trims: &Trims,
) -> (u64, u64) {
    info.declared_frames = track.num_frames;
    if info.container == "caf" {
        let delay = u64::from(track.delay.unwrap_or(0));
        return (
            delay,
            info.declared_frames.filter(|_| track.padding.is_some()).unwrap_or(u64::MAX),
        );
    }
    let trim = trims.mp4.iter().find(|trim| trim.track == track.id);
    if let Some((delay, trim)) = trim.and_then(|trim| Some((trim.delay?, trim))) {
        let rate = params.sample_rate.unwrap_or(trim.timescale);
        let frames = |ticks: u64| {
            let frames = u128::from(ticks) * u128::from(rate) / u128::from(trim.timescale);
            u64::try_from(frames).unwrap_or(u64::MAX)
        };
        if trim.complex {
            info.warnings.push(Warning::Repaired {
                what: "the edit list has several parts; only the first one was used".to_owned(),
            });
        }
        info.declared_frames = trim.length.map(frames);
        return (frames(delay), info.declared_frames.unwrap_or(u64::MAX));
    }
    if params.codec == CODEC_ID_OPUS {
        info.declared_frames = None;
        return (opus_head(info, params).map_or(0, |head| head.pre_skip.into()), u64::MAX);
    }
    let trim = trims.matroska.iter().find(|trim| trim.track == track.id);
    if let Some(delay) = trim.and_then(|trim| trim.delay) {
        info.declared_frames = None;
        return (frames_of(delay, params.sample_rate.unwrap_or(0)), u64::MAX);
    }
    // What is left in, and what the container counts with it.
    let codec = match params.codec {
        CODEC_ID_AAC => "aac",
        CODEC_ID_MP3 => "mp3",
        _ => return (0, u64::MAX),
    };
    info.declared_frames = None;
    info.warnings.push(Warning::DelayUnknown { codec: codec.to_owned() });
    (0, u64::MAX)
}

/// Frames in a time of `nanoseconds`.
fn frames_of(nanoseconds: u64, rate: u32) -> u64 {
    let frames = u128::from(nanoseconds) * u128::from(rate);
    u64::try_from((frames + 500_000_000) / 1_000_000_000).unwrap_or(u64::MAX)
}

impl SymphoniaBackend {
    /// Decode one packet into `ready`; `false` at the end.
    fn decode(&mut self) -> Result<bool> {
        let packet = match self.format.next_packet() {
            Ok(Some(packet)) => packet,
            Ok(None) => return Ok(false),
            Err(SymphoniaError::IoError(e)) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
                return Ok(false);
            }
            Err(SymphoniaError::IoError(e)) => return Err(Error::io(&self.info.path, e)),
            Err(SymphoniaError::ResetRequired) => {
                self.reset()?;
                return Ok(true);
            }
            Err(SymphoniaError::DecodeError(reason)) => {
                self.info.warnings.push(Warning::Repaired {
                    what: format!("the container is damaged ({reason}); what follows was left out"),
                });
                return Ok(false);
            }
            Err(error) => return Err(describe(&self.info.path, &error)),
        };
        if packet.track_id == self.track {
            match self.decode_packet(&packet)? {
                Some(block) => self.push(block),
                None => self.push_damaged()?,
            }
        }
        Ok(true)
    }

    /// Decode a packet; `None` when it is damaged.
    fn decode_packet(&mut self, packet: &Packet) -> Result<Option<AudioBuf>> {
        let (spec, data) = match &mut self.decoder {
            Decoder::Opus(packets) => return Ok(packets.decode(&packet.data)),
            Decoder::Symphonia(decoder) => match decoder.decode(packet) {
                Ok(buffer) => {
                    let layout = layout_of_channels(buffer.spec().channels());
                    let spec = checked_spec(&self.info, buffer.spec().rate(), layout)?;
                    (spec, planar(&buffer))
                }
                Err(SymphoniaError::DecodeError(_) | SymphoniaError::IoError(_)) => {
                    return Ok(None);
                }
                Err(error) => return Err(describe(&self.info.path, &error)),
            },
        };
        AudioBuf::from_planar(spec, data).map(Some)
    }

    fn push(&mut self, block: AudioBuf) {
        self.damage.good();
        let spec = *self.spec.get_or_insert(block.spec());
        self.info.rate = spec.rate;
        self.info.layout = spec.layout;
        if block.rate() != spec.rate {
            let warning = Warning::Repaired {
                what: format!(
                    "a part at {} Hz in a file of {} Hz was left out",
                    block.rate(),
                    spec.rate
                ),
            };
            if !self.info.warnings.contains(&warning) {
                self.info.warnings.push(warning);
            }
            return;
        }
        if !block.is_empty() {
            self.last_frames = self.last_frames.max(block.frames() as u64);
            let ahead = std::mem::take(&mut self.damaged_ahead) * block.frames() as u64;
            if ahead > 0 {
                self.damage.lost(0, ahead);
                self.ready.push_back(AudioBuf::silence(spec, ahead as usize));
            }
            self.ready.push_back(relayout(block, spec.layout));
        }
    }

    /// Put silence in the place of a damaged packet.
    fn push_damaged(&mut self) -> Result<()> {
        let frames = self.last_frames;
        self.damage.bad(&self.info, frames)?;
        match self.spec {
            Some(spec) => self.ready.push_back(AudioBuf::silence(spec, frames as usize)),
            None => self.damaged_ahead += 1,
        }
        Ok(())
    }

    /// Another stream of a chain begins.
    fn reset(&mut self) -> Result<()> {
        let track = self.format.default_track(TrackType::Audio);
        let params = track.and_then(|track| Some((track.id, track.codec_params.as_ref()?)));
        let Some((id, CodecParameters::Audio(params))) = params else {
            return Err(Error::unreadable(&self.info.path, "a chained stream in it is no audio"));
        };
        self.track = id;
        self.info.declared_frames = None;
        let mut info = self.info.clone();
        self.decoder = make_decoder(&mut info, params)?;
        Ok(())
    }

    fn ready_frames(&self) -> u64 {
        self.ready.iter().map(|block| block.frames() as u64).sum()
    }

    /// Cut the padding off the last blocks.
    fn drop_padding(&mut self) {
        let mut left = self.held_back;
        while left > 0
            && let Some(block) = self.ready.pop_back()
        {
            let frames = block.frames() as u64;
            let cut = left.min(frames);
            left -= cut;
            self.info.trimmed_padding += cut;
            if cut < frames {
                self.ready.push_back(block.view().slice(0..(frames - cut) as usize).to_owned());
            }
        }
    }

    fn trim(&mut self, block: AudioBuf) -> AudioBuf {
        let frames = block.frames() as u64;
        let skip = self.skip_left.min(frames);
        let keep = self.keep_left.min(frames - skip);
        self.skip_left -= skip;
        if self.keep_left != u64::MAX {
            self.keep_left -= keep;
        }
        self.info.trimmed_delay += skip;
        self.info.trimmed_padding += frames - skip - keep;
        if keep == frames {
            block
        } else {
            block.view().slice(skip as usize..(skip + keep) as usize).to_owned()
        }
    }
}

impl Backend for SymphoniaBackend {
    fn info(&mut self) -> &mut SourceInfo {
        &mut self.info
    }

    fn next(&mut self) -> Result<Option<AudioBuf>> {
        loop {
            let Some(first) = self.ready.front().map(|block| block.frames() as u64) else {
                if self.decode()? {
                    continue;
                }
                self.damage.report(&mut self.info);
                return Ok(None);
            };
            // A block is handed out when the padding lies behind it.
            let behind = self.ready_frames() - first;
            if behind < self.held_back {
                if self.decode()? {
                    continue;
                }
                self.drop_padding();
                self.held_back = 0;
                continue;
            }
            if let Some(block) = self.ready.pop_front() {
                let block = self.trim(block);
                if !block.is_empty() {
                    return Ok(Some(block));
                }
            }
        }
    }
}
