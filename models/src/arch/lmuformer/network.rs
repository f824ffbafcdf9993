//! The whole LMUFormer: patch embedding, blocks, head; whole signals and streams.

use tch::Tensor;

use super::config::{LmuFormerConfig, Variant};
use super::{plain, spiking};
use crate::error::Result;
use crate::network::{NetworkInfo, NoTrace, StreamingNetwork, Trace};
use crate::nn::batch_norm::BatchNorm;
use crate::nn::lif::{Lif, Voltages};
use crate::nn::linear::Linear;
use crate::nn::stream_conv::End;
use crate::params::Params;

/// Convolutions of kernel 3 in the patch embedding, each one frame late.
const LOOKAHEAD_FRAMES: usize = 5;

/// An LMUFormer. Features `[batch, frames, in_channels]` become an answer for every frame,
/// `[batch, frames, classes]`; the answer for a stretch of audio is the mean over its frames.
#[derive(Debug, Clone)]
pub struct LmuFormer {
    config: LmuFormerConfig,
    body: Body,
    head: Linear,
    parameters: u64,
}

#[derive(Debug, Clone)]
enum Body {
    Plain {
        patch_embed: plain::PatchEmbed,
        block: Vec<plain::Block>,
    },
    Spiking {
        patch_embed: spiking::PatchEmbed,
        block: Vec<spiking::Block>,
        head_bn: BatchNorm,
        head_lif: Lif,
    },
}

/// What a stream carries from block to block: two past frames a convolution, the memory (and the
/// voltages) of every block.
#[derive(Debug)]
pub struct LmuFormerState(BodyState);

#[derive(Debug)]
enum BodyState {
    Plain {
        patch_embed: plain::PatchEmbedState,
        block: Vec<Tensor>,
    },
    Spiking {
        patch_embed: spiking::PatchEmbedState,
        block: Vec<spiking::BlockState>,
        head: Voltages,
    },
}

impl LmuFormer {
    /// All parameters under `params`.
    ///
    /// # Errors
    /// [`crate::Error::Config`] when a size is impossible; errors of [`Params::get`].
    pub fn new(params: &Params<'_>, config: &LmuFormerConfig) -> Result<Self> {
        config.validate()?;
        let before = params.elements();
        let (embed, blocks) = (params / "patch_embed", params / "block");
        let body = match config.variant {
            Variant::LmuRnnConv1d => Body::Plain {
                patch_embed: plain::PatchEmbed::new(&embed, config)?,
                block: (0..config.layer)
                    .map(|i| plain::Block::new(&blocks, i, config))
                    .collect::<Result<_>>()?,
            },
            Variant::SlmuRnnMsConv1d => Body::Spiking {
                patch_embed: spiking::PatchEmbed::new(&embed, config)?,
                block: (0..config.layer)
                    .map(|i| spiking::Block::new(&blocks, i, config))
                    .collect::<Result<_>>()?,
                head_bn: BatchNorm::new(&(params / "head_bn"), config.dim)?,
                head_lif: spiking::neuron(config),
            },
        };
        let head = plain::linear(&(params / "head"), config.dim, config.num_classes)?;
        let parameters = params.elements() - before;
        Ok(Self { config: config.clone(), body, head, parameters })
    }

    /// Sizes and constants.
    #[must_use]
    pub fn config(&self) -> &LmuFormerConfig {
        &self.config
    }

    /// Facts about the network.
    #[must_use]
    pub fn info(&self) -> NetworkInfo {
        NetworkInfo {
            architecture: "lmuformer".to_owned(),
            parameters: self.parameters,
            lookahead_frames: LOOKAHEAD_FRAMES,
            minimum_frames: 1,
            frames_per_output: 1,
        }
    }

    /// Answers for every frame of a whole signal, `[batch, frames, in_channels]` to
    /// `[batch, frames, classes]` (logits).
    pub fn forward(&self, features: &Tensor) -> Tensor {
        self.forward_t(features, false, &mut NoTrace)
    }

    /// Like [`LmuFormer::forward`], in training mode if `train` (which the spiking variant does
    /// not have: its neurons carry no gradient), with intermediate activations to `trace`.
    pub fn forward_t(&self, features: &Tensor, train: bool, trace: &mut dyn Trace) -> Tensor {
        let x = features.transpose(1, 2); // [batch, in_channels, frames]
        let y = match &self.body {
            Body::Plain { patch_embed, block } => {
                let mut x = patch_embed.forward_t(&x, train, trace);
                for block in block {
                    x = block.forward_t(&x, None, train, trace);
                }
                x
            }
            Body::Spiking { patch_embed, block, head_bn, head_lif } => {
                let mut x = patch_embed.forward(&x, trace);
                for block in block {
                    x = block.forward(&x, &mut spiking::BlockState::default(), trace);
                }
                head_lif.forward(&head_bn.forward_t(&x, false), &mut Voltages::default())
            }
        }; // [batch, dim, frames]
        let logits = self.head.forward(&y.transpose(1, 2));
        trace.record("head", &logits);
        logits
    }

    fn run(&self, state: &mut BodyState, block: Option<&Tensor>, end: End) -> Option<Tensor> {
        let x = block.map(|block| block.transpose(1, 2)); // [batch, in_channels, frames]
        let y = match (&self.body, state) {
            (
                Body::Plain { patch_embed, block },
                BodyState::Plain { patch_embed: s, block: memory },
            ) => {
                let mut x = patch_embed.step(s, x.as_ref(), end)?;
                for (block, memory) in block.iter().zip(memory) {
                    x = block.forward_t(&x, Some(memory), false, &mut NoTrace);
                }
                x
            }
            (
                Body::Spiking { patch_embed, block, head_bn, head_lif },
                BodyState::Spiking { patch_embed: s, block: states, head },
            ) => {
                let mut x = patch_embed.step(s, x.as_ref(), end)?;
                for (block, state) in block.iter().zip(states) {
                    x = block.forward(&x, state, &mut NoTrace);
                }
                head_lif.forward(&head_bn.forward_t(&x, false), head)
            }
            _ => panic!("the stream state belongs to another network"),
        };
        Some(self.head.forward(&y.transpose(1, 2)))
    }
}

impl StreamingNetwork for LmuFormer {
    type State = LmuFormerState;

    fn start(&self, batch: i64) -> LmuFormerState {
        LmuFormerState(match &self.body {
            Body::Plain { patch_embed, block } => BodyState::Plain {
                patch_embed: patch_embed.start(batch),
                block: block.iter().map(|block| block.start(batch)).collect(),
            },
            Body::Spiking { patch_embed, block, .. } => BodyState::Spiking {
                patch_embed: patch_embed.start(batch),
                block: block.iter().map(|block| block.start(batch)).collect(),
                head: Voltages::default(),
            },
        })
    }

    fn step(&self, state: &mut LmuFormerState, block: &Tensor) -> Option<Tensor> {
        if block.size()[1] == 0 {
            return None;
        }
        self.run(&mut state.0, Some(block), End::No)
    }

    fn finish(&self, mut state: LmuFormerState) -> Option<Tensor> {
        self.run(&mut state.0, None, End::Yes)
    }

    fn latency(&self) -> usize {
        LOOKAHEAD_FRAMES
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;
    use tch::nn::VarStore;

    /// Sizes from the paper's table (1.62 M and 1.69 M parameters).
    #[test]
    fn published_sizes() {
        for (variant, wanted) in
            [(Variant::LmuRnnConv1d, 1_621_796), (Variant::SlmuRnnMsConv1d, 1_689_894)]
        {
            let vs = VarStore::new(Device::Cpu);
            let config = LmuFormerConfig { variant, ..Default::default() };
            let network = LmuFormer::new(&Params::random(&vs.root()), &config)
                .expect("the published sizes are valid");
            let stored: usize = vs.trainable_variables().iter().map(Tensor::numel).sum();
            assert_eq!(network.info().parameters, wanted);
            assert_eq!(stored as u64, wanted);
        }
    }

    #[test]
    fn clones_share_weights_and_go_to_other_threads() {
        fn shares<T: Clone + Send + 'static>(network: &T) -> T {
            network.clone()
        }
        for variant in [Variant::LmuRnnConv1d, Variant::SlmuRnnMsConv1d] {
            let vs = VarStore::new(Device::Cpu);
            let config = LmuFormerConfig { variant, dim: 16, ..Default::default() };
            let network =
                LmuFormer::new(&Params::random(&vs.root()), &config).expect("valid sizes");
            let clone = shares(&network);
            assert_eq!(clone.head.weight.data_ptr(), network.head.weight.data_ptr());
        }
    }

    #[test]
    fn streaming_equals_offline_for_any_split() {
        for variant in [Variant::LmuRnnConv1d, Variant::SlmuRnnMsConv1d] {
            tch::manual_seed(3);
            let vs = VarStore::new(Device::Cpu);
            let config = LmuFormerConfig {
                variant,
                dim: 16,
                layer: 2,
                in_channels: 20,
                num_classes: 5,
                ..Default::default()
            };
            let network =
                LmuFormer::new(&Params::random(&vs.root()), &config).expect("valid sizes");
            let features = Tensor::randn([2, 61, 20], tch::kind::FLOAT_CPU);
            let whole = tch::no_grad(|| network.forward(&features));
            for split in [1, 3, 40, 61] {
                let mut state = network.start(2);
                let mut parts = Vec::new();
                tch::no_grad(|| {
                    for at in (0..61).step_by(split) {
                        let block = features.narrow(1, at, (split as i64).min(61 - at));
                        parts.extend(network.step(&mut state, &block));
                    }
                    parts.extend(network.finish(state));
                });
                let stream = Tensor::cat(&parts, 1);
                assert_eq!(stream.size(), whole.size());
                let worst = (&stream - &whole).abs().max().double_value(&[]);
                let scale = whole.abs().max().double_value(&[]);
                assert!(worst <= 2e-5 * scale, "{variant:?}, blocks of {split}: {worst}");
            }
        }
    }
}
