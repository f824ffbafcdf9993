//! Mel-RoFormer against the references' activations and outputs in all layouts, the two chunked
//! separation routines, and the published containers.

mod support;

use std::path::Path;

use formant::models::arch::mel_roformer::{MelRoformer, MelRoformerConfig};
use formant::models::checkpoint;
use formant::models::network::Trace;
use formant::models::params::{Params, Stored};
use formant::models::tasks::stems::{DemixConfig, Demixer, EndRule};
use serde_json::Value;
use support::{GoldenSet, assert_close, golden_sets, on_one_and_two_threads};
use tch::nn::VarStore;
use tch::{Device, Tensor};

/// Design tolerance, relative to the largest reference value.
const TOLERANCE: f64 = 2e-5;

struct Loaded {
    network: MelRoformer,
    _vs: VarStore,
}

/// Whether the numbers come from the vocal model's program, which keeps what lies at 0 Hz.
fn is_vocal_model(set: &GoldenSet) -> bool {
    set.config["reference"].as_str().is_some_and(|name| name.starts_with("KimberleyJensen"))
}

fn load(set: &GoldenSet) -> Loaded {
    let weights = checkpoint::read_state_dict(set.folder.join("weights.safetensors"))
        .expect("weights are readable");
    let layout = MelRoformerConfig::layout_of(&weights).expect("a known layout");
    let arguments = &set.config["constructor"];
    let mut config = MelRoformerConfig::from_arguments(arguments, layout).expect("known arguments");
    if arguments.get("zero_dc").is_none() && is_vocal_model(set) {
        config.zero_dc = false;
    }
    let stored = Stored::new(&weights, &Default::default()).expect("readable");
    let vs = VarStore::new(Device::Cpu);
    let network =
        MelRoformer::new(&Params::stored(&vs.root(), &stored), &config).expect("valid sizes");
    stored.finish().expect("weights fit");
    Loaded { network, _vs: vs }
}

/// `[batch, channels, samples]` of a stored signal: the reference takes mono as `[batch, samples]`,
/// too.
fn with_channels(input: &Tensor) -> Tensor {
    if input.dim() == 2 { input.unsqueeze(1) } else { input.shallow_clone() }
}

/// The reference drops the axis of a single stem; a set of a mono network may leave out that of
/// the channel, too.
fn stems_like(found: &Tensor, wanted: &Tensor) -> Tensor {
    let mut found = found.shallow_clone(); // [batch, stems, channels, samples]
    while found.dim() > wanted.dim() && found.size()[1] == 1 {
        found = found.squeeze_dim(1);
    }
    found
}

#[test]
fn mono_signals_are_accepted_without_an_axis_of_channels() {
    let flat = Tensor::zeros([2, 9], (tch::Kind::Float, Device::Cpu));
    assert_eq!(with_channels(&flat).size(), [2, 1, 9]);
    assert_eq!(with_channels(&with_channels(&flat)).size(), [2, 1, 9]);
    let stems = Tensor::zeros([2, 1, 1, 9], (tch::Kind::Float, Device::Cpu));
    for wanted in [vec![2, 1, 9], vec![2, 9]] {
        let stored = Tensor::zeros(wanted.as_slice(), (tch::Kind::Float, Device::Cpu));
        assert_eq!(stems_like(&stems, &stored).size(), wanted);
    }
}

#[test]
fn activations_equal_the_reference() {
    for set in golden_sets("mel-roformer").iter().filter(|set| set.io.contains_key("input")) {
        let Loaded { network, _vs } = load(set);
        let label = set.folder.display();
        let input = set.get("input");
        let mix = with_channels(&input);
        on_one_and_two_threads(|| {
            let mut trace: Vec<(String, Tensor)> = Vec::new();
            let output = tch::no_grad(|| network.forward_t(&mix, &mut trace));
            trace.record("output", &stems_like(&output, &set.io["output"]));
            trace.push(("input".to_owned(), input.shallow_clone()));
            for (name, wanted) in &set.io {
                let found = trace.iter().find(|(traced, _)| traced == name);
                let (_, found) = found.unwrap_or_else(|| panic!("{label}: {name} is not compared"));
                assert_close(&format!("{label}: {name}"), found, wanted, TOLERANCE);
            }
            // What inference computes in groups is the same.
            let output = stems_like(&network.forward(&mix), &set.io["output"]);
            assert_close(&format!("{label}: groups"), &output, &set.io["output"], TOLERANCE);
        });
    }
}

#[test]
fn chunked_separation_equals_the_references() {
    for set in golden_sets("mel-roformer").iter().filter(|set| set.config.get("cases").is_some()) {
        let Loaded { network, _vs } = load(set);
        for case in set.config["cases"].as_array().expect("a list") {
            let number = |name: &str| case[name].as_u64().map(|n| n as usize);
            let vocal_model = case["routine"].as_str().is_some_and(|r| r.contains("demix_track"));
            let config = DemixConfig {
                chunk_size: number("chunk_size").expect("a size"),
                num_overlap: number("num_overlap").expect("a number"),
                batch_size: number("batch_size").unwrap_or(1),
                ends: if vocal_model { EndRule::VocalModel } else { EndRule::TrainingKit },
            };
            let label = format!("{}: case{}", set.folder.display(), case["case"]);
            let (mix, wanted) = (
                set.get(&format!("case{}.mix", case["case"])),
                set.get(&format!("case{}.out", case["case"])),
            );
            let mix = if mix.dim() == 1 { mix.unsqueeze(0) } else { mix }; // [channels, samples]
            on_one_and_two_threads(|| {
                for piece in [mix.size()[1], 777] {
                    let found = demix(&network, config, &mix, piece);
                    assert_close(&label, &stems_like(&found, &wanted), &wanted, TOLERANCE);
                }
            });
        }
    }
}

fn demix(network: &MelRoformer, config: DemixConfig, mix: &Tensor, piece: i64) -> Tensor {
    let mut demixer = Demixer::new(config, mix.size()[0] as usize).expect("valid");
    let mut separate = |chunks: &Tensor| Ok(network.forward(chunks));
    let (mut parts, total, mut at) = (Vec::new(), mix.size()[1], 0);
    while at < total {
        let piece = mix.narrow(1, at, piece.min(total - at));
        parts.extend(demixer.push(&piece, &mut separate).expect("computed"));
        at += piece.size()[1];
    }
    parts.extend(demixer.finish(&mut separate).expect("computed"));
    Tensor::cat(&parts, 2)
}

#[test]
fn published_containers_load_unchanged() {
    let mut roots = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens")];
    roots.extend(std::env::var_os("FORMANT_GOLDENS").map(Into::into));
    for root in roots {
        let folder = root.join("mel-roformer/containers");
        if !folder.is_dir() {
            continue;
        }
        let io = support::read_tensors(&folder.join("io.safetensors"));
        let mut files: Vec<_> = std::fs::read_dir(&folder)
            .expect("a folder")
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                name.ends_with(".ckpt") || name == "half.safetensors"
            })
            .collect();
        files.sort();
        assert!(!files.is_empty(), "{}: no containers", folder.display());
        for file in files {
            let container = checkpoint::Container::open(&file).expect("a checkpoint");
            let state = container.state_dict().expect("weights");
            let found = checkpoint::detect(state).expect("recognised");
            assert_eq!(found.architecture, checkpoint::Architecture::MelRoformer);
            let yaml = container.config("model.yaml").map(|yaml| &yaml["model"]);
            let arguments = yaml.cloned().unwrap_or(Value::Null);
            let layout = MelRoformerConfig::layout_of(state).expect("a known layout");
            let config =
                MelRoformerConfig::from_arguments(&arguments, layout).expect("known arguments");
            let stored = Stored::new(state, &Default::default()).expect("readable");
            let vs = VarStore::new(Device::Cpu);
            let network = MelRoformer::new(&Params::stored(&vs.root(), &stored), &config)
                .expect("valid sizes");
            stored.finish().expect("weights fit");
            let mix = with_channels(&io["input"]);
            let output = stems_like(&network.forward(&mix), &io["output"]);
            let half = file.extension().is_some_and(|e| e == "safetensors");
            // Weights rounded to half floats give other numbers.
            let limit = if half { 5e-3 } else { TOLERANCE };
            assert_close(&file.display().to_string(), &output, &io["output"], limit);
        }
    }
}
