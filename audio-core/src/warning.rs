//! What a caller should be told although the work was done. Libraries return these and never
//! print them.

use serde::{Deserialize, Serialize};

/// Something odd about an input or an output that did not stop the work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Warning {
    /// The header promises another number of frames than the data holds.
    FrameCount {
        /// Frames that the header declares.
        declared: u64,
        /// Frames that were decoded.
        found: u64,
    },
    /// The encoder's delay and padding are unknown, so that the signal may start late and end late.
    DelayUnknown {
        /// The codec's name.
        codec: String,
    },
    /// Damaged packets were replaced by silence of the same length.
    CorruptPackets {
        /// Number of packets.
        count: u64,
        /// Frames of silence put in their place.
        frames: u64,
        /// Where the first of them is in the output, in seconds.
        at: f64,
    },
    /// NaN or infinite samples were replaced by zero, and absurdly large ones were limited.
    NonFinite {
        /// Number of samples.
        count: u64,
    },
    /// Samples beyond full scale were limited when writing integers.
    Clipped {
        /// Number of samples.
        count: u64,
        /// The largest absolute sample value before limiting.
        peak: f32,
    },
    /// All outputs were scaled by one gain to stay within full scale.
    Scaled {
        /// The linear gain.
        gain: f32,
    },
    /// Time without packets in the middle of a recording became silence.
    Gap {
        /// Where the silence begins in the output, in seconds.
        start: f64,
        /// Its length in seconds.
        length: f64,
    },
    /// Another recording follows in the same file and was read as well.
    Joined {
        /// Where it begins in the output, in seconds.
        at: f64,
    },
    /// The checksum of the whole does not fit what was decoded.
    Checksum,
    /// Of several audio tracks one was taken. This is a note: nothing is wrong with the input.
    Track {
        /// Its number, from 1.
        number: usize,
        /// How many audio tracks there are.
        of: usize,
        /// What it is, and why it was taken.
        what: String,
    },
    /// Channels cancel in the mono mix; the louder channel was used instead.
    ChannelsCancel {
        /// The channel that was used, from 1.
        channel: usize,
    },
    /// Channels cancel in the mono mix, which was asked for and is used as it is.
    MixCancels,
    /// The only sound is in the channel for low frequencies, which no mono mix contains. This is a
    /// note.
    OnlyLfe {
        /// Its number, from 1.
        channel: usize,
    },
    /// A header was repaired.
    Repaired {
        /// What was wrong and what was assumed.
        what: String,
    },
}

impl Warning {
    /// The warning of a part of a recording that begins at `offset` seconds.
    pub(crate) fn later(mut self, offset: f64) -> Self {
        if let Self::CorruptPackets { at, .. } | Self::Gap { start: at, .. } | Self::Joined { at } =
            &mut self
        {
            *at += offset;
        }
        self
    }

    /// Whether this only tells what was chosen, so that strict reading goes on.
    #[must_use]
    pub fn is_note(&self) -> bool {
        matches!(self, Self::Track { .. } | Self::OnlyLfe { .. })
    }
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::FrameCount { declared, found } => {
                write!(f, "the header promises {declared} frames, {found} were found")
            }
            Self::DelayUnknown { codec } => write!(
                f,
                "the {codec} encoder's delay and padding are unknown; the start may be late by up to two packets"
            ),
            Self::CorruptPackets { count: 1, frames, at } => write!(
                f,
                "a damaged packet at {at:.3} s was replaced by {frames} frames of silence"
            ),
            Self::CorruptPackets { count, frames, at } => write!(
                f,
                "{count} damaged packets, the first at {at:.3} s, were replaced by {frames} frames of silence"
            ),
            Self::NonFinite { count } => {
                write!(
                    f,
                    "{count} samples were not finite numbers in a sane range and were replaced"
                )
            }
            Self::Clipped { count, peak } => {
                write!(f, "{count} samples beyond full scale were clipped (peak {peak:.3})")
            }
            Self::Scaled { gain } => {
                write!(f, "all outputs were scaled by {gain:.4} to avoid clipping")
            }
            Self::Gap { start, length } => {
                write!(f, "{length:.3} s are missing at {start:.3} s and were replaced by silence")
            }
            Self::Joined { at } => {
                write!(
                    f,
                    "another recording begins at {at:.3} s in the same file and was read as well"
                )
            }
            Self::Checksum => {
                f.write_str("the checksum (MD5) of the whole does not fit the decoded samples")
            }
            Self::Track { number, of, what } => {
                write!(f, "track {number} of {of} audio tracks was taken: {what}")
            }
            Self::ChannelsCancel { channel } => write!(
                f,
                "the channels cancel each other in the mono mix; channel {channel} was used instead"
            ),
            Self::MixCancels => f.write_str(
                "the channels cancel each other in the mono mix, which is silent or nearly so; choose one of them with --channels",
            ),
            Self::OnlyLfe { channel } => write!(
                f,
                "the only sound is in channel {channel} (LFE), which the mono mix leaves out; choose that channel to use it"
            ),
            Self::Repaired { what } => f.write_str(what),
        }
    }
}
