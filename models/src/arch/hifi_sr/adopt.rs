//! The two-file release of ClearerVoice, and converted files with the same names.

use super::card::HifiSrCard;
use super::network::HifiSr;
use crate::checkpoint::{self, Architecture, WeightNorm};
use crate::error::Result;
use crate::model::{Arch, Foreign};
use crate::params::Params;

impl Arch for HifiSr {
    const NAME: &'static str = "HiFi-SR";
    const ARCHITECTURES: &'static [Architecture] = &[Architecture::HifiSr];
    const CARD_KEY: &'static str = "formant.hifi-sr";
    const WANTED: &'static str = "give the folder with `last_best_checkpoint` and the two files \
        that it names, or fetch it with `formant models pull mossformer2-sr-48k`";
    /// Frequencies that no block stores are the usual ones.
    const IGNORED_KEYS: &'static [&'static str] = &["*rotary_pos_emb.freqs"];

    type Card = HifiSrCard;
    type Network = Self;

    fn validate(card: &HifiSrCard) -> Result<()> {
        card.validate()
    }

    fn adopt(found: &mut Foreign<'_>) -> Result<HifiSrCard> {
        checkpoint::clean(found.state, WeightNorm::Fold)?;
        HifiSrCard::read(found.container.config("config.json"), found.state)
    }

    fn build(params: &Params<'_>, card: &HifiSrCard) -> Result<Self> {
        Self::new(params, &card.config)
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::super::config::HifiSrConfig;
    use super::*;
    use crate::model::Model;
    use crate::source::ModelSource;

    #[test]
    fn a_saved_model_loads_again() {
        let card = HifiSrCard::published(HifiSrConfig::tiny()).expect("a card");
        let model = Model::<HifiSr>::random(card, Device::Cpu).expect("valid");
        let trainable: usize = model
            .store
            .variables()
            .into_iter()
            .filter(|(_, v)| v.requires_grad())
            .map(|(_, v)| v.numel())
            .sum();
        assert_eq!(model.network.info().parameters, trainable as u64);
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("m.safetensors");
        model.save(&path, Kind::Float).expect("written");
        let again = Model::<HifiSr>::load(&ModelSource::Path(path), Device::Cpu);
        let again = again.expect("read");
        assert_eq!(again.card, model.card);
        let mel = Tensor::randn([1, 40, 80], tch::kind::FLOAT_CPU);
        let run = |model: Model<HifiSr>| model.network.freeze().forward(&mel);
        let (first, second) = (run(model), run(again));
        assert_eq!(first.size(), [1, 1, 40 * 256]);
        assert!(first.equal(&second));
    }
}
