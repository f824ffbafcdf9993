//! What every format reader offers to the block reader, and helpers that several of them share.

use symphonia::core::audio::{Channels, GenericAudioBufferRef, Position};
use symphonia::core::meta::{MetadataContainer, RawValue, StandardTag};

use super::info::SourceInfo;
use super::options::{MAX_CHANNELS, MAX_CORRUPT_RUN, MAX_RATE, MIN_RATE};
use super::source::Source;
use crate::buffer::{AudioBuf, AudioSpec};
use crate::error::{Error, Result};
use crate::layout::ChannelLayout;
use crate::tags::Tags;
use crate::warning::Warning;

/// One opened source of a known format.
pub(super) trait Backend: Send {
    /// What is known so far; complete after [`Backend::next`] has returned `None`.
    fn info(&mut self) -> &mut SourceInfo;

    /// The next samples, trimmed, of any length; `None` at the end.
    fn next(&mut self) -> Result<Option<AudioBuf>>;

    /// Once [`Backend::next`] has returned `None`: what lies behind this recording and may be
    /// another one.
    fn rest(&mut self) -> Option<Source> {
        None
    }
}

/// Check rate and channel count of a header before anything is allocated for them.
pub(super) fn checked_spec(
    info: &SourceInfo,
    rate: u32,
    layout: ChannelLayout,
) -> Result<AudioSpec> {
    let channels = layout.count();
    if rate == 0 {
        return Err(Error::unreadable(
            &info.path,
            "the header gives a sample rate of zero; give the format with --raw",
        ));
    }
    if channels == 0 {
        return Err(Error::unreadable(
            &info.path,
            "the header gives zero channels; give the format with --raw",
        ));
    }
    if rate < MIN_RATE {
        return Err(Error::unreadable(
            &info.path,
            format!(
                "the header gives a sample rate of {rate} Hz, which no recording has (at least {MIN_RATE} Hz); give the format with --raw"
            ),
        ));
    }
    if rate > MAX_RATE {
        return Err(Error::Limit {
            path: info.path.clone(),
            what: "sample rate",
            found: rate.into(),
            limit: MAX_RATE.into(),
        });
    }
    if channels > usize::from(MAX_CHANNELS) {
        return Err(Error::Limit {
            path: info.path.clone(),
            what: "channel count",
            found: channels as u64,
            limit: MAX_CHANNELS.into(),
        });
    }
    Ok(AudioSpec { rate, layout })
}

/// Check the number of bits of a sample that a header gives.
pub(super) fn check_bits(info: &SourceInfo, bits: u32, expected: &[u32]) -> Result<()> {
    if expected.contains(&bits) {
        return Ok(());
    }
    let list: Vec<String> = expected.iter().map(u32::to_string).collect();
    let (last, others) = list.split_last().map_or(("", &[][..]), |(last, others)| (last, others));
    let expected = format!("{} or {last}", others.join(", "));
    Err(Error::unreadable(
        &info.path,
        format!(
            "the header gives {bits} bits a sample, and such a file has {expected}; give the format with --raw"
        ),
    ))
}

/// The layout of symphonia's channel description.
pub(super) fn layout_of_channels(channels: &Channels) -> ChannelLayout {
    let count = u16::try_from(channels.count()).unwrap_or(u16::MAX);
    match channels {
        Channels::Positioned(positions) => {
            let mono = Position::FRONT_LEFT | Position::FRONT_CENTER;
            if count == 1 && mono.contains(*positions) {
                return ChannelLayout::Mono;
            }
            ChannelLayout::from_mask(positions.bits(), count)
        }
        _ if count <= 2 => ChannelLayout::from_count(count),
        _ => ChannelLayout::Discrete(count),
    }
}

/// Copy the tags that formant knows into `tags`.
pub(super) fn collect_tags(container: &MetadataContainer, tags: &mut Tags) {
    for tag in &container.tags {
        let text = |value: &std::sync::Arc<String>| value.to_string();
        let (name, value) = match &tag.std {
            Some(StandardTag::TrackTitle(value)) => ("title", text(value)),
            Some(StandardTag::Artist(value)) => ("artist", text(value)),
            Some(StandardTag::AlbumArtist(value)) => ("album_artist", text(value)),
            Some(StandardTag::Composer(value)) => ("composer", text(value)),
            Some(StandardTag::Album(value)) => ("album", text(value)),
            Some(StandardTag::Genre(value)) => ("genre", text(value)),
            Some(StandardTag::Comment(value)) => ("comment", text(value)),
            Some(StandardTag::Copyright(value)) => ("copyright", text(value)),
            Some(StandardTag::IdentIsrc(value)) => ("isrc", text(value)),
            Some(StandardTag::ReleaseDate(value) | StandardTag::RecordingDate(value)) => {
                ("date", text(value))
            }
            Some(StandardTag::TrackNumber(number)) => ("track", number.to_string()),
            Some(StandardTag::DiscNumber(number)) => ("disc", number.to_string()),
            Some(StandardTag::Encoder(value)) => ("encoder", text(value)),
            Some(_) => continue,
            // A frame with several texts has no standard form, but its own name.
            None => {
                if let RawValue::StringList(values) = &tag.raw.value
                    && let Some(name) = text_frame(&tag.raw.key)
                {
                    values.iter().for_each(|value| tags.push(name, value));
                }
                continue;
            }
        };
        tags.push(name, &value);
    }
}

/// What a text frame of ID3v2 holds (ID3v2.4.0 native frames, section 4.2).
fn text_frame(key: &str) -> Option<&'static str> {
    Some(match key {
        "TIT2" => "title",
        "TPE1" => "artist",
        "TPE2" => "album_artist",
        "TCOM" => "composer",
        "TALB" => "album",
        "TCON" => "genre",
        "TCOP" => "copyright",
        "TRCK" => "track",
        _ => return None,
    })
}

/// Counts damaged packets and gives up when too many follow one another.
#[derive(Debug, Default)]
pub(super) struct Damage {
    count: u64,
    frames: u64,
    run: u64,
    first: Option<f64>, // in seconds
}

impl Damage {
    /// A packet was intact.
    pub(super) fn good(&mut self) {
        self.run = 0;
    }

    /// A packet was damaged and `frames` frames of silence took its place at a time in seconds.
    pub(super) fn bad(&mut self, info: &SourceInfo, at: f64, frames: u64) -> Result<()> {
        self.lost(at, 1, frames);
        self.run += 1;
        if self.run < MAX_CORRUPT_RUN {
            return Ok(());
        }
        Err(Error::unreadable(
            &info.path,
            format!("gave up after {MAX_CORRUPT_RUN} damaged packets in a row"),
        ))
    }

    /// Frames were lost between packets.
    pub(super) fn lost(&mut self, at: f64, packets: u64, frames: u64) {
        self.first.get_or_insert(at);
        self.count += packets;
        self.frames += frames;
    }

    /// Attach the warning, if there is anything to tell.
    pub(super) fn report(&self, info: &mut SourceInfo) {
        if self.count > 0 {
            let (count, frames, at) = (self.count, self.frames, self.first.unwrap_or(0.0));
            info.warnings.push(Warning::CorruptPackets { count, frames, at });
        }
    }
}

/// Time without packets, which became silence: told one by one up to a limit.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    told: usize,
    more: usize,
    seconds: f64, // of those that are not told one by one
}

impl Gaps {
    /// Gaps that are told one by one.
    const MAX_TOLD: usize = 16;

    /// A gap, in seconds of the output.
    pub(super) fn found(&mut self, info: &mut SourceInfo, start: f64, length: f64) {
        if self.told < Self::MAX_TOLD {
            self.told += 1;
            info.warnings.push(Warning::Gap { start, length });
        } else {
            self.more += 1;
            self.seconds += length;
        }
    }

    /// Attach the warning about the gaps that were not told, if there are any.
    pub(super) fn report(&self, info: &mut SourceInfo) {
        if self.more > 0 {
            let Self { more, seconds, .. } = self;
            let what = format!("{more} more gaps, {seconds:.3} s in all, were replaced by silence");
            info.warnings.push(Warning::Repaired { what });
        }
    }
}

/// Bytes that are no audio: told run by run, and together where there are many.
#[derive(Debug, Default)]
pub(super) struct Stray {
    told: usize,
    runs: u64,
    bytes: u64,
}

impl Stray {
    /// Runs that are told one by one.
    const MAX_TOLD: usize = 16;

    /// A run of bytes behind what was decoded so far.
    pub(super) fn found(&mut self, info: &mut SourceInfo, bytes: u64) {
        if self.told == Self::MAX_TOLD {
            self.runs += 1;
            self.bytes += bytes;
            return;
        }
        self.told += 1;
        let what = match bytes {
            1 => "a byte",
            bytes => &format!("{bytes} bytes"),
        };
        let at = info.seconds();
        let what = format!("{what} at {at:.3} s, no audio, left out");
        info.warnings.push(Warning::Repaired { what });
    }

    /// Attach the warning about the runs that were not told, if there are any.
    pub(super) fn report(&self, info: &mut SourceInfo) {
        if self.runs > 0 {
            let (runs, bytes) = (self.runs, self.bytes);
            let what = format!("{bytes} bytes in {runs} more places, no audio, left out");
            info.warnings.push(Warning::Repaired { what });
        }
    }
}

/// The samples of a decoded buffer, `[channels, frames]`.
pub(super) fn planar(buffer: &GenericAudioBufferRef<'_>) -> Vec<f32> {
    let frames = buffer.frames();
    let mut data = vec![0.0; frames * buffer.num_planes()];
    if frames > 0 {
        let mut planes: Vec<&mut [f32]> = data.chunks_exact_mut(frames).collect();
        buffer.copy_to_slice_planar(&mut planes);
    }
    data
}

/// Bring a block of a joined stream to the channels of the first stream.
pub(super) fn relayout(block: AudioBuf, layout: ChannelLayout) -> AudioBuf {
    if block.spec().layout == layout {
        return block;
    }
    let mono = block.view().to_mono();
    let spec = AudioSpec { rate: block.rate(), layout };
    let mut out = AudioBuf::silence(spec, block.frames());
    for channel in 0..spec.channels() {
        out.channel_mut(channel).copy_from_slice(&mono);
    }
    out
}
