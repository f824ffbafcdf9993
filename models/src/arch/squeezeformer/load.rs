//! Recognisers from files: NeMo archives, WeNet folders, and formant's own safetensors with a card.
//! What comes out is a network with its front end and its vocabulary; decoding lives elsewhere.

use std::collections::BTreeMap;
use std::path::Path;

use formant_audio_core::features::{FeatureConfig, presets};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tch::nn::VarStore;
use tch::{Device, Kind};

use super::IGNORED_KEYS;
use super::config::{NemoConfig, SqueezeformerConfig, SubsamplingMasks, WenetConfig};
use super::network::Squeezeformer;
use crate::checkpoint::{self, Container, LoadOptions, RawTensor, StateDict};
use crate::error::{Error, Result};
use crate::registry;
use crate::source::ModelSource;
pub use crate::text::PieceKind;
use crate::text::parse_symbols;

/// Key of the card in the metadata of a weights file.
pub const CARD_KEY: &str = "formant.ctc";

/// Which releases of NeMo a checkpoint of theirs is to behave like: the front end and the
/// subsampling changed with 2.5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NemoRelease {
    /// Up to 2.4: how the published checkpoints were trained and scored.
    V1,
    /// From 2.5 on.
    #[default]
    V2,
}

/// The answers of a network as text.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Vocabulary {
    /// How pieces become text.
    pub kind: PieceKind,
    /// The piece of every answer but a blank that is the last one.
    pub pieces: Vec<String>,
    /// The SentencePiece model, where the checkpoint brings one.
    #[serde(skip)]
    pub model: Option<Vec<u8>>,
}

/// Everything about a recogniser but its weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CtcCard {
    /// Sizes of the network.
    pub config: SqueezeformerConfig,
    /// The features that it takes.
    pub frontend: FeatureConfig,
    /// Its answers.
    pub vocabulary: Vocabulary,
    /// Where the weights come from: recipe, data, licence, measured quality; free-form.
    #[serde(default)]
    pub provenance: Value,
}

impl CtcCard {
    /// Refuses a card whose parts do not fit each other.
    ///
    /// # Errors
    /// [`Error::Config`] naming the part.
    pub fn validate(&self) -> Result<()> {
        self.config.validate()?;
        let answers = match self.config {
            SqueezeformerConfig::Nemo(_) => self.config.vocabulary() - 1,
            SqueezeformerConfig::Wenet(_) => self.config.vocabulary(),
        };
        let pieces = self.vocabulary.pieces.len();
        if pieces as i64 != answers {
            let reason = format!("{pieces} pieces for a network that has {answers}");
            return Err(Error::config("vocabulary", reason));
        }
        Ok(())
    }

    /// Index of the blank.
    #[must_use]
    pub fn blank(&self) -> i64 {
        self.config.blank()
    }

    /// Seconds from one answer to the next.
    #[must_use]
    pub fn seconds_per_answer(&self) -> f64 {
        let frame = self.frontend.hop_length as f64 / f64::from(self.frontend.sample_rate.max(1));
        frame * self.config.subsampling_factor() as f64
    }
}

/// A recogniser that is ready to compute.
#[derive(Debug)]
pub struct CtcModel {
    /// What it is.
    pub card: CtcCard,
    /// Its network.
    pub network: Squeezeformer,
    /// The variables of the network.
    pub store: VarStore,
}

impl CtcModel {
    /// A network of the card's sizes with random weights.
    ///
    /// # Errors
    /// [`Error::Config`] for a card that does not fit itself.
    pub fn random(card: CtcCard, device: Device) -> Result<Self> {
        card.validate()?;
        let store = VarStore::new(device);
        let network = Squeezeformer::new(&store.root(), &card.config)?;
        Ok(Self { card, network, store })
    }

    /// The card's network with these weights, all of which have to fit.
    ///
    /// # Errors
    /// [`Error::Mismatch`] listing what does not fit.
    pub fn from_state(card: CtcCard, state: &StateDict, device: Device) -> Result<Self> {
        let mut model = Self::random(card, device)?;
        let options = LoadOptions::default().ignoring(IGNORED_KEYS);
        checkpoint::load_into(&mut model.store, state, &options)?;
        Ok(model)
    }

    /// Loads a bundled model, a `.nemo` archive, a WeNet folder or weight file, or one of formant's
    /// own files. `release` matters for NeMo archives alone.
    ///
    /// # Errors
    /// What reading says; [`Error::Unsupported`] for a checkpoint of another kind.
    pub fn load(source: &ModelSource, release: NemoRelease, device: Device) -> Result<Self> {
        let ModelSource::Path(path) = source else {
            let state = registry::read_weights(source)?;
            let card = own_card(&state)?.ok_or_else(|| no_recogniser(&state.path))?;
            return Self::from_state(card, &state, device);
        };
        let container = Container::open(path)?;
        let mut state = container.state_dict()?.clone();
        let card = match own_card(&state)? {
            Some(card) => card,
            None => foreign_card(&container, &mut state, release)?,
        };
        Self::from_state(card, &state, device)
    }

    /// Writes weights and card to a safetensors file, floats with the given type.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn save(&self, path: &Path, kind: Kind) -> Result<()> {
        let mut state = StateDict::default();
        let variables: BTreeMap<_, _> = self.store.variables().into_iter().collect();
        for (name, tensor) in variables {
            state.insert(name, RawTensor::from_tensor(&tensor.detach().to_kind(kind))?);
        }
        let card = serde_json::to_string(&self.card)
            .map_err(|e| Error::config(CARD_KEY, format!("the card can't be written: {e}")))?;
        checkpoint::write_safetensors(path, &state, &BTreeMap::from([(CARD_KEY.to_owned(), card)]))
    }
}

fn own_card(state: &StateDict) -> Result<Option<CtcCard>> {
    let Some(text) = state.metadata.get(CARD_KEY) else { return Ok(None) };
    serde_json::from_str(text).map(Some).map_err(|e| {
        let path = state.path.display();
        Error::config(CARD_KEY, format!("the card in {path} is unreadable: {e}"))
    })
}

fn no_recogniser(path: &Path) -> Error {
    Error::unsupported(
        path,
        "no Squeezeformer that formant knows: give a .nemo file, a WeNet folder with train.yaml \
         and units.txt, or a file that `formant train asr` wrote",
    )
}

/// The card of a checkpoint of another toolkit; statistics that lie beside the weights join them.
fn foreign_card(
    container: &Container,
    state: &mut StateDict,
    release: NemoRelease,
) -> Result<CtcCard> {
    let answers = |name: &str| -> Result<i64> {
        let shape = state.get(name).map(RawTensor::shape).unwrap_or_default();
        shape.first().map(|&n| n as i64).ok_or_else(|| no_recogniser(&container.path))
    };
    let card = if let Some(config) = container.config("model_config.yaml") {
        nemo_card(container, config, answers("decoder.decoder_layers.0.weight")?, release)?
    } else if let Some(config) = container.config("train.yaml") {
        let answers = answers("ctc.ctc_lo.weight")?;
        let cmvn = statistics(container, config, state)?;
        wenet_card(container, config, answers, cmvn)?
    } else {
        return Err(no_recogniser(&container.path));
    };
    Ok(card)
}

/// A section of a config; entries that are null have the default.
fn section<T: DeserializeOwned>(container: &Container, config: &Value, name: &str) -> Result<T> {
    let mut value = config.get(name).cloned().unwrap_or_else(|| Value::Object(Default::default()));
    if let Value::Object(entries) = &mut value {
        entries.retain(|key, value| !value.is_null() || key.ends_with("_idx"));
    }
    serde_json::from_value(value).map_err(|e| {
        Error::config(name, format!("{}: the section is unreadable: {e}", container.path.display()))
    })
}

fn nemo_card(
    container: &Container,
    config: &Value,
    answers: i64,
    release: NemoRelease,
) -> Result<CtcCard> {
    let encoder: NemoConfig = section(container, config, "encoder")?;
    let (masks, preset) = match release {
        NemoRelease::V1 => (SubsamplingMasks::Unmasked, "nemo-v1"),
        NemoRelease::V2 => (SubsamplingMasks::Masked, "nemo"),
    };
    let encoder = NemoConfig { num_classes: answers - 1, subsampling_masks: masks, ..encoder };
    let frontend = nemo_frontend(presets::by_name(preset)?, config)?;
    Ok(CtcCard {
        config: SqueezeformerConfig::Nemo(encoder),
        frontend,
        vocabulary: nemo_vocabulary(container, config)?,
        provenance: Value::Null,
    })
}

/// The preset with the numbers of the `preprocessor` section.
fn nemo_frontend(preset: FeatureConfig, config: &Value) -> Result<FeatureConfig> {
    let mut frontend = preset;
    let empty = Value::Null;
    let section = config.get("preprocessor").unwrap_or(&empty);
    let number = |name: &str| section.get(name).and_then(Value::as_f64);
    let expect = |name: &str, found: Option<&Value>, known: Value| match found {
        Some(value) if !value.is_null() && *value != known => {
            let reason = format!("`{value}` is not supported; {known} is");
            Err(Error::config(format!("preprocessor.{name}"), reason))
        }
        _ => Ok(()),
    };
    expect("normalize", section.get("normalize"), "per_feature".into())?;
    expect("window", section.get("window"), "hann".into())?;
    expect("frame_splicing", section.get("frame_splicing"), 1.into())?;
    expect("log", section.get("log"), true.into())?;
    if let Some(rate) = number("sample_rate") {
        frontend.sample_rate = rate as u32;
    }
    let samples = |seconds: f64| (seconds * f64::from(frontend.sample_rate)).round() as usize;
    let (win, hop) = (number("window_size").map(samples), number("window_stride").map(samples));
    frontend.win_length = win.unwrap_or(frontend.win_length);
    frontend.hop_length = hop.unwrap_or(frontend.hop_length);
    frontend.n_fft = match number("n_fft") {
        Some(n) => n as usize,
        None => frontend.win_length.next_power_of_two(),
    };
    if let Some(mel) = &mut frontend.mel {
        mel.n_mels = number("features").map_or(mel.n_mels, |n| n as usize);
        mel.f_min = number("lowfreq").unwrap_or(mel.f_min);
        mel.f_max = number("highfreq").unwrap_or(f64::from(frontend.sample_rate) / 2.0);
    }
    Ok(frontend)
}

fn nemo_vocabulary(container: &Container, config: &Value) -> Result<Vocabulary> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let listed = config
        .get("decoder")
        .and_then(|decoder| decoder.get("vocabulary"))
        .and_then(Value::as_array)
        .filter(|list| !list.is_empty());
    let pieces = match listed {
        Some(list) => list.iter().map(text).collect(),
        None => String::from_utf8_lossy(&container.file("vocab.txt")?)
            .lines()
            .map(str::to_owned)
            .collect(),
    };
    let kind = match config.get("tokenizer").and_then(|t| t.get("type")).and_then(Value::as_str) {
        Some("wpe") => PieceKind::WordPiece,
        Some(_) => PieceKind::SentencePiece,
        None => PieceKind::Characters,
    };
    let model = (kind == PieceKind::SentencePiece)
        .then(|| container.file("tokenizer.model").ok())
        .flatten();
    Ok(Vocabulary { kind, pieces, model })
}

fn wenet_card(container: &Container, config: &Value, answers: i64, cmvn: bool) -> Result<CtcCard> {
    let encoder: WenetConfig = section(container, config, "encoder_conf")?;
    let bins = config.get("input_dim").and_then(Value::as_i64).unwrap_or(encoder.input_dim);
    let encoder =
        WenetConfig { input_dim: bins, output_dim: answers, global_cmvn: cmvn, ..encoder };
    let mut frontend = presets::by_name("wenet")?;
    if let Some(mel) = &mut frontend.mel {
        mel.n_mels = bins as usize;
    }
    let fbank = config.get("dataset_conf").and_then(|c| c.get("fbank_conf"));
    for (name, known) in [("frame_length", 25.0), ("frame_shift", 10.0)] {
        let found = fbank.and_then(|c| c.get(name)).and_then(Value::as_f64).unwrap_or(known);
        if found != known {
            let reason = format!("{found} ms is not supported; {known} ms is");
            return Err(Error::config(format!("fbank_conf.{name}"), reason));
        }
    }
    let units = ["units.txt", "lang_char.txt", "words.txt"];
    let units = units.iter().find_map(|name| Some((name, container.file(name).ok()?)));
    let (name, units) = units.ok_or_else(|| Error::Missing {
        path: container.path.clone(),
        what: "file `units.txt`".into(),
    })?;
    let pieces = parse_symbols(&String::from_utf8_lossy(&units), &container.path.join(name))?;
    let model = container
        .members
        .iter()
        .find(|member| member.name.ends_with(".model"))
        .and_then(|member| container.file(&member.name).ok());
    Ok(CtcCard {
        config: SqueezeformerConfig::Wenet(encoder),
        frontend,
        vocabulary: Vocabulary { kind: PieceKind::SentencePiece, pieces, model },
        provenance: Value::Null,
    })
}

/// Whether there are global statistics; those of a file join the weights when these have none.
fn statistics(container: &Container, config: &Value, state: &mut StateDict) -> Result<bool> {
    let (mean, istd) = ("encoder.global_cmvn.mean", "encoder.global_cmvn.istd");
    if state.get(mean).is_some() {
        return Ok(true);
    }
    let Ok(bytes) = container.file("global_cmvn") else {
        let wanted =
            ["cmvn", "cmvn_file"].iter().any(|n| config.get(n).is_some_and(|v| !v.is_null()));
        return if wanted {
            Err(Error::Missing { path: container.path.clone(), what: "file `global_cmvn`".into() })
        } else {
            Ok(false)
        };
    };
    #[derive(Deserialize)]
    struct Statistics {
        mean_stat: Vec<f64>,
        var_stat: Vec<f64>,
        frame_num: f64,
    }
    let damaged =
        |reason: String| Error::Damaged { path: container.path.join("global_cmvn"), reason };
    let sums: Statistics =
        serde_json::from_slice(&bytes).map_err(|e| damaged(format!("no statistics: {e}")))?;
    if sums.frame_num <= 0.0 || sums.mean_stat.len() != sums.var_stat.len() {
        return Err(damaged("sums of different lengths, or of no frames".to_owned()));
    }
    let means: Vec<f64> = sums.mean_stat.iter().map(|sum| sum / sums.frame_num).collect();
    let istds: Vec<f32> = sums
        .var_stat
        .iter()
        .zip(&means)
        .map(|(sum, mean)| (sum / sums.frame_num - mean * mean).max(1e-20).sqrt().recip() as f32)
        .collect();
    let means: Vec<f32> = means.into_iter().map(|mean| mean as f32).collect();
    for (name, values) in [(mean, means), (istd, istds)] {
        let tensor = RawTensor::from_f32(vec![values.len()], &values)
            .map_err(|fault| fault.at(&container.path))?;
        state.insert(name, tensor);
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_saved_model_loads_again() {
        let config = NemoConfig {
            d_model: 8,
            n_heads: 2,
            n_layers: 2,
            num_classes: 3,
            time_reduce_idx: Some(0),
            ..NemoConfig::default()
        };
        let card = CtcCard {
            config: SqueezeformerConfig::Nemo(config),
            frontend: presets::by_name("nemo").expect("a preset"),
            vocabulary: Vocabulary {
                pieces: ["▁a", "b", "c"].map(str::to_owned).to_vec(),
                ..Vocabulary::default()
            },
            provenance: Value::Null,
        };
        let model = CtcModel::random(card, Device::Cpu).expect("valid");
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("m.safetensors");
        model.save(&path, Kind::Float).expect("written");
        let again =
            CtcModel::load(&ModelSource::Path(path), NemoRelease::V2, Device::Cpu).expect("read");
        assert_eq!(again.card, model.card);
        let features = tch::Tensor::randn([1, 30, 80], tch::kind::FLOAT_CPU);
        let run = |m: &CtcModel| tch::no_grad(|| m.network.forward(&features, &[30]).0);
        assert!(run(&model).equal(&run(&again)));
    }
}
