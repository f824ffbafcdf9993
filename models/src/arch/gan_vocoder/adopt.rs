//! The released files: `g_*` and `bigvgan_generator.pt` beside `config.json`, and MelGAN's
//! `best_netG.pt`, all of whose sizes show.

use super::card::GanVocoderCard;
use super::network::GanVocoder;
use crate::checkpoint::{self, Architecture, WeightNorm};
use crate::error::Result;
use crate::model::{Arch, Foreign};
use crate::params::Params;

impl Arch for GanVocoder {
    const NAME: &'static str = "HiFi-GAN, BigVGAN or MelGAN vocoder";
    const ARCHITECTURES: &'static [Architecture] =
        &[Architecture::HifiGan, Architecture::Bigvgan, Architecture::Melgan];
    const CARD_KEY: &'static str = "formant.gan-vocoder";
    const WANTED: &'static str = "give the folder with the generator (`g_*`, `bigvgan_generator.pt`) and \
        `config.json` of a release, or fetch one with `formant models pull bigvgan-v2-22khz-80band-fmax8k`";
    /// Filters that no file stores follow from their formula.
    const IGNORED_KEYS: &'static [&'static str] =
        &["*.upsample.filter", "*.downsample.lowpass.filter"];

    type Card = GanVocoderCard;
    type Network = Self;

    fn validate(card: &GanVocoderCard) -> Result<()> {
        card.validate()
    }

    fn adopt(found: &mut Foreign<'_>) -> Result<GanVocoderCard> {
        checkpoint::clean(found.state, WeightNorm::Fold)?;
        GanVocoderCard::read(found.container.config("config.json"), found.state)
    }

    fn build(params: &Params<'_>, card: &GanVocoderCard) -> Result<Self> {
        Self::new(params, &card.config)
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::super::config::{BigVganConfig, GanVocoderConfig, HifiGanConfig, MelGanConfig};
    use super::*;
    use crate::arch::generator::GeneratorConfig;
    use crate::model::Model;
    use crate::source::ModelSource;

    #[test]
    fn saved_models_load_again() {
        let generator = GeneratorConfig::tiny;
        for config in [
            GanVocoderConfig::HifiGan(HifiGanConfig { num_mels: 80, generator: generator() }),
            GanVocoderConfig::Bigvgan(BigVganConfig {
                num_mels: 80,
                use_bias_at_final: false,
                use_tanh_at_final: false,
                generator: generator(),
                ..BigVganConfig::default()
            }),
            GanVocoderConfig::Melgan(MelGanConfig { ngf: 1, ..MelGanConfig::default() }),
        ] {
            let card = GanVocoderCard::published(config).expect("a card");
            let model = Model::<GanVocoder>::random(card, Device::Cpu).expect("valid");
            let weights = model.weights();
            let trainable = weights.values().filter(|weight| weight.requires_grad());
            let info = model.network.info();
            assert_eq!(info.parameters, trainable.map(Tensor::numel).sum::<usize>() as u64);
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("m.safetensors");
            model.save(&path, Kind::Float).expect("written");
            let again = Model::<GanVocoder>::load(&ModelSource::Path(path), Device::Cpu);
            let again = again.expect("read");
            assert_eq!(again.card, model.card);
            let frames = info.minimum_frames as i64;
            let mel = Tensor::randn([2, 80, frames], tch::kind::FLOAT_CPU);
            let first = tch::no_grad(|| model.network.forward(&mel));
            let second = again.network.freeze().forward(&mel);
            assert_eq!(first.size(), [2, 1, frames * 256]);
            let worst = (first - second).abs().max().double_value(&[]);
            assert!(worst < 1e-5, "{}: {worst}", info.architecture);
        }
    }

    #[test]
    fn published_sizes_are_those_of_the_releases() {
        for (config, parameters) in [
            (GanVocoderConfig::HifiGan(HifiGanConfig::default()), 13_926_017),
            (GanVocoderConfig::Melgan(MelGanConfig::default()), 4_260_257),
        ] {
            let card = GanVocoderCard::published(config).expect("a card");
            let model = Model::<GanVocoder>::random(card, Device::Cpu).expect("valid");
            assert_eq!(model.network.info().parameters, parameters);
        }
    }
}
