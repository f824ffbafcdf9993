//! Models from files: ClearerVoice and ModelScope folders, the stand-alone release, single weight
//! files, and formant's own safetensors with a card.

use std::collections::BTreeMap;
use std::path::Path;

use formant_audio_core::features::{FeatureConfig, presets};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

use super::config::{Family, MossformerConfig};
use super::network::{MaskEstimator, Separator};
use crate::checkpoint::{
    self, Container, ContainerKind, LoadOptions, RawTensor, StateDict, WeightNorm,
};
use crate::error::{Error, Result};
use crate::registry::{self, Located};
use crate::source::ModelSource;

/// Key of the card in the metadata of a weights file.
pub const CARD_KEY: &str = "formant.mossformer";

/// Rate of the enhancer, and of its front end.
const ENHANCER_RATE: u32 = 48_000;

/// Everything about a model but its weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MossformerCard {
    /// Sizes of the network.
    pub config: MossformerConfig,
    /// Rate of the waveforms, Hz.
    pub sample_rate: u32,
    /// The features that it takes, where it takes features.
    #[serde(default)]
    pub frontend: Option<FeatureConfig>,
    /// Where the weights come from: recipe, data, licence, measured quality; free-form.
    #[serde(default)]
    pub provenance: Value,
}

impl MossformerCard {
    /// The card of a network as it is published: without a front end, or with that of the enhancer.
    ///
    /// # Errors
    /// [`Error::Config`] when the front end's preset is gone.
    pub fn published(config: MossformerConfig, sample_rate: u32) -> Result<Self> {
        let frontend = match config.family {
            Family::Mossformer2Se => Some(presets::by_name("mossformer2-se")?),
            Family::Mossformer | Family::Mossformer2Ss => None,
        };
        Ok(Self { config, sample_rate, frontend, provenance: Value::Null })
    }
}

/// A network of one of the two kinds.
#[derive(Debug)]
pub enum Network {
    /// From waveforms to waveforms.
    Separator(Separator),
    /// From features to masks.
    MaskEstimator(MaskEstimator),
}

/// A model that is ready to compute.
#[derive(Debug)]
pub struct MossformerModel {
    /// What it is.
    pub card: MossformerCard,
    /// Its network.
    pub network: Network,
    /// The variables of the network.
    pub store: VarStore,
}

impl MossformerModel {
    /// A network of the card's sizes with random weights.
    ///
    /// # Errors
    /// [`Error::Config`] for impossible sizes.
    pub fn random(card: MossformerCard, device: Device) -> Result<Self> {
        let store = VarStore::new(device);
        let network = match card.config.separates() {
            true => Network::Separator(Separator::new(&store.root(), &card.config)?),
            false => Network::MaskEstimator(MaskEstimator::new(&store.root(), &card.config)?),
        };
        Ok(Self { card, network, store })
    }

    /// The card's network with these weights, all of which have to fit.
    ///
    /// # Errors
    /// [`Error::Mismatch`] listing what does not fit.
    pub fn from_state(card: MossformerCard, state: &StateDict, device: Device) -> Result<Self> {
        let mut model = Self::random(card, device)?;
        let mut options = LoadOptions::default();
        // Frequencies that no block stores are the usual ones.
        if !state.names().any(|name| name.ends_with("rotary_pos_emb.freqs")) {
            options = options.ignoring(&["*rotary_pos_emb.freqs"]);
        }
        checkpoint::load_into(&mut model.store, state, &options)?;
        Ok(model)
    }

    /// A model from named tensors, as training makes them.
    ///
    /// # Errors
    /// [`Error::Mismatch`] listing what does not fit.
    pub fn from_tensors(
        card: MossformerCard,
        weights: &BTreeMap<String, Tensor>,
        device: Device,
    ) -> Result<Self> {
        let mut state = StateDict::default();
        for (name, tensor) in weights {
            state.insert(name.clone(), RawTensor::from_tensor(tensor)?);
        }
        Self::from_state(card, &state, device)
    }

    /// Loads a bundled model, a published file or folder, or one of formant's own files. `config`
    /// replaces what the checkpoint says about itself.
    ///
    /// # Errors
    /// What reading says; [`Error::Config`] for a checkpoint of another kind.
    pub fn load(
        source: &ModelSource,
        config: Option<MossformerConfig>,
        device: Device,
    ) -> Result<Self> {
        let rate = match source {
            ModelSource::Published(name) => registry::published(name).map(|model| model.rate),
            ModelSource::Bundled(_) | ModelSource::Path(_) => None,
        };
        let (mut card, state) = match registry::locate(source)? {
            Located::Bundled(model) => {
                let name = format!("bundled model {}", model.name);
                let state = checkpoint::read_bytes(model.bytes()?, &name)?;
                let card = own_card(&state)?.ok_or_else(|| {
                    Error::unsupported(&state.path, "no separator or enhancer; give another name")
                })?;
                (card, state)
            }
            Located::Path(path) => {
                let container = Container::open(&path)?;
                let mut state = container.state_dict()?.clone();
                checkpoint::clean(&mut state, WeightNorm::Fold)?;
                match own_card(&state)? {
                    Some(card) => (card, state),
                    None => (foreign_card(&container, &state, rate)?, state),
                }
            }
        };
        if let Some(config) = config {
            card.config = config;
        }
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

fn own_card(state: &StateDict) -> Result<Option<MossformerCard>> {
    let Some(text) = state.metadata.get(CARD_KEY) else { return Ok(None) };
    serde_json::from_str(text).map(Some).map_err(|e| {
        let path = state.path.display();
        Error::config(CARD_KEY, format!("the card in {path} is unreadable: {e}"))
    })
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
    use super::*;

    #[test]
    fn a_saved_model_loads_again() {
        let config = MossformerConfig {
            in_channels: 8,
            out_channels: 8,
            num_blocks: 1,
            group_size: 32,
            query_key_dim: 6,
            fsmn_inner_channels: 6,
            ..MossformerConfig::default()
        };
        let card = MossformerCard::published(config, 8000).expect("a card");
        let model = MossformerModel::random(card, Device::Cpu).expect("valid");
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("m.safetensors");
        model.save(&path, Kind::Float).expect("written");
        let again = MossformerModel::load(&ModelSource::Path(path), None, Device::Cpu);
        let again = again.expect("read");
        assert_eq!(again.card, model.card);
        let x = Tensor::randn([1, 300], tch::kind::FLOAT_CPU);
        let run = |model: &MossformerModel| match &model.network {
            Network::Separator(network) => tch::no_grad(|| network.forward(&x)),
            Network::MaskEstimator(_) => panic!("a separator was saved"),
        };
        assert!(run(&model).equal(&run(&again)));
    }
}
