//! The whole network: subsampling, layers at two frame rates, answers.

use tch::{Device, Kind, Tensor};

use super::block::{Block, LAYER_EPS, Pointwise};
use super::config::{NemoConfig, SqueezeformerConfig, TimeReduction, WenetConfig};
use super::reduction::{Recovery, Reduction};
use super::subsampling::Subsampling;
use crate::error::Result;
use crate::network::{NetworkInfo, NoTrace, Trace};
use crate::nn::frame_norm::FrameNorm;
use crate::nn::frames::Frames;
use crate::nn::linear::Linear;
use crate::nn::rel_pos_attention::{Pairs, relative_positions, sinusoids};
use crate::params::{Params, Weight};

/// A Squeezeformer with a CTC head. Features `[batch, frames, bins]` become log-probabilities of
/// the vocabulary, `[batch, frames / 4, vocabulary]`.
#[derive(Debug, Clone)]
pub struct Squeezeformer {
    config: SqueezeformerConfig,
    cmvn: Option<Cmvn>,
    subsampling: Subsampling,
    pre_norm: FrameNorm,
    pub(super) blocks: Vec<Block>,
    reduction: Option<Reduction>,
    recovery: Option<Recovery>,
    projection: Option<Linear>,
    head: Head,
    plan: Plan,
    parameters: u64,
}

/// Global mean and inverse deviation of the features.
#[derive(Debug, Clone)]
struct Cmvn {
    mean: Weight,
    istd: Weight,
}

/// The linear layer to the vocabulary, under either layout's shape.
#[derive(Debug, Clone)]
enum Head {
    Conv(Pointwise),
    Linear(Linear),
}

/// Where the frame rate changes, and how far attention sees.
#[derive(Debug, Clone)]
struct Plan {
    reduce: Vec<i64>,
    recover: Vec<i64>,
    context: [i64; 2],
    wenet: bool,
    dim: i64,
    dropout: f64,
}

/// What a change of the frame rate asks for before a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Reduce,
    Recover,
}

impl Plan {
    /// Changes before layer `index`, in their order.
    fn before(&self, index: usize) -> impl Iterator<Item = Change> + '_ {
        let at = index as i64;
        let count = |list: &[i64]| list.iter().filter(|&&layer| layer == at).count();
        let reduce = std::iter::repeat_n(Change::Reduce, count(&self.reduce));
        reduce.chain(std::iter::repeat_n(Change::Recover, count(&self.recover)))
    }

    /// The table of positions and the mask at `stride` times the first frame shift.
    fn pairs(&self, frames: &Frames, stride: i64, device: Device) -> Pairs {
        let total = frames.total();
        let positions = if self.wenet {
            // The reduction takes every second row of the table.
            sinusoids(0, stride, total, self.dim, device)
        } else {
            relative_positions(total, self.dim, device)
        };
        let keys = (!frames.is_full()).then(|| frames.mask(device).unsqueeze(1).unsqueeze(1));
        let mask = match (keys, self.band(total, stride, device)) {
            (Some(keys), Some(band)) => Some(keys.logical_and(&band)),
            (keys, band) => keys.or(band),
        };
        Pairs { positions, mask }
    }

    /// `[frames, frames]`, true for pairs inside a limited context.
    fn band(&self, total: i64, stride: i64, device: Device) -> Option<Tensor> {
        let [left, right] = self.context;
        if left < 0 && right < 0 {
            return None;
        }
        let at = Tensor::arange(total, (Kind::Int64, device)) * stride;
        let ahead = at.unsqueeze(0) - at.unsqueeze(1); // [query, key]
        let mut band = ahead.ones_like().to_kind(Kind::Bool);
        if left >= 0 {
            band = band.logical_and(&ahead.ge(-left));
        }
        if right >= 0 {
            band = band.logical_and(&ahead.le(right));
        }
        Some(band)
    }
}

impl Squeezeformer {
    /// All parameters under `params` with the keys of the layout's checkpoints.
    ///
    /// # Errors
    /// [`crate::Error::Config`] when a size is impossible; errors of [`Params::get`].
    pub fn new(params: &Params<'_>, config: &SqueezeformerConfig) -> Result<Self> {
        config.validate()?;
        let before = params.elements();
        let mut network = match config {
            SqueezeformerConfig::Nemo(sizes) => Self::nemo(params, sizes, config)?,
            SqueezeformerConfig::Wenet(sizes) => Self::wenet(params, sizes, config)?,
        };
        network.parameters = params.elements() - before;
        Ok(network)
    }

    fn nemo(params: &Params<'_>, sizes: &NemoConfig, config: &SqueezeformerConfig) -> Result<Self> {
        let (encoder, dim) = (params / "encoder", sizes.d_model);
        let layers = &encoder / "layers";
        let reduces = sizes.time_reduce_idx.is_some();
        let (reduce, recovery) = ("time_reduce_layer", "time_recovery_layer");
        let conv1d = TimeReduction::Conv1d;
        let width = if sizes.feat_out > 0 { sizes.feat_out } else { dim };
        Ok(Self {
            config: config.clone(),
            cmvn: None,
            subsampling: Subsampling::nemo(&(&encoder / "pre_encode"), sizes)?,
            pre_norm: FrameNorm::new(&(&encoder / "pre_ln"), dim, LAYER_EPS)?,
            blocks: (0..sizes.n_layers)
                .map(|i| Block::nemo(&layers, i, sizes))
                .collect::<Result<_>>()?,
            reduction: reduces
                .then(|| Reduction::new(&(&encoder / reduce), dim, conv1d, "time_reduce.x"))
                .transpose()?,
            recovery: reduces
                .then(|| Recovery::new(&(&encoder / recovery), dim, false))
                .transpose()?,
            projection: (sizes.feat_out > 0)
                .then(|| Linear::new(&(&encoder / "out_proj"), dim, width))
                .transpose()?,
            head: Head::Conv(Pointwise::new(
                &(params / "decoder" / "decoder_layers" / "0"),
                width,
                config.vocabulary(),
                1.0,
            )?),
            plan: Plan {
                reduce: sizes.time_reduce_idx.into_iter().collect(),
                recover: sizes.recovery().into_iter().collect(),
                context: sizes.att_context_size,
                wenet: false,
                dim,
                dropout: sizes.dropout_emb,
            },
            parameters: 0,
        })
    }

    fn wenet(
        params: &Params<'_>,
        sizes: &WenetConfig,
        config: &SqueezeformerConfig,
    ) -> Result<Self> {
        let (encoder, dim) = (params / "encoder", sizes.encoder_dim);
        let (layers, cmvn) = (&encoder / "encoders", &encoder / "global_cmvn");
        let (reduce, recover) = (sizes.reduce_idx.to_vec(), sizes.recover_idx.to_vec());
        let (reduction, recovery) = ("time_reduction_layer", "time_recover_layer");
        let kind = sizes.time_reduction_layer_type;
        let statistics = |name: &str, value: f64| {
            let options = (Kind::Float, params.device());
            cmvn.buffer(name, &[sizes.input_dim], || {
                Tensor::full([sizes.input_dim], value, options)
            })
        };
        Ok(Self {
            config: config.clone(),
            cmvn: match sizes.global_cmvn {
                true => {
                    Some(Cmvn { mean: statistics("mean", 0.0)?, istd: statistics("istd", 1.0)? })
                }
                false => None,
            },
            subsampling: Subsampling::wenet(&(&encoder / "embed"), sizes)?,
            pre_norm: FrameNorm::new(&(&encoder / "preln"), dim, LAYER_EPS)?,
            blocks: (0..sizes.num_blocks)
                .map(|i| Block::wenet(&layers, i, sizes))
                .collect::<Result<_>>()?,
            reduction: (!reduce.is_empty())
                .then(|| Reduction::new(&(&encoder / reduction), dim, kind, "time_reduction.x"))
                .transpose()?,
            recovery: (!recover.is_empty())
                .then(|| Recovery::new(&(&encoder / recovery), dim, true))
                .transpose()?,
            projection: (sizes.output_size != dim)
                .then(|| Linear::new(&(&encoder / "final_proj"), dim, sizes.output_size))
                .transpose()?,
            head: Head::Linear(Linear::new(
                &(params / "ctc" / "ctc_lo"),
                sizes.output_size,
                sizes.output_dim,
            )?),
            plan: Plan { reduce, recover, context: [-1, -1], wenet: true, dim, dropout: 0.0 },
            parameters: 0,
        })
    }

    /// Sizes and constants.
    #[must_use]
    pub fn config(&self) -> &SqueezeformerConfig {
        &self.config
    }

    /// Facts about the network. It sees the whole utterance: the look-ahead has no bound.
    #[must_use]
    pub fn info(&self) -> NetworkInfo {
        let minimum_frames = match self.config {
            SqueezeformerConfig::Nemo(_) => 1,
            SqueezeformerConfig::Wenet(_) => 7,
        };
        NetworkInfo {
            architecture: "squeezeformer".to_owned(),
            parameters: self.parameters,
            lookahead_frames: usize::MAX,
            minimum_frames,
            frames_per_output: self.config.subsampling_factor(),
        }
    }

    /// As [`Squeezeformer::forward_t`], without training and without a trace.
    pub fn forward(&self, features: &Tensor, lengths: &[i64]) -> (Tensor, Vec<i64>) {
        self.forward_t(features, lengths, false, &mut NoTrace)
    }

    /// `features [batch, frames, bins]`, of which `lengths` frames a row are valid, to
    /// log-probabilities `[batch, frames', vocabulary]` and how many of those are valid.
    pub fn forward_t(
        &self,
        features: &Tensor,
        lengths: &[i64],
        train: bool,
        trace: &mut dyn Trace,
    ) -> (Tensor, Vec<i64>) {
        let layer =
            |index: usize, x: Tensor, frames: &Frames, pairs: &Pairs, trace: &mut dyn Trace| {
                self.blocks[index].forward_t(&x, frames, pairs, train, trace)
            };
        self.run(features, lengths, train, trace, layer)
    }

    /// The network around its layers, of which `layer` computes one.
    pub(super) fn run(
        &self,
        features: &Tensor,
        lengths: &[i64],
        train: bool,
        trace: &mut dyn Trace,
        layer: impl Fn(usize, Tensor, &Frames, &Pairs, &mut dyn Trace) -> Tensor,
    ) -> (Tensor, Vec<i64>) {
        let size = features.size();
        let frames = Frames::new(lengths, size[1]);
        if self.config.output_frames(size[1] as usize) == 0 {
            let shape = [size[0], 0, self.config.vocabulary()];
            let nothing = Tensor::zeros(shape, (features.kind(), features.device()));
            return (nothing, vec![0; size[0] as usize]);
        }
        let features = match &self.cmvn {
            Some(cmvn) => (features - &*cmvn.mean) * &*cmvn.istd,
            None => features.shallow_clone(),
        };
        trace.record("global_cmvn", &features);
        let (x, frames) = self.subsampling.forward(&features, &frames, trace);
        let x = x.dropout(self.plan.dropout, train);
        let (encoded, frames) = self.encode(x, frames, trace, layer);
        let logits = match &self.head {
            Head::Conv(head) => head.forward(&encoded),
            Head::Linear(head) => head.forward(&encoded),
        };
        let log_probs = logits.log_softmax(-1, Kind::Float);
        trace.record("log_probs", &log_probs);
        (log_probs, frames.lengths().to_vec())
    }

    fn encode(
        &self,
        x: Tensor,
        mut frames: Frames,
        trace: &mut dyn Trace,
        layer: impl Fn(usize, Tensor, &Frames, &Pairs, &mut dyn Trace) -> Tensor,
    ) -> (Tensor, Frames) {
        let device = x.device();
        let wenet = self.plan.wenet;
        let mut pairs = self.plan.pairs(&frames, 1, device);
        let table = pairs.positions.unsqueeze(0);
        trace.record(if wenet { "embed.pos_emb" } else { "pos_enc.pos_emb" }, &table);
        let mut x = self.pre_norm.forward(&x);
        trace.record(if wenet { "preln" } else { "pre_ln" }, &x);
        let mut saved = Vec::new();
        for index in 0..self.config.layers() {
            for change in self.plan.before(index) {
                match (change, &self.reduction, &self.recovery) {
                    (Change::Reduce, Some(reduction), _) => {
                        let (half, half_frames) = reduction.forward(&x, &frames, trace);
                        let stride = 2 << saved.len();
                        let half_pairs = self.plan.pairs(&half_frames, stride, device);
                        if !wenet {
                            let table = half_pairs.positions.unsqueeze(0);
                            trace.record("time_reduce.pos_emb", &table);
                        }
                        let before = std::mem::replace(&mut pairs, half_pairs);
                        saved.push((std::mem::replace(&mut x, half), frames, before));
                        frames = half_frames;
                    }
                    (Change::Recover, _, Some(recovery)) => {
                        // The config was refused if this could be empty.
                        let Some((skip, full, before)) = saved.pop() else { continue };
                        x = recovery.forward(&x, &skip, &full, trace);
                        (frames, pairs) = (full, before);
                    }
                    _ => {}
                }
            }
            x = layer(index, x, &frames, &pairs, trace);
        }
        if let Some(projection) = &self.projection {
            x = projection.forward(&x);
        }
        if wenet {
            trace.record("encoder_out", &x);
        } else {
            trace.record("encoded", &x.transpose(1, 2));
        }
        (x, frames)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::nn::VarStore;

    fn small() -> NemoConfig {
        NemoConfig {
            n_layers: 3,
            d_model: 16,
            n_heads: 2,
            conv_kernel_size: 7,
            time_reduce_idx: Some(1),
            num_classes: 5,
            ..NemoConfig::default()
        }
    }

    fn configs() -> Vec<SqueezeformerConfig> {
        let limited = NemoConfig { att_context_size: [3, 2], ..small() };
        let flat = NemoConfig { time_reduce_idx: None, adaptive_scale: false, ..small() };
        vec![
            SqueezeformerConfig::Nemo(small()),
            SqueezeformerConfig::Nemo(limited),
            SqueezeformerConfig::Nemo(flat),
        ]
    }

    #[test]
    fn published_sizes() {
        for (dim, layers, heads, reduce, wanted) in
            [(144, 16, 4, 7, 9_031_953), (196, 18, 4, 8, 18_565_837), (256, 16, 4, 7, 28_184_961)]
        {
            let vs = VarStore::new(Device::Cpu);
            let config = SqueezeformerConfig::Nemo(NemoConfig {
                d_model: dim,
                n_layers: layers,
                n_heads: heads,
                time_reduce_idx: Some(reduce),
                ..NemoConfig::default()
            });
            let network =
                Squeezeformer::new(&Params::random(&vs.root()), &config).expect("valid sizes");
            assert_eq!(network.info().parameters, wanted);
        }
        let wenet = WenetConfig { encoder_dim: 8, output_dim: 5, ..Default::default() };
        for config in configs().into_iter().chain([SqueezeformerConfig::Wenet(wenet)]) {
            let vs = VarStore::new(Device::Cpu);
            let network =
                Squeezeformer::new(&Params::random(&vs.root()), &config).expect("valid sizes");
            let stored: usize = vs.trainable_variables().iter().map(Tensor::numel).sum();
            assert_eq!(network.info().parameters, stored as u64, "{config:?}");
        }
    }

    #[test]
    fn clones_share_weights_and_go_to_other_threads() {
        fn shares<T: Clone + Send + 'static>(network: &T) -> T {
            network.clone()
        }
        let vs = VarStore::new(Device::Cpu);
        let config = SqueezeformerConfig::Nemo(small());
        let network =
            Squeezeformer::new(&Params::random(&vs.root()), &config).expect("valid sizes");
        let clone = shares(&network);
        assert_eq!(clone.pre_norm.weight.data_ptr(), network.pre_norm.weight.data_ptr());
    }

    #[test]
    fn a_padded_batch_equals_its_utterances() {
        for config in configs() {
            tch::manual_seed(5);
            let vs = VarStore::new(Device::Cpu);
            let network =
                Squeezeformer::new(&Params::random(&vs.root()), &config).expect("valid sizes");
            let lengths = [61, 40, 3, 1];
            let features = Tensor::randn([4, 61, 80], tch::kind::FLOAT_CPU);
            let (batch, valid) = tch::no_grad(|| network.forward(&features, &lengths));
            for (row, &length) in lengths.iter().enumerate() {
                let alone = features.get(row as i64).narrow(0, 0, length).unsqueeze(0);
                let (alone, frames) = tch::no_grad(|| network.forward(&alone, &[length]));
                assert_eq!(frames[0], valid[row]);
                assert_eq!(frames[0] as usize, config.output_frames(length as usize));
                let found = batch.get(row as i64).narrow(0, 0, frames[0]);
                let worst = (found - alone.get(0)).abs().max().double_value(&[]);
                assert!(worst < 1e-4, "{config:?}, row {row}: {worst}");
            }
        }
    }

    #[test]
    fn nothing_gives_nothing() {
        let wenet =
            WenetConfig { encoder_dim: 8, output_size: 8, output_dim: 5, ..Default::default() };
        for config in configs().into_iter().chain([SqueezeformerConfig::Wenet(wenet)]) {
            let vs = VarStore::new(Device::Cpu);
            let network =
                Squeezeformer::new(&Params::random(&vs.root()), &config).expect("valid sizes");
            for frames in 0..16 {
                let features = Tensor::zeros([1, frames, 80], tch::kind::FLOAT_CPU);
                let (answers, lengths) = tch::no_grad(|| network.forward(&features, &[frames]));
                assert_eq!(answers.size()[1] as usize, config.output_frames(frames as usize));
                assert_eq!(answers.size()[1], lengths[0]);
                assert_eq!(answers.isfinite().all().int64_value(&[]), 1);
            }
        }
    }
}
