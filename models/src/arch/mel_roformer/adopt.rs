//! Stem models of other toolkits: checkpoints with their YAML beside them, and bare ones of a
//! published size.

use serde_json::Value;

use super::card::StemsCard;
use super::config::MelRoformerConfig;
use super::network::MelRoformer;
use crate::checkpoint::Architecture;
use crate::error::Result;
use crate::model::{Arch, Foreign};
use crate::params::Params;

impl Arch for MelRoformer {
    const NAME: &'static str = "Mel-RoFormer";
    const ARCHITECTURES: &'static [Architecture] = &[Architecture::MelRoformer];
    const CARD_KEY: &'static str = "formant.stems";
    const WANTED: &'static str = "`formant models list --task stems` shows what fits";
    /// Rates are multiplied by positions, which half floats are too coarse for.
    const F32_KEYS: &'static [&'static str] = &["*.freqs"];

    type Card = StemsCard;
    type Network = Self;

    fn validate(card: &StemsCard) -> Result<()> {
        card.validate()
    }

    fn adopt(found: &mut Foreign<'_>) -> Result<StemsCard> {
        let has_sizes =
            |yaml: &&Value| yaml.get("model").is_some_and(|model| model.get("dim").is_some());
        let configs = &found.container.configs;
        match configs.iter().map(|(_, value)| value).find(has_sizes) {
            Some(yaml) => StemsCard::of_yaml(yaml, MelRoformerConfig::layout_of(found.state)?),
            None => Ok(StemsCard::of_config(MelRoformerConfig::of_weights(found.state)?)),
        }
    }

    fn build(params: &Params<'_>, card: &StemsCard) -> Result<Self> {
        // Chunks come back as long as they are; where they are whole hops it is the same.
        let config = MelRoformerConfig { match_input_audio_length: true, ..card.config.clone() };
        Self::new(params, &config)
    }
}
