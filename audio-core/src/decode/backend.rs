//! What every format reader offers to the block reader, and helpers that several of them share.

use std::collections::BTreeMap;

use symphonia::core::audio::{Channels, GenericAudioBufferRef, Position};
use symphonia::core::meta::{MetadataContainer, StandardTag};

use super::info::SourceInfo;
use super::options::{MAX_CHANNELS, MAX_CORRUPT_RUN, MAX_RATE};
use crate::buffer::{AudioBuf, AudioSpec};
use crate::error::{Error, Result};
use crate::layout::ChannelLayout;
use crate::warning::Warning;

/// One opened source of a known format.
pub(super) trait Backend: Send {
    /// What is known so far; complete after [`Backend::next`] has returned `None`.
    fn info(&mut self) -> &mut SourceInfo;

    /// The next samples, trimmed, of any length; `None` at the end.
    fn next(&mut self) -> Result<Option<AudioBuf>>;
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

/// The layout of a `WAVE_FORMAT_EXTENSIBLE` loudspeaker mask; without a usual meaning the channels
/// count as discrete.
pub(super) fn layout_of_mask(mask: u64, channels: u16) -> ChannelLayout {
    match (channels, mask) {
        (1, _) => ChannelLayout::Mono,
        (2, 0 | 0x3) => ChannelLayout::Stereo,
        (3, 0x7) => ChannelLayout::Surround3_0,
        (4, 0x33 | 0x603) => ChannelLayout::Quad,
        (5, 0x37 | 0x607) => ChannelLayout::Surround5_0,
        (6, 0x3f | 0x60f) => ChannelLayout::Surround5_1,
        (8, 0x63f) => ChannelLayout::Surround7_1,
        (n, _) => ChannelLayout::Discrete(n),
    }
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
            layout_of_mask(positions.bits(), count)
        }
        _ if count <= 2 => ChannelLayout::from_count(count),
        _ => ChannelLayout::Discrete(count),
    }
}

/// Copy the tags that formant knows into `tags`; the first value of each name stays.
pub(super) fn collect_tags(container: &MetadataContainer, tags: &mut BTreeMap<String, String>) {
    for tag in &container.tags {
        let (name, value) = match &tag.std {
            Some(StandardTag::TrackTitle(value)) => ("title", value),
            Some(StandardTag::Artist(value)) => ("artist", value),
            Some(StandardTag::Album(value)) => ("album", value),
            Some(StandardTag::Genre(value)) => ("genre", value),
            Some(StandardTag::Comment(value)) => ("comment", value),
            Some(StandardTag::ReleaseDate(value) | StandardTag::RecordingDate(value)) => {
                ("date", value)
            }
            Some(StandardTag::Encoder(value)) => ("encoder", value),
            _ => continue,
        };
        tags.entry(name.to_owned()).or_insert_with(|| value.to_string());
    }
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
