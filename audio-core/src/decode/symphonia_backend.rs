//! What symphonia unpacks: Vorbis, AAC, ALAC, AIFF, CAF, MP4, Matroska, and so on.
//!
//! Symphonia decodes all of them but Opus, which [`super::opus`] does, and FLAC, which
//! [`super::flac`] checks. Delay and padding that symphonia leaves in place are cut off here, gaps
//! between packets are filled, and of several tracks one is chosen.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

use symphonia::core::audio::Channels;
use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::well_known::{
    CODEC_ID_AAC, CODEC_ID_FLAC, CODEC_ID_MP3, CODEC_ID_OPUS, CODEC_ID_PCM_F32BE,
    CODEC_ID_PCM_F32LE, CODEC_ID_PCM_F64BE, CODEC_ID_PCM_F64LE, CODEC_ID_PCM_S24BE,
    CODEC_ID_PCM_S24LE, CODEC_ID_PCM_S32BE, CODEC_ID_PCM_S32LE, CODEC_ID_PCM_U8,
};
use symphonia::core::codecs::audio::{
    AudioCodecId, AudioCodecParameters, AudioDecoder, AudioDecoderOptions,
};
use symphonia::core::errors::Error as SymphoniaError;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, Track, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;
use symphonia::core::packet::Packet;
use symphonia::core::units::TimeBase;
use symphonia::default::formats::IsoMp4Reader;

use super::backend::{
    Backend, Damage, Gaps, checked_spec, collect_tags, layout_of_channels, planar, relayout,
};
use super::flac::FlacTrack;
use super::info::{SourceInfo, TrackInfo};
use super::options::DecodeOptions;
use super::opus::{OpusHead, OpusPackets};
use super::outline::{NANOS, Outline, TrackOutline};
use super::source::Source;
use super::timeline::Timeline;
use super::{matroska, mp4, names};
use crate::buffer::{AudioBuf, AudioSpec};
use crate::error::{Error, Result};
use crate::layout::ChannelLayout;
use crate::warning::Warning;

/// What is said of AAC that symphonia does not decode.
pub(super) const AAC_LIMITS: &str = "its AAC is of a kind that formant does not decode (HE-AAC, more than two \
     channels, or another profile than LC); convert it to FLAC or AAC-LC with the program that made it";

/// More sample entries of a track are not looked at.
const MAX_ENTRIES: usize = 16;
/// The most padding, in nanoseconds, that is cut off; no encoder makes more.
const MAX_PADDING: u64 = NANOS;

/// Turns packets into samples.
enum Decoder {
    Symphonia(Box<dyn AudioDecoder>),
    Opus(Box<OpusPackets>),
    Flac(Box<FlacTrack>),
}

/// Decodes one audio track.
struct SymphoniaBackend {
    format: Box<dyn FormatReader>,
    decoder: Decoder,
    track: u32,
    time_base: Option<TimeBase>,
    timeline: Option<Timeline>,
    shifts: Vec<(u64, i64)>, // nanoseconds by which packets are late, from ticks on
    /// From which tick on the track is coded in another way; none where that can't be read.
    changes: VecDeque<(u64, Option<AudioCodecParameters>)>,
    gaps: Gaps,
    info: SourceInfo,
    spec: Option<AudioSpec>,
    ready: VecDeque<AudioBuf>,
    skip_left: u64,
    keep_left: u64,
    held_back: u64, // frames at the very end that are padding
    damage: Damage,
    damaged_ahead: u64, // packets before the first intact one, whose length is not known yet
    last_frames: u64,
    queued: u64,  // frames that were put into `ready`
    emitted: u64, // frames that were handed out
    rest: Option<Source>,
}

/// Open any source that symphonia recognises and that holds one track.
pub(super) fn open(source: Source, path: PathBuf) -> Result<Box<dyn Backend>> {
    open_track(source, path, None, unpack).map(|backend| Box::new(backend) as Box<dyn Backend>)
}

/// Open a file of one track with other sizes in its headers than it has.
pub(super) fn open_patched(
    source: &Source,
    path: PathBuf,
    outline: &Outline,
) -> Result<Box<dyn Backend>> {
    let part = outline.show(source).map_err(|e| Error::io(&path, e))?;
    let mut backend = open_track(part, path, None, unpack)?;
    backend.follow(outline, source)?;
    Ok(Box::new(backend))
}

/// Open an MP4 file; from a stream it is first copied to a temporary file, because its index may
/// come last.
pub(super) fn open_mp4(
    source: Source,
    path: PathBuf,
    options: &DecodeOptions,
) -> Result<Box<dyn Backend>> {
    let mut source = source.spool().map_err(|e| Error::io(&path, e))?;
    let (movie, outline) = mp4::read(&mut source).map_err(|e| Error::io(&path, e))?;
    if movie.is_missing() {
        return Err(Error::unreadable(
            &path,
            "it has no movie box (`moov`): it was cut off, or is a segment that has to stand behind its initialization segment",
        ));
    }
    let prepare = |source: &mut Source, track: &TrackOutline, entry| {
        movie.show_only(source, track.id, entry);
    };
    open_outlined(&source, path, &outline, options, unpack_mp4, prepare)
}

/// Open a Matroska or WebM file; from a stream it is first copied to a temporary file, because what
/// belongs to the end is said at the end.
pub(super) fn open_matroska(
    source: Source,
    path: PathBuf,
    options: &DecodeOptions,
) -> Result<Box<dyn Backend>> {
    let mut source = source.spool().map_err(|e| Error::io(&path, e))?;
    let outline = matroska::read(&mut source).map_err(|e| Error::io(&path, e))?;
    open_outlined(&source, path, &outline, options, unpack, |_, _, _| {})
}

/// How a container is unpacked.
type Unpack = fn(Source) -> std::result::Result<Box<dyn FormatReader>, SymphoniaError>;

/// Find out which container it is.
fn unpack(source: Source) -> std::result::Result<Box<dyn FormatReader>, SymphoniaError> {
    let stream = MediaSourceStream::new(Box::new(source), Default::default());
    symphonia::default::get_probe().probe(
        &Hint::new(),
        stream,
        FormatOptions::default(),
        MetadataOptions::default(),
    )
}

/// MP4, whatever its first box is.
fn unpack_mp4(source: Source) -> std::result::Result<Box<dyn FormatReader>, SymphoniaError> {
    let stream = MediaSourceStream::new(Box::new(source), Default::default());
    Ok(Box::new(IsoMp4Reader::try_new(stream, FormatOptions::default())?))
}

/// Open the best track that can be read of those that the container tells of.
fn open_outlined(
    source: &Source,
    path: PathBuf,
    outline: &Outline,
    options: &DecodeOptions,
    unpack: Unpack,
    prepare: impl Fn(&mut Source, &TrackOutline, usize),
) -> Result<Box<dyn Backend>> {
    let io_error = |e| Error::io(&path, e);
    if outline.tracks.is_empty() {
        return open(outline.show(source).map_err(io_error)?, path);
    }
    let candidates = outline.candidates(options.track.as_ref());
    let candidates = candidates.map_err(|reason| Error::unreadable(&path, reason))?;
    let mut failed: Vec<(usize, Error)> = Vec::new();
    for &at in &candidates {
        let track = &outline.tracks[at];
        let part = |entry| {
            let mut part = outline.show(source).map_err(io_error)?;
            prepare(&mut part, track, entry);
            Ok(part)
        };
        match open_track(part(track.entry)?, path.clone(), Some(track), unpack) {
            Ok(mut backend) => {
                let mut known = BTreeMap::new();
                for &(tick, entry) in &track.changes {
                    if !known.contains_key(&entry) && known.len() < MAX_ENTRIES {
                        let format = unpack(part(entry)?).ok();
                        known
                            .insert(entry, format.and_then(|format| params_of(&*format, track.id)));
                    }
                    backend.changes.push_back((tick, known.get(&entry).cloned().flatten()));
                }
                backend.follow(outline, source)?;
                let before: Vec<usize> = failed.iter().map(|(at, _)| *at).collect();
                tell_tracks(&mut backend.info, outline, at, &before, options);
                return Ok(Box::new(backend));
            }
            Err(error @ Error::Io { .. }) => return Err(error),
            Err(error) => failed.push((at, error)),
        }
    }
    match failed.len() {
        0 | 1 => Err(failed.pop().map_or_else(
            || Error::unreadable(&path, "there is no audio track in it"),
            |(_, error)| error,
        )),
        _ => {
            let codecs: Vec<&str> =
                failed.iter().map(|(at, _)| outline.tracks[*at].codec.as_str()).collect();
            Err(names::refuse(&path, &format!("audio tracks of {}", codecs.join(", "))))
        }
    }
}

/// Note which of several tracks was taken, and why.
pub(super) fn tell_tracks(
    info: &mut SourceInfo,
    outline: &Outline,
    taken: usize,
    failed: &[usize],
    options: &DecodeOptions,
) {
    let count = outline.tracks.len();
    if count < 2 {
        return;
    }
    let list = outline.tracks.iter().enumerate().map(|(at, track)| TrackInfo {
        number: at + 1,
        codec: track.codec.clone(),
        language: track.language.clone(),
        default: track.default,
        taken: at == taken,
    });
    info.tracks = list.collect();
    if options.track.is_some() {
        return;
    }
    let track = &outline.tracks[taken];
    let language = track.language.as_deref().map(|name| format!(", {name}")).unwrap_or_default();
    let defaults = outline.tracks.iter().filter(|track| track.default).count();
    let why = match failed {
        [] if track.default && defaults == 1 => "the file's default".to_owned(),
        [] => "the first one".to_owned(),
        failed => {
            let before: Vec<String> = failed
                .iter()
                .map(|at| format!("{} ({})", at + 1, outline.tracks[*at].codec))
                .collect();
            format!("track {} can't be read", before.join(", "))
        }
    };
    let what = format!("{}{language}; {why}", track.codec);
    info.warnings.push(Warning::Track { number: taken + 1, of: count, what });
}

/// Open one track up to its first intact packet.
fn open_track(
    source: Source,
    path: PathBuf,
    outline: Option<&TrackOutline>,
    unpack: Unpack,
) -> Result<SymphoniaBackend> {
    if let Some(outline) = outline.filter(|track| names::is_foreign(&track.codec)) {
        return Err(names::refuse(&path, &outline.codec));
    }
    let mut format = unpack(source).map_err(|error| describe(&path, &error))?;
    let container = format.format_info().short_name;
    let container = if container == "isomp4" { "mp4" } else { container };
    let mut info = SourceInfo::new(path.clone(), container, "");
    if let Some(revision) = format.metadata().skip_to_latest() {
        collect_tags(&revision.media, &mut info.tags);
    }
    let track = match outline {
        Some(outline) => format.tracks().iter().find(|track| track.id == outline.id),
        None => format.default_track(TrackType::Audio),
    };
    let params = track.and_then(|track| Some((track, audio_params(track, outline)?)));
    let Some((track, params)) = params else {
        return Err(match outline {
            Some(outline) => names::refuse(&path, &outline.codec),
            None => Error::unreadable(&path, "there is no audio track of a known codec in it"),
        });
    };
    let decoder = make_decoder(&mut info, &params)?;
    let codec = params.codec;
    let counted = (track.num_frames, track.delay, track.padding);
    let pre_skip = if codec == CODEC_ID_OPUS {
        opus_head(&info, &params).map_or(0, |head| head.pre_skip.into())
    } else {
        0
    };
    let (track, time_base) = (track.id, track.time_base);
    let mut backend = SymphoniaBackend {
        format,
        decoder,
        track,
        time_base,
        timeline: outline.map(|outline| Timeline::new(outline.end, outline.step)),
        shifts: outline.map(|outline| outline.shifts.clone()).unwrap_or_default(),
        changes: VecDeque::new(),
        gaps: Gaps::default(),
        info,
        spec: None,
        ready: VecDeque::new(),
        skip_left: 0,
        keep_left: u64::MAX,
        held_back: 0,
        damage: Damage::default(),
        damaged_ahead: 0,
        last_frames: 0,
        queued: 0,
        emitted: 0,
        rest: None,
    };
    while backend.spec.is_none() && backend.decode()? {}
    let Some(spec) = backend.spec else {
        let reason = match backend.damaged_ahead {
            0 => "it has a header but no audio".to_owned(),
            count => format!("none of its {count} packets could be decoded"),
        };
        return Err(Error::unreadable(&path, reason));
    };
    // The decoded blocks tell the rate; what the container claims may be anything.
    backend.info.declared_frames = counted.0;
    if backend.info.container == "caf" {
        backend.skip_left = counted.1.unwrap_or(0).into();
        if counted.2.is_some() {
            backend.keep_left = counted.0.unwrap_or(u64::MAX);
        }
        return Ok(backend);
    }
    let (delay, length) = match outline {
        Some(outline) => {
            backend.info.start = outline.start as f64 / NANOS as f64;
            backend.held_back = frames_of(outline.padding.min(MAX_PADDING), spec.rate);
            if let Some(what) = outline.repaired.clone() {
                backend.info.warnings.push(Warning::Repaired { what });
            }
            if outline.complex {
                backend.info.warnings.push(Warning::Repaired {
                    what: "the edit list has several parts; only the first one was used".to_owned(),
                });
            }
            (outline.delay, outline.length)
        }
        None => (None, None),
    };
    if let Some(delay) = delay {
        backend.skip_left = frames_of(delay, spec.rate);
        backend.info.declared_frames = length.map(|length| frames_of(length, spec.rate));
        backend.keep_left = backend.info.declared_frames.unwrap_or(u64::MAX);
    } else if codec == CODEC_ID_OPUS {
        backend.info.declared_frames = None;
        backend.skip_left = pre_skip;
    } else if matches!(codec, CODEC_ID_AAC | CODEC_ID_MP3) {
        // What is left in, and what the container counts with it.
        backend.info.declared_frames = None;
        let codec = if codec == CODEC_ID_AAC { "aac" } else { "mp3" }.to_owned();
        backend.info.warnings.push(Warning::DelayUnknown { codec });
    }
    Ok(backend)
}

/// How a track is coded, where symphonia's word for it is not the last.
fn audio_params(track: &Track, outline: Option<&TrackOutline>) -> Option<AudioCodecParameters> {
    const ORDERS: [(AudioCodecId, AudioCodecId); 4] = [
        (CODEC_ID_PCM_S24LE, CODEC_ID_PCM_S24BE),
        (CODEC_ID_PCM_S32LE, CODEC_ID_PCM_S32BE),
        (CODEC_ID_PCM_F32LE, CODEC_ID_PCM_F32BE),
        (CODEC_ID_PCM_F64LE, CODEC_ID_PCM_F64BE),
    ];
    let Some(CodecParameters::Audio(params)) = &track.codec_params else {
        let (rate, channels) = outline?.unsigned_bytes.filter(|_| track.codec_params.is_none())?;
        let mut params = AudioCodecParameters::new();
        params
            .for_codec(CODEC_ID_PCM_U8)
            .with_sample_rate(rate)
            .with_channels(Channels::Discrete(channels))
            .with_bits_per_sample(8);
        return Some(params);
    };
    let mut params = params.clone();
    if outline.is_some_and(|outline| outline.big_endian)
        && let Some((_, big)) = ORDERS.iter().find(|(little, _)| *little == params.codec)
    {
        params.codec = *big;
    }
    Some(params)
}

/// How a track is coded.
fn params_of(format: &dyn FormatReader, track: u32) -> Option<AudioCodecParameters> {
    let track = format.tracks().iter().find(|found| found.id == track)?;
    match track.codec_params.as_ref()? {
        CodecParameters::Audio(params) => Some(params.clone()),
        _ => None,
    }
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
    let unreadable = |info: &SourceInfo, reason: String| Error::unreadable(&info.path, reason);
    match params.codec {
        CODEC_ID_OPUS => {
            info.codec = "opus".to_owned();
            let head = opus_head(info, params).map_err(|reason| unreadable(info, reason))?;
            let packets = OpusPackets::new(&head).map_err(|reason| unreadable(info, reason))?;
            return Ok(Decoder::Opus(Box::new(packets)));
        }
        CODEC_ID_FLAC => {
            info.codec = "flac".to_owned();
            let head = params.extra_data.as_deref().unwrap_or_default();
            let track = FlacTrack::new(head, None).map_err(|reason| unreadable(info, reason))?;
            checked_spec(info, track.spec().rate, track.spec().layout)?;
            info.bits_per_sample = Some(track.bits());
            return Ok(Decoder::Flac(Box::new(track)));
        }
        _ => {}
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
        info.bits_per_sample = params.bits_per_sample;
        info.container_bits = params.bits_per_coded_sample.or(params.bits_per_sample);
    } else {
        info.codec = name.to_owned();
        if name == "alac" {
            // Of lossy codecs the number means nothing.
            // The decoder's own header has it: frame length, version, then the bits.
            let header = params.extra_data.as_deref().unwrap_or_default();
            let found = header.get(5).map(|&bits| u32::from(bits)).filter(|&bits| bits != 0);
            info.bits_per_sample = params.bits_per_sample.or(found);
        }
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

/// Frames in a time of `nanoseconds`.
pub(super) fn frames_of(nanoseconds: u64, rate: u32) -> u64 {
    let frames = u128::from(nanoseconds) * u128::from(rate);
    u64::try_from((frames + 500_000_000) / 1_000_000_000).unwrap_or(u64::MAX)
}

impl SymphoniaBackend {
    /// Take over what is known of the whole file.
    fn follow(&mut self, outline: &Outline, source: &Source) -> Result<()> {
        if let Some(end) = outline.end {
            let rest = source.section(end, u64::MAX);
            self.rest = Some(rest.map_err(|e| Error::io(&self.info.path, e))?);
        }
        if outline.cut {
            let what = "the file is cut off: it ends before the end that its header tells";
            self.info.warnings.push(Warning::Repaired { what: what.to_owned() });
        }
        if !outline.tags.is_empty() {
            self.info.tags = outline.tags.clone();
        }
        Ok(())
    }

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
            if !self.follow_change(&packet) {
                return Ok(false);
            }
            self.fill_gap(&packet);
            match self.decode_packet(&packet)? {
                Some(block) => self.push(block),
                None => self.push_damaged()?,
            }
        }
        Ok(true)
    }

    /// Go on with the sample entry that a packet has; `false` where it can't be read.
    fn follow_change(&mut self, packet: &Packet) -> bool {
        let here = u64::try_from(packet.pts.get()).unwrap_or(0);
        let mut last = None;
        while self.changes.front().is_some_and(|(tick, _)| *tick <= here) {
            last = self.changes.pop_front();
        }
        let Some((_, params)) = last else { return true };
        let mut info = self.info.clone();
        if let Some(decoder) = params.and_then(|params| make_decoder(&mut info, &params).ok()) {
            self.decoder = decoder;
            return true;
        }
        let at = self.here();
        self.info.warnings.push(Warning::Repaired {
            what: format!(
                "from {at:.3} s on the track has another sample entry, which can't be read; the rest was left out"
            ),
        });
        false
    }

    /// Put silence where the container's clock runs ahead of the samples.
    fn fill_gap(&mut self, packet: &Packet) {
        let time = self.time_base.and_then(|base| base.calc_time(packet.pts));
        let (Some(time), Some(timeline)) = (time, &mut self.timeline) else { return };
        let rate = self.info.rate;
        let tick = u64::try_from(packet.pts.get()).unwrap_or(0);
        let late = self.shifts.partition_point(|(from, _)| *from <= tick);
        let late = late.checked_sub(1).map_or(0, |at| self.shifts[at].1);
        let time = i64::try_from(time.as_nanos()).unwrap_or(i64::MAX).saturating_add(late);
        let missing = timeline.missing(time, rate);
        if let Some((step, length)) = timeline.wrong_clock() {
            self.timeline = None;
            let seconds = |nanos: u64| nanos as f64 / NANOS as f64;
            let (step, length) = (seconds(step), seconds(length));
            let what = format!(
                "the times of its packets can't be: {step:.3} s from one to the next, each of which lasts {length:.3} s; they were not followed"
            );
            self.info.warnings.push(Warning::Repaired { what });
            return;
        }
        let Some(spec) = self.spec.filter(|_| missing > 0) else { return };
        timeline.silence(missing);
        if let Decoder::Flac(track) = &mut self.decoder {
            track.skip(missing);
        }
        let (start, length) = (self.here(), missing as f64 / f64::from(spec.rate));
        self.gaps.found(&mut self.info, start, length);
        self.push_silence(spec, missing);
    }

    /// Where what is decoded next lies in the output, in seconds.
    fn here(&self) -> f64 {
        let frames = self.queued.saturating_sub(self.info.trimmed_delay + self.skip_left);
        frames as f64 / f64::from(self.info.rate.max(1))
    }

    fn push_silence(&mut self, spec: AudioSpec, frames: u64) {
        let mut left = frames;
        while left > 0 {
            let frames = left.min(spec.rate.into());
            self.ready.push_back(AudioBuf::silence(spec, frames as usize));
            left -= frames;
        }
        self.queued += frames;
    }

    /// Decode a packet; `None` when it is damaged.
    fn decode_packet(&mut self, packet: &Packet) -> Result<Option<AudioBuf>> {
        let here = self.here();
        let (spec, data) = match &mut self.decoder {
            Decoder::Opus(packets) => return Ok(packets.decode(&packet.data)),
            Decoder::Flac(track) => {
                let decoded = track.decode(&packet.data);
                if decoded.frames > 0 {
                    self.last_frames = decoded.frames;
                }
                let spec = track.spec();
                if self.spec.is_some() && decoded.lost > 0 {
                    self.damage.lost(
                        here,
                        decoded.lost.div_ceil(decoded.frames.max(1)),
                        decoded.lost,
                    );
                    self.push_silence(spec, decoded.lost);
                    if let Some(timeline) = &mut self.timeline {
                        timeline.silence(decoded.lost);
                    }
                }
                return Ok(decoded.block);
            }
            Decoder::Symphonia(decoder) => match decoder.decode(packet) {
                Ok(buffer) => {
                    let mut layout = layout_of_channels(buffer.spec().channels());
                    if self.info.codec == "vorbis" {
                        // The codec's order tells no back from side channels.
                        layout = ChannelLayout::from_count(layout.count() as u16);
                    }
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
        if block.is_empty() {
            return;
        }
        let spec = *self.spec.get_or_insert(block.spec());
        self.info.rate = spec.rate;
        self.info.layout = spec.layout;
        if block.rate() != spec.rate {
            let told = format!("at {} Hz in a file of {} Hz was left out", block.rate(), spec.rate);
            let known = |warning: &Warning| matches!(warning, Warning::Repaired { what } if what.ends_with(&told));
            if !self.info.warnings.iter().any(known) {
                let at = self.queued as f64 / f64::from(spec.rate);
                let what = format!("a part from {at:.3} s on {told}");
                self.info.warnings.push(Warning::Repaired { what });
            }
            return;
        }
        let frames = block.frames() as u64;
        self.last_frames = self.last_frames.max(frames);
        let ahead = std::mem::take(&mut self.damaged_ahead) * frames;
        if ahead > 0 {
            self.damage.lost(0.0, 0, ahead);
            self.push_silence(spec, ahead);
        }
        self.ready.push_back(relayout(block, spec.layout));
        self.queued += frames;
        if let Some(timeline) = &mut self.timeline {
            timeline.silence(ahead);
            timeline.packet(frames);
        }
    }

    /// Put silence in the place of a damaged packet.
    fn push_damaged(&mut self) -> Result<()> {
        let frames = if self.spec.is_some() { self.last_frames } else { 0 };
        self.damage.bad(&self.info, self.here(), frames)?;
        match self.spec {
            Some(spec) => {
                self.push_silence(spec, frames);
                if let Some(timeline) = &mut self.timeline {
                    timeline.packet(frames);
                }
            }
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

    /// The end, with what there is to tell.
    fn finish(&mut self) -> Result<Option<AudioBuf>> {
        if self.emitted == 0 && self.queued > 0 {
            return Err(Error::unreadable(
                &self.info.path,
                format!(
                    "of its {} decoded frames the container's trimming leaves none; its header is damaged",
                    self.queued
                ),
            ));
        }
        std::mem::take(&mut self.gaps).report(&mut self.info);
        if let Decoder::Flac(track) = &self.decoder
            && !track.is_whole()
            && !self.info.warnings.contains(&Warning::Checksum)
        {
            self.info.warnings.push(Warning::Checksum);
        }
        std::mem::take(&mut self.damage).report(&mut self.info);
        Ok(None)
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
                return self.finish();
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
                self.emitted += block.frames() as u64;
                if !block.is_empty() {
                    return Ok(Some(block));
                }
            }
        }
    }

    fn rest(&mut self) -> Option<Source> {
        self.rest.take()
    }
}
