//! Weights with the network's names, beside a `config.json` with the sizes.

use super::card::SpecMaskGitCard;
use super::config::SpecMaskGitConfig;
use super::network::SpecMaskGit;
use crate::checkpoint::{self, Architecture, WeightNorm};
use crate::error::Result;
use crate::model::{Arch, Foreign};
use crate::params::Params;

impl Arch for SpecMaskGit {
    const NAME: &'static str = "SpecMaskGIT";
    const ARCHITECTURES: &'static [Architecture] = &[Architecture::Specmaskgit];
    const CARD_KEY: &'static str = "formant.specmaskgit";
    const WANTED: &'static str = "no weights are published; give a file that formant has trained, or \
        weights with its names beside a `config.json` with the sizes";

    type Card = SpecMaskGitCard;
    type Network = Self;

    fn validate(card: &SpecMaskGitCard) -> Result<()> {
        card.validate()
    }

    fn adopt(found: &mut Foreign<'_>) -> Result<SpecMaskGitCard> {
        checkpoint::clean(found.state, WeightNorm::Fold)?;
        let stated = found.container.config("config.json");
        Ok(SpecMaskGitCard::sized(SpecMaskGitConfig::of_weights(found.state, stated)?))
    }

    fn build(params: &Params<'_>, card: &SpecMaskGitCard) -> Result<Self> {
        Self::new(params, &card.config)
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::*;
    use crate::model::Model;
    use crate::source::ModelSource;

    #[test]
    fn a_saved_model_loads_again_and_learns() {
        let card = SpecMaskGitCard::sized(SpecMaskGitConfig::tiny());
        let model = Model::<SpecMaskGit>::random(card, Device::Cpu).expect("valid");
        let trainable: usize = model.weights().values().map(Tensor::numel).sum();
        assert_eq!(model.network.info().parameters, trainable as u64);
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("m.safetensors");
        model.save(&path, Kind::Float).expect("written");
        let again =
            Model::<SpecMaskGit>::load(&ModelSource::Path(path), Device::Cpu).expect("read");
        assert_eq!(again.card, model.card);
        let tokens = Tensor::from_slice(&[0i64, 1, 12, 3, 12, 12, 6, 7]).view([1, 8]);
        let run = |network: &SpecMaskGit| {
            let said = network.condition(&Tensor::ones([1, 6], tch::kind::FLOAT_CPU));
            let conditions = Tensor::cat(&[said, network.no_condition()], 0);
            network.forward(&tokens.expand([2, -1], false), &conditions)
        };
        let first = run(&model.network);
        assert_eq!(first.size(), [2, 8, 12]);
        let second = run(&again.network.freeze());
        let worst = (&first - second).abs().max().double_value(&[]);
        assert!(worst < 1e-5, "{worst}");
        first.square().mean(Kind::Float).backward();
        let still: Vec<String> = model
            .weights()
            .into_iter()
            .filter(|(_, weight)| !weight.grad().defined())
            .map(|(name, _)| name)
            .collect();
        assert!(still.is_empty(), "{still:?}");
    }
}
