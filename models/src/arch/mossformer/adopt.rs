//! Separators and enhancers of other toolkits: ClearerVoice and ModelScope folders, the stand-alone
//! release, single weight files.

use serde_json::Value;

use super::card::MossformerCard;
use super::config::{Family, MossformerConfig};
use super::network::{MaskEstimator, SourceSeparator};
use crate::checkpoint::{Architecture, Container, ContainerKind, StateDict};
use crate::error::Result;
use crate::model::{Arch, Foreign};
use crate::params::Params;

/// Rate of the enhancer, and of its front end.
const ENHANCER_RATE: u32 = 48_000;

/// MossFormer and MossFormer2, for separation and for enhancement.
#[derive(Debug)]
pub enum MossFormer {}

/// A network of one of the two kinds.
#[derive(Debug, Clone)]
pub enum Network {
    /// From waveforms to waveforms.
    Separator(SourceSeparator),
    /// From features to masks.
    MaskEstimator(MaskEstimator),
}

impl Arch for MossFormer {
    const NAME: &'static str = "MossFormer";
    const ARCHITECTURES: &'static [Architecture] =
        &[Architecture::Mossformer, Architecture::Mossformer2Ss, Architecture::Mossformer2Se];
    const CARD_KEY: &'static str = "formant.mossformer";
    const WANTED: &'static str = "`formant models list --task separate` and `--task enhance` show \
        what fits";
    /// Frequencies that no block stores are the usual ones.
    const IGNORED_KEYS: &'static [&'static str] = &["*rotary_pos_emb.freqs"];

    type Card = MossformerCard;
    type Network = Network;

    fn validate(card: &MossformerCard) -> Result<()> {
        card.validate()
    }

    fn adopt(found: &mut Foreign<'_>) -> Result<MossformerCard> {
        let rate = found.published.map(|model| model.rate);
        foreign_card(found.container, found.state, rate)
    }

    fn build(params: &Params<'_>, card: &MossformerCard) -> Result<Network> {
        Ok(match card.config.separates() {
            true => Network::Separator(SourceSeparator::new(params, &card.config)?),
            false => Network::MaskEstimator(MaskEstimator::new(params, &card.config)?),
        })
    }
}

/// The card of a checkpoint of another toolkit. No checkpoint but the stand-alone release states
/// its rate: else it is that of the release in this layout.
fn foreign_card(
    container: &Container,
    state: &StateDict,
    rate: Option<u32>,
) -> Result<MossformerCard> {
    let about =
        ["configuration.json", "config.json"].iter().find_map(|name| container.config(name));
    let config = match about {
        Some(about) => MossformerConfig::read(about, state)?,
        None => MossformerConfig::of_weights(state)?,
    };
    let stated = about
        .map(|about| about.get("config").unwrap_or(about))
        .and_then(|about| about.get("sample_rate"))
        .and_then(Value::as_u64)
        .and_then(|rate| u32::try_from(rate).ok());
    let usual = match (config.family, container.kind) {
        (Family::Mossformer2Se, _) => ENHANCER_RATE,
        (Family::Mossformer, _) | (_, ContainerKind::ModelScope) => 8_000,
        (Family::Mossformer2Ss, _) => 16_000,
    };
    MossformerCard::published(config, rate.or(stated).unwrap_or(usual))
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::*;
    use crate::error::Error;
    use crate::model::Model;
    use crate::source::ModelSource;

    #[test]
    fn a_saved_model_loads_again() {
        let card = MossformerCard::published(MossformerConfig::tiny(), 8000).expect("a card");
        let model = Model::<MossFormer>::random(card, Device::Cpu).expect("valid");
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("m.safetensors");
        model.save(&path, Kind::Float).expect("written");
        let again = Model::<MossFormer>::load(&ModelSource::Path(path), Device::Cpu);
        let again = again.expect("read");
        assert_eq!(again.card, model.card);
        let x = Tensor::randn([1, 300], tch::kind::FLOAT_CPU);
        let run = |model: &Model<MossFormer>| match &model.network {
            Network::Separator(network) => tch::no_grad(|| network.forward(&x)),
            Network::MaskEstimator(_) => panic!("a separator was saved"),
        };
        assert!(run(&model).equal(&run(&again)));
    }
    /// S13: what does not fit comes in one error, also where a network takes its own tensors.
    #[test]
    fn s13_all_that_does_not_fit_is_in_one_error() {
        let card = MossformerCard::published(MossformerConfig::tiny(), 8000).expect("a card");
        let model = Model::<MossFormer>::random(card.clone(), Device::Cpu).expect("valid");
        let mut state = StateDict::from_var_store(&model.store).expect("plain tensors");
        let extra = state.get("mask_net.norm.weight").expect("a norm").clone();
        for name in ["enc.conv1d.weight", "mask_net.prelu.weight"] {
            state.tensors.shift_remove(name).expect("it was there");
        }
        state.insert("dec.weight", extra.clone());
        state.insert("extra.weight", extra);
        let error = Model::<MossFormer>::from_state(card, &state, Device::Cpu).expect_err("misfit");
        let Error::Mismatch(report) = &error else { panic!("{error}") };
        assert_eq!(report.missing, ["enc.conv1d.weight", "mask_net.prelu.weight"]);
        assert_eq!(report.unexpected, ["extra.weight"]);
        assert_eq!(report.wrong_shape.len(), 1, "{error}");
        assert_eq!(report.matched + 3, model.weights().len());
    }
}
