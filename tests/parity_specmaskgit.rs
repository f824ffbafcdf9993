//! The parts of SpecMaskGIT against reference activations: SpecVQGAN's tokenizer, the masked
//! transformer and its sampling, vocoders and CLAP's text tower; and their published containers.

mod support;

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use formant::models::ModelSource;
use formant::models::arch::clap::{ClapCard, ClapConfig, ClapTextModel};
use formant::models::arch::gan_vocoder::{GanVocoderCard, GanVocoderConfig, GanVocoderModel};
use formant::models::arch::specmaskgit::{
    Conditions, GivenNoise, Sampling, SpecMaskGit, SpecMaskGitCard, SpecMaskGitConfig,
    SpecMaskGitModel, Step,
};
use formant::models::arch::specvqgan::{SpecVqganCard, SpecVqganConfig, SpecVqganModel};
use formant::models::checkpoint::{self, StateDict, WeightNorm};
use serde_json::Value;
use support::{
    GoldenSet, assert_all_compared, assert_close, find_golden_sets, on_one_and_two_threads,
};
use tch::{Device, Kind, Tensor};

/// Design tolerance, relative to the largest reference value.
const TOLERANCE: f64 = 2e-5;

/// What the sets of a part call it.
const TOKENIZER: &str = "SpecVQGAN tokenizer";
const TRANSFORMER: &str = "SpecMaskGIT masked token transformer and sampler";
const VOCODERS: [&str; 3] = ["hifigan", "bigvsan", "melgan"];
const TEXT: &str = "LAION-CLAP text tower";

fn sets_of(model: &str) -> impl Iterator<Item = GoldenSet> {
    let sets = find_golden_sets("specmaskgit").into_iter();
    sets.filter(move |set| set.config["model"] == model)
}

fn weights(path: &Path) -> StateDict {
    let mut state = checkpoint::read_state_dict(path).expect("readable weights");
    checkpoint::clean(&mut state, WeightNorm::Fold).expect("readable weights");
    state
}

/// Every size that a set states is that of the config.
fn assert_sizes(label: &str, found: &Value, stated: &Value, others: &[&str]) {
    for (name, wanted) in stated.as_object().expect("a section") {
        if !others.contains(&name.as_str()) {
            assert_eq!(&found[name], wanted, "{label}: {name}");
        }
    }
}

/// Compares what was recorded with what the set has under its names.
fn compare(label: &str, set: &GoldenSet, trace: &[(String, Tensor)], compared: &mut Vec<String>) {
    for (name, found) in trace {
        let Some(wanted) = set.io.get(name) else { continue };
        // Sets keep the first frames of the largest activation.
        let found = match name == "encoder.conv_in" {
            true => found.narrow(3, 0, wanted.size()[3].min(found.size()[3])),
            false => found.shallow_clone(),
        };
        assert_close(&format!("{label}: {name}"), &found, wanted, TOLERANCE);
        compared.push(name.clone());
    }
}

#[test]
fn no_set_is_left_out() {
    for set in find_golden_sets("specmaskgit") {
        let model = set.config["model"].as_str().unwrap_or_default().to_owned();
        let known = [TOKENIZER, TRANSFORMER, TEXT].contains(&model.as_str());
        assert!(known || VOCODERS.contains(&model.as_str()), "{}: {model}", set.folder.display());
    }
}

#[test]
fn tokenizers_equal_the_reference() {
    for set in sets_of(TOKENIZER) {
        let label = set.folder.display().to_string();
        let weights = weights(&set.folder.join("weights.safetensors"));
        let config = SpecVqganConfig::of_weights(&weights).expect("weights of the network");
        let found = serde_json::to_value(&config).expect("plain data");
        let fixed = ["double_z", "in_channels", "out_ch", "dropout"];
        assert_sizes(&label, &found, &set.config["ddconfig"], &fixed);
        assert_eq!(set.config["ddconfig"]["double_z"], false, "{label}");
        assert_eq!(found["n_embed"], set.config["n_embed"], "{label}");
        assert_eq!(found["embed_dim"], set.config["embed_dim"], "{label}");
        let mut card = SpecVqganCard::published(config).expect("a card");
        if let Some(mel) = &mut card.frontend.mel {
            mel.n_mels = set.get("input").size()[2] as usize;
        }
        let model = SpecVqganModel::from_state(card, &weights, Device::Cpu).expect("weights fit");
        on_one_and_two_threads(|| check_tokenizer(&label, &set, &model));
    }
}

fn check_tokenizer(label: &str, set: &GoldenSet, model: &SpecVqganModel) {
    let (network, _guard) = (&model.network, tch::no_grad_guard());
    let mut compared: Vec<String> =
        ["input", "indices", "z_q", "output", "output_from_indices"].map(str::to_owned).to_vec();
    let mut trace: Vec<(String, Tensor)> = Vec::new();
    let latents = network.latents(&set.get("input"), &mut trace);
    let tokens = network.nearest(&latents);
    assert!(tokens.equal(&set.io["indices"]), "{label}: tokens");
    assert!(network.encode(&set.get("input")).equal(&tokens), "{label}");
    let codes = network.lookup(&tokens);
    assert_close(&format!("{label}: codes"), &codes, &set.get("z_q"), TOLERANCE);
    let output = network.decode_codes(&codes, &mut trace);
    assert_close(&format!("{label}: output"), &output, &set.get("output"), TOLERANCE);
    let output = network.decode(&set.io["indices"]);
    let wanted = set.get("output_from_indices");
    assert_close(&format!("{label}: of tokens"), &output, &wanted, TOLERANCE);
    compare(label, set, &trace, &mut compared);
    assert_all_compared(set, &compared, &[]);
}

fn transformer(set: &GoldenSet) -> SpecMaskGitModel {
    let label = set.folder.display().to_string();
    let weights = weights(&set.folder.join("weights.safetensors"));
    let config = SpecMaskGitConfig::of_weights(&weights, Some(&set.config)).expect("sizes");
    let found = serde_json::to_value(&config).expect("plain data");
    assert_sizes(&label, &found, &set.config["constructor"], &[]);
    let number = |name: &str| set.config[name].as_f64().expect("a number");
    let sampling = Sampling {
        steps: number("steps") as usize,
        guidance: number("guidance_max"),
        confidence_temperature: number("confidence_temperature"),
        ..Sampling::default()
    };
    let card = SpecMaskGitCard { sampling, ..SpecMaskGitCard::sized(config) };
    SpecMaskGitModel::from_state(card, &weights, Device::Cpu).expect("weights fit")
}

#[test]
fn transformers_and_sampling_equal_the_reference() {
    for set in sets_of(TRANSFORMER) {
        let model = transformer(&set);
        let sampling = model.card.sampling;
        for network in [model.network.clone(), model.network.freeze()] {
            on_one_and_two_threads(|| check_transformer(&set, &network, &sampling));
        }
    }
}

fn check_transformer(set: &GoldenSet, network: &SpecMaskGit, sampling: &Sampling) {
    let (label, _guard) = (set.folder.display().to_string(), tch::no_grad_guard());
    let inputs = ["cond", "start_ids", "probe_ids", "gumbel_token", "gumbel_confidence"];
    let mut compared: Vec<String> = inputs.map(str::to_owned).to_vec();

    let (cond, tokens) = (set.get("cond"), &set.io["probe_ids"]);
    let items = cond.size()[0];
    let nothing = network.no_condition().expand([items, -1, -1], false);
    for (name, conditions) in
        [("probe_logits_cond", network.condition(&cond)), ("probe_logits_uncond", nothing)]
    {
        let found = network.forward(tokens, &conditions);
        assert_close(&format!("{label}: {name}"), &found, &set.get(name), TOLERANCE);
        compared.push(name.to_owned());
    }

    // Sampled one by one, each item has the tokens of the reference's batch.
    for item in 0..items {
        let noise = |name: &str| set.get(name).select(1, item);
        let given = GivenNoise::new(&noise("gumbel_token"), &noise("gumbel_confidence"));
        let row = |name: &str| set.io.get(name).map(|tensor| tensor.get(item));
        let integers = |tensor: Tensor| Vec::<i64>::try_from(tensor).expect("a row of tokens");
        let seen = RefCell::new(Vec::new());
        let watch = |step: &Step<'_>| {
            for (name, found) in [("picked", step.drawn), ("ids_next", step.next)] {
                let name = format!("step{}.{name}", step.index);
                if let Some(wanted) = row(&name) {
                    assert_eq!(found, integers(wanted), "{label}: {name} of {item}");
                    seen.borrow_mut().push(name);
                }
            }
            let guided = Tensor::from_slice(step.guided).view(step.logits.get(0).size().as_slice());
            // Known places are infinite in both.
            let confidence = Tensor::from_slice(step.confidence).clamp_max(1e3);
            for (name, found) in [
                ("logits_cond", step.logits.get(0)),
                ("logits_guided", guided),
                ("confidence", confidence),
            ] {
                let name = format!("step{}.{name}", step.index);
                if let Some(wanted) = row(&name) {
                    let wanted = wanted.to_kind(Kind::Float).clamp_max(1e3);
                    let scale = wanted.abs().max().double_value(&[]).min(100.0);
                    let worst = (found - &wanted).abs().max().double_value(&[]);
                    assert!(worst <= TOLERANCE * scale.max(1.0), "{label}: {name}: {worst:e}");
                    seen.borrow_mut().push(name);
                }
            }
            ControlFlow::Continue(())
        };
        let start = integers(set.io["start_ids"].get(item));
        let conditions = Conditions { wanted: Some(cond.narrow(0, item, 1)), unwanted: None };
        let noise = given.expect("noise of the set");
        let found = network.sample(&start, &conditions, sampling, &noise, watch);
        let found = found.expect("fits").expect("to the end");
        assert_eq!(found, integers(set.io["final_ids"].get(item)), "{label}: {item}");
        compared.push("final_ids".to_owned());
        compared.extend(seen.into_inner());
    }
    assert_all_compared(set, &compared, &[]);
}

/// The config of a set as a release has it beside its weights; MelGAN has none.
fn vocoder_card(set: &GoldenSet, weights: &StateDict) -> GanVocoderCard {
    let label = set.folder.display().to_string();
    let stated = &set.config["h"];
    let card = GanVocoderCard::read(stated.is_object().then_some(stated), weights);
    let mut card = card.expect("a config");
    let found = serde_json::to_value(&card.config).expect("plain data");
    match stated.is_object() {
        true => assert_sizes(&label, &found, stated, &[]),
        false => {
            for name in ["n_mel_channels", "ngf", "n_residual_layers"] {
                assert_eq!(found[name], set.config[name], "{label}: {name}");
            }
        }
    }
    if let Some(bands) = set.config["num_mels"].as_i64() {
        assert_eq!(card.config.bands(), bands, "{label}");
    }
    // Sets state no front end: that of as many bands has to have the network's hop.
    card.frontend.hop_length = card.config.hop() as usize;
    card
}

#[test]
fn vocoders_equal_the_reference() {
    for set in VOCODERS.into_iter().flat_map(sets_of) {
        let label = set.folder.display().to_string();
        for norm in [WeightNorm::Fold, WeightNorm::Keep] {
            let path = set.folder.join("weights.safetensors");
            let mut kept = checkpoint::read_state_dict(&path).expect("readable weights");
            checkpoint::clean(&mut kept, norm).expect("readable weights");
            let card = vocoder_card(&set, &weights(&path));
            let model = GanVocoderModel::from_state(card, &kept, Device::Cpu).expect("weights fit");
            on_one_and_two_threads(|| check_vocoder(&label, &set, &model));
        }
    }
}

fn check_vocoder(label: &str, set: &GoldenSet, model: &GanVocoderModel) {
    let _guard = tch::no_grad_guard();
    let mut compared: Vec<String> = ["input", "output"].map(str::to_owned).to_vec();
    let mut trace: Vec<(String, Tensor)> = Vec::new();
    let found = model.network.forward_traced(&set.get("input"), &mut trace);
    let named = |(name, tensor): (String, Tensor)| {
        let name = name.trim_start_matches("generator.");
        // Whatever the activation in front of the last convolution is.
        let name = if name == "snake_post" { "activation_post" } else { name };
        (format!("{name}.out"), tensor)
    };
    let trace: Vec<_> = trace.into_iter().map(named).collect();
    compare(label, set, &trace, &mut compared);
    assert_close(&format!("{label}: output"), &found, &set.get("output"), TOLERANCE);
    let frozen = model.network.clone().freeze().forward(&set.get("input"));
    assert_close(&format!("{label}: frozen"), &frozen, &set.get("output"), TOLERANCE);
    assert_all_compared(set, &compared, &[]);
}

#[test]
fn text_towers_equal_the_reference() {
    for set in sets_of(TEXT) {
        let label = set.folder.display().to_string();
        let weights = weights(&set.folder.join("weights.safetensors"));
        let config = ClapConfig::of_weights(&weights, Some(&set.config["roberta"]));
        let config = config.expect("weights of the network");
        let found = serde_json::to_value(&config).expect("plain data");
        let fixed = ["hidden_act", "bos_token_id", "eos_token_id"];
        assert_sizes(&label, &found, &set.config["roberta"], &fixed);
        assert_eq!(found["joint_embed"], set.config["joint_embed"], "{label}");
        let card = ClapCard::sized(config);
        let model = ClapTextModel::from_state(card, &weights, Device::Cpu).expect("weights fit");
        on_one_and_two_threads(|| check_text(&label, &set, &model));
    }
}

fn check_text(label: &str, set: &GoldenSet, model: &ClapTextModel) {
    let _guard = tch::no_grad_guard();
    let names = ["input_ids", "attention_mask", "last_hidden"];
    let mut compared: Vec<String> = names.map(str::to_owned).to_vec();
    let mut trace: Vec<(String, Tensor)> = Vec::new();
    let found = model.network.forward(&set.io["input_ids"], &mut trace);
    // Outputs at padding mean nothing.
    let is_text = set.get("attention_mask").unsqueeze(2);
    for (name, found) in &mut trace {
        if let Some(wanted) = set.io.get(name.as_str()).filter(|wanted| wanted.dim() == 3) {
            let label = format!("{label}: {name}");
            assert_close(&label, &(&*found * &is_text), &(wanted * &is_text), TOLERANCE);
            compared.push(name.clone());
        }
    }
    trace.retain(|(_, found)| found.dim() == 2);
    compare(label, set, &trace, &mut compared);
    assert_all_compared(set, &compared, &[]);
    // One text without its padding.
    for (row, wanted) in (0..found.size()[0]).zip(0..) {
        let length = is_text.get(row).sum(Kind::Int64).int64_value(&[]);
        let tokens = set.io["input_ids"].get(row).narrow(0, 0, length);
        let tokens = Vec::<i64>::try_from(tokens).expect("a list of tokens");
        let alone = model.network.embed(&tokens).expect("a text");
        let wanted = set.get("text_embed").narrow(0, wanted, 1);
        assert_close(&format!("{label}: {row} alone"), &alone, &wanted, TOLERANCE);
    }
}

/// Folders of the published containers, in the repository and in the folder that `FORMANT_GOLDENS`
/// names.
fn containers() -> Vec<PathBuf> {
    let mut roots = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens")];
    roots.extend(std::env::var_os("FORMANT_GOLDENS").map(PathBuf::from));
    roots.into_iter().map(|root| root.join("specmaskgit/containers")).collect()
}

/// A published file among others, whose copy has a folder of its own.
fn alone(file: &Path, beside: &[(&Path, &str)]) -> Option<(tempfile::TempDir, PathBuf)> {
    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().join(file.file_name()?);
    std::fs::copy(file, &copy).ok()?;
    for (file, name) in beside {
        std::fs::copy(file, folder.path().join(name)).expect("copied");
    }
    Some((folder, copy))
}

/// The weights of a loaded model are those of a file of tensors.
fn assert_weights(label: &str, found: impl IntoIterator<Item = (String, Tensor)>, expected: &Path) {
    let wanted = weights(expected);
    let mut count = 0;
    for (name, found) in found {
        let wanted = wanted.get(&name).unwrap_or_else(|| panic!("{label}: {name}"));
        let wanted = wanted.to_tensor().expect("readable").to_kind(Kind::Float);
        assert!(found.allclose(&wanted, 1e-6, 1e-7, false), "{label}: {name}");
        count += 1;
    }
    assert_eq!(count, wanted.len(), "{label}");
}

#[test]
fn published_tokenizers_load_unchanged() {
    for folder in containers() {
        for name in ["codebook_last.ckpt", "transformer_with_first_stage.ckpt"] {
            let Some((_held, file)) = alone(&folder.join(name), &[]) else { continue };
            let model = SpecVqganModel::load(&ModelSource::Path(file), Device::Cpu);
            let weights = model.expect("a known container").weights();
            assert_weights(name, weights, &folder.join("expected_codebook.safetensors"));
        }
    }
}

#[test]
fn published_vocoders_load_unchanged() {
    for folder in containers() {
        let config = folder.join("hifigan_config.json");
        let args = folder.join("args.yml");
        for (name, expected, beside) in [
            ("g_02500000", "expected_hifigan.safetensors", [(config.as_path(), "config.json")]),
            ("best_netG.pt", "expected_melgan.safetensors", [(args.as_path(), "args.yml")]),
        ] {
            let (held, file) = alone(&folder.join(name), &beside).expect("in the repository");
            for path in [file, held.path().to_owned()] {
                let model = GanVocoderModel::load(&ModelSource::Path(path), Device::Cpu);
                let model = model.expect("a known container");
                assert_weights(name, model.weights(), &folder.join(expected));
                assert_eq!(model.card.sample_rate(), 22_050, "{name}");
                let is_melgan = matches!(model.card.config, GanVocoderConfig::Melgan(_));
                assert_eq!(is_melgan, name == "best_netG.pt");
                let mel = Tensor::rand([1, 80, 6], (Kind::Float, Device::Cpu));
                let found = model.network.freeze().forward(&mel);
                assert_eq!(found.size(), [1, 1, 6 * model.card.config.hop()], "{name}");
            }
        }
    }
}

#[test]
fn published_text_towers_load_unchanged() {
    for folder in containers() {
        let (_held, file) = alone(&folder.join("clap_tiny.pt"), &[]).expect("in the repository");
        let model = ClapTextModel::load(&ModelSource::Path(file), Device::Cpu);
        let weights = model.expect("a known container").weights();
        let expected = folder.join("expected_clap_text.safetensors");
        assert_weights("clap", weights, &expected);
    }
}
