//! Front ends against numbers that the reference implementations stored.

mod support;

use formant_audio_core::features::{FeatureConfig, FeaturePlan, Normalization, presets};
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

/// The preset up to and including the logarithm.
fn raw(name: &str) -> FeatureConfig {
    FeatureConfig { normalization: Normalization::None, target_frames: None, ..preset(name) }
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
    for goldens in Goldens::all("lmuformer_fbank128.safetensors") {
        let config = preset("lmuformer");
        let (waveform, long) = (goldens.values("waveform"), goldens.values("long.waveform"));
        let found = compute(&raw("lmuformer"), &waveform);
        assert_close_log("fbank", found.view(), goldens.matrix("fbank").view(), 1e-4);
        let found = compute(&config, &waveform);
        assert_close("features", found.view(), goldens.matrix("features").view(), 1e-4);
        let found = compute(&raw("lmuformer"), &long);
        let kept = goldens.matrix("long.fbank");
        assert_close_log("long.fbank", corner(&found, kept.dim()), kept.view(), 1e-4);
        let found = compute(&config, &long);
        assert_close("long.features", found.view(), goldens.matrix("long.features").view(), 1e-4);
        let plan = plan(&config);
        assert_close_slice("window", plan.window(), &goldens.values("window"), 1e-6);
        let filters = plan.mel().expect("a filter bank").to_matrix();
        let expected = goldens.matrix("mel_fb");
        assert_close("mel_fb", corner(&filters, expected.dim()), expected.view(), 1e-4);
    }
}
