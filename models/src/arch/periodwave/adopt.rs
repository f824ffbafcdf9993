//! The released files: `G_*.pth` with the state of a training, beside `config.json`.

use super::card::PeriodWaveCard;
use super::network::PeriodWave;
use super::sampling::Sampling;
use crate::checkpoint::{self, Architecture, WeightNorm};
use crate::error::Result;
use crate::model::{Arch, Foreign};
use crate::params::Params;

/// Published models that are not made for few steps.
const MANY_STEPS: [&str; 3] = ["periodwave-libritts", "periodwave-lj", "periodwave-encodec"];

impl Arch for PeriodWave {
    const NAME: &'static str = "PeriodWave";
    const ARCHITECTURES: &'static [Architecture] = &[Architecture::PeriodwaveTurbo];
    const CARD_KEY: &'static str = "formant.periodwave";
    const WANTED: &'static str = "give the folder with `G_*.pth` and `config.json` of a release, such \
        as periodwave_turbo_base; `formant models list --task vocode` says where it is";

    type Card = PeriodWaveCard;
    type Network = Self;

    fn validate(card: &PeriodWaveCard) -> Result<()> {
        card.validate()
    }

    fn adopt(found: &mut Foreign<'_>) -> Result<PeriodWaveCard> {
        checkpoint::clean(found.state, WeightNorm::Fold)?;
        let stated = found.container.config("config.json");
        let mut card = PeriodWaveCard::read(stated, found.state)?;
        // Nothing in a file tells which models are Turbo, but the folders of the release do.
        let folder = found.container.path.to_string_lossy().to_lowercase();
        let named = |published: &str| folder.contains(&published.replace('-', "_"));
        let is_plain = match found.published {
            Some(published) => MANY_STEPS.contains(&published.name),
            None => MANY_STEPS.iter().any(|name| named(name)) && !folder.contains("turbo"),
        };
        let is_tuned = stated.is_some_and(|stated| stated["train"]["tuning_steps"].is_number());
        if is_plain && !is_tuned {
            card.sampling = Sampling::many_steps();
        }
        Ok(card)
    }

    fn build(params: &Params<'_>, card: &PeriodWaveCard) -> Result<Self> {
        Self::new(params, &card.config)
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::super::config::PeriodWaveConfig;
    use super::*;
    use crate::model::Model;
    use crate::network::NoTrace;
    use crate::source::ModelSource;

    #[test]
    fn a_saved_model_loads_again() {
        let card = PeriodWaveCard::published(PeriodWaveConfig::tiny()).expect("a card");
        let model = Model::<PeriodWave>::random(card, Device::Cpu).expect("valid");
        let trainable: usize = model.weights().values().map(Tensor::numel).sum();
        assert_eq!(model.network.info().parameters, trainable as u64);
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("m.safetensors");
        model.save(&path, Kind::Float).expect("written");
        let again = Model::<PeriodWave>::load(&ModelSource::Path(path), Device::Cpu);
        let again = again.expect("read");
        assert_eq!(again.card, model.card);
        let (mel, z) = (
            Tensor::randn([2, 80, 5], tch::kind::FLOAT_CPU),
            Tensor::randn([2, 1, 5 * 256], tch::kind::FLOAT_CPU),
        );
        let run = |model: &Model<PeriodWave>| {
            let (inputs, _) = model.card.prior(&mel);
            let latents = model.network.condition(&inputs, &mut NoTrace);
            model.network.sample(&z, &latents, &model.card.sampling)
        };
        let (first, second) = (run(&model), tch::no_grad(|| run(&again)));
        assert_eq!(first.size(), z.size());
        let worst = (&first - second).abs().max().double_value(&[]);
        assert!(worst < 1e-5, "{worst}");
        // A network with random weights learns: every weight but those behind zeros has a gradient.
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
