//! Recognizers of other toolkits: NeMo archives, WeNet folders and weight files.

use formant_audio_core::features::{FeatureConfig, presets};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::IGNORED_KEYS;
use super::card::{CtcCard, NemoRelease, PieceKind, Vocabulary};
use super::config::{NemoConfig, SqueezeformerConfig, WenetConfig};
use super::network::Squeezeformer;
use crate::checkpoint::{Architecture, Container, RawTensor, StateDict};
use crate::error::{Error, Result};
use crate::model::{Arch, Foreign};
use crate::params::Params;
use crate::text::parse_symbols;

impl Arch for Squeezeformer {
    const NAME: &'static str = "Squeezeformer";
    const ARCHITECTURES: &'static [Architecture] = &[Architecture::Squeezeformer];
    const CARD_KEY: &'static str = "formant.ctc";
    const WANTED: &'static str = "give a .nemo file, a WeNet folder with train.yaml and \
        units.txt, or a file that `formant train transcribe` wrote";
    const IGNORED_KEYS: &'static [&'static str] = IGNORED_KEYS;

    type Card = CtcCard;
    type Network = Self;

    fn validate(card: &CtcCard) -> Result<()> {
        card.validate()
    }

    fn adopt(found: &mut Foreign<'_>) -> Result<CtcCard> {
        let container = found.container;
        let answers = |state: &StateDict, name: &str| -> Result<i64> {
            let shape = state.get(name).map(RawTensor::shape).unwrap_or_default();
            let missing = || Error::Missing { path: container.path.clone(), what: name.to_owned() };
            shape.first().map(|&n| n as i64).ok_or_else(missing)
        };
        if let Some(config) = container.config("model_config.yaml") {
            let answers = answers(found.state, "decoder.decoder_layers.0.weight")?;
            nemo_card(container, config, answers)
        } else if let Some(config) = container.config("train.yaml") {
            let answers = answers(found.state, "ctc.ctc_lo.weight")?;
            let cmvn = statistics(container, config, found.state)?;
            wenet_card(container, config, answers, cmvn)
        } else {
            let reason = format!("no configuration beside the weights; {}", Self::WANTED);
            Err(Error::unsupported(&container.path, reason))
        }
    }

    fn build(params: &Params<'_>, card: &CtcCard) -> Result<Self> {
        Self::new(params, &card.config)
    }
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

fn nemo_card(container: &Container, config: &Value, answers: i64) -> Result<CtcCard> {
    let encoder: NemoConfig = section(container, config, "encoder")?;
    let mut card = CtcCard {
        config: SqueezeformerConfig::Nemo(NemoConfig { num_classes: answers - 1, ..encoder }),
        frontend: nemo_frontend(presets::by_name("nemo")?, config)?,
        vocabulary: nemo_vocabulary(container, config)?,
        provenance: Value::Null,
    };
    card.behave_like(NemoRelease::default())?;
    Ok(card)
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
        // Beyond all bounds of the front end, as the window itself.
        None => frontend.win_length.checked_next_power_of_two().unwrap_or(usize::MAX),
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
    use tch::{Device, Kind};

    use super::*;
    use crate::model::Model;
    use crate::source::ModelSource;

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
        let model = Model::<Squeezeformer>::random(card, Device::Cpu).expect("valid");
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("m.safetensors");
        model.save(&path, Kind::Float).expect("written");
        let again = Model::load(&ModelSource::Path(path), Device::Cpu).expect("read");
        assert_eq!(again.card, model.card);
        let weights = again.weights();
        assert_eq!(weights.len(), model.weights().len());
        for (name, weight) in model.weights() {
            assert!(weight.equal(&weights[&name]), "{name}");
        }
        // libtorch computes with trainable weights in another order than with others.
        let features = tch::Tensor::randn([1, 30, 80], tch::kind::FLOAT_CPU);
        let run = |m: &Model<Squeezeformer>| tch::no_grad(|| m.network.forward(&features, &[30]).0);
        assert!(run(&model).allclose(&run(&again), 1e-5, 1e-6, false));
    }
}
