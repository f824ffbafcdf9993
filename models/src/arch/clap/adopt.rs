//! LAION's checkpoints, which hold the tower for sounds beside that for texts.

use super::card::ClapCard;
use super::config::ClapConfig;
use super::network::ClapText;
use super::words::WordPieces;
use crate::checkpoint::{self, Architecture, WeightNorm};
use crate::error::Result;
use crate::model::{Arch, Foreign};
use crate::params::Params;

impl Arch for ClapText {
    const NAME: &'static str = "CLAP text tower";
    const ARCHITECTURES: &'static [Architecture] = &[Architecture::Clap];
    const CARD_KEY: &'static str = "formant.clap-text";
    const WANTED: &'static str = "give a checkpoint of LAION's, such as 630k-audioset-best.pt; \
        `formant models list --task generate` says where it is";
    /// The tower for sounds, what the training compares, and a table that follows from the sizes.
    const IGNORED_KEYS: &'static [&'static str] = &[
        "audio_branch.*",
        "audio_projection.*",
        "audio_transform.*",
        "text_transform.*",
        "logit_scale*",
        "*position_ids",
    ];

    type Card = ClapCard;
    type Network = Self;

    fn validate(card: &ClapCard) -> Result<()> {
        card.validate()
    }

    fn adopt(found: &mut Foreign<'_>) -> Result<ClapCard> {
        checkpoint::clean(found.state, WeightNorm::Fold)?;
        let stated = found.container.config("config.json");
        let pieces = WordPieces::find(found.container)?;
        let card = ClapCard::sized(ClapConfig::of_weights(found.state, stated)?);
        Ok(ClapCard { pieces, ..card })
    }

    fn build(params: &Params<'_>, card: &ClapCard) -> Result<Self> {
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
    fn a_saved_model_loads_again_and_padding_changes_nothing() {
        let card = ClapCard::sized(ClapConfig::tiny());
        let model = Model::<ClapText>::random(card, Device::Cpu).expect("valid");
        let trainable: usize = model.weights().values().map(Tensor::numel).sum();
        assert_eq!(model.network.info().parameters, trainable as u64);
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("m.safetensors");
        model.save(&path, Kind::Float).expect("written");
        let again = Model::<ClapText>::load(&ModelSource::Path(path), Device::Cpu).expect("read");
        assert_eq!(again.card, model.card);
        let alone = again.network.embed(&[0, 7, 9, 2]).expect("a text");
        let padded = Tensor::from_slice(&[0i64, 7, 9, 2, 1, 1, 0, 3, 4, 5, 6, 2]).view([2, 6]);
        let both = tch::no_grad(|| model.network.forward(&padded, &mut NoTrace));
        let worst = (both.narrow(0, 0, 1) - &alone).abs().max().double_value(&[]);
        assert!(worst < 1e-6, "{worst}");
        assert!((alone.square().sum(Kind::Float) - 1.0).abs().double_value(&[]) < 1e-5);
        for bad in [&[][..], &[20], &[-1], &[0; 11]] {
            assert!(again.network.embed(bad).is_err(), "{bad:?}");
        }
    }
}
