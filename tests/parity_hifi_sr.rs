//! HiFi-SR against the reference's activations: front end, encoder, generator, and the published
//! container of two files.

mod reference {
    pub(crate) mod band;
    pub(crate) mod windows;
}
mod support;

use std::path::{Path, PathBuf};

use formant::audio::features::FeaturePlan;
use formant::models::ModelSource;
use formant::models::arch::hifi_sr::{HifiSrCard, HifiSrModel};
use formant::models::checkpoint::{self, StateDict, WeightNorm};
use formant::models::tasks::superres::SuperResolver;
use reference::band::{Pass, energy_band, substitute_band, zero_phase};
use reference::windows::ReferenceWindows;
use support::{
    GoldenSet, assert_all_compared, assert_close, compute, golden_sets, on_one_and_two_threads,
};
use tch::{Device, Kind, Tensor};

/// Design tolerance, relative to the largest reference value.
const TOLERANCE: f64 = 2e-5;
/// Log-mel features, absolute; waveforms behind filters, relative: the set's own note.
const FILTERED: f64 = 1e-4;

/// Activations that are not of the network.
const OTHERS: [&str; 5] = ["input", "mel", "bandwidth.", "decode_", "output"];

fn weights(set: &GoldenSet) -> StateDict {
    let path = set.folder.join("weights.safetensors");
    let mut state = checkpoint::read_state_dict(path).expect("readable weights");
    checkpoint::clean(&mut state, WeightNorm::Fold).expect("readable weights");
    state
}

fn model(set: &GoldenSet) -> HifiSrModel {
    let weights = weights(set);
    let card = HifiSrCard::read(Some(&set.config), &weights).expect("a config");
    for (section, found) in [
        ("encoder", serde_json::to_value(&card.config.encoder)),
        ("generator", serde_json::to_value(&card.config.generator)),
    ] {
        // Every size that the set states is honoured.
        let found = found.expect("plain data");
        for (name, wanted) in set.config[section].as_object().expect("a section") {
            let label = format!("{}: {section}.{name}", set.folder.display());
            let found = found.get(name).unwrap_or_else(|| panic!("{label}: unknown"));
            let equal =
                found == wanted || found.as_f64().is_some_and(|n| wanted.as_f64() == Some(n));
            assert!(equal, "{label}: {found} for {wanted}");
        }
    }
    HifiSrModel::from_state(card, &weights, Device::Cpu).expect("weights fit")
}

fn samples(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(tensor.to_kind(Kind::Float).reshape([-1])).expect("one row")
}

#[test]
fn networks_equal_the_reference() {
    for set in golden_sets("mossformer2-sr") {
        let (loaded, label) = (model(&set), set.folder.display().to_string());
        let mel = set.get("mel").transpose(1, 2);
        on_one_and_two_threads(|| {
            let mut trace: Vec<(String, Tensor)> = Vec::new();
            let found = tch::no_grad(|| loaded.network.forward_traced(&mel, &mut trace));
            let mut compared = Vec::new();
            for (name, found) in &trace {
                if let Some(wanted) = set.io.get(name.as_str()) {
                    assert_close(&format!("{label}: {name}"), found, wanted, TOLERANCE);
                    compared.push(name.clone());
                }
            }
            assert_all_compared(&set, &compared, &OTHERS);
            for needed in ["latent", "generator.output"] {
                assert!(compared.iter().any(|name| name == needed), "{label}: no `{needed}`");
            }
            let frozen = loaded.network.clone().freeze().forward(&mel);
            assert_close(&format!("{label}: frozen"), &frozen, &found, TOLERANCE);
        });
    }
}

#[test]
fn front_ends_equal_the_reference() {
    for set in golden_sets("mossformer2-sr") {
        let plan = FeaturePlan::new(&model(&set).card.frontend).expect("a sound front end");
        let found = compute(&plan, &samples(&set.get("input")));
        let wanted = set.get("mel").squeeze_dim(0).transpose(0, 1);
        assert_eq!(found.size(), wanted.size(), "{}", set.folder.display());
        let worst = (found - wanted).abs().max().double_value(&[]);
        assert!(worst <= FILTERED, "{}: features differ by {worst}", set.folder.display());
    }
}

/// Front end, network and the reference's band substitution, in one pass and in its windows.
#[test]
fn waveforms_equal_the_reference() {
    for set in golden_sets("mossformer2-sr") {
        let label = set.folder.display().to_string();
        let resolver = SuperResolver::of(model(&set)).expect("a sound front end");
        let threshold = set.config["bandwidth_energy_threshold"].as_f64().expect("a share");
        let input = samples(&set.get("input"));
        let generated = resolver.generate(&input).expect("runs");
        let found = Tensor::from_slice(&generated);
        let wanted = set.get("generator.output").reshape([-1]);
        assert_close(&format!("{label}: generated"), &found, &wanted, FILTERED);

        let stored = set.get("bandwidth.f_low_f_high").double_value(&[1]);
        let band = energy_band(&input, threshold).expect("sound");
        assert_eq!(band, stored, "{label}: band");
        let low = Tensor::from_slice(&zero_phase(Pass::Low, band, &input));
        assert_close(
            &format!("{label}: low"),
            &low,
            &set.get("bandwidth.lowpassed_input"),
            FILTERED,
        );
        let high = Tensor::from_slice(&zero_phase(Pass::High, band, &samples(&wanted)));
        let wanted = set.get("bandwidth.highpassed_generated");
        assert_close(&format!("{label}: high"), &high, &wanted, FILTERED);

        let found = substitute_band(&input, &generated, threshold);
        let found = Tensor::from_slice(&found);
        assert_close(&format!("{label}: output"), &found, &set.get("output"), FILTERED);

        let Some(wanted) = set.io.get("decode_long.output") else { continue };
        let seconds = |name: &str| set.config["decode"][name].as_f64().expect("seconds");
        let windows = ReferenceWindows::of_seconds(
            seconds("decode_window"),
            seconds("one_time_decode_length"),
            resolver.sample_rate(),
        );
        let mut padded = input.clone();
        padded.resize(windows.padded(input.len()), 0.0);
        let run = |chunk: &[f32]| Ok(vec![resolver.generate(chunk)?]);
        let generated = windows.decode(&padded, run).expect("sound windows").remove(0);
        let found = substitute_band(&padded, &generated, threshold);
        let found = Tensor::from_slice(&found);
        assert_close(&format!("{label}: windows"), &found, wanted, FILTERED);
    }
}

/// Folders of containers, in the repository and in the folder that `FORMANT_GOLDENS` names.
fn containers() -> Vec<PathBuf> {
    let mut roots = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens")];
    roots.extend(std::env::var_os("FORMANT_GOLDENS").map(PathBuf::from));
    let folders = roots.into_iter().map(|root| root.join("mossformer-checkpoints/sr_48k"));
    folders.filter(|folder| folder.is_dir()).collect()
}

/// The released pair of files holds the weights of the set beside it.
#[test]
fn the_published_container_loads_unchanged() {
    let folders = containers();
    assert!(!folders.is_empty(), "no container");
    for folder in folders {
        let path = folder.ancestors().nth(2).expect("a root").join("mossformer2-sr");
        let sets = golden_sets("mossformer2-sr");
        let set = sets.iter().find(|set| set.folder == path).expect("the set of the weights");
        let wanted = model(set);
        for source in [folder.clone(), folder.join("last_best_checkpoint")] {
            let source = ModelSource::Path(source);
            let mut loaded = HifiSrModel::load(&source, Device::Cpu).expect("a known container");
            let (found, stated) = (&loaded.card.config, &wanted.card.config);
            assert_eq!(found.generator, stated.generator, "{}", folder.display());
            assert_eq!(loaded.card.frontend, wanted.card.frontend);
            if found.encoder.group_size != stated.encoder.group_size {
                // No checkpoint tells the size of its groups: the release's is taken.
                loaded = HifiSrModel::load_with(&source, Device::Cpu, |card, _| {
                    card.config.encoder.group_size = stated.encoder.group_size;
                })
                .expect("again");
            }
            let mel = set.get("mel").transpose(1, 2);
            let found = loaded.network.freeze().forward(&mel);
            let label = folder.display().to_string();
            assert_close(&label, &found, &set.get("generator.output"), TOLERANCE);
        }
    }
}
