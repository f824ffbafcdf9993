//! One stem model: its network on chunks.

use tch::{Device, Kind, Tensor};

use crate::arch::mel_roformer::{MelRoformer, StemsCard};
use crate::compute::compute;
use crate::error::Result;
use crate::model::Model;
use crate::source::{ModelSource, Precision};

/// What is averaged for each chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Augment {
    /// The chunk as it is.
    #[default]
    No,
    /// Also with its channels swapped, and with its polarity inverted.
    Yes,
}

/// A stem model that is ready to compute. Clones share its weights.
#[derive(Debug, Clone)]
pub struct StemsModel {
    card: StemsCard,
    network: MelRoformer,
    device: Device,
}

impl From<Model<MelRoformer>> for StemsModel {
    fn from(model: Model<MelRoformer>) -> Self {
        let device = model.device();
        Self { card: model.card, network: model.network, device }
    }
}

impl StemsModel {
    /// A network of the card's sizes with random weights.
    ///
    /// # Errors
    /// [`crate::Error::Config`] for a card that does not fit itself.
    pub fn random(card: StemsCard, device: Device) -> Result<Self> {
        Ok(Model::random(card, device)?.into())
    }

    /// Loads a bundled or published model, a checkpoint with its YAML beside it, a bare one of a
    /// published size, or one of formant's own files.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn load(source: &ModelSource, device: Device) -> Result<Self> {
        Ok(Model::load(source, device)?.into())
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
    /// [`crate::Error::Torch`] when libtorch fails, such as for want of memory.
    pub fn separate(&self, chunks: &Tensor, augment: Augment) -> Result<Tensor> {
        if chunks.f_count_nonzero(None)?.int64_value(&[]) == 0 {
            let [batch, channels, samples] = chunks.size3()?.into();
            let stems = [batch, self.card.config.num_stems, channels, samples];
            return Ok(Tensor::f_zeros(stems, (Kind::Float, Device::Cpu))?);
        }
        let chunks = chunks.f_to_device(self.device)?;
        compute("the stem model", &chunks.size(), || self.stems(&chunks, augment))
    }

    fn stems(&self, chunks: &Tensor, augment: Augment) -> Tensor {
        let plain = self.network.forward(chunks);
        if augment == Augment::No {
            return plain;
        }
        let inverted = self.network.forward(&chunks.neg());
        if !self.card.config.stereo {
            return (plain - inverted) / 2.0;
        }
        let swapped = self.network.forward(&chunks.flip([1])).flip([2]);
        (plain + swapped - inverted) / 3.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::mel_roformer::MelRoformerConfig;

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
        let saved = Model::<MelRoformer>::random(tiny(), Device::Cpu).expect("valid");
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("m.safetensors");
        saved.save(&path, Kind::Float).expect("written");
        let model = StemsModel::from(saved);
        let again = StemsModel::load(&ModelSource::Path(path), Device::Cpu).expect("read");
        assert_eq!(again.card(), model.card());
        let chunk = Tensor::randn([1, 2, 1001], tch::kind::FLOAT_CPU);
        let run = |m: &StemsModel| m.separate(&chunk, Augment::No).expect("computed");
        assert_eq!(run(&model).size(), [1, 1, 2, 1001]);
        assert!(run(&model).equal(&run(&again)));
    }

    #[test]
    fn silence_is_not_computed() {
        let model = Model::<MelRoformer>::random(tiny(), Device::Cpu).expect("valid");
        let variables = model.store.trainable_variables();
        let model = StemsModel::from(model);
        let chunks = Tensor::zeros([2, 2, 1000], tch::kind::FLOAT_CPU);
        let computed = tch::no_grad(|| model.network.forward(&chunks));
        for variable in variables {
            let _ = tch::no_grad(|| variable.shallow_clone().fill_(f64::NAN));
        }
        for augment in [Augment::No, Augment::Yes] {
            let stems = model.separate(&chunks, augment).expect("nothing to compute");
            assert!(stems.equal(&computed), "what the network says of silence");
        }
    }

    #[test]
    fn augmentation_is_fair_to_both_channels_and_polarities() {
        let model = StemsModel::random(tiny(), Device::Cpu).expect("valid");
        let chunk = Tensor::randn([1, 2, 1024], tch::kind::FLOAT_CPU);
        let run = |x: &Tensor| model.separate(x, Augment::Yes).expect("computed");
        let forms = |x: &Tensor| {
            let plain = |x: &Tensor| model.separate(x, Augment::No).expect("computed");
            (plain(x) + plain(&x.flip([1])).flip([2]) - plain(&x.neg())) / 3.0
        };
        for x in [&chunk, &chunk.flip([1]), &chunk.neg()] {
            let (found, wanted) = (run(x), forms(x));
            let scale = wanted.abs().max().double_value(&[]);
            assert!(scale > 0.0);
            assert!((found - wanted).abs().max().double_value(&[]) <= 1e-5 * scale);
        }
    }
}
