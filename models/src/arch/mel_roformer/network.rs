//! The whole Mel-RoFormer: a mix in, its stems out.

use tch::{Kind, Tensor};

use super::config::MelRoformerConfig;
use super::masks::MaskHead;
use super::spectrum::Spectrum;
use super::transformer::Passing;
use super::trunk::Trunk;
use crate::error::Result;
use crate::network::{NetworkInfo, NoTrace, Trace};
use crate::params::Params;

/// A Mel-RoFormer. Audio `[batch, channels, samples]` becomes stems
/// `[batch, stems, channels, samples']`, where `samples'` is a whole number of hops unless the
/// configuration matches lengths.
#[derive(Debug, Clone)]
pub struct MelRoformer {
    config: MelRoformerConfig,
    spectrum: Spectrum,
    trunk: Trunk,
    heads: Vec<MaskHead>,
    parameters: u64,
}

impl MelRoformer {
    /// All parameters under `params` .
    ///
    /// # Errors
    /// [`crate::Error::Config`] when a size is impossible.
    pub fn new(params: &Params<'_>, config: &MelRoformerConfig) -> Result<Self> {
        config.validate()?;
        let before = params.elements();
        let device = params.device();
        let trunk = Trunk::new(params, config, device)?;
        let head = |stem: i64| {
            let params = params / "mask_estimators" / stem;
            MaskHead::new(&params, config, trunk.bands.widths())
        };
        let heads = (0..config.num_stems).map(head).collect::<Result<_>>()?;
        Ok(Self {
            spectrum: Spectrum::new(config, device),
            parameters: params.elements() - before,
            config: config.clone(),
            trunk,
            heads,
        })
    }

    /// Sizes.
    #[must_use]
    pub fn config(&self) -> &MelRoformerConfig {
        &self.config
    }

    /// Keeps what lies at 0 Hz in the stems from now on.
    pub fn keep_dc(&mut self) {
        self.config.zero_dc = false;
    }

    /// Makes the matrix products of layers and mask heads in numbers of `kind` from now on, with
    /// copies of the weights: bf16 is faster where the processor has it. The network can't be
    /// trained any more.
    pub fn set_kind(&mut self, kind: Kind) {
        self.trunk.set_kind(kind);
        self.heads.iter_mut().for_each(|head| head.set_kind(kind));
    }

    /// Facts about the network.
    #[must_use]
    pub fn info(&self) -> NetworkInfo {
        NetworkInfo {
            architecture: "mel-roformer".to_owned(),
            parameters: self.parameters,
            lookahead_frames: usize::MAX,
            minimum_frames: 1,
            frames_per_output: 1,
        }
    }

    /// Stems of mixes of equal length, without a gradient: sequences are taken in groups.
    pub fn forward(&self, mix: &Tensor) -> Tensor {
        tch::no_grad(|| self.run(mix, Passing::Groups, &mut NoTrace))
    }

    /// Like [`MelRoformer::forward`], with a gradient where one is wanted; intermediate activations
    /// go to `trace`.
    pub fn forward_t(&self, mix: &Tensor, trace: &mut dyn Trace) -> Tensor {
        self.run(mix, Passing::Whole, trace)
    }

    fn run(&self, mix: &Tensor, passing: Passing, trace: &mut dyn Trace) -> Tensor {
        let (batch, channels, samples) = mix.size3().unwrap_or_default();
        let spectrum = self.spectrum.forward(&mix.flatten(0, 1)); // [batch * channels, bins, frames]
        trace.record("stft", &spectrum.view_as_real());
        let (bins, frames) = (spectrum.size()[1], spectrum.size()[2]);
        let spectrum = spectrum.view([batch, channels, bins, frames]).permute([0, 3, 2, 1]);
        let spectrum = spectrum.contiguous(); // [batch, frames, bins, channels]
        let inputs = spectrum.view_as_real().flatten(2, 4); // [batch, frames, inputs]
        {
            let bands = self.trunk.bands.split(&inputs);
            trace.record("band_split.in", &Tensor::cat(&bands, 2));
        }
        let x = self.trunk.forward(&inputs, passing, trace);
        let stems: Vec<Tensor> = self
            .heads
            .iter()
            .enumerate()
            .map(|(stem, head)| {
                let masks = head.forward(&x);
                trace.record(&format!("mask_estimator{stem}.out"), &Tensor::cat(&masks, 2));
                let mask = self.trunk.bands.average(&masks); // [batch, frames, bins, 2 * channels]
                let mask = mask.view([batch, frames, bins, channels, 2]).view_as_complex();
                (&spectrum * mask).permute([0, 3, 2, 1]) // [batch, channels, bins, frames]
            })
            .collect();
        let stems = Tensor::stack(&stems, 1).flatten(0, 2);
        if self.config.zero_dc {
            let _ = stems.narrow(1, 0, 1).zero_();
        }
        trace.record("masked_stft", &stems.view_as_real());
        let length = self.config.match_input_audio_length.then_some(samples);
        let audio = self.spectrum.inverse(&stems, length);
        audio.view([batch, self.config.num_stems, channels, -1])
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::Layout;
    use super::*;
    use crate::checkpoint::StateDict;
    use tch::Device;
    use tch::nn::VarStore;

    fn small(layout: Layout) -> MelRoformerConfig {
        MelRoformerConfig {
            layout,
            dim: 8,
            depth: 2,
            num_stems: 2,
            heads: 2,
            dim_head: 4,
            mask_estimator_depth: 2,
            mlp_expansion_factor: 2,
            linear_transformer_depth: 1,
            freq_transformer_depth: 2,
            zero_dc: layout == Layout::Reference,
            add_value_residual: layout == Layout::Lucidrains,
            ..MelRoformerConfig::default()
        }
    }

    #[test]
    fn the_published_size_is_counted() {
        let config = MelRoformerConfig::default();
        let vs = VarStore::new(Device::Cpu);
        let network = MelRoformer::new(&Params::random(&vs.root()), &config).expect("sound sizes");
        let count = network.info().parameters;
        assert!((228_100_000..228_300_000).contains(&count), "{count}");
    }

    #[test]
    fn both_layouts_run_count_themselves_and_are_told_from_weights() {
        for layout in [Layout::Reference, Layout::Lucidrains] {
            let vs = VarStore::new(Device::Cpu);
            let config = small(layout);
            let network =
                MelRoformer::new(&Params::random(&vs.root()), &config).expect("sound sizes");
            let trainable: usize = vs.trainable_variables().iter().map(Tensor::numel).sum();
            assert_eq!(network.info().parameters, trainable as u64, "{layout:?}");
            let state = StateDict::from_var_store(&vs).expect("plain tensors");
            assert_eq!(MelRoformerConfig::of_weights(&state).expect("all there"), config);
            for samples in [1025, 4410] {
                let mix = Tensor::randn([1, 2, samples], (Kind::Float, Device::Cpu));
                let stems = network.forward(&mix);
                assert_eq!(stems.size(), [1, 2, 2, samples / 441 * 441]);
                assert!(stems.isfinite().all().int64_value(&[]) == 1);
            }
        }
    }

    #[test]
    fn s9_silence_stays_silence() {
        let vs = VarStore::new(Device::Cpu);
        let network = MelRoformer::new(&Params::random(&vs.root()), &small(Layout::Reference))
            .expect("sound sizes");
        let stems = network.forward(&Tensor::zeros([1, 2, 4410], (Kind::Float, Device::Cpu)));
        assert_eq!(stems.abs().max().double_value(&[]), 0.0);
    }

    #[test]
    fn groups_and_batches_change_nothing() {
        let vs = VarStore::new(Device::Cpu);
        let config = MelRoformerConfig { linear_transformer_depth: 0, ..small(Layout::Reference) };
        let network = MelRoformer::new(&Params::random(&vs.root()), &config).expect("sound sizes");
        let mix = Tensor::randn([2, 2, 44_100], (Kind::Float, Device::Cpu));
        let wanted = tch::no_grad(|| network.forward_t(&mix, &mut NoTrace));
        let limit = 1e-5 * wanted.abs().max().double_value(&[]);
        let near = |found: &Tensor, wanted: &Tensor| {
            assert!((found - wanted).abs().max().double_value(&[]) <= limit);
        };
        near(&network.forward(&mix), &wanted);
        near(&network.forward(&mix.narrow(0, 1, 1)), &wanted.narrow(0, 1, 1));
    }

    #[test]
    fn gradients_reach_every_parameter() {
        let vs = VarStore::new(Device::Cpu);
        let network = MelRoformer::new(&Params::random(&vs.root()), &small(Layout::Lucidrains))
            .expect("sound sizes");
        let mix = Tensor::randn([1, 2, 4410], (Kind::Float, Device::Cpu));
        network.forward_t(&mix, &mut NoTrace).square().mean(Kind::Float).backward();
        for (name, variable) in vs.variables().iter().filter(|(_, v)| v.requires_grad()) {
            assert!(variable.grad().defined(), "{name}");
        }
    }
}
