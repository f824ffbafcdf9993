//! Front ends against numbers that the reference implementations stored.

mod support;

use formant_audio_core::chunk::{Edges, Padding};
use formant_audio_core::features::{
    Affine, DeltaConfig, FeatureConfig, FeaturePlan, Log, LogBase, Normalization, Spectrum,
    append_deltas, presets,
};
use ndarray::{Array2, ArrayView2, Axis, Slice};
use support::{Goldens, assert_close, assert_close_log, assert_close_slice};

fn preset(name: &str) -> FeatureConfig {
    presets::by_name(name).expect("the preset exists")
}

fn plan(config: &FeatureConfig) -> FeaturePlan {
    FeaturePlan::new(config).expect("the configuration is valid")
}

fn compute(config: &FeatureConfig, samples: &[f32]) -> Array2<f32> {
    let plan = plan(config);
    let features = plan.compute(samples).expect("computes");
    assert_eq!(features.nrows(), plan.num_frames(samples.len()), "promised frames");
    features
}

/// A preset with another number of bands.
fn with_bands(name: &str, n_mels: usize) -> FeatureConfig {
    let mut config = preset(name);
    config.mel.as_mut().expect("a preset with bands").n_mels = n_mels;
    config
}

/// A front end up to and including the logarithm.
fn raw(config: &FeatureConfig) -> FeatureConfig {
    FeatureConfig { normalization: Normalization::None, target_frames: None, ..config.clone() }
}

/// The first rows and columns. (ndarray's `s!` can't be used where unsafe code is forbidden.)
fn corner(matrix: &Array2<f32>, (rows, columns): (usize, usize)) -> ArrayView2<'_, f32> {
    let slice = |axis: usize, length: usize| Slice::from(..length.min(matrix.len_of(Axis(axis))));
    let mut view = matrix.view();
    view.slice_axis_inplace(Axis(0), slice(0, rows));
    view.slice_axis_inplace(Axis(1), slice(1, columns));
    view
}

#[test]
fn lmuformer() {
    for goldens in Goldens::of_bands("lmuformer_fbank", "") {
        let mut config = with_bands("lmuformer", goldens.length("mel_fb", 1));
        config.target_frames = Some(goldens.length("features", 1));
        let (waveform, long) = (goldens.values("waveform"), goldens.values("long.waveform"));
        let found = compute(&raw(&config), &waveform);
        assert_close_log("fbank", found.view(), goldens.matrix("fbank").view(), 1e-4, 1.0, 5e-8);
        let found = compute(&config, &waveform);
        assert_close("features", found.view(), goldens.matrix("features").view(), 1e-4);
        let found = compute(&raw(&config), &long);
        let kept = goldens.matrix("long.fbank");
        assert_close_log("long.fbank", corner(&found, kept.dim()), kept.view(), 1e-4, 1.0, 5e-8);
        let found = compute(&config, &long);
        assert_close("long.features", found.view(), goldens.matrix("long.features").view(), 1e-4);
        let plan = plan(&config);
        assert_close_slice("window", plan.window(), &goldens.values("window"), 1e-6);
        let filters = plan.mel().expect("a filter bank").to_matrix();
        let expected = goldens.matrix("mel_fb");
        assert_close("mel_fb", corner(&filters, expected.dim()), expected.view(), 1e-4);
    }
}

#[test]
fn nemo() {
    for (suffix, name) in [("", "nemo"), ("_v1", "nemo-v1")] {
        for goldens in Goldens::of_bands("nemo_mel", suffix) {
            let bands = goldens.length("mel_fb", 1);
            let config = with_bands(name, bands);
            let plan = plan(&config);
            assert_close_slice("window", plan.window(), &goldens.values("window"), 1e-6);
            let filters = plan.mel().expect("a filter bank").to_matrix();
            assert_close("mel_fb", filters.view(), goldens.matrix("mel_fb").view(), 1e-7);
            let waveform = goldens.values("waveform");
            let valid = goldens.values("features_len")[0] as usize;
            assert_eq!(plan.num_frames(waveform.len()), valid, "{name}");
            // The stored matrices are [bins, frames], with frames past the valid ones zeroed.
            let stored = |key: &str, item: usize| goldens.batch_item(key, item).reversed_axes();
            let found = compute(&raw(&config), &waveform);
            let expected = stored("log_mel", 0).to_owned();
            assert_close(name, found.view(), corner(&expected, (valid, bands)), 1e-4);
            let found = compute(&config, &waveform);
            let expected = stored("features", 0).to_owned();
            assert_close(name, found.view(), corner(&expected, (valid, bands)), 1e-4);
            nemo_batch(name, &config, &goldens);
        }
    }
}

/// In a batch the shorter signal is followed by zeros, which the first version of NeMo lets into
/// the last frames; statistics are those of the valid frames.
fn nemo_batch(name: &str, config: &FeatureConfig, goldens: &Goldens) {
    let waveforms = goldens.matrix("batch.waveform");
    let samples = goldens.values("batch.waveform_len");
    let frames = goldens.values("batch.features_len");
    let bands = goldens.length("mel_fb", 1);
    for item in 0..samples.len() {
        let (samples, valid) = (samples[item] as usize, frames[item] as usize);
        let expected = goldens.batch_item("batch.features", item).reversed_axes().to_owned();
        let wave = waveforms.row(item).to_vec();
        let found = if name == "nemo" {
            compute(config, &wave[..samples])
        } else {
            let padded = compute(&raw(config), &wave);
            let mut valid_rows = corner(&padded, (valid, bands)).to_owned();
            config.normalization.apply(&mut valid_rows);
            valid_rows
        };
        assert_close(
            &format!("{name} item {item}"),
            found.view(),
            corner(&expected, (valid, bands)),
            1e-4,
        );
    }
}

#[test]
fn speechbrain() {
    for goldens in Goldens::of_bands("speechbrain_fbank", "") {
        let config = with_bands("speechbrain", goldens.length("mel_fb", 0));
        let plan = plan(&config);
        assert_close_slice("window", plan.window(), &goldens.values("window"), 1e-6);
        let filters = plan.mel().expect("a filter bank").to_matrix().reversed_axes();
        assert_close("mel_fb", filters.view(), goldens.matrix("mel_fb").view(), 2e-5);
        let waveform = goldens.values("waveform");
        let found = compute(&raw(&config), &waveform);
        let expected = goldens.batch_item("features", 0);
        assert_close("speechbrain", found.view(), expected.view(), 1e-3);
        let found = compute(&config, &waveform);
        let expected = goldens.batch_item("features_norm", 0);
        assert_close("speechbrain normalised", found.view(), expected.view(), 1e-3);
        // Rows are padded by zeros, and their features taken of the padded row.
        let rows = goldens.matrix("batch.waveform");
        for (row, samples) in rows.rows().into_iter().enumerate() {
            let expected = goldens.batch_item("batch.features", row);
            let found = compute(&raw(&config), &samples.to_vec());
            assert_close(&format!("speechbrain row {row}"), found.view(), expected.view(), 1e-3);
        }
    }
}

#[test]
fn kaldi_family() {
    for name in ["wenet", "wespeaker"] {
        for goldens in Goldens::of_bands(&format!("{name}_fbank"), "") {
            let config = with_bands(name, goldens.length("mel_fb", 1));
            let plan = plan(&config);
            assert_close_slice("window", plan.window(), &goldens.values("window"), 1e-6);
            let filters = plan.mel().expect("a filter bank").to_matrix();
            let expected = goldens.matrix("mel_fb");
            assert_close("mel_fb", corner(&filters, expected.dim()), expected.view(), 1e-4);
            let check = |config: &FeatureConfig, key: &str| {
                let found = compute(config, &goldens.values("waveform"));
                let expected = goldens.matrix(key);
                assert_close_log(name, found.view(), expected.view(), 1e-4, 1.0, 5e-8);
            };
            check(&config, "features");
            if name == "wespeaker" {
                check(&raw(&config), "fbank");
            }
        }
    }
}

#[test]
fn vocoders() {
    for goldens in Goldens::all("vocoder-mel/io.safetensors") {
        for (key, name, wave) in [
            ("bigvgan24k_100.mel_raw_wave", "bigvgan-24k-100", "wave24k"),
            ("bigvganv2_22k_80_fmaxnull.mel_raw_wave", "bigvgan-22k-80", "wave22k"),
            ("hifigan22k_80_fmax8000.mel_raw_wave", "hifigan", "wave22k"),
            ("pw24k_100.mel", "periodwave", "wave24k"),
            ("pw22k_80.mel", "periodwave-22k-80", "wave22k"),
        ] {
            let found = compute(&preset(name), &goldens.values(wave));
            let expected = goldens.batch_item(key, 0).reversed_axes();
            assert_close(name, found.view(), expected.view(), 1e-4);
        }
        let plan = plan(&preset("bigvgan-24k-100"));
        let filters = plan.mel().expect("a filter bank").to_matrix();
        assert_close("mel", filters.view(), goldens.matrix("filterbank.24k_100").view(), 1e-7);
    }
}

#[test]
fn specvqgan_and_neighbours() {
    for goldens in Goldens::all("specvqgan-mel/io.safetensors") {
        let wave = goldens.values("wave22k");
        let stored = |key: &str| goldens.batch_item(key, 0).reversed_axes().to_owned();
        let check = |key: &str, config: FeatureConfig| {
            let found = compute(&config, &wave);
            assert_close(key, found.view(), stored(key).view(), 1e-4);
        };
        check("model_input", preset("specvqgan"));
        check("chosen_model_input", preset("specmaskgit"));
        check("chosen_hifigan_mel", preset("hifigan"));
        let magnitude = FeatureConfig { log: None, affine: None, ..preset("specvqgan") };
        check("mel_magnitude", magnitude);
        let unit = Some(Affine { scale: 0.01, offset: 0.8, limits: Some([0.0, 1.0]) });
        check("spec01", FeatureConfig { affine: unit, ..preset("specvqgan") });
        let zero = Edges::Center { padding: Padding::Zero };
        check(
            "spec01_zero_padding",
            FeatureConfig { affine: unit, edges: zero, ..preset("specvqgan") },
        );
        let common = Some(Log { base: LogBase::Ten, factor: 1.0, floor: 1e-5, offset: 0.0 });
        let exact = Spectrum::Magnitude { epsilon: 0.0 };
        check(
            "melgan_audio2mel",
            FeatureConfig { log: common, spectrum: exact, ..preset("bigvgan-22k-80") },
        );
        let filters = plan(&preset("specvqgan")).mel().expect("a filter bank").to_matrix();
        assert_close("filterbank", filters.view(), goldens.matrix("filterbank").view(), 1e-7);
    }
}

#[test]
fn mossformer() {
    for goldens in Goldens::all("mossformer_frontends.safetensors") {
        let waveform = goldens.values("waveform");
        let found = compute(&preset("mossformer2-sr"), &waveform);
        let expected = goldens.matrix("sr.mel").reversed_axes();
        assert_close("sr.mel", found.view(), expected.view(), 1e-4);
        let filters = plan(&preset("mossformer2-sr")).mel().expect("a filter bank").to_matrix();
        assert_close("filters", filters.view(), goldens.matrix("sr.mel_filterbank").view(), 1e-7);
        let plan = plan(&preset("mossformer2-se"));
        assert_close_slice("se.window", plan.window(), &goldens.values("se.window"), 1e-6);
        let expected = goldens.matrix("se.mel_filterbank");
        let filters = plan.mel().expect("a filter bank").to_matrix();
        assert_close("filters", corner(&filters, expected.dim()), expected.view(), 1e-4);
        let fbank = goldens.matrix("se.fbank");
        let config = FeatureConfig { deltas: None, ..preset("mossformer2-se") };
        assert_close_log(
            "se.fbank",
            compute(&config, &waveform).view(),
            fbank.view(),
            1e-4,
            1.0,
            5e-8,
        );
        // The operator by itself, and then all three parts together.
        let found = append_deltas(&fbank, DeltaConfig { order: 2, reach: 2 });
        assert_close("deltas", found.view(), goldens.matrix("se.features").view(), 1e-5);
        let found = compute(&preset("mossformer2-se"), &waveform);
        assert_close("se.features", found.view(), goldens.matrix("se.features").view(), 1e-3);
    }
}

#[test]
fn silence_and_whispers() {
    for goldens in Goldens::all("floors.safetensors") {
        let quiet = goldens.values("quiet.waveform");
        let silence = vec![0.0; quiet.len()];
        for (wave, kind) in [(&quiet, "quiet"), (&silence, "silence")] {
            let check = |key: &str, name: &str, tolerance: f32| {
                let key = format!("{kind}.{key}");
                let bands = goldens.length(&key, usize::from(name == "nemo"));
                let found = compute(&raw(&with_bands(name, bands)), wave);
                let expected = if name == "nemo" {
                    goldens.batch_item(&key, 0).reversed_axes().to_owned()
                } else {
                    goldens.matrix(&key)
                };
                let shared = corner(&expected, found.dim());
                assert_close(&key, found.view(), shared, tolerance);
            };
            check("nemo_log_mel", "nemo", 1e-4);
            check("speechbrain", "speechbrain", 1e-3);
            check("wenet", "wenet", 1e-3);
            if kind == "silence" {
                check("lmuformer", "lmuformer", 1e-6);
            }
        }
    }
}
