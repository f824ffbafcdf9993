//! Speaker models of other toolkits, whose sizes follow from their weights and whose front end
//! follows from who published them.

use formant_audio_core::features::presets;
use serde_json::Value;

use super::card::SpeakerCard;
use super::config::{EcapaConfig, Layout};
use super::network::Ecapa;
use super::{COMPANION_KEYS, IGNORED_KEYS};
use crate::checkpoint::{Architecture, ContainerKind};
use crate::error::Result;
use crate::model::{Arch, Foreign};
use crate::params::Params;

impl Arch for Ecapa {
    const NAME: &'static str = "ECAPA-TDNN";
    const ARCHITECTURES: &'static [Architecture] = &[Architecture::EcapaTdnn];
    const CARD_KEY: &'static str = "formant.speaker";
    const WANTED: &'static str = "`formant models list --task speaker` shows what fits";
    const IGNORED_KEYS: &'static [&'static str] = IGNORED_KEYS;
    /// Half precision is too coarse for variances, which may be below its smallest number.
    const F32_KEYS: &'static [&'static str] = &["*running_var"];
    const COMPANION_KEYS: &'static [&'static str] = COMPANION_KEYS;

    type Card = SpeakerCard;
    type Network = Self;

    fn validate(card: &SpeakerCard) -> Result<()> {
        card.validate()
    }

    fn adopt(found: &mut Foreign<'_>) -> Result<SpeakerCard> {
        // The module that TaoRuijie's files have the network in.
        found.state.rename(|name| name.strip_prefix("speaker_encoder.").unwrap_or(name).to_owned());
        let mut config = EcapaConfig::of_weights(found.state)?;
        let hyperparams = found.container.config("hyperparams.yaml");
        if let Some(model) = hyperparams.and_then(|all| all.get("embedding_model")) {
            read_distances(model, &mut config);
        }
        let mut card = SpeakerCard::published(config)?;
        // 3D-Speaker has SpeechBrain's names and comes from ModelScope.
        let modelscope = found.container.kind == ContainerKind::ModelScope;
        if modelscope && card.config.layout == Layout::Speechbrain {
            let bands = card.frontend.mel;
            card.frontend = presets::by_name("3d-speaker")?;
            if let (Some(mel), Some(bands)) = (&mut card.frontend.mel, bands) {
                mel.n_mels = bands.n_mels;
            }
        }
        Ok(card)
    }

    fn build(params: &Params<'_>, card: &SpeakerCard) -> Result<Self> {
        Self::new(params, &card.config)
    }
}

/// What shapes do not tell: the distances between frames, and whether convolutions are grouped.
fn read_distances(model: &Value, config: &mut EcapaConfig) {
    let list = |name: &str| -> Option<Vec<i64>> {
        model.get(name)?.as_array()?.iter().map(Value::as_i64).collect()
    };
    if let Some(dilations) = list("dilations") {
        config.dilations = dilations;
    }
    if let Some(groups) = list("groups") {
        config.groups = groups;
    }
}
