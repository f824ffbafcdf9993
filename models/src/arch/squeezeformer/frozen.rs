//! The network for inference alone: everything that does not depend on the input is computed once,
//! queries, keys and values come from one product, and attention looks at a block of queries at a
//! time, so that neither all pairs nor all relative positions are ever in memory.

use tch::Tensor;

use super::block::{Block, ConvModule, FeedForward, Gate, Norm, Scale};
use super::config::SqueezeformerConfig;
use super::network::Squeezeformer;
use crate::network::{NetworkInfo, NoTrace};
use crate::nn::depthwise::{Depthwise, fold_batch_norm};
use crate::nn::frame_norm::FrameNorm;
use crate::nn::frames::Frames;
use crate::nn::linear::Linear;
use crate::nn::rel_pos_attention::{Pairs, RelPosAttention, Shift, shift};
use crate::params::Weight;

/// A [`Squeezeformer`] that cannot be trained, and computes the same answers faster.
#[derive(Debug, Clone)]
pub struct FrozenSqueezeformer {
    network: Squeezeformer,
    layers: Vec<Layer>,
}

/// A linear layer, `[out, in]` and `[out]`.
#[derive(Debug, Clone)]
struct Affine {
    weight: Weight,
    bias: Weight,
}

impl Affine {
    fn of(linear: &Linear) -> Self {
        let weight = linear.weight.detach();
        let zeros = || weight.new_zeros([weight.size()[0]], (weight.kind(), weight.device()));
        let bias = linear.bias.as_ref().map_or_else(|| zeros().into(), Weight::detach);
        Self { weight, bias }
    }

    /// A linear layer that does the scaling before it as well.
    fn scaled(scale: &Scale, weight: &Tensor, bias: Option<&Tensor>) -> Self {
        let (weight, bias) = scale.fold(weight, bias);
        Self { weight: weight.into(), bias: bias.into() }
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        x.linear(&self.weight, Some(&self.bias))
    }
}

#[derive(Debug, Clone)]
struct Layer {
    attention: Attention,
    feed_forward: [(Affine, Affine); 2],
    conv: Conv,
    norms: [FrameNorm; 4],
}

#[derive(Debug, Clone)]
struct Attention {
    /// Queries with the bias for content, already divided by the root of the head's width; keys;
    /// values.
    qkv: Affine,
    /// What turns those queries into the ones for positions, `[heads, 1, width]`.
    positions: Weight,
    linear_pos: Weight,
    out: Affine,
    heads: i64,
    shift: Shift,
}

#[derive(Debug, Clone)]
struct Conv {
    /// What `first` could not take over.
    scale: Option<Scale>,
    first: Affine,
    depthwise: Depthwise,
    norm: Option<FrameNorm>,
    second: Affine,
    gate: Gate,
    lead: i64,
}

/// Queries that are looked at together.
const QUERIES: i64 = 128;

impl Attention {
    fn new(module: &RelPosAttention, scale: &Scale) -> Self {
        let heads = module.heads();
        let dim = module.linear_q.weight.size()[0];
        let root = ((dim / heads) as f64).sqrt();
        let q = Affine::scaled(scale, &module.linear_q.weight, module.linear_q.bias.as_deref());
        let k = Affine::scaled(scale, &module.linear_k.weight, module.linear_k.bias.as_deref());
        let v = Affine::scaled(scale, &module.linear_v.weight, module.linear_v.bias.as_deref());
        let q_bias = (&*q.bias + module.pos_bias_u.view([-1])) / root;
        Self {
            qkv: Affine {
                weight: Tensor::cat(&[&(&*q.weight / root), &*k.weight, &*v.weight], 0).into(),
                bias: Tensor::cat(&[&q_bias, &*k.bias, &*v.bias], 0).into(),
            },
            positions: ((&*module.pos_bias_v - &*module.pos_bias_u) / root)
                .unsqueeze(1)
                .detach()
                .into(),
            linear_pos: module.linear_pos.weight.detach(),
            out: Affine::of(&module.linear_out),
            heads,
            shift: module.shift,
        }
    }

    fn forward(&self, x: &Tensor, pairs: &Pairs) -> Tensor {
        let (batch, frames, dim) = (x.size()[0], x.size()[1], x.size()[2]);
        let width = dim / self.heads;
        let qkv = self.qkv.forward(x).view([batch, frames, 3, self.heads, width]);
        let [q, k, v] = [0, 1, 2].map(|part| qkv.select(2, part).transpose(1, 2)); // [batch, heads, frames, width]
        let p = pairs.positions.linear::<Tensor>(&self.linear_pos, None);
        let p = p.view([-1, self.heads, width]).permute([1, 2, 0]); // [heads, width, positions]
        let mixed = match self.shift {
            Shift::Relative => {
                let parts: Vec<Tensor> = (0..frames)
                    .step_by(QUERIES as usize)
                    .map(|from| {
                        let count = QUERIES.min(frames - from);
                        let q = q.narrow(2, from, count);
                        // The positions that these queries can see: `count + frames - 1` of them.
                        let seen = p.narrow(2, frames - from - count, count + frames - 1);
                        let scores = (&q + &*self.positions).matmul(&seen);
                        let scores = block_shift(&scores, count, frames);
                        // The same for all queries, or `[.., frames, frames]`.
                        let mask = pairs.mask.as_ref().map(|mask| match mask.size()[..] {
                            [.., 1, _] => mask.shallow_clone(),
                            _ => mask.narrow(-2, from, count),
                        });
                        attend(&q, &k, &v, scores, mask)
                    })
                    .collect();
                if parts.len() == 1 { parts[0].shallow_clone() } else { Tensor::cat(&parts, 2) }
            }
            kind => {
                let scores = shift(&(&q + &*self.positions).matmul(&p), kind);
                attend(&q, &k, &v, scores, pairs.mask.as_ref().map(Tensor::shallow_clone))
            }
        };
        self.out.forward(&mixed.transpose(1, 2).reshape([batch, frames, dim]))
    }
}

/// Scores of positions `[.., count, count + frames - 1]` of a block of queries as scores of pairs
/// `[.., count, frames]`: query `i` begins at `count - 1 - i`.
fn block_shift(scores: &Tensor, count: i64, frames: i64) -> Tensor {
    if count == 1 {
        return scores.shallow_clone();
    }
    let (size, row) = (scores.size(), count + frames - 2);
    if row == frames - 1 {
        return scores.shallow_clone();
    }
    scores
        .contiguous()
        .view([size[0], size[1], count * (row + 1)])
        .narrow(2, count - 1, count * row)
        .view([size[0], size[1], count, row])
        .narrow(3, 0, frames)
}

/// Attention with scores that are added to those of the products.
fn attend(q: &Tensor, k: &Tensor, v: &Tensor, scores: Tensor, mask: Option<Tensor>) -> Tensor {
    let scores = match mask {
        Some(mask) => scores.masked_fill(&mask.logical_not(), -1e4),
        None => scores,
    };
    Tensor::scaled_dot_product_attention(q, k, v, Some(scores), 0.0, false, Some(1.0), false)
}

impl Conv {
    fn new(module: &ConvModule) -> Self {
        let flat = |weight: &Tensor| weight.squeeze_dim(2);
        let (first, second) = (&module.pointwise_conv1, &module.pointwise_conv2);
        let weight = flat(&first.weight);
        let (scale, first) = match module.gate {
            Gate::Silu => (None, Affine::scaled(&module.scale, &weight, Some(&first.bias))),
            // The padding is zeroed between the scaling and the first convolution.
            Gate::Glu => {
                let bias = first.bias.detach();
                (Some(module.scale.detached()), Affine { weight: weight.detach().into(), bias })
            }
        };
        let (depthwise, norm) = match &module.norm {
            Norm::Batch(norm) => (fold_batch_norm(&module.depthwise_conv, norm, 1e-5), None),
            Norm::Layer(norm) => (module.depthwise_conv.detached(), Some(norm.detached())),
        };
        Self {
            scale,
            first,
            depthwise,
            norm,
            second: Affine {
                weight: flat(&second.weight).detach().into(),
                bias: second.bias.detach(),
            },
            gate: module.gate,
            lead: module.lead,
        }
    }

    fn forward(&self, x: &Tensor, frames: &Frames) -> Tensor {
        let y = match self.gate {
            Gate::Silu => frames.zero_padding(&self.first.forward(x).silu_()),
            Gate::Glu => {
                let scaled = self.scale.as_ref().map(|scale| scale.forward(x));
                let x = frames.zero_padding(scaled.as_ref().unwrap_or(x));
                let x = if self.lead > 0 { x.constant_pad_nd([0, 0, self.lead, 0]) } else { x };
                self.first.forward(&x).glu(-1)
            }
        };
        let mut y = self.depthwise.infer(&y);
        if let Some(norm) = &self.norm {
            y = norm.forward(&y);
        }
        let y = self.second.forward(&y.silu_());
        match self.gate {
            Gate::Silu => y,
            Gate::Glu => frames.zero_padding(&y),
        }
    }
}

impl Layer {
    fn new(block: &Block) -> Self {
        let feed_forward = |module: &FeedForward| {
            let (first, second) = (&module.linear1, &module.linear2);
            (
                Affine::scaled(&module.scale, &first.weight, first.bias.as_deref()),
                Affine::of(second),
            )
        };
        Self {
            attention: Attention::new(&block.attention, &block.attention_scale),
            feed_forward: [&block.feed_forward[0], &block.feed_forward[1]].map(feed_forward),
            conv: Conv::new(&block.conv),
            norms: [0, 1, 2, 3].map(|at: usize| block.norms[at].detached()),
        }
    }

    fn forward(&self, x: Tensor, frames: &Frames, pairs: &Pairs) -> Tensor {
        let residual = |x: &Tensor, mut y: Tensor, norm: usize| {
            let _ = y.g_add_(x);
            self.norms[norm].forward(&y)
        };
        let feed_forward = |x: &Tensor, at: usize| {
            let (first, second) = &self.feed_forward[at];
            second.forward(&first.forward(x).silu_())
        };
        let y = self.attention.forward(&x, pairs);
        let x = residual(&x, y, 0);
        let x = residual(&x, feed_forward(&x, 0), 1);
        let y = self.conv.forward(&x, frames);
        let x = residual(&x, y, 2);
        let y = feed_forward(&x, 1);
        residual(&x, y, 3)
    }
}

impl FrozenSqueezeformer {
    /// Takes over a trained network; changes of its variables do not show any more. Each layer of
    /// the network is dropped when its frozen form is there.
    #[must_use]
    pub fn new(mut network: Squeezeformer) -> Self {
        let blocks = std::mem::take(&mut network.blocks);
        let layers = tch::no_grad(|| blocks.into_iter().map(|block| Layer::new(&block)).collect());
        Self { network, layers }
    }

    /// Sizes and constants.
    #[must_use]
    pub fn config(&self) -> &SqueezeformerConfig {
        self.network.config()
    }

    /// Facts about the network.
    #[must_use]
    pub fn info(&self) -> NetworkInfo {
        self.network.info()
    }

    /// `features [batch, frames, bins]`, of which `lengths` frames a row are valid, to
    /// log-probabilities `[batch, frames', vocabulary]` and how many of those are valid.
    pub fn forward(&self, features: &Tensor, lengths: &[i64]) -> (Tensor, Vec<i64>) {
        tch::no_grad(|| {
            let layer = |index: usize, x: Tensor, frames: &Frames, pairs: &Pairs| {
                self.layers[index].forward(x, frames, pairs)
            };
            self.network.run(
                features,
                lengths,
                false,
                &mut NoTrace,
                |index, x, frames, pairs, _| layer(index, x, frames, pairs),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::{ConvNorm, NemoConfig, OneOrMany, WenetConfig};
    use super::*;
    use crate::params::Params;
    use tch::nn::VarStore;
    use tch::{Device, Kind};

    fn configs() -> Vec<SqueezeformerConfig> {
        let nemo = NemoConfig {
            n_layers: 4,
            d_model: 24,
            n_heads: 3,
            time_reduce_idx: Some(1),
            num_classes: 9,
            ..NemoConfig::default()
        };
        let wenet = WenetConfig {
            encoder_dim: 24,
            output_size: 16,
            output_dim: 9,
            attention_heads: 3,
            num_blocks: 5,
            reduce_idx: OneOrMany::Many(vec![1, 2]),
            recover_idx: OneOrMany::Many(vec![3, 4]),
            ..WenetConfig::default()
        };
        vec![
            SqueezeformerConfig::Nemo(nemo.clone()),
            SqueezeformerConfig::Nemo(NemoConfig { att_context_size: [20, 9], ..nemo.clone() }),
            SqueezeformerConfig::Nemo(NemoConfig { adaptive_scale: false, ..nemo }),
            SqueezeformerConfig::Wenet(wenet.clone()),
            SqueezeformerConfig::Wenet(WenetConfig {
                causal: true,
                cnn_norm_type: ConvNorm::LayerNorm,
                do_rel_shift: false,
                ..wenet
            }),
        ]
    }

    /// Random numbers in every variable, so that nothing is neutral.
    fn stir(vs: &VarStore) {
        for (name, mut variable) in vs.variables() {
            let noise = variable.rand_like() * 0.2;
            let noise = if name.ends_with("running_var") { noise } else { noise - 0.1 };
            let _ = tch::no_grad(|| variable.g_add_(&noise));
        }
    }

    #[test]
    fn clones_share_weights_and_go_to_other_threads() {
        fn shares<T: Clone + Send + 'static>(network: &T) -> T {
            network.clone()
        }
        let vs = VarStore::new(Device::Cpu);
        let config = configs().remove(0);
        let network =
            Squeezeformer::new(&Params::random(&vs.root()), &config).expect("valid sizes");
        let frozen = FrozenSqueezeformer::new(network);
        let pointer =
            |network: &FrozenSqueezeformer| network.layers[0].attention.qkv.weight.data_ptr();
        assert_eq!(pointer(&shares(&frozen)), pointer(&frozen));
    }

    #[test]
    fn answers_are_those_of_the_plain_network() {
        for config in configs() {
            tch::manual_seed(7);
            let vs = VarStore::new(Device::Cpu);
            let network =
                Squeezeformer::new(&Params::random(&vs.root()), &config).expect("valid sizes");
            stir(&vs);
            let mut wanted = Vec::new();
            let inputs: Vec<(Tensor, Vec<i64>)> = [(1i64, 9i64), (1, 700), (3, 1100)]
                .into_iter()
                .map(|(batch, frames)| {
                    let x = Tensor::randn([batch, frames, 80], tch::kind::FLOAT_CPU);
                    (x, (0..batch).map(|row| frames - 211 * row).collect())
                })
                .collect();
            for (x, lengths) in &inputs {
                wanted.push(tch::no_grad(|| network.forward(x, lengths)));
            }
            let frozen = FrozenSqueezeformer::new(network);
            for ((x, lengths), (wanted, valid)) in inputs.iter().zip(wanted) {
                let (found, found_valid) = frozen.forward(x, lengths);
                assert_eq!(found_valid, valid);
                for (row, &count) in valid.iter().enumerate() {
                    let part = |t: &Tensor| t.get(row as i64).narrow(0, 0, count);
                    let worst = (part(&found) - part(&wanted)).abs().max();
                    let scale = part(&wanted).abs().max().to_kind(Kind::Double);
                    let worst = worst.double_value(&[]) / scale.double_value(&[]);
                    assert!(worst < 2e-5, "{config:?}, row {row} of {count}: {worst}");
                }
            }
        }
    }
}
