//! LMUFormer against the reference's activations: whole signals, streams, the front end, and the
//! published container.

mod support;

use formant::audio::features::{FeaturePlan, presets};
use formant::models::arch::lmuformer::{IGNORED_KEYS, LmuFormer, LmuFormerConfig};
use formant::models::checkpoint;
use formant::models::network::StreamingNetwork;
use formant::models::params::{Params, Stored};
use support::{
    GoldenSet, assert_all_compared, assert_close, compute, golden_sets, on_one_and_two_threads,
};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

/// Design tolerance, relative to the largest reference value.
const TOLERANCE: f64 = 2e-5;

struct Loaded {
    network: LmuFormer,
    _vs: VarStore,
}

fn load(set: &GoldenSet, weights: &std::path::Path) -> Loaded {
    let mut config: LmuFormerConfig =
        serde_json::from_value(set.config["model"].clone()).expect("the set's model config");
    config.variant =
        serde_json::from_value(set.config["variant"].clone()).expect("a variant that formant has");
    let options = checkpoint::FitOptions::default().ignoring(IGNORED_KEYS);
    let weights = checkpoint::read_state_dict(weights).expect("weights are readable");
    let stored = Stored::new(&weights, &options).expect("readable");
    let vs = VarStore::new(Device::Cpu);
    let network = LmuFormer::new(&Params::stored(&vs.root(), &stored), &config)
        .expect("the set's sizes are valid");
    stored.finish().expect("weights fit");
    Loaded { network, _vs: vs }
}

/// `[batch, frames, x]` of the reference's names, whose layouts differ.
fn reference_layout(name: &str, activation: &Tensor) -> Tensor {
    let neuron = ["prev_lif", "proj_lif", "f_u", "f_m"].iter().any(|part| name.contains(part));
    // Neurons are stored as [frames, channels, batch].
    if neuron { activation.permute([2, 1, 0]) } else { activation.shallow_clone() }
}

/// Names of stored tensors that are no activations of the network.
const OUTSIDE: &[&str] =
    &["waveform", "fbank", "features", "logits", "recurrent.", "stream.", "long."];

/// For every frame the mean of all logits up to it: `[batch, frames, n]` to the same shape.
fn running_answer(x: &Tensor) -> Tensor {
    let frames = x.size()[1];
    let counts = Tensor::arange_start(1, frames + 1, (Kind::Float, x.device())).view([1, -1, 1]);
    x.cumsum(1, Kind::Float) / counts
}

#[test]
fn activations_equal_the_reference() {
    for set in golden_sets("lmuformer") {
        let Loaded { network, _vs } = load(&set, &set.folder.join("weights.safetensors"));
        let label = set.folder.display();
        on_one_and_two_threads(|| {
            let mut trace: Vec<(String, Tensor)> = Vec::new();
            let logits =
                tch::no_grad(|| network.forward_t(&set.get("features"), false, &mut trace));
            let mut compared = Vec::new();
            for (name, activation) in &trace {
                let Some(stored) = set.io.get(name.as_str()) else { continue };
                let limit = if stored.kind() == Kind::Uint8 { 0.0 } else { TOLERANCE }; // spikes
                let found = reference_layout(name, activation);
                assert_close(&format!("{label}: {name}"), &found, &set.get(name), limit);
                compared.push(name.clone());
            }
            assert_all_compared(&set, &compared, OUTSIDE);
            let running = running_answer(&logits).transpose(0, 1);
            let wanted = set.get("logits_all_seq");
            assert_close(&format!("{label}: logits_all_seq"), &running, &wanted, TOLERANCE);
            let answer = logits.mean_dim([1i64].as_slice(), false, Kind::Float);
            assert_close(&format!("{label}: logits"), &answer, &set.get("logits"), TOLERANCE);
        });
    }
}

#[test]
fn streams_equal_the_reference_for_any_split() {
    for set in golden_sets("lmuformer") {
        let Loaded { network, _vs } = load(&set, &set.folder.join("weights.safetensors"));
        let features = set.get("features");
        let frames = features.size()[1];
        let stored = ["recurrent.logits_all_seq", "stream.logits_all_seq"];
        let wanted =
            stored.iter().find(|name| set.io.contains_key(**name)).expect("a stream golden");
        for split in [1, 2, 7, 64, frames] {
            let mut state = network.start(features.size()[0]);
            let mut parts = Vec::new();
            tch::no_grad(|| {
                for at in (0..frames).step_by(split as usize) {
                    parts.extend(
                        network.step(&mut state, &features.narrow(1, at, split.min(frames - at))),
                    );
                }
                parts.extend(network.finish(state));
            });
            let running = running_answer(&Tensor::cat(&parts, 1)).transpose(0, 1);
            let label = format!("{}: blocks of {split}", set.folder.display());
            assert_close(&label, &running, &set.get(wanted), TOLERANCE);
        }
    }
}

#[test]
fn front_end_equals_the_reference() {
    for set in golden_sets("lmuformer") {
        let bands = set.config["model"]["in_channels"].as_i64().expect("a number");
        let preset = presets::by_name("lmuformer").expect("a preset");
        let mut config = set.front_end(preset, "frontend", bands);
        config.target_frames = set.config["frontend"]["target_length"].as_u64().map(|n| n as usize);
        let plan = FeaturePlan::new(&config).expect("a valid preset");
        for (row, samples) in (0..).zip(set.valid_samples()) {
            let found = compute(&plan, &set.clip(row, samples));
            let wanted = set.get("features").get(row);
            assert_eq!(found.size(), wanted.size(), "{}: clip {row}", set.folder.display());
            let worst = (found - wanted).abs().max().double_value(&[]);
            assert!(worst <= 1e-4, "{}: clip {row} differs by {worst}", set.folder.display());
        }
    }
}

#[test]
fn published_container_loads_unchanged() {
    for set in golden_sets("lmuformer") {
        let container = set.folder.join("containers/best_model.pth");
        if !container.is_file() {
            continue;
        }
        let Loaded { network, _vs } = load(&set, &container);
        let logits = tch::no_grad(|| network.forward(&set.get("features")));
        let answer = logits.mean_dim([1i64].as_slice(), false, Kind::Float);
        assert_close("container: logits", &answer, &set.get("logits"), TOLERANCE);
    }
}
