//! Networks behind sound from words in the form that kernels compute, against libtorch's.

use formant_models::arch::gan_vocoder::{
    BigVganConfig, GanVocoder, GanVocoderCard, GanVocoderConfig, GeneratorConfig, PeriodicKind,
};
use formant_models::arch::specvqgan::{SpecVqgan, SpecVqganCard, SpecVqganConfig};
use formant_models::model::Model;
use tch::{
    Device, Kind, Tensor,
    kind::{FLOAT_CPU, INT64_CPU},
};

fn worst(found: &Tensor, wanted: &Tensor) -> f64 {
    assert_eq!(found.size(), wanted.size());
    ((found - wanted).abs().max() / wanted.abs().max()).double_value(&[])
}

/// Both functions of BigVGAN, at lengths of one frame and of several stretches.
#[test]
fn bigvgan_of_kernels_equals_the_library() {
    for (activation, snake_logscale) in
        [(PeriodicKind::Snake, false), (PeriodicKind::SnakeBeta, true)]
    {
        let config = BigVganConfig {
            num_mels: 80,
            activation,
            snake_logscale,
            generator: GeneratorConfig {
                upsample_rates: vec![8, 8, 2, 2],
                upsample_kernel_sizes: vec![16, 16, 4, 4],
                upsample_initial_channel: 96,
                resblock_kernel_sizes: vec![3, 11],
                resblock_dilation_sizes: vec![vec![1, 3]; 2],
                ..GeneratorConfig::default()
            },
            ..BigVganConfig::default()
        };
        tch::manual_seed(5);
        let card = GanVocoderCard::published(GanVocoderConfig::Bigvgan(config)).expect("a card");
        let model = Model::<GanVocoder>::random(card, Device::Cpu).expect("sound sizes");
        let frozen = model.network.clone().freeze();
        for frames in [1, 37, 530] {
            let mel = Tensor::randn([1, 80, frames], FLOAT_CPU);
            let wanted = tch::no_grad(|| model.network.forward(&mel));
            let error = worst(&frozen.forward(&mel), &wanted);
            assert!(error < 2e-5, "{frames} frames: {error}");
        }
    }
}

/// Pictures of one column and of several, with attention and shortcuts.
#[test]
fn the_decoder_of_kernels_equals_the_library() {
    let config = SpecVqganConfig {
        ch: 32,
        ch_mult: vec![1, 2, 4],
        num_res_blocks: 1,
        resolution: 32,
        attn_resolutions: vec![8],
        z_channels: 32,
        embed_dim: 32,
        n_embed: 64,
    };
    tch::manual_seed(5);
    let card = SpecVqganCard::published(config).expect("a card");
    let model = Model::<SpecVqgan>::random(card, Device::Cpu).expect("sound sizes");
    tch::no_grad(|| {
        for mut weight in model.weights().into_values().filter(|weight| weight.dim() == 1) {
            let _ = weight.uniform_(-0.5, 1.0);
        }
    });
    let frozen = model.network.clone().freeze();
    let tokens = [1, 2, 13].map(|columns| Tensor::randint(64, [2, 20, columns], INT64_CPU));
    let found = tokens.each_ref().map(|tokens| frozen.decode(tokens));
    for mut weight in model.weights().into_values() {
        weight.set_data(&weight.to_kind(Kind::Double));
    }
    // Against sums of 64 bits, from which the library's own of 32 are further away.
    for (tokens, found) in tokens.iter().zip(&found) {
        let exact = tch::no_grad(|| model.network.decode(tokens));
        let error = worst(&found.to_kind(Kind::Double), &exact);
        assert!(error < 1e-5, "{:?}: {error}", exact.size());
    }
}
