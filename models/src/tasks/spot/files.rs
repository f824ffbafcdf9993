//! Reading and writing keyword models: formant's own files with a card, and published checkpoints
//! whose sizes follow from their weights.

use std::collections::BTreeMap;
use std::path::Path;

use formant_audio_core::features::presets;
use tch::nn::VarStore;
use tch::{Kind, Tensor};

use super::card::{Activation, Detection, SpotCard};
use crate::arch::lmuformer::{IGNORED_KEYS, LmuFormerConfig, SPEECH_COMMANDS_35, Variant};
use crate::checkpoint::{self, LoadOptions, RawTensor, StateDict};
use crate::error::{Error, Result};
use crate::registry;
use crate::source::ModelSource;

/// Key of the card in the metadata of a weights file.
const CARD_KEY: &str = "formant.spot";

/// Buffers that a card's sizes determine; files leave them out.
const REBUILT_KEYS: &[&str] = &["*.lmu.A", "*.lmu.B", "*.lmu.H"];

/// The card and the weights of a model.
pub(super) fn read(source: &ModelSource) -> Result<(SpotCard, StateDict)> {
    let mut state = registry::read_weights(source)?;
    if let Some(text) = state.metadata.get(CARD_KEY) {
        let card = serde_json::from_str(text).map_err(|e| {
            Error::config(
                CARD_KEY,
                format!("the card in {} is unreadable: {e}", state.path.display()),
            )
        })?;
        return Ok((card, state));
    }
    checkpoint::clean(&mut state, checkpoint::WeightNorm::Keep)?;
    let card = published_card(&state)?;
    Ok((card, state))
}

/// Copies weights into the variables of a network; everything has to fit.
pub(super) fn load_into(vs: &mut VarStore, weights: &StateDict) -> Result<()> {
    let options = LoadOptions::default().ignoring(IGNORED_KEYS).ignoring(REBUILT_KEYS);
    checkpoint::load_into(vs, weights, &options)?;
    Ok(())
}

/// Named tensors as a state dict.
pub(super) fn state_dict(weights: &BTreeMap<String, Tensor>) -> Result<StateDict> {
    let mut state = StateDict::default();
    for (name, tensor) in weights {
        state.insert(name.clone(), RawTensor::from_tensor(tensor)?);
    }
    Ok(state)
}

/// Writes weights and card; buffers that follow from the sizes are left out.
pub(super) fn write(path: &Path, card: &SpotCard, vs: &VarStore, kind: Kind) -> Result<()> {
    let weights: BTreeMap<String, Tensor> = vs
        .variables()
        .into_iter()
        .filter(|(name, _)| {
            !name.contains(".lmu.") || name.contains(".W_") || name.contains(".bn_")
        })
        .map(|(name, tensor)| (name, tensor.detach().to_kind(kind)))
        .collect();
    let card = serde_json::to_string(card).expect("a card is plain data");
    let metadata = BTreeMap::from([(CARD_KEY.to_owned(), card)]);
    checkpoint::write_safetensors(path, &state_dict(&weights)?, &metadata)
}

/// The card of a published checkpoint: sizes from the shapes of its weights, the reference's front
/// end, and the labels of Speech Commands where there are 35 answers.
fn published_card(state: &StateDict) -> Result<SpotCard> {
    let size = |name: &str, axis: usize| -> Result<i64> {
        let shape = state.get(name).map(RawTensor::shape).unwrap_or_default();
        shape.get(axis).map(|&n| n as i64).ok_or_else(|| {
            let path = state.path.display();
            Error::config("model", format!("{path}: no LMUFormer checkpoint: `{name}` is missing"))
        })
    };
    let spiking = state.get("patch_embed.proj_conv.weight").is_some();
    let (variant, first) = match spiking {
        true => (Variant::SlmuRnnMsConv1d, "patch_embed.proj_conv.weight"),
        false => (Variant::LmuRnnConv1d, "patch_embed.conv_layers.0.0.weight"),
    };
    let dim = size("head.weight", 1)?;
    let layer = (0..)
        .take_while(|i| state.get(&format!("block.{i}.attn.proj_conv.weight")).is_some())
        .count() as i64;
    let seq_len = size("block.0.attn.lmu.H", 1)?;
    let config = LmuFormerConfig {
        variant,
        dim,
        mlp_ratio: size("block.0.mlp.fc1_conv.weight", 0)? as f64 / dim as f64,
        layer,
        in_channels: size(first, 1)?,
        num_classes: size("head.weight", 0)?,
        seq_len,
        theta: seq_len as f64,
        ..LmuFormerConfig::default()
    };
    let labels = match config.num_classes {
        35 => SPEECH_COMMANDS_35.iter().map(|&label| label.to_owned()).collect(),
        n => (0..n).map(|i| i.to_string()).collect(),
    };
    let mut frontend = presets::by_name("lmuformer")?;
    frontend.target_frames = None;
    if let Some(mel) = &mut frontend.mel {
        mel.n_mels = config.in_channels as usize;
    }
    Ok(SpotCard {
        detection: Detection { window_frames: seq_len as usize, ..Detection::default() },
        config,
        frontend,
        labels,
        background: Vec::new(),
        activation: Activation::Sigmoid,
        provenance: serde_json::Value::Null,
    })
}
