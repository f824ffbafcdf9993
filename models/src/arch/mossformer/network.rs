//! The whole networks: a separator from waveform to waveforms, and an estimator of masks.

use tch::{Kind, Tensor};

use super::codec::Codec;
use super::config::{MossformerConfig, Output};
use super::mask_net::{FrozenMaskNet, MaskNet};
use crate::error::{Error, Result};
use crate::network::{NetworkInfo, NoTrace, Trace};
use crate::nn::tape::cut;
use crate::params::Params;

/// A separator: mixtures `[batch, samples]` become voices `[batch, voices, samples]`.
#[derive(Debug, Clone)]
pub struct SourceSeparator {
    config: MossformerConfig,
    codec: Codec,
    mask_net: MaskNet,
    parameters: u64,
}

/// A network from features `[batch, frames, in_channels]` to a mask
/// `[batch, frames, final_channels]`.
#[derive(Debug, Clone)]
pub struct MaskEstimator {
    config: MossformerConfig,
    mask_net: MaskNet,
    parameters: u64,
}

impl SourceSeparator {
    /// All parameters under `params`.
    ///
    /// # Errors
    /// [`Error::Config`] when a size is impossible, or the config is no separator's.
    pub fn new(params: &Params<'_>, config: &MossformerConfig) -> Result<Self> {
        config.validate()?;
        if !config.separates() {
            return Err(Error::config("model", "this network makes a mask of features"));
        }
        let before = params.elements();
        let codec = Codec::new(params, config)?;
        let mask_net = MaskNet::new(params, config)?;
        let parameters = params.elements() - before;
        Ok(Self { config: config.clone(), codec, mask_net, parameters })
    }

    /// Sizes.
    #[must_use]
    pub fn config(&self) -> &MossformerConfig {
        &self.config
    }

    /// Makes encoder and decoder a lapped Fourier or cosine transform, from which a training gets
    /// ahead faster than from random filters; returns whether their sizes allow it: as many
    /// channels as a kernel has samples, or twice as many.
    pub fn begin_with_fourier(&self) -> bool {
        self.codec.begin_with_fourier()
    }

    /// Facts about the network, in frames of one sample. It sees the whole mixture.
    #[must_use]
    pub fn info(&self) -> NetworkInfo {
        info(&self.config, self.parameters, self.config.kernel_size)
    }

    /// The voices of mixtures of at least a kernel of samples.
    pub fn forward(&self, mixture: &Tensor) -> Tensor {
        self.forward_traced(mixture, &mut NoTrace)
    }

    /// As [`SourceSeparator::forward`]; intermediate activations go to `trace`.
    pub fn forward_traced(&self, mixture: &Tensor, trace: &mut dyn Trace) -> Tensor {
        let encoded = cut(&self.codec.encode(mixture));
        let name = if self.config.architecture() == "mossformer" { "encoder" } else { "enc" };
        trace.record(name, &encoded.transpose(1, 2));
        let masks = self.mask_net.forward(&encoded, trace);
        let voices = self.config.num_spks;
        let by_voice = masks.unflatten(0, [-1, voices]).transpose(0, 1).transpose(2, 3);
        trace.record("mask_net.mask", &by_voice); // [voices, batch, channels, frames]
        decode(&self.codec, &self.config, &encoded, masks, mixture.size()[1])
    }

    /// The same without a gradient, which computes the same faster.
    #[must_use]
    pub fn freeze(self) -> FrozenSourceSeparator {
        FrozenSourceSeparator {
            config: self.config.clone(),
            codec: self.codec.detached(),
            mask_net: self.mask_net.freeze(),
        }
    }
}

/// A [`SourceSeparator`] without a gradient.
#[derive(Debug, Clone)]
pub struct FrozenSourceSeparator {
    config: MossformerConfig,
    codec: Codec,
    mask_net: FrozenMaskNet,
}

impl FrozenSourceSeparator {
    /// Sizes.
    #[must_use]
    pub fn config(&self) -> &MossformerConfig {
        &self.config
    }

    /// Makes the matrix products in numbers of `kind`: bf16 is faster where the processor has it.
    pub fn set_kind(&mut self, kind: Kind) {
        self.mask_net.set_kind(kind);
    }

    /// As [`SourceSeparator::forward`].
    pub fn forward(&self, mixture: &Tensor) -> Tensor {
        let _guard = tch::no_grad_guard();
        let encoded = self.codec.encode(mixture);
        let masks = self.mask_net.forward(&encoded);
        decode(&self.codec, &self.config, &encoded, masks, mixture.size()[1])
    }
}

/// Masks `[batch * voices, frames, channels]` to voices `[batch, voices, samples]`.
fn decode(
    codec: &Codec,
    config: &MossformerConfig,
    encoded: &Tensor,
    masks: Tensor,
    samples: i64,
) -> Tensor {
    let voices = config.num_spks;
    let frames = match config.output {
        Output::Mapping => masks,
        Output::Masks => (masks.unflatten(0, [-1, voices]) * encoded.unsqueeze(1)).flatten(0, 1),
    };
    codec.decode(&frames, samples).unflatten(0, [-1, voices])
}

impl MaskEstimator {
    /// All parameters under `params`.
    ///
    /// # Errors
    /// [`Error::Config`] when a size is impossible, or the config is a separator's.
    pub fn new(params: &Params<'_>, config: &MossformerConfig) -> Result<Self> {
        config.validate()?;
        if config.separates() {
            return Err(Error::config("model", "this network separates waveforms"));
        }
        let before = params.elements();
        let mask_net = MaskNet::new(params, config)?;
        let parameters = params.elements() - before;
        Ok(Self { config: config.clone(), mask_net, parameters })
    }

    /// Sizes.
    #[must_use]
    pub fn config(&self) -> &MossformerConfig {
        &self.config
    }

    /// Facts about the network. It sees all frames.
    #[must_use]
    pub fn info(&self) -> NetworkInfo {
        info(&self.config, self.parameters, 1)
    }

    /// The mask. Of the network's slots the first alone is a mask; the others were never trained.
    pub fn forward(&self, features: &Tensor) -> Tensor {
        self.forward_traced(features, &mut NoTrace)
    }

    /// As [`MaskEstimator::forward`]; intermediate activations go to `trace`.
    pub fn forward_traced(&self, features: &Tensor, trace: &mut dyn Trace) -> Tensor {
        let masks = self.mask_net.forward(features, trace);
        let mask = masks.unflatten(0, [-1, self.config.num_spks]).select(1, 0);
        trace.record("mask", &mask);
        mask
    }

    /// The same without a gradient, which computes the same faster.
    #[must_use]
    pub fn freeze(self) -> FrozenMaskEstimator {
        FrozenMaskEstimator { mask_net: self.mask_net.freeze_first() }
    }
}

/// A [`MaskEstimator`] without a gradient.
#[derive(Debug, Clone)]
pub struct FrozenMaskEstimator {
    mask_net: FrozenMaskNet,
}

impl FrozenMaskEstimator {
    /// Makes the matrix products in numbers of `kind`: bf16 is faster where the processor has it.
    pub fn set_kind(&mut self, kind: Kind) {
        self.mask_net.set_kind(kind);
    }

    /// As [`MaskEstimator::forward`].
    pub fn forward(&self, features: &Tensor) -> Tensor {
        self.mask_net.forward(features)
    }
}

fn info(config: &MossformerConfig, parameters: u64, minimum: i64) -> NetworkInfo {
    NetworkInfo {
        architecture: config.architecture().to_owned(),
        parameters,
        lookahead_frames: usize::MAX,
        minimum_frames: minimum as usize,
        frames_per_output: 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::mossformer::Family;
    use crate::nn::scale_norm::finite;
    use crate::nn::tape;
    use tch::Device;
    use tch::nn::VarStore;

    fn small(family: Family) -> MossformerConfig {
        let separates = family != Family::Mossformer2Se;
        MossformerConfig {
            family,
            in_channels: if separates { 8 } else { 12 },
            out_channels: 8,
            out_channels_final: (!separates).then_some(5),
            kernel_size: 4,
            num_blocks: 2,
            group_size: 16,
            query_key_dim: 6,
            conv_kernel: 5,
            fsmn_inner_channels: 6,
            fsmn_lorder: 3,
            num_spks: 3,
            ..MossformerConfig::default()
        }
    }

    #[test]
    fn counts_of_published_sizes() {
        // The references count the 16 frequencies of the rotary embedding, which are not learnt.
        let learnt = |counted: u64| counted - 16;
        let three = MossformerConfig { num_spks: 3, ..MossformerConfig::default() };
        for (config, counted) in [
            (MossformerConfig::first_generation(), 42_101_850),
            (MossformerConfig::default(), 55_735_410),
            (three, 55_998_066),
            (MossformerConfig::enhancement(), 55_262_170),
        ] {
            let vs = VarStore::new(Device::Cpu);
            let params = Params::random(&vs.root());
            let info = match config.separates() {
                true => SourceSeparator::new(&params, &config).expect("sound sizes").info(),
                false => MaskEstimator::new(&params, &config).expect("sound sizes").info(),
            };
            assert_eq!(info.parameters, learnt(counted), "{config:?}");
        }
    }

    #[test]
    fn all_families_run_and_count_themselves() {
        for family in [Family::Mossformer, Family::Mossformer2Ss] {
            let vs = VarStore::new(Device::Cpu);
            let network = SourceSeparator::new(&Params::random(&vs.root()), &small(family))
                .expect("sound sizes");
            let trainable: usize = vs.trainable_variables().iter().map(Tensor::numel).sum();
            assert_eq!(network.info().parameters, trainable as u64, "{family:?}");
            let frozen = network.clone().freeze();
            for samples in [4, 5, 31, 77, 200] {
                let x = Tensor::randn([2, samples], tch::kind::FLOAT_CPU);
                let y = tch::no_grad(|| network.forward(&x));
                assert_eq!(y.size(), [2, 3, samples]);
                assert!(finite(&y), "{family:?}");
                let worst = (frozen.forward(&x) - &y).abs().max().double_value(&[]);
                assert!(worst < 1e-5, "{family:?}, {samples}: {worst}");
            }
        }
        let vs = VarStore::new(Device::Cpu);
        let network =
            MaskEstimator::new(&Params::random(&vs.root()), &small(Family::Mossformer2Se))
                .expect("sound sizes");
        let trainable: usize = vs.trainable_variables().iter().map(Tensor::numel).sum();
        assert_eq!(network.info().parameters, trainable as u64);
        let x = Tensor::randn([2, 21, 12], tch::kind::FLOAT_CPU);
        let y = tch::no_grad(|| network.forward(&x));
        assert_eq!(y.size(), [2, 21, 5]);
        assert!((network.clone().freeze().forward(&x) - y).abs().max().double_value(&[]) < 1e-5);
    }

    #[test]
    fn sizes_follow_from_weights() {
        for family in [Family::Mossformer, Family::Mossformer2Ss, Family::Mossformer2Se] {
            let vs = VarStore::new(Device::Cpu);
            let config = small(family);
            if config.separates() {
                SourceSeparator::new(&Params::random(&vs.root()), &config).expect("sound sizes");
            } else {
                MaskEstimator::new(&Params::random(&vs.root()), &config).expect("sound sizes");
            }
            let state = crate::checkpoint::StateDict::from_var_store(&vs).expect("plain tensors");
            let found = MossformerConfig::of_weights(&state).expect("all there");
            let recurrent = family != Family::Mossformer;
            let defaults = MossformerConfig::default();
            let wanted = MossformerConfig {
                group_size: defaults.group_size,
                rotary_dim: Some(6),
                kernel_size: if config.separates() { 4 } else { defaults.kernel_size },
                fsmn_inner_channels: if recurrent { 6 } else { defaults.fsmn_inner_channels },
                fsmn_lorder: if recurrent { 3 } else { defaults.fsmn_lorder },
                ..config
            };
            assert_eq!(found, wanted);
        }
    }

    #[test]
    fn gradients_reach_every_parameter_with_and_without_a_tape() {
        for family in [Family::Mossformer, Family::Mossformer2Ss, Family::Mossformer2Se] {
            let vs = VarStore::new(Device::Cpu);
            let config = small(family);
            let loss: Box<dyn Fn() -> Tensor> = if config.separates() {
                let network = SourceSeparator::new(&Params::random(&vs.root()), &config)
                    .expect("sound sizes");
                let x = Tensor::randn([2, 200], tch::kind::FLOAT_CPU);
                Box::new(move || network.forward(&x).square().mean(Kind::Float))
            } else {
                let network =
                    MaskEstimator::new(&Params::random(&vs.root()), &config).expect("sound sizes");
                let x = Tensor::randn([2, 50, 12], tch::kind::FLOAT_CPU);
                Box::new(move || network.forward(&x).square().mean(Kind::Float))
            };
            // Masks and kernels that are not nearly zero.
            tch::no_grad(|| {
                for mut variable in vs.trainable_variables() {
                    let _ = variable.g_add_(&(Tensor::randn_like(&variable) * 0.2));
                }
            });
            loss().backward();
            let mut learnt: Vec<(String, Tensor)> =
                vs.variables().into_iter().filter(|(_, v)| v.requires_grad()).collect();
            let mut plain = Vec::new();
            for (name, variable) in &mut learnt {
                let gradient = variable.grad().copy();
                assert!(gradient.defined() && finite(&gradient), "{name}");
                plain.push(gradient);
                variable.zero_grad();
            }
            let (value, tape) = tape::record(&loss);
            tape.backward(&value);
            // A gradient whose parts cancel is as exact as its parts.
            let size = |gradient: &Tensor| gradient.abs().max().double_value(&[]);
            let overall = plain.iter().map(size).fold(0.0, f64::max);
            for ((name, variable), plain) in learnt.iter().zip(&plain) {
                let largest = size(plain).max(0.01 * overall);
                let worst = (variable.grad() - plain).abs().max().double_value(&[]);
                assert!(worst <= 2e-5 * largest, "{family:?} {name}: {worst} of {largest}");
            }
        }
    }
}
