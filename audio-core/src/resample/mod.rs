//! Sample-rate conversion with exact lengths, no lag and a drained tail.
//!
//! The engine is a linear-phase Kaiser low-pass applied by overlap-save in the frequency domain,
//! where a rational rate change is a change of the transform's length. It is our own rather than
//! rubato's because rubato rounds lengths in floating point, places sinc outputs up to one sample
//! early and gives other samples for other block sizes; here `n` frames always become
//! [`output_frames`], an impulse stays where it was, and [`StreamResampler`] returns the same
//! bytes as [`resample`] for any split of the input.

mod filter;
mod plan;
mod stream;

use serde::{Deserialize, Serialize};

pub use plan::ResamplePlan;
pub use stream::StreamResampler;

use crate::buffer::{AudioBuf, AudioView};
use crate::error::Result;

/// How sharp the low-pass is. Bands are fractions of the lower of the two Nyquist frequencies;
/// the -6 dB point is always at 0.99.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quality {
    /// Flat to 0.94, stop-band 90 dB down from 1.04: short in time, for live audio.
    Fast,
    /// Flat to 0.97, stop-band 120 dB down from 1.01.
    #[default]
    High,
    /// Flat to 0.98, stop-band 150 dB down from 1.00: nothing folds back.
    Best,
}

/// Frames that `frames` frames at `from` Hz become at `to` Hz: the exact quotient, rounded up.
/// Zero when `from` is zero.
#[must_use]
pub fn output_frames(frames: u64, from: u32, to: u32) -> u64 {
    if from == 0 {
        return 0;
    }
    let exact = (u128::from(frames) * u128::from(to)).div_ceil(u128::from(from));
    u64::try_from(exact).unwrap_or(u64::MAX)
}

/// Convert a whole signal to `to_rate` Hz, all channels alike.
///
/// # Errors
/// [`crate::Error::Config`] when one of the rates is zero or their ratio needs a transform beyond
/// what is sensible.
///
/// ```
/// use formant_audio_core::resample::{Quality, resample};
/// use formant_audio_core::AudioView;
///
/// let tone: Vec<f32> = (0..44_100).map(|n| (n as f32 * 0.0627).sin()).collect();
/// let out = resample(&AudioView::from_mono(44_100, &tone), 16_000, Quality::High)?;
/// assert_eq!((out.rate(), out.frames()), (16_000, 16_000));
/// # Ok::<(), formant_audio_core::Error>(())
/// ```
pub fn resample(audio: &AudioView<'_>, to_rate: u32, quality: Quality) -> Result<AudioBuf> {
    if audio.rate() == to_rate && to_rate > 0 {
        return Ok(audio.to_owned());
    }
    let mut stream = StreamResampler::new(audio.spec(), to_rate, quality)?;
    stream.whole(audio)
}
