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
}

impl Damage {
    /// A packet was intact.
    pub(super) fn good(&mut self) {
        self.run = 0;
    }

    /// A packet was damaged and `frames` frames of silence took its place.
    pub(super) fn bad(&mut self, info: &SourceInfo, frames: u64) -> Result<()> {
        self.count += 1;
        self.frames += frames;
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
    pub(super) fn lost(&mut self, packets: u64, frames: u64) {
        self.count += packets;
        self.frames += frames;
    }

    /// Attach the warning, if there is anything to tell.
    pub(super) fn report(&self, info: &mut SourceInfo) {
        if self.count > 0 {
            info.warnings.push(Warning::CorruptPackets { count: self.count, frames: self.frames });
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
