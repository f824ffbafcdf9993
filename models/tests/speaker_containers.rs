//! Speaker models as people have them: every toolkit's file or folder loads with the front end of
//! whoever published it, and what belongs to the training alone is passed over.

use std::collections::BTreeMap;
use std::path::Path;

use formant_audio_core::features::{PreEmphasis, presets};
use formant_audio_core::window::Window;
use formant_models::arch::ecapa::{Ecapa, EcapaConfig, Layout};
use formant_models::checkpoint::{RawTensor, StateDict, write_safetensors};
use formant_models::params::Params;
use formant_models::tasks::Task;
use formant_models::tasks::speaker::{SpeakerCard, SpeakerEmbedder};
use formant_models::{Error, LoadOptions, Model, ModelSource};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

fn config(layout: Layout) -> EcapaConfig {
    EcapaConfig {
        layout,
        channels: vec![16, 16, 16, 16, 24],
        attention_channels: 8,
        se_channels: 4,
        lin_neurons: 6,
        embedding_norm: layout == Layout::Taoruijie,
        ..EcapaConfig::default()
    }
}

/// A network's weights with `prefix` before their names, and `more` tensors beside them.
fn write(path: &Path, layout: Layout, prefix: &str, more: &[&str]) {
    let vs = VarStore::new(Device::Cpu);
    let _network = Ecapa::new(&Params::random(&vs.root()), &config(layout)).expect("sound sizes");
    let mut state = StateDict::from_var_store(&vs).expect("plain tensors").prefixed(prefix);
    for name in more {
        let tensor = Tensor::zeros([2, 3], (Kind::Float, Device::Cpu));
        state.insert(*name, RawTensor::from_tensor(&tensor).expect("a plain tensor"));
    }
    write_safetensors(path, &state, &BTreeMap::new()).expect("written");
}

fn load(path: &Path) -> Result<SpeakerEmbedder, Error> {
    SpeakerEmbedder::load(&ModelSource::Path(path.to_owned()), &LoadOptions::default())
}

#[test]
fn taoruijie_files() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("pretrain.model");
    let more = ["speaker_loss.weight", "speaker_encoder.torchfbank.1.mel_scale.fb"];
    write(&path, Layout::Taoruijie, "speaker_encoder.", &more);
    let embedder = load(&path).expect("a known file");
    assert_eq!(*embedder.network().config(), config(Layout::Taoruijie));
    assert_eq!(embedder.card().frontend.pre_emphasis, PreEmphasis::SignalReflect(0.97));
}

#[test]
fn wespeaker_folders() {
    let folder = tempfile::tempdir().expect("temporary folder");
    write(&folder.path().join("avg_model.pt"), Layout::Wespeaker, "", &["projection.weight"]);
    let text = "model: ECAPA_TDNN_GLOB_c512\nmodel_args:\n  feat_dim: 80\n";
    std::fs::write(folder.path().join("config.yaml"), text).expect("written");
    for path in [folder.path().to_owned(), folder.path().join("avg_model.pt")] {
        let embedder = load(&path).expect("a known folder");
        assert_eq!(*embedder.network().config(), config(Layout::Wespeaker));
        assert_eq!(embedder.card().frontend, presets::by_name("wespeaker").expect("a preset"));
    }
}

#[test]
fn three_d_speaker_folders() {
    let folder = tempfile::tempdir().expect("temporary folder");
    write(&folder.path().join("ecapa-tdnn.ckpt"), Layout::Speechbrain, "", &[]);
    // The file alone looks like SpeechBrain's.
    let alone = load(&folder.path().join("ecapa-tdnn.ckpt")).expect("a known file");
    assert_eq!(alone.card().frontend, presets::by_name("speechbrain").expect("a preset"));
    std::fs::write(folder.path().join("configuration.json"), "{}").expect("written");
    let embedder = load(folder.path()).expect("a known folder");
    assert_eq!(embedder.card().frontend.window, Window::Povey);
    assert_eq!(embedder.card().frontend.input_scale, 1.0);
}

#[test]
fn models_survive_saving() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("mine.safetensors");
    let card = SpeakerCard::published(config(Layout::Speechbrain)).expect("a card");
    let vs = VarStore::new(Device::Cpu);
    let _network = Ecapa::new(&Params::random(&vs.root()), &card.config).expect("sound sizes");
    let weights: BTreeMap<String, Tensor> = vs.variables().into_iter().collect();
    let model = Model::from_tensors(card, &weights, Device::Cpu).expect("it fits");
    let embedder = SpeakerEmbedder::of_model(model).expect("a sound front end");
    embedder.save(&path, Kind::Float).expect("written");
    let back = load(&path).expect("readable");
    assert_eq!(back.identity(), embedder.identity());
    assert_eq!(back.card(), embedder.card());
    embedder.save(&path, Kind::Half).expect("written");
    assert_ne!(load(&path).expect("readable").identity(), embedder.identity());
}

#[test]
fn what_is_no_speaker_model_is_refused() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("other.safetensors");
    let mut state = StateDict::default();
    state.insert("a", RawTensor::from_f32(vec![1], &[1.0]).expect("a tensor"));
    write_safetensors(&path, &state, &BTreeMap::new()).expect("written");
    let error = load(&path).expect_err("another network").to_string();
    assert!(error.contains("ECAPA"), "{error}");
}
