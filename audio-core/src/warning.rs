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
    /// A header was repaired.
    Repaired {
        /// What was wrong and what was assumed.
        what: String,
    },
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
            Self::CorruptPackets { count, frames } => {
                write!(f, "{count} damaged packets were replaced by {frames} frames of silence")
            }
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
            Self::Repaired { what } => f.write_str(what),
        }
    }
}
