//! Front ends by the name of who uses them.
//!
//! Each preset is a complete [`FeatureConfig`]; nothing is left to a default that another library
//! might choose differently.

use super::{
    Divisor, FeatureConfig, FrameCount, Leveling, Log, Normalization, PreEmphasis, Spectrum,
};
use crate::chunk::Edges;
use crate::error::{Error, Result};
use crate::mel::{MelConfig, MelNorm, MelScale, Triangles};
use crate::window::{Symmetry, Window};

/// Names that [`by_name`] knows.
pub const NAMES: &[&str] = &["kaldi", "wenet", "wespeaker", "ast", "lmuformer"];

/// The preset called `name`.
///
/// # Errors
/// [`Error::Config`] listing the names when there is no such preset.
pub fn by_name(name: &str) -> Result<FeatureConfig> {
    Ok(match name {
        "kaldi" => kaldi_fbank(16_000, 23),
        "wenet" => FeatureConfig { input_scale: 32_768.0, ..kaldi_fbank(16_000, 80) },
        "wespeaker" => FeatureConfig {
            window: Window::Hamming,
            normalization: Normalization::UtteranceMean,
            ..kaldi_fbank(16_000, 80)
        },
        "ast" => audio_spectrogram(1024, -4.267_739_3, 4.568_997_4),
        "lmuformer" => FeatureConfig {
            leveling: Leveling::SubtractMean,
            ..audio_spectrogram(128, -6.845_978, 5.565_452_6)
        },
        _ => {
            return Err(Error::config(
                "features",
                format!("there is no preset {name:?}; choose one of {}", NAMES.join(", ")),
            ));
        }
    })
}

/// Kaldi's filter bank with `bins` bands at 25 ms every 10 ms, on samples at 16-bit scale, without
/// dither.
#[must_use]
pub fn kaldi_fbank(sample_rate: u32, bins: usize) -> FeatureConfig {
    let win_length = (sample_rate as usize * 25) / 1000;
    FeatureConfig {
        sample_rate,
        input_scale: 32_768.0,
        leveling: Leveling::None,
        pre_emphasis: PreEmphasis::Frame(0.97),
        dither: None,
        remove_dc: true,
        win_length,
        hop_length: (sample_rate as usize) / 100,
        n_fft: win_length.next_power_of_two(),
        window: Window::Povey,
        symmetry: Symmetry::Symmetric,
        edges: Edges::Snip,
        frames: FrameCount::All,
        spectrum: Spectrum::Power,
        mel: Some(MelConfig {
            n_mels: bins,
            f_min: 20.0,
            f_max: 0.0,
            scale: MelScale::Kaldi,
            norm: MelNorm::None,
            triangles: Triangles::Mel,
        }),
        log: Some(Log { floor: f32::EPSILON, ..Log::default() }),
        dynamic_range: None,
        affine: None,
        energy: None,
        cepstrum: None,
        deltas: None,
        target_frames: None,
        normalization: Normalization::None,
    }
}

/// The Kaldi filter bank of AST and its kin: 128 bands of unscaled samples, padded with zeros to
/// `frames` rows, then normalised by twice the deviation.
#[must_use]
pub fn audio_spectrogram(frames: usize, mean: f32, std: f32) -> FeatureConfig {
    FeatureConfig {
        input_scale: 1.0,
        window: Window::Hann,
        target_frames: Some(frames),
        normalization: Normalization::Fixed { mean, std, divisor: Divisor::TwiceStd },
        ..kaldi_fbank(16_000, 128)
    }
}
