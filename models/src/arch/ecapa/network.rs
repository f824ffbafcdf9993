//! The whole ECAPA-TDNN: features in, one embedding a signal out.

use tch::Tensor;

use super::block::Block;
use super::config::{EcapaConfig, Layout};
use super::layers::{Conv, Dense, FrameMask, Reach, Stored, Tdnn};
use super::names::{Names, Traced};
use super::pooling::AttentivePooling;
use crate::error::Result;
use crate::network::{NetworkInfo, NoTrace, Trace};
use crate::nn::batch_norm::BatchNorm;
use crate::params::Params;

/// An ECAPA-TDNN. Features `[batch, frames, input_size]` become embeddings
/// `[batch, lin_neurons]`, not of unit length.
#[derive(Debug, Clone)]
pub struct Ecapa {
    config: EcapaConfig,
    names: Names,
    first: Tdnn,
    blocks: Vec<Block>,
    mfa: Conv,
    mfa_norm: Option<BatchNorm>,
    pooling: AttentivePooling,
    pooled_norm: BatchNorm,
    fc: Dense,
    embedding_norm: Option<BatchNorm>,
    parameters: u64,
}

impl Ecapa {
    /// All parameters under `params`.
    ///
    /// # Errors
    /// [`crate::Error::Config`] when a size is impossible; errors of [`Params::get`].
    pub fn new(params: &Params<'_>, config: &EcapaConfig) -> Result<Self> {
        config.validate()?;
        let before = params.elements();
        let (names, layout, last) = (Names::new(config.layout), config.layout, config.blocks() + 1);
        let reach =
            |i: usize| Reach { kernel: config.kernel_sizes[i], dilation: config.dilations[i] };
        let joined: i64 = config.channels[1..last].iter().sum();
        let (mfa, mfa_norm) = names.mfa();
        let aggregation = config.aggregation();
        let stored = match layout {
            Layout::Speechbrain => Stored::Convolution,
            Layout::Wespeaker | Layout::Taoruijie => Stored::Matrix,
        };
        let first_names = names.first();
        let inputs = config.input_size;
        Ok(Self {
            first: Tdnn::new(params, &first_names, inputs, config.channels[0], reach(0), layout)?,
            blocks: (1..last as i64)
                .map(|i| Block::new(params, i, config))
                .collect::<Result<_>>()?,
            mfa: Conv::new(params, &mfa, joined, aggregation, reach(last), layout)?,
            mfa_norm: mfa_norm
                .map(|name| BatchNorm::new(&params.sub(&name), aggregation))
                .transpose()?,
            pooling: AttentivePooling::new(params, config)?,
            pooled_norm: BatchNorm::new(&params.sub(names.pooled_norm()), 2 * aggregation)?,
            fc: Dense::new(params, &names.fc(), 2 * aggregation, config.lin_neurons, stored)?,
            embedding_norm: names
                .embedding_norm()
                .filter(|_| config.embedding_norm)
                .map(|name| BatchNorm::new(&params.sub(name), config.lin_neurons))
                .transpose()?,
            names,
            config: config.clone(),
            parameters: params.elements() - before,
        })
    }

    /// Sizes.
    #[must_use]
    pub fn config(&self) -> &EcapaConfig {
        &self.config
    }

    /// Facts about the network.
    #[must_use]
    pub fn info(&self) -> NetworkInfo {
        // Reflection needs more frames than it adds; an unbiased variance needs two.
        let widest = self
            .config
            .kernel_sizes
            .iter()
            .zip(&self.config.dilations)
            .map(|(k, d)| d * (k - 1) / 2);
        let minimum = match self.config.layout {
            Layout::Speechbrain => widest.max().unwrap_or(0) + 1,
            Layout::Wespeaker | Layout::Taoruijie => 2,
        };
        NetworkInfo {
            architecture: "ecapa-tdnn".to_owned(),
            parameters: self.parameters,
            lookahead_frames: usize::MAX,
            minimum_frames: minimum as usize,
            frames_per_output: usize::MAX,
        }
    }

    /// Embeddings of signals of equal length.
    pub fn forward(&self, features: &Tensor) -> Tensor {
        self.forward_t(features, None, false, &mut NoTrace)
    }

    /// Like [`Ecapa::forward`]; `lengths [batch]`, relative to the longest signal, mask padding out
    /// of the gates and of the pooling (the convolutions still reach into it, as in the
    /// reference); in training mode if `train`; intermediate activations go to `trace`.
    pub fn forward_t(
        &self,
        features: &Tensor,
        lengths: Option<&Tensor>,
        train: bool,
        trace: &mut dyn Trace,
    ) -> Tensor {
        let x = features.transpose(1, 2); // [batch, input_size, frames]
        let mask = lengths.map(|relative| FrameMask::new(relative, x.size()[2]));
        let mut x = self.first.forward_seen(&x, train, |conv| {
            trace.record(&self.names.traced(Traced::FirstConv), conv);
        }); // [batch, channels, frames]
        trace.record(&self.names.traced(Traced::First), &x);
        let mut outputs: Vec<Tensor> = Vec::with_capacity(self.blocks.len());
        for block in &self.blocks {
            let y = block.forward_t(&x, mask.as_ref(), train, trace);
            // Only TaoRuijie's blocks see the sum of all that came before, as in the paper.
            x = match self.config.layout {
                Layout::Taoruijie => x + &y,
                Layout::Speechbrain | Layout::Wespeaker => y.shallow_clone(),
            };
            outputs.push(y);
        }
        let y = self.mfa.forward(&Tensor::cat(&outputs, 1)); // [batch, aggregation, frames]
        trace.record(&self.names.traced(Traced::MfaConv), &y);
        let mut y = y.relu();
        if let Some(norm) = &self.mfa_norm {
            y = norm.forward_t(&y, train);
        }
        trace.record(&self.names.traced(Traced::Mfa), &y);
        let pooled = self.pooling.forward_t(&y, mask.as_ref(), train, trace);
        let pooled = self.pooled_norm.forward_t(&pooled, train); // [batch, 2 * aggregation]
        trace.record(&self.names.traced(Traced::PooledNorm), &pooled);
        let embedding = self.fc.forward(&pooled); // [batch, lin_neurons]
        match &self.embedding_norm {
            Some(norm) => norm.forward_t(&embedding, train),
            None => embedding,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::nn::VarStore;
    use tch::{Device, Kind};

    fn small(layout: Layout) -> EcapaConfig {
        EcapaConfig {
            layout,
            input_size: 20,
            channels: vec![16, 16, 16, 16, 24],
            attention_channels: 8,
            se_channels: 4,
            lin_neurons: 6,
            embedding_norm: layout == Layout::Taoruijie,
            ..EcapaConfig::default()
        }
    }

    #[test]
    fn clones_share_weights_and_go_to_other_threads() {
        fn shares<T: Clone + Send + 'static>(network: &T) -> T {
            network.clone()
        }
        let vs = VarStore::new(tch::Device::Cpu);
        let network = Ecapa::new(&Params::random(&vs.root()), &EcapaConfig::default())
            .expect("the published sizes");
        let clone = shares(&network);
        let pointer = |network: &Ecapa| network.pooled_norm.weight.data_ptr();
        assert_eq!(pointer(&clone), pointer(&network));
    }

    #[test]
    fn counts_of_published_sizes() {
        let count = |config: &EcapaConfig| {
            let vs = VarStore::new(Device::Cpu);
            let network = Ecapa::new(&Params::random(&vs.root()), config).expect("sound sizes");
            network.info().parameters
        };
        assert_eq!(count(&EcapaConfig::default()), 20_767_552);
        let class = EcapaConfig { channels: vec![512, 512, 512, 512, 1536], ..Default::default() };
        assert_eq!(count(&class), 6_194_048);
        let wespeaker = EcapaConfig { layout: Layout::Wespeaker, ..class };
        assert!((6_150_000..6_230_000).contains(&count(&wespeaker)));
    }

    #[test]
    fn all_forms_run_and_count_themselves() {
        for layout in [Layout::Speechbrain, Layout::Wespeaker, Layout::Taoruijie] {
            let vs = VarStore::new(Device::Cpu);
            let network =
                Ecapa::new(&Params::random(&vs.root()), &small(layout)).expect("sound sizes");
            let trainable: usize = vs.trainable_variables().iter().map(Tensor::numel).sum();
            assert_eq!(network.info().parameters, trainable as u64, "{layout:?}");
            let frames = network.info().minimum_frames as i64;
            let x = Tensor::randn([2, frames, 20], (Kind::Float, Device::Cpu));
            let y = tch::no_grad(|| network.forward(&x));
            assert_eq!(y.size(), [2, 6]);
            assert!(y.isfinite().all().int64_value(&[]) == 1, "{layout:?}");
        }
    }

    #[test]
    fn sizes_follow_from_weights() {
        for layout in [Layout::Speechbrain, Layout::Wespeaker, Layout::Taoruijie] {
            let vs = VarStore::new(Device::Cpu);
            let config = small(layout);
            let _network = Ecapa::new(&Params::random(&vs.root()), &config).expect("sound sizes");
            let state = crate::checkpoint::StateDict::from_var_store(&vs).expect("plain tensors");
            assert_eq!(EcapaConfig::of_weights(&state).expect("all there"), config);
        }
    }

    #[test]
    fn padding_is_masked_out_of_the_pooling() {
        let vs = VarStore::new(Device::Cpu);
        let config = EcapaConfig { kernel_sizes: vec![1; 5], ..small(Layout::Speechbrain) };
        let network = Ecapa::new(&Params::random(&vs.root()), &config).expect("sound sizes");
        let x = Tensor::randn([1, 40, 20], (Kind::Float, Device::Cpu));
        let padded = Tensor::cat(&[&x, &x.ones_like()], 1);
        let lengths = Tensor::from_slice(&[0.5f32]);
        let (alone, masked) = tch::no_grad(|| {
            (network.forward(&x), network.forward_t(&padded, Some(&lengths), false, &mut NoTrace))
        });
        assert!((alone - masked).abs().max().double_value(&[]) < 1e-5);
    }
}
