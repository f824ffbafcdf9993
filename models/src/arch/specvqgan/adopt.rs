//! The released checkpoints: of a tokenizer's training, and of a transformer's, which hold the tokenizer.

use super::card::SpecVqganCard;
use super::config::SpecVqganConfig;
use super::network::SpecVqgan;
use crate::checkpoint::{self, Architecture, WeightNorm};
use crate::error::Result;
use crate::model::{Arch, Foreign};
use crate::params::Params;

/// Where checkpoints of a transformer hold the tokenizer.
const FIRST_STAGE: &str = "first_stage_model.";

impl Arch for SpecVqgan {
    const NAME: &'static str = "SpecVQGAN";
    const ARCHITECTURES: &'static [Architecture] = &[Architecture::Specvqgan];
    const CARD_KEY: &'static str = "formant.specvqgan";
    const WANTED: &'static str = "give `last.ckpt` of a released codebook, such as \
        2021-05-19T22-16-54_vggsound_codebook; `formant models list --task generate` says where it is";

    type Card = SpecVqganCard;
    type Network = Self;

    fn validate(card: &SpecVqganCard) -> Result<()> {
        card.validate()
    }

    fn adopt(found: &mut Foreign<'_>) -> Result<SpecVqganCard> {
        checkpoint::clean(found.state, WeightNorm::Fold)?;
        let inside = found.state.scoped(FIRST_STAGE);
        if !inside.is_empty() {
            *found.state = inside;
            // Its losses are those of a training, too.
            checkpoint::clean(found.state, WeightNorm::Fold)?;
        }
        SpecVqganCard::published(SpecVqganConfig::of_weights(found.state)?)
    }

    fn build(params: &Params<'_>, card: &SpecVqganCard) -> Result<Self> {
        Self::new(params, &card.config)
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::*;
    use crate::model::Model;
    use crate::network::NoTrace;
    use crate::source::ModelSource;

    #[test]
    fn a_saved_model_loads_again_and_learns() {
        let card = SpecVqganCard::published(SpecVqganConfig::tiny()).expect("a card");
        let model = Model::<SpecVqgan>::random(card, Device::Cpu).expect("valid");
        let trainable: usize = model.weights().values().map(Tensor::numel).sum();
        assert_eq!(model.network.info().parameters, trainable as u64);
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("m.safetensors");
        model.save(&path, Kind::Float).expect("written");
        let again = Model::<SpecVqgan>::load(&ModelSource::Path(path), Device::Cpu).expect("read");
        assert_eq!(again.card, model.card);
        let x = Tensor::rand([2, 1, 80, 32], tch::kind::FLOAT_CPU) * 2.0 - 1.0;
        let tokens = model.network.encode(&x);
        assert_eq!(tokens.size(), [2, 40, 16]);
        assert!(tokens.equal(&again.network.encode(&x)));
        let y = model.network.decode(&tokens);
        assert_eq!(y.size(), x.size());
        assert!(y.equal(&again.network.decode(&tokens)));
        // Latents go straight through to the decoder, where codes do not stop the gradient.
        let latents = model.network.latents(&x, &mut NoTrace);
        let codes = model.network.lookup(&model.network.nearest(&latents));
        let loss = (&codes - &latents).square().mean(Kind::Float)
            + model.network.decode_codes(&latents, &mut NoTrace).square().mean(Kind::Float);
        loss.backward();
        let still: Vec<String> = model
            .weights()
            .into_iter()
            .filter(|(_, weight)| !weight.grad().defined())
            .map(|(name, _)| name)
            .collect();
        assert!(still.is_empty(), "{still:?}");
    }

    #[test]
    fn the_published_size_is_that_of_the_release() {
        let card = SpecVqganCard::published(SpecVqganConfig::default()).expect("a card");
        card.validate().expect("published sizes");
        let model = Model::<SpecVqgan>::random(card, Device::Cpu).expect("valid");
        assert_eq!(model.network.info().parameters, 72_137_089);
        assert_eq!(model.weights().len(), 343);
    }
}
