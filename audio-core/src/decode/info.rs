//! What is known about a decoded source: format, promised and found length, repairs.

use std::path::PathBuf;

use serde::Serialize;

use crate::layout::ChannelLayout;
use crate::tags::Tags;
use crate::warning::Warning;

/// One of several audio tracks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TrackInfo {
    /// Its number among the audio tracks, from 1.
    pub number: usize,
    /// Its codec.
    pub codec: String,
    /// Its language as the container writes it, such as `eng`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Whether the container marks it as one to play by default.
    pub default: bool,
    /// Whether it is the one that is read.
    pub taken: bool,
}

fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

/// Where decoded audio came from and what happened on the way.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SourceInfo {
    /// The file, or the name given for a stream (`-` for standard input).
    pub path: PathBuf,
    /// Container format, such as `wav`, `rf64`, `ogg`, `mp4`.
    pub container: String,
    /// Codec, such as `pcm`, `flac`, `mp3`, `opus`.
    pub codec: String,
    /// Significant bits of a sample, where the codec has such a number.
    pub bits_per_sample: Option<u32>,
    /// Bits that a sample occupies in the file, where samples are stored one by one.
    pub container_bits: Option<u32>,
    /// Whether the file stores floating-point numbers.
    pub float: bool,
    /// Sample rate in Hz.
    pub rate: u32,
    /// Channel layout.
    pub layout: ChannelLayout,
    /// Frames that the header promises, after trimming; `None` when it makes no promise.
    pub declared_frames: Option<u64>,
    /// Frames that were decoded, after trimming.
    pub found_frames: u64,
    /// Encoder delay that was cut off the start, in frames.
    pub trimmed_delay: u64,
    /// Encoder padding that was cut off the end, in frames.
    pub trimmed_padding: u64,
    /// Where the first sample lies on the clock of the file, in seconds: positive where the audio
    /// begins later than the file does, negative where it begins before its zero.
    #[serde(skip_serializing_if = "is_zero")]
    pub start: f64,
    /// The audio tracks, where the container tells of more than one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tracks: Vec<TrackInfo>,
    /// Title, artist and the like.
    pub tags: Tags,
    /// What was odd about the input.
    pub warnings: Vec<Warning>,
}

impl SourceInfo {
    /// An otherwise empty description of `container` and `codec`.
    pub(super) fn new(path: PathBuf, container: &str, codec: &str) -> Self {
        Self {
            path,
            container: container.to_owned(),
            codec: codec.to_owned(),
            bits_per_sample: None,
            container_bits: None,
            float: false,
            rate: 0,
            layout: ChannelLayout::Mono,
            declared_frames: None,
            found_frames: 0,
            trimmed_delay: 0,
            trimmed_padding: 0,
            start: 0.0,
            tracks: Vec::new(),
            tags: Tags::default(),
            warnings: Vec::new(),
        }
    }

    /// Length of what was decoded so far, in seconds.
    pub(super) fn seconds(&self) -> f64 {
        self.found_frames as f64 / f64::from(self.rate.max(1))
    }
}
