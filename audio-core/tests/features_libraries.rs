//! Case S12: front ends against numbers of librosa, torchaudio, kaldi-native-fbank and Whisper.

mod support;

use formant_audio_core::chunk::Edges;
use formant_audio_core::features::{
    DeltaConfig, Dither, EnergyColumn, EnergyConfig, EnergyPoint, FeatureConfig, FeaturePlan,
    Normalization, PreEmphasis, SlidingPlacement, SlidingVariance, SlidingWindow, append_deltas,
    presets,
};
use formant_audio_core::window::Window;
use ndarray::Array2;
use support::{Goldens, assert_close, assert_close_log};

const FILE: &str = "libraries/features.safetensors";

fn compute(config: &FeatureConfig, samples: &[f32]) -> Array2<f32> {
    FeaturePlan::new(config).expect("valid").compute(samples).expect("computes")
}

/// Ten times the common logarithm in natural ones.
const DECIBEL: f32 = 10.0 / std::f32::consts::LN_10;

/// How a stored matrix is compared.
enum Scale {
    Plain,
    /// Multiplier of the natural logarithm, and the share of the loudest amplitude that rounding
    /// may be worth.
    Log(f32, f32),
}

/// Pre-emphasis takes away up to 30 dB of what the samples were rounded at.
const KALDI: Scale = Scale::Log(1.0, 2e-6);

/// Compare with everything that is stored under `key`.
fn check(key: &str, config: &FeatureConfig, tolerance: f32, scale: Scale) {
    check_kinds(&["noise", "chirp", "zeros"], key, config, tolerance, scale);
}

fn check_kinds(kinds: &[&str], key: &str, config: &FeatureConfig, tolerance: f32, scale: Scale) {
    for goldens in Goldens::all(FILE).into_iter().take(1) {
        for kind in kinds {
            let samples = match *kind {
                "zeros" => vec![0.0; config.sample_rate as usize],
                _ => goldens.values(&format!("wave.{}.{kind}", config.sample_rate)),
            };
            let expected = goldens.matrix(&format!("{key}.{kind}"));
            let found = compute(config, &samples);
            let (what, found, expected) = (format!("{key}.{kind}"), found.view(), expected.view());
            match scale {
                Scale::Plain => assert_close(&what, found, expected, tolerance),
                Scale::Log(unit, rounding) => {
                    assert_close_log(&what, found, expected, tolerance, unit, rounding);
                }
            }
        }
    }
}

fn preset(name: &str) -> FeatureConfig {
    presets::by_name(name).expect("the preset exists")
}

#[test]
fn s12_decibels() {
    check("librosa", &preset("librosa"), 1e-3, Scale::Log(DECIBEL, 2e-7));
    check("torchaudio", &preset("torchaudio"), 1e-3, Scale::Log(DECIBEL, 2e-7));
}

#[test]
fn s12_whisper() {
    check("whisper", &preset("whisper"), 1e-4, Scale::Plain);
    check("whisper-128", &preset("whisper-128"), 1e-4, Scale::Plain);
}

#[test]
fn s12_cepstra() {
    check("librosa-mfcc", &preset("librosa-mfcc"), 1e-3, Scale::Plain);
    // torchaudio's cepstrum of silence is itself 1.3e-3 away from -100 sqrt(128).
    check("torchaudio-mfcc", &preset("torchaudio-mfcc"), 2e-3, Scale::Plain);
    // A chirp leaves most bands to rounding, and the cosine transform spreads it over all
    // coefficients: kaldi-native-fbank is off by 0.75 from double precision there. The bands
    // themselves are compared below.
    let kinds = ["noise", "zeros"];
    check_kinds(&kinds, "kaldi-mfcc", &preset("kaldi-mfcc"), 1e-3, Scale::Plain);
}

#[test]
fn s12_kaldi() {
    check("kaldi", &preset("kaldi"), 1e-3, KALDI);
    let config = FeatureConfig { edges: Edges::HalfHop, ..preset("kaldi") };
    check("kaldi.nosnip", &config, 1e-3, KALDI);
    let energy = EnergyConfig { point: EnergyPoint::Raw, floor: 1.0, column: EnergyColumn::First };
    let config = FeatureConfig {
        window: Window::Hamming,
        energy: Some(energy),
        ..presets::kaldi_fbank(16_000, 40)
    };
    check("kaldi.energy", &config, 1e-3, KALDI);
    let mut config = FeatureConfig {
        window: Window::Blackman,
        pre_emphasis: PreEmphasis::Frame(0.9),
        remove_dc: false,
        energy: Some(EnergyConfig {
            point: EnergyPoint::Windowed,
            floor: 0.0,
            column: EnergyColumn::Last,
        }),
        ..preset("kaldi")
    };
    if let Some(mel) = &mut config.mel {
        (mel.f_min, mel.f_max) = (64.0, -400.0);
    }
    check("kaldi.htk", &config, 1e-3, KALDI);
}

#[test]
fn deltas_and_sliding_means() {
    for goldens in Goldens::all(FILE).into_iter().take(1) {
        let cepstra = goldens.matrix("kaldi-mfcc.noise");
        let found = append_deltas(&cepstra, DeltaConfig { order: 1, reach: 2 });
        let expected = goldens.matrix("deltas.noise");
        let found = found.select(ndarray::Axis(1), &(13..26).collect::<Vec<_>>());
        assert_close("deltas", found.view(), expected.view(), 1e-5);
        for (key, placement, variance) in [
            ("cmn.trailing", SlidingPlacement::Trailing, SlidingVariance::Normalize),
            ("cmn.centered", SlidingPlacement::Centered, SlidingVariance::Keep),
        ] {
            let window = SlidingWindow { frames: 30, min_frames: 10, placement, variance };
            let mut found = cepstra.clone();
            Normalization::Sliding(window).apply(&mut found);
            let expected = goldens.matrix(&format!("{key}.noise"));
            assert_close(key, found.view(), expected.view(), 1e-4);
        }
    }
}

#[test]
fn s12_runs_are_equal_and_dither_has_a_seed() {
    let samples: Vec<f32> = (0..16_000).map(|n| (n as f32 * 0.3).sin() * 0.1).collect();
    let dithered = |seed| {
        let dither = Some(Dither { amount: 1.0, seed });
        compute(&FeatureConfig { dither, ..preset("kaldi") }, &samples)
    };
    assert_eq!(compute(&preset("kaldi"), &samples), compute(&preset("kaldi"), &samples));
    assert_eq!(dithered(1), dithered(1));
    assert_ne!(dithered(1), dithered(2));
}
