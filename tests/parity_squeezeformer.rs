//! Squeezeformer against the references' activations, in NeMo's and WeNet's layouts: networks,
//! front ends, and the published containers.

mod support;

use std::path::Path;

use formant::audio::features::{FeatureConfig, FeaturePlan, Normalization, presets};
use formant::models::arch::squeezeformer::{
    CtcModel, IGNORED_KEYS, NemoConfig, NemoRelease, PieceKind, Squeezeformer, SqueezeformerConfig,
    SubsamplingMasks, WenetConfig,
};
use formant::models::params::{Params, Stored};
use formant::models::{ModelSource, checkpoint};
use ndarray::Array2;
use support::{GoldenSet, assert_close, compute, golden_sets, on_one_and_two_threads};
use tch::nn::VarStore;
use tch::{Device, Tensor};

/// Design tolerance, relative to the largest reference value.
const TOLERANCE: f64 = 2e-5;

/// Most that rounding the features differently may move an activation. Small random networks of
/// this architecture amplify a rounding error about a hundredfold in five layers, so that the
/// reference itself gives other numbers on another processor.
const MOST_AMPLIFIED: f64 = 1e-4;

/// How many roundings of the features count as those of all operations on the way.
const ROUNDINGS: f64 = 4.0;

/// What is allowed for each activation of `trace`: the design tolerance, or, where that is more,
/// [`ROUNDINGS`] times the largest change that features with their last bit changed make. Every
/// operation rounds, so that no arithmetic of 32-bit numbers can be closer to a reference of such
/// numbers on another processor.
fn tolerances(
    trace: &[(String, Tensor)],
    features: &Tensor,
    mut run: impl FnMut(&Tensor) -> Vec<(String, Tensor)>,
) -> Vec<f64> {
    let mut worst = vec![TOLERANCE; trace.len()];
    for seed in 0..4 {
        tch::manual_seed(seed);
        let signs = features.rand_like().round() * 2.0 - 1.0;
        let nudged = run(&(features * (signs * f64::from(f32::EPSILON) + 1.0)));
        for (((name, plain), (_, nudged)), worst) in trace.iter().zip(&nudged).zip(&mut worst) {
            let largest = |x: &Tensor| x.abs().max().double_value(&[]);
            if plain.numel() > 0 && plain.is_floating_point() {
                let moved = largest(&(plain - nudged)) / largest(plain).max(1e-12);
                assert!(moved <= MOST_AMPLIFIED, "{name} moves by {moved:.1e} for one rounding");
                *worst = worst.max((ROUNDINGS * moved).min(MOST_AMPLIFIED));
            }
        }
    }
    worst
}

/// Names of stored tensors that are no activations of the network.
const OUTSIDE: &[&str] =
    &["waveform", "greedy_ids", "beam_", "features", "encoded_len", "encoder_out_lens"];

struct Loaded {
    network: Squeezeformer,
    _vs: VarStore,
}

fn is_wenet(set: &GoldenSet) -> bool {
    set.config["model"].get("encoder_conf").is_some()
}

fn config(set: &GoldenSet, masks: SubsamplingMasks) -> SqueezeformerConfig {
    let model = &set.config["model"];
    let number = |value: &serde_json::Value| value.as_i64().expect("a number");
    if is_wenet(set) {
        let sizes: WenetConfig =
            serde_json::from_value(model["encoder_conf"].clone()).expect("the set's config");
        SqueezeformerConfig::Wenet(WenetConfig {
            input_dim: number(&model["input_dim"]),
            output_dim: number(&model["output_dim"]),
            ..sizes
        })
    } else {
        let sizes: NemoConfig = serde_json::from_value(model.clone()).expect("the set's config");
        SqueezeformerConfig::Nemo(NemoConfig {
            num_classes: number(&set.config["num_classes_without_blank"]),
            subsampling_masks: masks,
            ..sizes
        })
    }
}

fn load(set: &GoldenSet, masks: SubsamplingMasks) -> Loaded {
    let options = checkpoint::FitOptions::default().ignoring(IGNORED_KEYS);
    let weights = checkpoint::read_state_dict(set.folder.join("weights.safetensors"))
        .expect("weights are readable");
    let stored = Stored::new(&weights, &options).expect("readable");
    let vs = VarStore::new(Device::Cpu);
    let network = Squeezeformer::new(&Params::stored(&vs.root(), &stored), &config(set, masks))
        .expect("valid sizes");
    stored.finish().expect("weights fit");
    Loaded { network, _vs: vs }
}

/// `[batch, frames, bins]`, and the valid frames.
fn features(set: &GoldenSet, prefix: &str) -> (Tensor, Vec<i64>) {
    let stored = set.get(&format!("{prefix}features"));
    let stored = if is_wenet(set) { stored } else { stored.transpose(1, 2) };
    (stored.contiguous(), set.integers(&format!("{prefix}features_len")))
}

/// Compares the valid frames of each row; `axis` is that of the frames.
fn assert_valid(
    name: &str,
    found: &Tensor,
    wanted: &Tensor,
    (axis, lengths): (i64, &[i64]),
    limit: f64,
) {
    assert_eq!(found.size(), wanted.size(), "shape of {name}");
    for (row, &length) in lengths.iter().enumerate() {
        let valid = |t: &Tensor| t.get(row as i64).narrow(axis - 1, 0, length);
        assert_close(&format!("{name}, row {row}"), &valid(found), &valid(wanted), limit);
    }
}

/// Axis of the frames in an activation, and by how much they are fewer than the answers.
fn layout(name: &str, found: &Tensor, answers: i64) -> Option<(i64, i64)> {
    match name {
        "encoded" => Some((2, 1)),
        "pre_encode.conv" => Some((2, 1)),
        "global_cmvn" | "embed.mask" | "time_recover.linear" => None,
        _ if name.ends_with("pos_emb") => None,
        _ if found.size()[1] == answers => Some((1, 1)),
        _ => Some((1, 2)),
    }
}

fn compare(set: &GoldenSet, masks: SubsamplingMasks, prefix: &str) {
    let Loaded { network, _vs } = load(set, masks);
    let (features, lengths) = features(set, prefix);
    let mut trace: Vec<(String, Tensor)> = Vec::new();
    let (log_probs, valid) =
        tch::no_grad(|| network.forward_t(&features, &lengths, false, &mut trace));
    let lens = if is_wenet(set) { "encoder_out_lens" } else { "encoded_len" };
    let label = set.folder.display();
    assert_eq!(valid, set.integers(&format!("{prefix}{lens}")), "{label}: lengths");
    let answers = log_probs.size()[1];
    let limits = tolerances(&trace, &features, |features| {
        let mut trace: Vec<(String, Tensor)> = Vec::new();
        let _ = tch::no_grad(|| network.forward_t(features, &lengths, false, &mut trace));
        trace
    });
    let mut compared = Vec::new();
    for ((name, activation), limit) in trace.iter().zip(limits) {
        let Some(wanted) = set.io.get(&format!("{prefix}{name}")) else { continue };
        let label = format!("{label}: {prefix}{name}");
        compared.push(format!("{prefix}{name}"));
        match layout(name, activation, answers) {
            Some((axis, share)) => {
                let lengths: Vec<i64> = valid.iter().map(|&n| (n + share - 1) / share).collect();
                assert_valid(&label, activation, wanted, (axis, &lengths), limit);
            }
            None => assert_close(&label, activation, wanted, limit),
        }
    }
    let missing: Vec<&String> = set
        .io
        .keys()
        .filter(|name| name.starts_with("v1.") != prefix.is_empty())
        .filter(|name| {
            let name = name.strip_prefix(prefix).unwrap_or(name);
            !OUTSIDE.iter().any(|outside| name.starts_with(outside))
        })
        .filter(|name| !compared.contains(name))
        .collect();
    assert!(missing.is_empty(), "{label}: not compared: {missing:?}");
}

#[test]
fn activations_equal_the_reference() {
    for set in golden_sets("squeezeformer") {
        on_one_and_two_threads(|| {
            compare(&set, SubsamplingMasks::Masked, "");
            if set.io.contains_key("v1.features") {
                compare(&set, SubsamplingMasks::Unmasked, "v1.");
            }
        });
    }
}

/// What the front end of a release makes of one row of a batch. The first version of NeMo lets the
/// zeros behind a shorter signal into its last frames, and takes statistics of the valid ones.
fn row_features(
    set: &GoldenSet,
    config: &FeatureConfig,
    row: i64,
    samples: i64,
    v1: bool,
) -> Tensor {
    let plan = |config: &FeatureConfig| FeaturePlan::new(config).expect("a valid preset");
    let longest = set.get("waveform").size()[1];
    if !v1 || samples == longest {
        return compute(&plan(config), &set.clip(row, samples));
    }
    let raw = FeatureConfig { normalization: Normalization::None, ..config.clone() };
    let padded = plan(&raw).compute(&set.clip(row, longest)).expect("finite samples");
    let valid = plan(config).num_frames(samples as usize);
    let bins = padded.ncols();
    let kept = padded.iter().copied().take(valid * bins).collect();
    let mut kept = Array2::from_shape_vec((valid, bins), kept).expect("shape fits");
    config.normalization.apply(&mut kept);
    let values: Vec<f32> = kept.iter().copied().collect();
    Tensor::from_slice(&values).view([valid as i64, bins as i64])
}

#[test]
fn front_ends_equal_the_reference() {
    for set in golden_sets("squeezeformer") {
        let names: &[(&str, &str)] =
            if is_wenet(&set) { &[("wenet", "")] } else { &[("nemo", ""), ("nemo-v1", "v1.")] };
        let section = if is_wenet(&set) { "fbank" } else { "featurizer" };
        for &(preset, prefix) in names {
            if !set.io.contains_key(&format!("{prefix}features")) {
                continue;
            }
            let (wanted, lengths) = features(&set, prefix);
            let base = presets::by_name(preset).expect("a preset");
            let config = set.front_end(base, section, wanted.size()[2]);
            for (row, samples) in (0..).zip(set.valid_samples()) {
                let found = row_features(&set, &config, row, samples, preset == "nemo-v1");
                let frames = found.size()[0];
                let label = format!("{}: {preset}, row {row}", set.folder.display());
                assert_eq!(frames, lengths[row as usize], "{label}: frames");
                let wanted = wanted.get(row).narrow(0, 0, frames);
                let worst = (found - wanted).abs().max().double_value(&[]);
                // WeNet's scaled energies reach down to the rounding of single precision.
                let limit = if is_wenet(&set) { 2e-3 } else { 1e-4 };
                assert!(worst <= limit, "{label}: {worst}");
            }
        }
    }
}

#[test]
fn published_containers_load_unchanged() {
    for set in golden_sets("squeezeformer") {
        let path = set.folder.join("containers/tiny.nemo");
        if !path.is_file() {
            continue;
        }
        for (release, prefix) in [(NemoRelease::V2, ""), (NemoRelease::V1, "v1.")] {
            let source = ModelSource::Path(path.clone());
            let model = CtcModel::load_with(&source, Device::Cpu, |card, _| {
                card.behave_like(release).expect("a preset");
            });
            let model = model.expect("a NeMo archive");
            let vocabulary = &model.card.vocabulary;
            assert_eq!(vocabulary.kind, PieceKind::SentencePiece);
            assert!(vocabulary.model.as_ref().is_some_and(|bytes| !bytes.is_empty()));
            assert_eq!(vocabulary.pieces.len() as i64, model.card.blank());
            let (features, lengths) = features(&set, prefix);
            let run = |x: &Tensor| tch::no_grad(|| model.network.forward(x, &lengths));
            let (found, valid) = run(&features);
            let named = |log_probs: Tensor| vec![("log_probs".to_owned(), log_probs)];
            let plain = named(found.shallow_clone());
            let limit = tolerances(&plain, &features, |x| named(run(x).0))[0];
            let wanted = set.get(&format!("{prefix}log_probs"));
            assert_valid(&path.display().to_string(), &found, &wanted, (1, &valid), limit);
        }
    }
}

/// A WeNet folder as a training leaves it, made of the set's weights.
fn wenet_folder(set: &GoldenSet, folder: &Path) {
    let weights = folder.join("final.safetensors");
    std::fs::copy(set.folder.join("weights.safetensors"), weights).expect("copied");
    let model = &set.config["model"];
    let train = serde_json::json!({
        "encoder": "squeezeformer",
        "encoder_conf": model["encoder_conf"],
        "input_dim": model["input_dim"],
        "output_dim": model["output_dim"],
        "dataset_conf": {
            "fbank_conf": {
                "num_mel_bins": model["input_dim"],
                "frame_length": set.config["fbank"]["frame_length"],
                "frame_shift": set.config["fbank"]["frame_shift"],
            },
        },
    });
    // JSON is YAML.
    std::fs::write(folder.join("train.yaml"), train.to_string()).expect("written");
    let answers = model["output_dim"].as_i64().expect("a number");
    let units: String = (0..answers).map(|id| format!("p{id} {id}\n")).collect();
    std::fs::write(folder.join("units.txt"), units).expect("written");
}

#[test]
fn wenet_folders_load() {
    for set in golden_sets("squeezeformer").iter().filter(|set| is_wenet(set)) {
        let folder = tempfile::tempdir().expect("a folder");
        wenet_folder(set, folder.path());
        for path in [folder.path().to_owned(), folder.path().join("final.safetensors")] {
            let source = ModelSource::Path(path);
            let model = CtcModel::load(&source, Device::Cpu).expect("a folder");
            assert_eq!(model.card.vocabulary.pieces[1], "p1");
            let (features, lengths) = features(set, "");
            let (found, valid) = tch::no_grad(|| model.network.forward(&features, &lengths));
            assert_valid("WeNet folder", &found, &set.get("log_probs"), (1, &valid), TOLERANCE);
        }
    }
}
