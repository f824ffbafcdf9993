//! Front ends by the name of who uses them.
//!
//! Each preset is a complete [`FeatureConfig`]; nothing is left to a default that another library
//! might choose differently.

use super::{
    Affine, CepstrumConfig, DeltaConfig, Divisor, EnergyColumn, EnergyConfig, EnergyPoint,
    FeatureConfig, FrameCount, Leveling, Lifter, Log, LogBase, Normalization, PreEmphasis,
    Spectrum,
};
use crate::chunk::{Edges, Padding};
use crate::error::{Error, Result};
use crate::mel::{MelConfig, MelNorm, MelScale, Triangles};
use crate::window::{Symmetry, Window};

/// Names that [`by_name`] knows, with what each is.
pub const PRESETS: &[(&str, &str)] = &[
    ("librosa", "melspectrogram and power_to_db of librosa 0.10 and later, 22.05 kHz, 128 bands"),
    ("librosa-mfcc", "librosa's mfcc, 20 coefficients"),
    ("torchaudio", "torchaudio's MelSpectrogram and AmplitudeToDB, 16 kHz, 128 bands"),
    ("torchaudio-mfcc", "torchaudio's MFCC, 40 coefficients"),
    ("kaldi", "Kaldi's compute-fbank-feats, 16 kHz, 23 bands, without dither"),
    ("kaldi-mfcc", "Kaldi's compute-mfcc-feats, 13 coefficients, without dither"),
    ("whisper", "Whisper up to large-v2, 80 bands"),
    ("whisper-128", "Whisper large-v3, 128 bands"),
    ("nemo", "NeMo from 2.5 on: Squeezeformer, Conformer, Citrinet; 80 bands"),
    ("nemo-v1", "NeMo up to 2.4, with which the published checkpoints were trained"),
    ("speechbrain", "SpeechBrain's Fbank with sentence normalisation: ECAPA-TDNN; 80 bands"),
    ("wenet", "WeNet, 80 bands before the model's own normalisation"),
    ("wespeaker", "WeSpeaker, 80 bands less their mean"),
    ("3d-speaker", "3D-Speaker, 80 bands less their mean"),
    ("taoruijie", "TaoRuijie's ECAPA-TDNN, 80 bands to 7.6 kHz less their mean"),
    ("hifigan", "HiFi-GAN, 22.05 kHz, 80 bands to 8 kHz"),
    ("bigvgan-24k-100", "BigVGAN, 24 kHz, 100 bands"),
    ("bigvgan-22k-80", "BigVGAN v2, 22.05 kHz, 80 bands to 11 kHz"),
    ("periodwave", "PeriodWave, 24 kHz, 100 bands of the peak-normalised wave"),
    ("periodwave-22k-80", "PeriodWave, 22.05 kHz, 80 bands of the peak-normalised wave"),
    ("mossformer2-se", "MossFormer2 speech enhancement, 48 kHz, 60 bands and their deltas"),
    ("mossformer2-sr", "MossFormer2 super-resolution, 48 kHz, 80 bands to 8 kHz"),
    ("ast", "Audio Spectrogram Transformer on AudioSet, 128 bands, 1024 frames"),
    ("lmuformer", "LMUFormer on Speech Commands, 128 bands, 128 frames"),
    ("specvqgan", "SpecVQGAN, 22.05 kHz, 80 bands in [-1, 1]"),
    ("specmaskgit", "HiFi-GAN's bands mapped to [-1, 1]"),
];

/// The names alone.
pub fn names() -> impl Iterator<Item = &'static str> {
    PRESETS.iter().map(|(name, _)| *name)
}

/// The preset called `name`.
///
/// # Errors
/// [`Error::Config`] listing the names when there is no such preset.
pub fn by_name(name: &str) -> Result<FeatureConfig> {
    Ok(match name {
        "librosa" => librosa(128),
        "librosa-mfcc" => FeatureConfig {
            cepstrum: Some(CepstrumConfig { n_mfcc: 20, lifter: Lifter::None }),
            ..librosa(128)
        },
        "torchaudio" => torchaudio(),
        "torchaudio-mfcc" => FeatureConfig {
            dynamic_range: Some(80.0),
            cepstrum: Some(CepstrumConfig { n_mfcc: 40, lifter: Lifter::None }),
            ..torchaudio()
        },
        "kaldi" => kaldi_fbank(16_000, 23),
        "kaldi-mfcc" => kaldi_mfcc(16_000),
        "whisper" => whisper(80),
        "whisper-128" => whisper(128),
        "nemo" => nemo(),
        "nemo-v1" => FeatureConfig {
            edges: Edges::Center { padding: Padding::Reflect },
            frames: FrameCount::All,
            ..nemo()
        },
        "speechbrain" => speechbrain(),
        "wenet" => kaldi_fbank(16_000, 80),
        "wespeaker" => FeatureConfig {
            window: Window::Hamming,
            normalization: Normalization::UtteranceMean,
            ..kaldi_fbank(16_000, 80)
        },
        "3d-speaker" => FeatureConfig {
            input_scale: 1.0,
            window: Window::Povey,
            normalization: Normalization::UtteranceMean,
            ..kaldi_fbank(16_000, 80)
        },
        "taoruijie" => taoruijie(),
        "hifigan" => vocoder(22_050, 80, 8000.0),
        "bigvgan-24k-100" => vocoder(24_000, 100, 12_000.0),
        "bigvgan-22k-80" => vocoder(22_050, 80, 11_025.0),
        "periodwave" => periodwave(vocoder(24_000, 100, 12_000.0)),
        "periodwave-22k-80" => periodwave(vocoder(22_050, 80, 8000.0)),
        "mossformer2-se" => mossformer2_se(),
        "mossformer2-sr" => vocoder(48_000, 80, 8000.0),
        "ast" => audio_spectrogram(1024, -4.267_739_3, 4.568_997_4),
        "lmuformer" => FeatureConfig {
            leveling: Leveling::SubtractMean,
            ..audio_spectrogram(128, -6.845_978, 5.565_452_6)
        },
        "specvqgan" => specvqgan(),
        "specmaskgit" => specmaskgit(),
        _ => {
            let names: Vec<&str> = names().collect();
            return Err(Error::config(
                "features",
                format!("there is no preset {name:?}; choose one of {}", names.join(", ")),
            ));
        }
    })
}

/// Every step off and a power spectrum of centred Hann frames: what the others start from.
pub(super) fn plain(sample_rate: u32, n_fft: usize, hop_length: usize) -> FeatureConfig {
    FeatureConfig {
        sample_rate,
        input_scale: 1.0,
        leveling: Leveling::None,
        pre_emphasis: PreEmphasis::None,
        dither: None,
        remove_dc: false,
        win_length: n_fft,
        hop_length,
        n_fft,
        window: Window::Hann,
        symmetry: Symmetry::Periodic,
        edges: Edges::Center { padding: Padding::Reflect },
        frames: FrameCount::All,
        spectrum: Spectrum::Power,
        mel: None,
        log: None,
        dynamic_range: None,
        affine: None,
        energy: None,
        cepstrum: None,
        deltas: None,
        target_frames: None,
        normalization: Normalization::None,
    }
}

/// librosa's and Slaney's filters, area one.
fn slaney(n_mels: usize, f_min: f64, f_max: f64) -> Option<MelConfig> {
    Some(MelConfig {
        n_mels,
        f_min,
        f_max,
        scale: MelScale::Slaney,
        norm: MelNorm::Slaney,
        triangles: Triangles::Hz,
    })
}

/// 10 log10 of powers of at least 1e-10.
const DECIBEL: Log = Log { base: LogBase::Ten, factor: 10.0, floor: 1e-10, offset: 0.0 };

/// Natural logarithm of values of at least 1e-5.
const VOCODER_LOG: Log = Log { base: LogBase::E, factor: 1.0, floor: 1e-5, offset: 0.0 };

/// librosa's `power_to_db(melspectrogram(y))` with `bands` bands and its other defaults.
#[must_use]
pub fn librosa(bands: usize) -> FeatureConfig {
    FeatureConfig {
        edges: Edges::Center { padding: Padding::Zero },
        mel: slaney(bands, 0.0, 11_025.0),
        log: Some(DECIBEL),
        dynamic_range: Some(80.0),
        ..plain(22_050, 2048, 512)
    }
}

fn torchaudio() -> FeatureConfig {
    FeatureConfig {
        mel: Some(MelConfig {
            n_mels: 128,
            f_min: 0.0,
            f_max: 8000.0,
            scale: MelScale::Htk,
            norm: MelNorm::None,
            triangles: Triangles::Hz,
        }),
        log: Some(DECIBEL),
        ..plain(16_000, 400, 200)
    }
}

/// Kaldi's filter bank with `bins` bands at 25 ms every 10 ms, on samples at 16-bit scale, without
/// dither.
#[must_use]
pub fn kaldi_fbank(sample_rate: u32, bins: usize) -> FeatureConfig {
    let win_length = (sample_rate as usize * 25) / 1000;
    FeatureConfig {
        input_scale: 32_768.0,
        pre_emphasis: PreEmphasis::Frame(0.97),
        remove_dc: true,
        win_length,
        window: Window::Povey,
        symmetry: Symmetry::Symmetric,
        edges: Edges::Snip,
        mel: Some(MelConfig {
            n_mels: bins,
            f_min: 20.0,
            f_max: f64::from(sample_rate) / 2.0,
            scale: MelScale::Kaldi,
            norm: MelNorm::None,
            triangles: Triangles::Mel,
        }),
        log: Some(Log { base: LogBase::E, factor: 1.0, floor: f32::EPSILON, offset: 0.0 }),
        ..plain(sample_rate, win_length.next_power_of_two(), sample_rate as usize / 100)
    }
}

/// Kaldi's cepstra: 13 coefficients of 23 bands, lifter 22, the zeroth replaced by the energy.
#[must_use]
pub fn kaldi_mfcc(sample_rate: u32) -> FeatureConfig {
    FeatureConfig {
        energy: Some(EnergyConfig {
            point: EnergyPoint::Raw,
            floor: 0.0,
            column: EnergyColumn::First,
        }),
        cepstrum: Some(CepstrumConfig { n_mfcc: 13, lifter: Lifter::Htk(22.0) }),
        ..kaldi_fbank(sample_rate, 23)
    }
}

/// Whisper's log-mel: at most 8 (80 dB) below the loudest band, mapped by (x + 4) / 4. The model
/// wants 30 s, so pad the signal with silence to 480 000 samples.
fn whisper(bands: usize) -> FeatureConfig {
    FeatureConfig {
        frames: FrameCount::DropLast,
        mel: slaney(bands, 0.0, 8000.0),
        log: Some(Log { factor: 1.0, ..DECIBEL }),
        dynamic_range: Some(8.0),
        affine: Some(Affine { scale: 0.25, offset: 1.0, limits: None }),
        ..plain(16_000, 400, 160)
    }
}

fn nemo() -> FeatureConfig {
    const GUARD: f32 = 1.0 / (1 << 24) as f32;
    FeatureConfig {
        pre_emphasis: PreEmphasis::Signal(0.97),
        win_length: 400,
        symmetry: Symmetry::Symmetric,
        edges: Edges::Center { padding: Padding::Zero },
        frames: FrameCount::DropLast,
        mel: slaney(80, 0.0, 8000.0),
        log: Some(Log { base: LogBase::E, factor: 1.0, floor: 0.0, offset: GUARD }),
        normalization: Normalization::PerFeature { epsilon: 1e-5 },
        ..plain(16_000, 512, 160)
    }
}

fn speechbrain() -> FeatureConfig {
    FeatureConfig {
        window: Window::Hamming,
        edges: Edges::Center { padding: Padding::Zero },
        mel: Some(MelConfig {
            n_mels: 80,
            f_min: 0.0,
            f_max: 8000.0,
            scale: MelScale::Htk,
            norm: MelNorm::None,
            triangles: Triangles::SymmetricHz,
        }),
        log: Some(DECIBEL),
        dynamic_range: Some(80.0),
        normalization: Normalization::UtteranceMean,
        ..plain(16_000, 400, 160)
    }
}

/// torchaudio's mel spectrogram of the pre-emphasised wave, natural logarithm, less its mean.
fn taoruijie() -> FeatureConfig {
    FeatureConfig {
        pre_emphasis: PreEmphasis::SignalReflect(0.97),
        win_length: 400,
        window: Window::Hamming,
        mel: Some(MelConfig {
            n_mels: 80,
            f_min: 20.0,
            f_max: 7600.0,
            scale: MelScale::Htk,
            norm: MelNorm::None,
            triangles: Triangles::Hz,
        }),
        log: Some(Log { base: LogBase::E, factor: 1.0, floor: 0.0, offset: 1e-6 }),
        normalization: Normalization::UtteranceMean,
        ..plain(16_000, 512, 160)
    }
}

/// Log-mel of the GAN vocoders (1024-point transform, hop 256) with `bands` bands to `f_max` Hz.
#[must_use]
pub fn vocoder(sample_rate: u32, bands: usize, f_max: f64) -> FeatureConfig {
    FeatureConfig {
        edges: Edges::Pad { samples: (1024 - 256) / 2, padding: Padding::Reflect },
        spectrum: Spectrum::Magnitude { epsilon: 1e-9 },
        mel: slaney(bands, 0.0, f_max),
        log: Some(VOCODER_LOG),
        ..plain(sample_rate, 1024, 256)
    }
}

/// PeriodWave looks at the wave scaled to a peak of 0.95 and cut to whole hops.
fn periodwave(vocoder: FeatureConfig) -> FeatureConfig {
    FeatureConfig { leveling: Leveling::Peak(0.95), frames: FrameCount::WholeHops, ..vocoder }
}

/// Its published training adds dither of 1 at 16-bit scale; silence without dither sits at a floor
/// that the network never saw.
fn mossformer2_se() -> FeatureConfig {
    FeatureConfig {
        win_length: 1920,
        hop_length: 384,
        n_fft: 2048,
        window: Window::Hamming,
        deltas: Some(DeltaConfig { order: 2, reach: 2 }),
        ..kaldi_fbank(48_000, 60)
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

/// 20 log10 of the magnitude, with -100..20 dB mapped first to 0..1 by (x + 80) / 100 and then to
/// -1..1.
fn specvqgan() -> FeatureConfig {
    FeatureConfig {
        spectrum: Spectrum::Magnitude { epsilon: 0.0 },
        mel: slaney(80, 125.0, 7600.0),
        log: Some(Log { base: LogBase::Ten, factor: 20.0, floor: 1e-5, offset: 0.0 }),
        affine: Some(Affine { scale: 0.02, offset: 0.6, limits: Some([-1.0, 1.0]) }),
        ..plain(22_050, 1024, 256)
    }
}

/// ln(1e-5)..2 mapped to -1..1.
fn specmaskgit() -> FeatureConfig {
    const LOW: f32 = -11.512_925;
    const HIGH: f32 = 2.0;
    let scale = 2.0 / (HIGH - LOW);
    FeatureConfig {
        affine: Some(Affine { scale, offset: -LOW * scale - 1.0, limits: Some([-1.0, 1.0]) }),
        ..vocoder(22_050, 80, 8000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::FeaturePlan;

    #[test]
    fn every_name_plans() {
        for name in names() {
            let config = by_name(name).expect("listed");
            let plan = FeaturePlan::new(&config).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(plan.bins() > 0);
        }
        let error = by_name("nope").expect_err("no such preset").to_string();
        assert!(error.contains("lmuformer") && error.contains("nope"), "{error}");
    }

    #[test]
    fn configurations_survive_json() {
        for name in names() {
            let config = by_name(name).expect("listed");
            let text = serde_json::to_string(&config).expect("serialises");
            let back: FeatureConfig = serde_json::from_str(&text).expect("parses");
            assert_eq!(back, config, "{name}");
        }
        assert!(serde_json::from_str::<FeatureConfig>(r#"{"n_ftt": 512}"#).is_err());
    }
}
