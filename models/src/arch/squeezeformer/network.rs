//! The whole network: subsampling, layers at two frame rates, answers.

use tch::nn::{self, Module};
use tch::{Device, Kind, Tensor};

use super::block::{Block, Pointwise};
use super::config::{NemoConfig, SqueezeformerConfig, TimeReduction, WenetConfig};
use super::reduction::{Recovery, Reduction};
use super::subsampling::Subsampling;
use crate::error::Result;
use crate::network::{NetworkInfo, NoTrace, Trace};
use crate::nn::frames::Frames;
use crate::nn::rel_pos_attention::{Pairs, relative_positions, sinusoids};

/// A Squeezeformer with a CTC head. Features `[batch, frames, bins]` become log-probabilities of
/// the vocabulary, `[batch, frames / 4, vocabulary]`.
#[derive(Debug)]
pub struct Squeezeformer {
    config: SqueezeformerConfig,
    pub(super) cmvn: Option<Cmvn>,
    pub(super) subsampling: Subsampling,
    pub(super) pre_norm: nn::LayerNorm,
    pub(super) blocks: Vec<Block>,
    pub(super) reduction: Option<Reduction>,
    pub(super) recovery: Option<Recovery>,
    pub(super) projection: Option<nn::Linear>,
    pub(super) head: Head,
    pub(super) plan: Plan,
    parameters: u64,
}

/// Global mean and inverse deviation of the features.
#[derive(Debug)]
pub(super) struct Cmvn {
    pub(super) mean: Tensor,
    pub(super) istd: Tensor,
}

/// The linear layer to the vocabulary, under either layout's shape.
#[derive(Debug)]
pub(super) enum Head {
    Conv(Pointwise),
    Linear(nn::Linear),
}

/// Where the frame rate changes, and how far attention sees.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    reduce: Vec<i64>,
    recover: Vec<i64>,
    context: [i64; 2],
    wenet: bool,
    dim: i64,
    dropout: f64,
}

/// What a change of the frame rate asks for before a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Reduce,
    Recover,
}

impl Plan {
    /// Changes before layer `index`, in their order.
    pub(super) fn before(&self, index: usize) -> impl Iterator<Item = Change> + '_ {
        let at = index as i64;
        let count = |list: &[i64]| list.iter().filter(|&&layer| layer == at).count();
        let reduce = std::iter::repeat_n(Change::Reduce, count(&self.reduce));
        reduce.chain(std::iter::repeat_n(Change::Recover, count(&self.recover)))
    }

    /// The table of positions and the mask at `stride` times the first frame shift.
    pub(super) fn pairs(&self, frames: &Frames, stride: i64, device: Device) -> Pairs {
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
    /// Registers all parameters under `path` with the keys of the layout's checkpoints.
    ///
    /// # Errors
    /// [`crate::Error::Config`] when a size is impossible.
    pub fn new(path: &nn::Path<'_>, config: &SqueezeformerConfig) -> Result<Self> {
        config.validate()?;
        let mut network = match config {
            SqueezeformerConfig::Nemo(sizes) => Self::nemo(path, sizes, config),
            SqueezeformerConfig::Wenet(sizes) => Self::wenet(path, sizes, config),
        };
        network.parameters = config.parameters();
        Ok(network)
    }

    fn nemo(path: &nn::Path<'_>, sizes: &NemoConfig, config: &SqueezeformerConfig) -> Self {
        let (encoder, dim) = (path / "encoder", sizes.d_model);
        let layers = &encoder / "layers";
        let reduces = sizes.time_reduce_idx.is_some();
        let (reduce, recovery) = ("time_reduce_layer", "time_recovery_layer");
        let conv1d = TimeReduction::Conv1d;
        let width = if sizes.feat_out > 0 { sizes.feat_out } else { dim };
        Self {
            config: config.clone(),
            cmvn: None,
            subsampling: Subsampling::nemo(&(&encoder / "pre_encode"), sizes),
            pre_norm: nn::layer_norm(&encoder / "pre_ln", vec![dim], Default::default()),
            blocks: (0..sizes.n_layers).map(|i| Block::nemo(&layers, i, sizes)).collect(),
            reduction: reduces
                .then(|| Reduction::new(&(&encoder / reduce), dim, conv1d, "time_reduce.x")),
            recovery: reduces.then(|| Recovery::new(&(&encoder / recovery), dim, false)),
            projection: (sizes.feat_out > 0)
                .then(|| nn::linear(&encoder / "out_proj", dim, width, Default::default())),
            head: Head::Conv(Pointwise::new(
                path / "decoder" / "decoder_layers" / "0",
                width,
                config.vocabulary(),
            )),
            plan: Plan {
                reduce: sizes.time_reduce_idx.into_iter().collect(),
                recover: sizes.recovery().into_iter().collect(),
                context: sizes.att_context_size,
                wenet: false,
                dim,
                dropout: sizes.dropout_emb,
            },
            parameters: 0,
        }
    }

    fn wenet(path: &nn::Path<'_>, sizes: &WenetConfig, config: &SqueezeformerConfig) -> Self {
        let (encoder, dim) = (path / "encoder", sizes.encoder_dim);
        let (layers, cmvn) = (&encoder / "encoders", &encoder / "global_cmvn");
        let (reduce, recover) = (sizes.reduce_idx.to_vec(), sizes.recover_idx.to_vec());
        let (reduction, recovery) = ("time_reduction_layer", "time_recover_layer");
        let kind = sizes.time_reduction_layer_type;
        Self {
            config: config.clone(),
            cmvn: sizes.global_cmvn.then(|| Cmvn {
                mean: cmvn.zeros_no_train("mean", &[sizes.input_dim]),
                istd: cmvn.ones_no_train("istd", &[sizes.input_dim]),
            }),
            subsampling: Subsampling::wenet(&(&encoder / "embed"), sizes),
            pre_norm: nn::layer_norm(&encoder / "preln", vec![dim], Default::default()),
            blocks: (0..sizes.num_blocks).map(|i| Block::wenet(&layers, i, sizes)).collect(),
            reduction: (!reduce.is_empty())
                .then(|| Reduction::new(&(&encoder / reduction), dim, kind, "time_reduction.x")),
            recovery: (!recover.is_empty())
                .then(|| Recovery::new(&(&encoder / recovery), dim, true)),
            projection: (sizes.output_size != dim).then(|| {
                nn::linear(&encoder / "final_proj", dim, sizes.output_size, Default::default())
            }),
            head: Head::Linear(nn::linear(
                path / "ctc" / "ctc_lo",
                sizes.output_size,
                sizes.output_dim,
                Default::default(),
            )),
            plan: Plan { reduce, recover, context: [-1, -1], wenet: true, dim, dropout: 0.0 },
            parameters: 0,
        }
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
        let size = features.size();
        let frames = Frames::new(lengths, size[1]);
        if self.config.output_frames(size[1] as usize) == 0 {
            let shape = [size[0], 0, self.config.vocabulary()];
            let nothing = Tensor::zeros(shape, (features.kind(), features.device()));
            return (nothing, vec![0; size[0] as usize]);
        }
        let features = match &self.cmvn {
            Some(cmvn) => (features - &cmvn.mean) * &cmvn.istd,
            None => features.shallow_clone(),
        };
        trace.record("global_cmvn", &features);
        let (x, frames) = self.subsampling.forward(&features, &frames, trace);
        let (encoded, frames) = self.encode(x, frames, train, trace);
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
        train: bool,
        trace: &mut dyn Trace,
    ) -> (Tensor, Frames) {
        let device = x.device();
        let wenet = self.plan.wenet;
        let mut pairs = self.plan.pairs(&frames, 1, device);
        let table = pairs.positions.unsqueeze(0);
        trace.record(if wenet { "embed.pos_emb" } else { "pos_enc.pos_emb" }, &table);
        let x = x.dropout(self.plan.dropout, train);
        let mut x = self.pre_norm.forward(&x);
        trace.record(if wenet { "preln" } else { "pre_ln" }, &x);
        let mut saved = Vec::new();
        for (index, block) in self.blocks.iter().enumerate() {
            for change in self.plan.before(index) {
                match (change, &self.reduction, &self.recovery) {
                    (Change::Reduce, Some(layer), _) => {
                        let (half, half_frames) = layer.forward(&x, &frames, trace);
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
                    (Change::Recover, _, Some(layer)) => {
                        // The config was refused if this could be empty.
                        let Some((skip, full, before)) = saved.pop() else { continue };
                        x = layer.forward(&x, &skip, &full, trace);
                        (frames, pairs) = (full, before);
                    }
                    _ => {}
                }
            }
            x = block.forward_t(&x, &frames, &pairs, train, trace);
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
            let network = Squeezeformer::new(&vs.root(), &config).expect("valid sizes");
            assert_eq!(network.info().parameters, wanted);
        }
        let wenet = WenetConfig { encoder_dim: 8, output_dim: 5, ..Default::default() };
        for config in configs().into_iter().chain([SqueezeformerConfig::Wenet(wenet)]) {
            let vs = VarStore::new(Device::Cpu);
            let network = Squeezeformer::new(&vs.root(), &config).expect("valid sizes");
            let stored: usize = vs.trainable_variables().iter().map(Tensor::numel).sum();
            assert_eq!(network.info().parameters, stored as u64, "{config:?}");
        }
    }

    #[test]
    fn a_padded_batch_equals_its_utterances() {
        for config in configs() {
            tch::manual_seed(5);
            let vs = VarStore::new(Device::Cpu);
            let network = Squeezeformer::new(&vs.root(), &config).expect("valid sizes");
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
            let network = Squeezeformer::new(&vs.root(), &config).expect("valid sizes");
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
