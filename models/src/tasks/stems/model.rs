//! One stem model: reading and writing files of it, and its network on chunks.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

use super::card::StemsCard;
use crate::arch::mel_roformer::{MelRoformer, MelRoformerConfig};
use crate::checkpoint::{self, Container, LoadOptions, RawTensor, StateDict};
use crate::error::{Error, Result};
use crate::registry::{self, Located};
use crate::source::{ModelSource, Precision};

/// Key of the card in the metadata of a weights file.
const CARD_KEY: &str = "formant.stems";

/// What is averaged for each chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Augment {
    /// The chunk as it is.
    #[default]
    No,
    /// Also with its channels swapped, and with its polarity inverted.
    Yes,
}

/// A stem model that is ready to compute.
#[derive(Debug)]
pub struct StemsModel {
    card: StemsCard,
    network: MelRoformer,
    store: VarStore,
}

impl StemsModel {
    /// A network of the card's sizes with random weights.
    ///
    /// # Errors
    /// [`Error::Config`] for a card that does not fit itself.
    pub fn random(card: StemsCard, device: Device) -> Result<Self> {
        card.validate()?;
        let store = VarStore::new(device);
        // Chunks come back as long as they are; where they are whole hops it is the same.
        let config = MelRoformerConfig { match_input_audio_length: true, ..card.config.clone() };
        let network = MelRoformer::new(&store.root(), &config)?;
        Ok(Self { card, network, store })
    }

    /// The card's network with these weights, all of which have to fit.
    ///
    /// # Errors
    /// [`Error::Mismatch`] listing what does not fit.
    pub fn from_state(card: StemsCard, state: &StateDict, device: Device) -> Result<Self> {
        let mut model = Self::random(card, device)?;
        checkpoint::load_into(&mut model.store, state, &LoadOptions::default())?;
        Ok(model)
    }

    /// The card's network with these weights by name.
    ///
    /// # Errors
    /// As [`StemsModel::from_state`].
    pub fn from_tensors(
        card: StemsCard,
        weights: &BTreeMap<String, Tensor>,
        device: Device,
    ) -> Result<Self> {
        let mut state = StateDict::default();
        for (name, tensor) in weights {
            state.insert(name, RawTensor::from_tensor(&tensor.detach())?);
        }
        Self::from_state(card, &state, device)
    }

    /// The weights by name.
    #[must_use]
    pub fn weights(&self) -> BTreeMap<String, Tensor> {
        self.store.variables().into_iter().collect()
    }

    /// Loads a bundled or published model, a checkpoint with its YAML beside it, a bare one of a
    /// published size, or one of formant's own files.
    ///
    /// # Errors
    /// What reading says; [`Error::Unsupported`] for a checkpoint of another kind.
    pub fn load(source: &ModelSource, device: Device) -> Result<Self> {
        let (state, container) = match registry::locate(source)? {
            Located::Bundled(_) => (registry::read_weights(source)?, None),
            Located::Path(path) => {
                let container = Container::open(path)?;
                (container.state_dict()?.clone(), Some(container))
            }
        };
        let card = match state.metadata.get(CARD_KEY) {
            Some(text) => serde_json::from_str(text).map_err(|e| {
                let reason = format!("the card in {} is unreadable: {e}", state.path.display());
                Error::config(CARD_KEY, reason)
            })?,
            None => foreign_card(state.clone(), container.as_ref())?,
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
            // Rates are multiplied by positions, which half floats are too coarse for.
            let kind = if name.ends_with(".freqs") { Kind::Float } else { kind };
            state.insert(name, RawTensor::from_tensor(&tensor.detach().to_kind(kind))?);
        }
        let card = serde_json::to_string(&self.card)
            .map_err(|e| Error::config(CARD_KEY, e.to_string()))?;
        checkpoint::write_safetensors(path, &state, &BTreeMap::from([(CARD_KEY.to_owned(), card)]))
    }

    /// What it is.
    #[must_use]
    pub fn card(&self) -> &StemsCard {
        &self.card
    }

    /// The same, to change how mixes are cut or what is told about the origin.
    pub fn card_mut(&mut self) -> &mut StemsCard {
        &mut self.card
    }

    /// Keeps what lies at 0 Hz, as the vocal model's own program does.
    pub fn keep_dc(&mut self) {
        self.card.config.zero_dc = false;
        self.network.keep_dc();
    }

    /// Makes the network's matrix products in numbers of this kind from now on.
    pub fn set_precision(&mut self, precision: Precision) {
        if precision != Precision::F32 {
            self.network.set_kind(precision.kind());
        }
    }

    /// Its network.
    #[must_use]
    pub fn network(&self) -> &MelRoformer {
        &self.network
    }

    /// Stems of chunks: `[batch, channels, samples]` to `[batch, stems, channels, samples]`.
    /// Chunks of nothing but zeros have such stems, and are not computed: a masked zero is a zero.
    ///
    /// # Errors
    /// [`Error::Torch`] when libtorch fails, such as for want of memory.
    pub fn separate(&self, chunks: &Tensor, augment: Augment) -> Result<Tensor> {
        if chunks.f_count_nonzero(None)?.int64_value(&[]) == 0 {
            let [batch, channels, samples] = chunks.size3()?.into();
            let stems = [batch, self.card.config.num_stems, channels, samples];
            return Ok(Tensor::f_zeros(stems, (Kind::Float, Device::Cpu))?);
        }
        let chunks = chunks.f_to_device(self.store.device())?;
        let plain = self.network.forward(&chunks);
        if augment == Augment::No {
            return Ok(plain);
        }
        let inverted = self.network.forward(&chunks.neg());
        if !self.card.config.stereo {
            return Ok((plain - inverted) / 2.0);
        }
        let swapped = self.network.forward(&chunks.flip([1])).flip([2]);
        Ok((plain + swapped - inverted) / 3.0)
    }
}

fn foreign_card(mut state: StateDict, container: Option<&Container>) -> Result<StemsCard> {
    checkpoint::clean(&mut state, checkpoint::WeightNorm::Keep)?;
    let detected = checkpoint::detect(&state).map(|found| found.architecture);
    if !detected.is_some_and(|found| super::ARCHITECTURES.contains(&found)) {
        let found = detected.map_or("unknown weights".to_owned(), |found| found.to_string());
        return Err(Error::unsupported(
            &state.path,
            format!("{found}, no Mel-RoFormer; `formant models list --task stems` shows what fits"),
        ));
    }
    let has_sizes =
        |yaml: &&Value| yaml.get("model").is_some_and(|model| model.get("dim").is_some());
    let yaml = container.and_then(|c| c.configs.iter().map(|(_, value)| value).find(has_sizes));
    match yaml {
        Some(yaml) => StemsCard::of_yaml(yaml, MelRoformerConfig::layout_of(&state)?),
        None => Ok(StemsCard::of_config(MelRoformerConfig::of_weights(&state)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiny() -> StemsCard {
        let config = MelRoformerConfig {
            dim: 8,
            depth: 1,
            heads: 2,
            dim_head: 4,
            num_bands: 16,
            stft_n_fft: 512,
            stft_win_length: 512,
            stft_hop_length: 128,
            mlp_expansion_factor: 1,
            ..MelRoformerConfig::default()
        };
        StemsCard::of_config(config)
    }

    #[test]
    fn a_saved_model_loads_again_and_odd_chunks_keep_their_length() {
        let model = StemsModel::random(tiny(), Device::Cpu).expect("valid");
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("m.safetensors");
        model.save(&path, Kind::Float).expect("written");
        let again = StemsModel::load(&ModelSource::Path(path), Device::Cpu).expect("read");
        assert_eq!(again.card(), model.card());
        let chunk = Tensor::randn([1, 2, 1001], tch::kind::FLOAT_CPU);
        let run = |m: &StemsModel| m.separate(&chunk, Augment::No).expect("computed");
        assert_eq!(run(&model).size(), [1, 1, 2, 1001]);
        assert!(run(&model).equal(&run(&again)));
    }

    #[test]
    fn silence_is_not_computed() {
        let model = StemsModel::random(tiny(), Device::Cpu).expect("valid");
        let chunks = Tensor::zeros([2, 2, 1000], tch::kind::FLOAT_CPU);
        let computed = tch::no_grad(|| model.network.forward(&chunks));
        for variable in model.store.trainable_variables() {
            let _ = tch::no_grad(|| variable.shallow_clone().fill_(f64::NAN));
        }
        for augment in [Augment::No, Augment::Yes] {
            let stems = model.separate(&chunks, augment).expect("nothing to compute");
            assert!(stems.equal(&computed), "what the network says of silence");
        }
    }

    #[test]
    fn augmentation_is_fair_to_both_channels() {
        let model = StemsModel::random(tiny(), Device::Cpu).expect("valid");
        let chunk = Tensor::randn([1, 2, 1024], tch::kind::FLOAT_CPU);
        let run = |x: &Tensor| model.separate(x, Augment::Yes).expect("computed");
        let negative = run(&chunk.neg());
        assert!((run(&chunk) + negative).abs().max().double_value(&[]) < 1.0);
    }
}
