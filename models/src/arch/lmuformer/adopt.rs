//! Keyword models of the reference, whose sizes follow from their weights.

use formant_audio_core::features::presets;

use super::card::{Activation, DetectionDefaults, SpotCard};
use super::{IGNORED_KEYS, LmuFormer, LmuFormerConfig, SPEECH_COMMANDS_35, Variant};
use crate::checkpoint::{Architecture, RawTensor, StateDict};
use crate::error::{Error, Result};
use crate::model::{Arch, Foreign};
use crate::params::Params;

impl Arch for LmuFormer {
    const NAME: &'static str = "LMUFormer";
    const ARCHITECTURES: &'static [Architecture] =
        &[Architecture::Lmuformer, Architecture::LmuformerSpiking];
    const CARD_KEY: &'static str = "formant.spot";
    const WANTED: &'static str = "`formant models list --task spot` shows what fits";
    const IGNORED_KEYS: &'static [&'static str] = IGNORED_KEYS;
    /// Buffers that a card's sizes determine.
    const REBUILT_KEYS: &'static [&'static str] = &["*.lmu.A", "*.lmu.B", "*.lmu.H"];

    type Card = SpotCard;
    type Network = Self;

    fn validate(card: &SpotCard) -> Result<()> {
        card.validate()
    }

    fn adopt(found: &mut Foreign<'_>) -> Result<SpotCard> {
        published_card(found.state)
    }

    fn build(params: &Params<'_>, card: &SpotCard) -> Result<Self> {
        Self::new(params, &card.config)
    }
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
        detection: DetectionDefaults {
            window_frames: seq_len as usize,
            ..DetectionDefaults::default()
        },
        config,
        frontend,
        labels,
        background: Vec::new(),
        activation: Activation::Sigmoid,
        provenance: serde_json::Value::Null,
    })
}
