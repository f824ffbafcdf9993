//! LMUFormer against the reference's activations: whole signals, streams, the front end, and the
//! published container.

mod support;

use formant::audio::features::{FeaturePlan, presets};
use formant::models::arch::lmuformer::{IGNORED_KEYS, LmuFormer, LmuFormerConfig, running_answer};
use formant::models::checkpoint;
use formant::models::network::StreamingNetwork;
use support::{GoldenSet, assert_close, golden_sets};
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
    let mut vs = VarStore::new(Device::Cpu);
    let network =
        LmuFormer::new(&Params::random(&vs.root()), &config).expect("the set's sizes are valid");
    let weights = checkpoint::read_state_dict(weights).expect("weights are readable");
    let options = checkpoint::LoadOptions::default().ignoring(IGNORED_KEYS);
    checkpoint::load_into(&mut vs, &weights, &options).expect("weights fit");
    Loaded { network, _vs: vs }
}

/// `[batch, frames, x]` of the reference's names, whose layouts differ.
fn reference_layout(name: &str, activation: &Tensor) -> Tensor {
    let neuron = ["prev_lif", "proj_lif", "f_u", "f_m"].iter().any(|part| name.contains(part));
    // Neurons are stored as [frames, channels, batch].
    if neuron { activation.permute([2, 1, 0]) } else { activation.shallow_clone() }
}

#[test]
fn activations_equal_the_reference() {
    for set in golden_sets("lmuformer") {
        let Loaded { network, _vs } = load(&set, &set.folder.join("weights.safetensors"));
        let mut trace: Vec<(String, Tensor)> = Vec::new();
        let logits = tch::no_grad(|| network.forward_t(&set.get("features"), false, &mut trace));
        let mut compared = 0;
        for (name, activation) in &trace {
            if set.io.contains_key(name.as_str()) {
                let label = format!("{}: {name}", set.folder.display());
                let spikes = set.io[name.as_str()].kind() == Kind::Uint8;
                let limit = if spikes { 0.0 } else { TOLERANCE };
                assert_close(&label, &reference_layout(name, activation), &set.get(name), limit);
                compared += 1;
            }
        }
        let inner =
            set.io.keys().filter(|k| k.starts_with("block.") || k.starts_with("patch_embed"));
        assert!(
            compared >= inner.count(),
            "{}: some activations have no counterpart",
            set.folder.display()
        );
        let running = running_answer(&logits).transpose(0, 1);
        let label = set.folder.display();
        assert_close(
            &format!("{label}: logits_all_seq"),
            &running,
            &set.get("logits_all_seq"),
            TOLERANCE,
        );
        let answer = logits.mean_dim([1i64].as_slice(), false, Kind::Float);
        assert_close(&format!("{label}: logits"), &answer, &set.get("logits"), TOLERANCE);
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
        let mut config = presets::by_name("lmuformer").expect("a preset");
        config.target_frames = set.config["frontend"]["target_length"].as_u64().map(|n| n as usize);
        let plan = FeaturePlan::new(&config).expect("a valid preset");
        let waveform = set.get("waveform");
        for clip in 0..waveform.size()[0] {
            let samples = Vec::<f32>::try_from(waveform.get(clip)).expect("one row");
            let features = plan.compute(&samples).expect("finite samples");
            let (rows, bins) = features.dim();
            let found = Tensor::from_slice(features.as_slice().expect("row-major"))
                .view([rows as i64, bins as i64]);
            let worst = (found - set.get("features").get(clip)).abs().max().double_value(&[]);
            assert!(worst <= 1e-4, "{}: clip {clip} differs by {worst}", set.folder.display());
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
