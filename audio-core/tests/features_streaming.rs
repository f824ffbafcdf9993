//! Case S8 and streams: odd lengths have promised frame counts, and a stream returns the numbers
//! of the whole signal however it is split.

use formant_audio_core::chunk::{Edges, Padding};
use formant_audio_core::features::{
    DeltaConfig, Dither, FeatureConfig, FeaturePlan, FeatureStream, presets,
};
use ndarray::Array2;
use proptest::prelude::*;

fn noise(frames: usize) -> Vec<f32> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..frames).map(|_| 0.3 * next()).collect()
}

fn streamed(stream: &mut FeatureStream, samples: &[f32], block: usize) -> Array2<f32> {
    let (mut rows, bins) = (Vec::new(), stream.bins());
    for piece in samples.chunks(block) {
        rows.extend(stream.push(piece));
    }
    rows.extend(stream.finish());
    Array2::from_shape_vec((rows.len() / bins, bins), rows).expect("whole rows")
}

#[test]
fn s8_every_preset_keeps_its_promise() {
    for name in presets::names() {
        let plan = FeaturePlan::new(&presets::by_name(name).expect("listed")).expect("valid");
        for length in [0, 1, 2, 79, 159, 160, 399, 400, 401, 1023, 1600] {
            let features = plan.compute(&noise(length)).expect("computes");
            assert_eq!(features.dim(), (plan.num_frames(length), plan.bins()), "{name}, {length}");
            assert!(features.iter().all(|x| x.is_finite()), "{name}, {length}");
        }
        let (valid, padded) = (plan.valid_frames(0), plan.config().target_frames.is_some());
        assert_eq!(valid, 0, "{name}: nothing has no frames");
        assert!(padded || plan.num_frames(0) == 0);
    }
}

#[test]
fn s8_counts_by_hand() {
    let count = |name: &str, n| {
        FeaturePlan::new(&presets::by_name(name).expect("listed")).expect("valid").num_frames(n)
    };
    for (name, counts) in [
        ("kaldi", [0, 0, 1, 1, 8]),
        ("nemo", [0, 1, 2, 2, 10]),
        ("nemo-v1", [1, 2, 3, 3, 11]),
        ("speechbrain", [1, 2, 3, 3, 11]),
        ("whisper", [0, 1, 2, 2, 10]),
        ("hifigan", [0, 0, 1, 1, 6]),
        ("lmuformer", [128; 5]),
    ] {
        let found = [1, 160, 400, 401, 1600].map(|n| count(name, n));
        assert_eq!(found, counts, "{name}");
    }
}

#[test]
fn every_preset_streams_its_streamable_form() {
    for name in presets::names() {
        let config = presets::by_name(name).expect("listed");
        let plan = FeaturePlan::new(&config).expect("valid");
        let exact = FeaturePlan::new(&config.streamable()).expect("valid");
        let mut stream = plan.stream();
        for length in [0, 1, 2, 399, 400, 401, 1023, 2100, 9000] {
            let samples = noise(length);
            let whole = exact.compute(&samples).expect("computes");
            assert_eq!(whole.nrows(), plan.valid_frames(length), "{name}, {length}");
            for block in [1, 7, 160, 401, 100_000] {
                let found = streamed(&mut stream, &samples, block);
                assert_eq!(found, whole, "{name}, {length} samples in blocks of {block}");
            }
        }
    }
}

#[test]
fn frames_come_as_early_as_they_can() {
    let plan = FeaturePlan::new(&presets::by_name("kaldi").expect("listed")).expect("valid");
    let mut stream = plan.stream();
    assert_eq!(stream.push(&noise(399)).nrows(), 0);
    assert_eq!(stream.push(&noise(1)).nrows(), 1);
    assert_eq!(stream.push(&noise(160)).nrows(), 1);
    let mut rows = Vec::with_capacity(100_000);
    assert_eq!(stream.push_into(&noise(16_000), &mut rows), 100);
    assert_eq!(rows.len(), 100 * 23);
}

fn any_edges() -> impl Strategy<Value = Edges> {
    let padding = prop_oneof![
        Just(Padding::Zero),
        Just(Padding::Reflect),
        Just(Padding::Symmetric),
        Just(Padding::Edge)
    ];
    prop_oneof![
        Just(Edges::Snip),
        Just(Edges::Valid),
        Just(Edges::HalfHop),
        padding.clone().prop_map(|padding| Edges::Center { padding }),
        (0usize..300, padding).prop_map(|(samples, padding)| Edges::Pad { samples, padding }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn block_size_does_not_matter(
        edges in any_edges(),
        length in 0usize..3000,
        block in 1usize..700,
        hop_length in 1usize..300,
        deltas in proptest::option::of((1usize..3, 1usize..4)),
        seed in proptest::option::of(0u64..10),
    ) {
        let config = FeatureConfig {
            edges,
            hop_length,
            win_length: 200,
            n_fft: 256,
            deltas: deltas.map(|(order, reach)| DeltaConfig { order, reach }),
            dither: seed.map(|seed| Dither { amount: 0.1, seed }),
            ..FeatureConfig::default()
        };
        let plan = FeaturePlan::new(&config).expect("valid");
        let samples = noise(length);
        let whole = plan.compute(&samples).expect("computes");
        prop_assert_eq!(whole.nrows(), plan.num_frames(length));
        prop_assert_eq!(streamed(&mut plan.stream(), &samples, block), whole);
    }
}
