//! MossFormer and MossFormer2 against the references' activations: mask networks, codecs, and the
//! published containers.

mod reference {
    pub(crate) mod windows;
}
mod support;

use std::path::{Path, PathBuf};

use formant::audio::features::{FeatureConfig, FeaturePlan, presets};
use formant::models::ModelSource;
use formant::models::arch::mossformer::{
    MaskEstimator, MossformerCard, MossformerConfig, MossformerModel, Network, Output,
    SourceSeparator,
};
use formant::models::checkpoint::{self, StateDict};
use formant::models::tasks::enhance::{Enhancer, Tail};
use reference::windows::ReferenceWindows;
use support::{GoldenSet, assert_all_compared, assert_close, golden_sets, on_one_and_two_threads};
use tch::{Device, Kind, Tensor};

/// Design tolerance, relative to the largest reference value.
const TOLERANCE: f64 = 2e-5;

fn config(set: &GoldenSet) -> MossformerConfig {
    serde_json::from_value(set.config.clone())
        .unwrap_or_else(|e| panic!("{}: {e}", set.folder.display()))
}

fn weights(set: &GoldenSet) -> StateDict {
    checkpoint::read_state_dict(set.folder.join("weights.safetensors")).expect("readable weights")
}

fn model(config: MossformerConfig, weights: &StateDict) -> MossformerModel {
    let mut card = MossformerCard::published(config, 8000).expect("a card");
    // Features come from the set, whatever front end they are of.
    card.frontend = None;
    MossformerModel::from_state(card, weights, Device::Cpu).expect("weights fit")
}

fn separator(model: &MossformerModel) -> &SourceSeparator {
    match &model.network {
        Network::Separator(network) => network,
        Network::MaskEstimator(_) => panic!("this network makes masks"),
    }
}

fn estimator(model: &MossformerModel) -> &MaskEstimator {
    match &model.network {
        Network::MaskEstimator(network) => network,
        Network::Separator(_) => panic!("this network separates"),
    }
}

/// Compares what the network computes on the way with all stored activations but the `others`.
/// Detailed ones are stored for the first signal of a batch alone.
fn compare(set: &GoldenSet, trace: &[(String, Tensor)], others: &[&str]) {
    let label = set.folder.display();
    let mut compared: Vec<String> = Vec::new();
    for (name, found) in trace {
        let Some(wanted) = set.io.get(name.as_str()) else { continue };
        let found = match wanted.size()[0] {
            rows if wanted.dim() == found.dim() && rows < found.size()[0] => {
                found.narrow(0, 0, rows)
            }
            _ => found.shallow_clone(),
        };
        assert_close(&format!("{label}: {name}"), &found, wanted, TOLERANCE);
        compared.push(name.clone());
    }
    assert_all_compared(set, &compared, others);
}

/// Voices `[batch, voices, samples]` as the set stores them.
fn stored_voices(set: &GoldenSet, prefix: &str) -> Tensor {
    match set.io.get(&format!("{prefix}output")) {
        Some(output) => output.transpose(1, 2),
        None => {
            let voices: Vec<Tensor> = (1..)
                .map_while(|i| set.io.get(&format!("{prefix}output.s{i}")))
                .map(Tensor::shallow_clone)
                .collect();
            Tensor::stack(&voices, 1)
        }
    }
}

#[test]
fn separators_equal_the_reference() {
    for name in ["mossformer", "mossformer2-ss"] {
        for set in golden_sets(name) {
            let (config, weights, input) = (config(&set), weights(&set), set.get("input"));
            let loaded = model(config.clone(), &weights);
            let network = separator(&loaded);
            let wanted = stored_voices(&set, "");
            let label = set.folder.display();
            on_one_and_two_threads(|| {
                let mut trace: Vec<(String, Tensor)> = Vec::new();
                let found = tch::no_grad(|| network.forward_traced(&input, &mut trace));
                let others = ["input", "output", "pipeline.", "decode_", "variant_mapping."];
                compare(&set, &trace, &others);
                assert_close(&format!("{label}: output"), &found, &wanted, TOLERANCE);
                let found = network.clone().freeze().forward(&input);
                assert_close(&format!("{label}: frozen"), &found, &wanted, TOLERANCE);
            });
            if set.io.keys().any(|name| name.starts_with("variant_mapping.")) {
                let config = MossformerConfig { output: Output::Mapping, ..config };
                let mapping = model(config, &weights);
                let found = separator(&mapping).clone().freeze().forward(&input);
                let wanted = stored_voices(&set, "variant_mapping.");
                assert_close(&format!("{label}: mapping"), &found, &wanted, TOLERANCE);
            }
        }
    }
}

/// Runs a network from `features [batch, frames, in_channels]` to masks, and compares.
fn compare_estimator(set: &GoldenSet, network: &MaskEstimator, features: &Tensor, others: &[&str]) {
    on_one_and_two_threads(|| {
        let mut trace: Vec<(String, Tensor)> = Vec::new();
        let mask = tch::no_grad(|| network.forward_traced(features, &mut trace));
        compare(set, &trace, others);
        let frozen = network.clone().freeze().forward(features);
        assert_close(&format!("{}: frozen", set.folder.display()), &frozen, &mask, TOLERANCE);
    });
}

#[test]
fn enhancers_equal_the_reference() {
    for set in golden_sets("mossformer2-se") {
        let loaded = model(config(&set), &weights(&set));
        let network = estimator(&loaded);
        let features = set.get("features");
        let others = ["input", "output", "features", "decode_", "stft.", "batch2."];
        compare_estimator(&set, network, &features, &others);
        if let Some(wanted) = set.io.get("batch2.mask_item1_first8") {
            let other = features.flip([1]) * 0.7 + 0.3;
            let found = network.clone().freeze().forward(&Tensor::cat(&[&features, &other], 0));
            let found = found.narrow(0, 1, 1).narrow(1, 0, wanted.size()[1]);
            assert_close("the second of a batch", &found, wanted, TOLERANCE);
        }
    }
}

/// Gives every source the root mean square of the recording before its padding; a silent source
/// stays silent.
fn match_levels(sources: &mut [Vec<f32>], recording: &[f32]) {
    let rms = |samples: &[f32]| {
        let sum: f64 = samples.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
        (sum / samples.len().max(1) as f64).sqrt()
    };
    let wanted = rms(recording);
    for source in sources {
        let own = rms(source);
        if own > 0.0 {
            let gain = (wanted / own) as f32;
            source.iter_mut().for_each(|x| *x *= gain);
        }
    }
}

fn samples(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(tensor.to_kind(Kind::Float).reshape([-1])).expect("one row")
}

fn seconds(set: &GoldenSet, name: &str) -> f64 {
    set.config["decode"][name].as_f64().expect("seconds")
}

#[test]
fn windows_equal_the_reference() {
    for set in golden_sets("mossformer2-ss") {
        let loaded = model(config(&set), &weights(&set));
        let network = separator(&loaded).clone().freeze();
        let rate = set.config["decode"]["sampling_rate"].as_u64().expect("a rate") as u32;
        let windows = ReferenceWindows::of_seconds(
            seconds(&set, "decode_window"),
            seconds(&set, "one_time_decode_length"),
            rate,
        );
        let run = |samples: &[f32]| {
            let y = network.forward(&Tensor::from_slice(samples).unsqueeze(0)).squeeze_dim(0);
            Ok((0..y.size()[0]).map(|voice| self::samples(&y.get(voice))).collect())
        };
        let inputs = set.io.keys().filter(|k| k.starts_with("decode_") && k.ends_with(".input"));
        for key in inputs {
            let prefix = key.strip_suffix("input").expect("just seen");
            let input = samples(&set.get(key));
            let mut padded = input.clone();
            padded.resize(windows.padded(input.len()), 0.0);
            let mut voices = match windows.segments(input.len()) {
                true => windows.decode(&padded, run).expect("sound windows"),
                false => run(&padded).expect("runs"),
            };
            match_levels(&mut voices, &input);
            for (voice, found) in voices.iter().enumerate() {
                let wanted = set.get(&format!("{prefix}output.s{}", voice + 1));
                let label = format!("{}: {prefix}{voice}", set.folder.display());
                assert_close(&label, &Tensor::from_slice(found), &wanted, TOLERANCE);
            }
        }
    }
}

/// The front end of a set of enhancement.
fn frontend(set: &GoldenSet) -> FeatureConfig {
    let stated = &set.config["frontend"];
    let number = |name: &str| stated[name].as_u64().expect("a number") as usize;
    let mut config = presets::by_name("mossformer2-se").expect("a preset");
    config.sample_rate = number("sampling_rate") as u32;
    config.win_length = number("win_len");
    config.hop_length = number("win_inc");
    config.n_fft = config.win_length.next_power_of_two();
    if let Some(mel) = &mut config.mel {
        mel.n_mels = number("num_mels");
        mel.f_max = f64::from(config.sample_rate) / 2.0;
    }
    config
}

#[test]
fn enhanced_waveforms_equal_the_reference() {
    for set in golden_sets("mossformer2-se") {
        let label = set.folder.display().to_string();
        let mut loaded = model(config(&set), &weights(&set));
        let frontend = frontend(&set);
        let input = samples(&set.get("input"));
        let plan = FeaturePlan::new(&frontend).expect("a sound front end");
        let found = plan.compute(&input).expect("finite samples");
        let values: Vec<f32> = found.iter().copied().collect();
        let wanted = set.get("features");
        let found = Tensor::from_slice(&values).view_as(&wanted);
        let worst = (found - &wanted).abs().max().double_value(&[]);
        assert!(worst <= 1e-4, "{label}: features differ by {worst}");
        loaded.card.sample_rate = frontend.sample_rate;
        loaded.card.frontend = Some(frontend);
        let enhancer = Enhancer::of(loaded.clone()).expect("they fit");
        let masking = enhancer.masking().expect("it masks");
        let run = |samples: &[f32]| masking.run(samples, None, Tail::Zeros);
        let out = Tensor::from_slice(&run(&input).expect("runs"));
        // The set's own note allows this much for what the front end's rounding does.
        assert_close(&format!("{label}: output"), &out, &set.get("output"), 5e-5);
        if let Some(wanted) = set.io.get("stft.first4_last4_frames") {
            let spectrum = masking.stft().forward(&input);
            let rows = spectrum.nrows();
            let chosen = (0..4).chain(rows - 4..rows);
            let parts: Vec<f32> = chosen
                .flat_map(|row| spectrum.row(row).to_vec())
                .flat_map(|bin| [bin.re * 32768.0, bin.im * 32768.0])
                .collect();
            let found = Tensor::from_slice(&parts).view_as(wanted);
            assert_close(&format!("{label}: spectrum"), &found, wanted, TOLERANCE);
        }
        if let Some(wanted) = set.io.get("decode_long.output") {
            let windows = ReferenceWindows::of_seconds(
                seconds(&set, "decode_window"),
                seconds(&set, "one_time_decode_length"),
                enhancer.sample_rate(),
            );
            assert!(windows.segments(input.len()), "{label}: long enough");
            let mut padded = input.clone();
            padded.resize(windows.padded(input.len()), 0.0);
            let rows = windows.decode(&padded, |chunk| Ok(vec![run(chunk)?]));
            let found = Tensor::from_slice(&rows.expect("sound windows")[0]);
            assert_close(&format!("{label}: windows"), &found, wanted, 5e-5);
        }
    }
}

/// Folders of containers, in the repository and in the folder that `FORMANT_GOLDENS` names.
fn containers() -> Vec<PathBuf> {
    let mut roots = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens")];
    roots.extend(std::env::var_os("FORMANT_GOLDENS").map(PathBuf::from));
    roots.into_iter().map(|root| root.join("mossformer-checkpoints")).collect()
}

/// A container's network gives what the set of its weights holds.
#[test]
fn published_containers_load_unchanged() {
    let cases = [
        ("modelscope_mossformer", "mossformer", "", 8_000),
        ("ss_16k", "mossformer2-ss", "", 16_000),
        ("standalone_whamr_2spk", "mossformer2-ss", "variant_mapping.", 8_000),
        ("se_48k", "mossformer2-se", "", 48_000),
    ];
    let mut seen = 0;
    for root in containers() {
        for (name, family, prefix, rate) in cases {
            let folder = root.join(name);
            if !folder.is_dir() {
                continue;
            }
            // The set whose weights they are stands beside the containers.
            let path = root.with_file_name(family);
            let sets = golden_sets(family);
            let set = sets.iter().find(|set| set.folder == path).expect("the set of the weights");
            let stated = config(set);
            let source = ModelSource::Path(folder.clone());
            let mut loaded =
                MossformerModel::load(&source, Device::Cpu).expect("a known container");
            assert_eq!(loaded.card.sample_rate, rate, "{}", folder.display());
            if loaded.card.config.group_size != stated.group_size {
                // No checkpoint tells the size of its groups: the release's is taken.
                let config =
                    MossformerConfig { group_size: stated.group_size, ..loaded.card.config };
                loaded = MossformerModel::load_with(&source, Device::Cpu, |card, _| {
                    card.config = config
                })
                .expect("again");
            }
            let label = folder.display().to_string();
            match &loaded.network {
                Network::Separator(network) => {
                    let found = network.clone().freeze().forward(&set.get("input"));
                    assert_close(&label, &found, &stored_voices(set, prefix), TOLERANCE);
                }
                Network::MaskEstimator(network) => {
                    let features = set.get("features");
                    let found = network.clone().freeze().forward(&features);
                    let original = model(stated, &weights(set));
                    let wanted = estimator(&original).clone().freeze().forward(&features);
                    assert!(found.equal(&wanted), "{label}");
                }
            }
            seen += 1;
        }
    }
    assert!(seen >= 2, "no containers");
}
