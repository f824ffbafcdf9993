//! Sizes of a Squeezeformer in the words of either toolkit; field names and defaults are theirs.

use serde::{Deserialize, Serialize};

use crate::arch::bounds::check_sizes;
use crate::error::{Error, Result};

/// A Squeezeformer in one of its two layouts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "layout", rename_all = "snake_case")]
pub enum SqueezeformerConfig {
    /// As NeMo builds it.
    Nemo(NemoConfig),
    /// As WeNet builds it.
    Wenet(WenetConfig),
}

/// Whether the convolutions that shorten the features see what lies beyond the end of the shorter
/// utterances of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubsamplingMasks {
    /// They see zeros, as from NeMo 2.5 on.
    #[default]
    Masked,
    /// They see traces of their own biases, as up to NeMo 2.4.
    Unmasked,
}

/// NeMo's `encoder` section, and the number of answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NemoConfig {
    /// Feature bins per frame.
    pub feat_in: i64,
    /// Width of a projection of the encoder's output; none unless positive.
    pub feat_out: i64,
    /// Number of layers.
    pub n_layers: i64,
    /// Width.
    pub d_model: i64,
    /// How the features are shortened; `dw_striding` alone.
    pub subsampling: String,
    /// By how much; 4 alone.
    pub subsampling_factor: i64,
    /// Channels of the shortening convolutions; `d_model` unless positive.
    pub subsampling_conv_channels: i64,
    /// Width of the feed-forward parts relative to `d_model`.
    pub ff_expansion_factor: i64,
    /// Kind of positions; `rel_pos` alone.
    pub self_attention_model: String,
    /// Attention heads.
    pub n_heads: i64,
    /// How many frames back and forth attention sees; -1 is all.
    pub att_context_size: [i64; 2],
    /// Whether the input of the layers is multiplied by the root of `d_model`.
    pub xscaling: bool,
    /// Whether every layer has position biases of its own; `true` alone.
    pub untie_biases: bool,
    /// Kernel of the convolution modules, odd.
    pub conv_kernel_size: i64,
    /// Normalisation in the convolution modules.
    pub conv_norm_type: ConvNorm,
    /// Whether scales and biases before the modules are learnt.
    pub adaptive_scale: bool,
    /// The layer before which the frame rate is halved.
    pub time_reduce_idx: Option<i64>,
    /// The layer before which it is restored; the last one if not given.
    pub time_recovery_idx: Option<i64>,
    /// Share of activations that training drops.
    pub dropout: f64,
    /// The same after the positions.
    pub dropout_emb: f64,
    /// The same in attention weights.
    pub dropout_att: f64,
    /// Pieces of the vocabulary, without the blank.
    pub num_classes: i64,
    /// How the shortening convolutions treat padding.
    pub subsampling_masks: SubsamplingMasks,
}

impl Default for NemoConfig {
    /// The smallest published size (XS).
    fn default() -> Self {
        Self {
            feat_in: 80,
            feat_out: -1,
            n_layers: 16,
            d_model: 144,
            subsampling: "dw_striding".to_owned(),
            subsampling_factor: 4,
            subsampling_conv_channels: -1,
            ff_expansion_factor: 4,
            self_attention_model: "rel_pos".to_owned(),
            n_heads: 4,
            att_context_size: [-1, -1],
            xscaling: true,
            untie_biases: true,
            conv_kernel_size: 31,
            conv_norm_type: ConvNorm::BatchNorm,
            adaptive_scale: true,
            time_reduce_idx: None,
            time_recovery_idx: None,
            dropout: 0.1,
            dropout_emb: 0.1,
            dropout_att: 0.0,
            num_classes: 128,
            subsampling_masks: SubsamplingMasks::default(),
        }
    }
}

/// Normalisation inside a convolution module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConvNorm {
    /// Over batch and frames.
    #[default]
    BatchNorm,
    /// Over channels.
    LayerNorm,
}

/// How WeNet halves the frame rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeReduction {
    /// A depthwise convolution of five frames.
    #[default]
    Conv1d,
    /// Every second frame, without look-ahead.
    Stream,
}

/// One layer index, or several.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    /// Nowhere.
    #[default]
    None,
    /// Once.
    One(i64),
    /// Several times.
    Many(Vec<i64>),
}

impl OneOrMany {
    /// The indices.
    #[must_use]
    pub fn to_vec(&self) -> Vec<i64> {
        match self {
            Self::None => Vec::new(),
            Self::One(index) => vec![*index],
            Self::Many(list) => list.clone(),
        }
    }
}

/// WeNet's `encoder_conf`, with `input_dim` and `output_dim` of its `train.yaml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WenetConfig {
    /// Feature bins per frame.
    pub input_dim: i64,
    /// Pieces of the vocabulary, the blank among them.
    pub output_dim: i64,
    /// Width.
    pub encoder_dim: i64,
    /// Width of the encoder's output.
    pub output_size: i64,
    /// Attention heads.
    pub attention_heads: i64,
    /// Number of layers.
    pub num_blocks: i64,
    /// The layers before which the frame rate is halved.
    pub reduce_idx: OneOrMany,
    /// The layers before which it is restored.
    pub recover_idx: OneOrMany,
    /// Width of the feed-forward parts relative to `encoder_dim`.
    pub feed_forward_expansion_factor: i64,
    /// Whether the second shortening convolution is depthwise.
    pub dw_stride: bool,
    /// Kind of positions; `rel_pos` alone.
    pub pos_enc_layer_type: String,
    /// How the frame rate is halved.
    pub time_reduction_layer_type: TimeReduction,
    /// Whether scores of positions are shifted.
    pub do_rel_shift: bool,
    /// Kernel of the convolution modules, odd.
    pub cnn_module_kernel: i64,
    /// Normalisation in the convolution modules.
    pub cnn_norm_type: ConvNorm,
    /// Whether scales and biases before the modules are used.
    pub adaptive_scale: bool,
    /// Normalisation before instead of after the modules; `false` alone.
    pub normalize_before: bool,
    /// Whether the convolution modules see the past alone.
    pub causal: bool,
    /// Whether the checkpoint holds global mean and deviation of the features.
    pub global_cmvn: bool,
}

impl Default for WenetConfig {
    /// The defaults of WeNet's encoder.
    fn default() -> Self {
        Self {
            input_dim: 80,
            output_dim: 5002,
            encoder_dim: 256,
            output_size: 256,
            attention_heads: 4,
            num_blocks: 12,
            reduce_idx: OneOrMany::One(5),
            recover_idx: OneOrMany::One(11),
            feed_forward_expansion_factor: 4,
            dw_stride: false,
            pos_enc_layer_type: "rel_pos".to_owned(),
            time_reduction_layer_type: TimeReduction::Conv1d,
            do_rel_shift: true,
            cnn_module_kernel: 31,
            cnn_norm_type: ConvNorm::BatchNorm,
            adaptive_scale: true,
            normalize_before: false,
            causal: false,
            global_cmvn: true,
        }
    }
}

fn check_heads(field: &str, dim: i64, heads: i64) -> Result<()> {
    if dim % heads != 0 {
        return Err(Error::config(
            field,
            format!("{heads} heads do not divide the width of {dim}"),
        ));
    }
    Ok(())
}

fn check_kernel(field: &str, kernel: i64) -> Result<()> {
    if kernel % 2 == 0 {
        return Err(Error::config(field, format!("the kernel of {kernel} is not odd")));
    }
    Ok(())
}

/// Every reduction needs a recovery after it, and nothing may be recovered before it was reduced.
fn check_pairs(field: &str, reduce: &[i64], recover: &[i64], layers: i64) -> Result<()> {
    let mut depth = 0i64;
    for layer in 0..layers {
        depth += reduce.iter().filter(|&&at| at == layer).count() as i64;
        depth -= recover.iter().filter(|&&at| at == layer).count() as i64;
        if depth < 0 {
            let reason = format!("layer {layer} restores a frame rate that was not halved before");
            return Err(Error::config(field, reason));
        }
        if depth > DEPTH {
            let reason = format!("layer {layer} halves the frame rate more than {DEPTH} times");
            return Err(Error::config(field, reason));
        }
    }
    let known = reduce.iter().chain(recover).all(|at| (0..layers).contains(at));
    if !known {
        let reason = format!("{reduce:?} and {recover:?} are not all among {layers} layers");
        return Err(Error::config(field, reason));
    }
    Ok(())
}

fn only(field: &str, found: &str, known: &str) -> Result<()> {
    if found == known {
        return Ok(());
    }
    Err(Error::config(field, format!("`{found}` is not supported; `{known}` is")))
}

/// Refuses shares of activations that training can't drop.
fn check_dropouts(dropouts: &[(&str, f64)]) -> Result<()> {
    for &(field, share) in dropouts {
        if !(0.0..=1.0).contains(&share) {
            return Err(Error::config(field, format!("{share} is not between 0 and 1")));
        }
    }
    Ok(())
}

/// Most layers; the largest published network has 22.
const LAYERS: i64 = 256;
/// Largest width; the largest published network has 640. Products of two widths, the feature bins
/// and an expansion fit 64 bits by far.
const WIDTH: i64 = 1 << 14;
/// Most halvings of the frame rate at one layer; published networks have two. Eight leave one frame
/// of 256.
const DEPTH: i64 = 8;

impl NemoConfig {
    /// Channels of the shortening convolutions.
    #[must_use]
    pub fn conv_channels(&self) -> i64 {
        if self.subsampling_conv_channels > 0 {
            self.subsampling_conv_channels
        } else {
            self.d_model
        }
    }

    /// The layer before which the frame rate is restored, where it was halved.
    #[must_use]
    pub fn recovery(&self) -> Option<i64> {
        self.time_reduce_idx.map(|_| self.time_recovery_idx.unwrap_or(self.n_layers - 1))
    }

    fn validate(&self) -> Result<()> {
        check_sizes(&[
            ("feat_in", self.feat_in, 1024),
            ("n_layers", self.n_layers, LAYERS),
            ("d_model", self.d_model, WIDTH),
            ("n_heads", self.n_heads, WIDTH),
            ("ff_expansion_factor", self.ff_expansion_factor, 64),
            ("conv_kernel_size", self.conv_kernel_size, 1023),
            ("num_classes", self.num_classes, 1 << 20),
        ])?;
        // Not positive: as wide as `d_model`, or no projection.
        for (field, width) in [
            ("feat_out", self.feat_out),
            ("subsampling_conv_channels", self.subsampling_conv_channels),
        ] {
            if width > WIDTH {
                return Err(Error::config(field, format!("{width} is above {WIDTH}")));
            }
        }
        check_dropouts(&[
            ("dropout", self.dropout),
            ("dropout_emb", self.dropout_emb),
            ("dropout_att", self.dropout_att),
        ])?;
        check_heads("n_heads", self.d_model, self.n_heads)?;
        check_kernel("conv_kernel_size", self.conv_kernel_size)?;
        only("subsampling", &self.subsampling, "dw_striding")?;
        only("subsampling_factor", &self.subsampling_factor.to_string(), "4")?;
        only("self_attention_model", &self.self_attention_model, "rel_pos")?;
        only("untie_biases", &self.untie_biases.to_string(), "true")?;
        let reduce: Vec<i64> = self.time_reduce_idx.into_iter().collect();
        let recover: Vec<i64> = self.recovery().into_iter().collect();
        check_pairs("time_reduce_idx", &reduce, &recover, self.n_layers)
    }
}

impl WenetConfig {
    /// Feature bins after both shortening convolutions.
    #[must_use]
    pub fn subsampled_bins(&self) -> i64 {
        (self.input_dim.saturating_sub(1) / 2 - 1) / 2
    }

    fn validate(&self) -> Result<()> {
        check_sizes(&[
            ("input_dim", self.input_dim, 1024),
            ("input_dim", self.subsampled_bins(), 1024),
            ("output_dim", self.output_dim, 1 << 20),
            ("encoder_dim", self.encoder_dim, WIDTH),
            ("output_size", self.output_size, WIDTH),
            ("attention_heads", self.attention_heads, WIDTH),
            ("num_blocks", self.num_blocks, LAYERS),
            ("feed_forward_expansion_factor", self.feed_forward_expansion_factor, 64),
            ("cnn_module_kernel", self.cnn_module_kernel, 1023),
        ])?;
        check_heads("attention_heads", self.encoder_dim, self.attention_heads)?;
        check_kernel("cnn_module_kernel", self.cnn_module_kernel)?;
        only("pos_enc_layer_type", &self.pos_enc_layer_type, "rel_pos")?;
        only("normalize_before", &self.normalize_before.to_string(), "false")?;
        check_pairs(
            "reduce_idx",
            &self.reduce_idx.to_vec(),
            &self.recover_idx.to_vec(),
            self.num_blocks,
        )
    }
}

impl SqueezeformerConfig {
    /// Refuses sizes that no network can have, and settings that formant has not.
    ///
    /// # Errors
    /// [`Error::Config`] naming the field.
    pub fn validate(&self) -> Result<()> {
        match self {
            Self::Nemo(config) => config.validate(),
            Self::Wenet(config) => config.validate(),
        }
    }

    /// Layers of the encoder.
    pub(super) fn layers(&self) -> usize {
        let layers = match self {
            Self::Nemo(config) => config.n_layers,
            Self::Wenet(config) => config.num_blocks,
        };
        usize::try_from(layers).unwrap_or(0)
    }

    /// Features a frame.
    #[must_use]
    pub fn inputs(&self) -> i64 {
        match self {
            Self::Nemo(config) => config.feat_in,
            Self::Wenet(config) => config.input_dim,
        }
    }

    /// Answers for every frame: the pieces of the vocabulary and the blank.
    #[must_use]
    pub fn vocabulary(&self) -> i64 {
        match self {
            Self::Nemo(config) => config.num_classes + 1,
            Self::Wenet(config) => config.output_dim,
        }
    }

    /// Index of the blank: the last answer in NeMo's layout, the first in WeNet's.
    #[must_use]
    pub fn blank(&self) -> i64 {
        match self {
            Self::Nemo(config) => config.num_classes,
            Self::Wenet(_) => 0,
        }
    }

    /// Frames of features from one answer to the next.
    #[must_use]
    pub fn subsampling_factor(&self) -> usize {
        4
    }

    /// Answers for so many frames of features.
    #[must_use]
    pub fn output_frames(&self, frames: usize) -> usize {
        match self {
            Self::Nemo(_) => frames.div_ceil(2).div_ceil(2),
            Self::Wenet(_) => (frames.saturating_sub(1) / 2).saturating_sub(1) / 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configs_of_both_toolkits_parse() {
        let nemo: NemoConfig = serde_json::from_str(
            r#"{"d_model": 196, "n_layers": 18, "time_reduce_idx": 8, "att_context_size": [-1, -1],
                "_target_": "nemo.collections.asr.modules.SqueezeformerEncoder"}"#,
        )
        .expect("NeMo's names");
        assert_eq!((nemo.recovery(), nemo.conv_channels()), (Some(17), 196));
        let wenet: WenetConfig = serde_json::from_str(
            r#"{"encoder_dim": 36, "output_size": 36, "reduce_idx": [1, 3], "recover_idx": [5, 7],
                "cnn_norm_type": "layer_norm", "time_reduction_layer_type": "stream"}"#,
        )
        .expect("WeNet's names");
        assert_eq!(wenet.reduce_idx.to_vec(), [1, 3]);
        let config = SqueezeformerConfig::Wenet(wenet);
        config.validate().expect("valid");
        let text = serde_json::to_string(&config).expect("plain data");
        assert_eq!(serde_json::from_str::<SqueezeformerConfig>(&text).expect("its own"), config);
    }

    #[test]
    fn impossible_settings_are_named() {
        let refused = |change: fn(&mut NemoConfig)| {
            let mut config = NemoConfig::default();
            change(&mut config);
            SqueezeformerConfig::Nemo(config).validate().expect_err("refused").to_string()
        };
        assert!(refused(|c| c.n_heads = 5).contains("n_heads"));
        assert!(refused(|c| c.conv_kernel_size = 30).contains("odd"));
        assert!(refused(|c| c.subsampling = "vggnet".to_owned()).contains("dw_striding"));
        assert!(refused(|c| c.time_reduce_idx = Some(16)).contains("time_reduce_idx"));
        assert!(refused(|c| c.d_model = -1).contains("between"));
        assert!(refused(|c| c.feat_out = i64::MAX).contains("feat_out"));
        assert!(refused(|c| c.subsampling_conv_channels = 1 << 32).contains("channels"));
    }

    #[test]
    fn dropouts_are_shares() {
        let fields: [fn(&mut NemoConfig) -> &mut f64; 3] =
            [|c| &mut c.dropout, |c| &mut c.dropout_emb, |c| &mut c.dropout_att];
        for field in fields {
            let validate = |value: f64| {
                let mut config = NemoConfig::default();
                *field(&mut config) = value;
                SqueezeformerConfig::Nemo(config).validate()
            };
            for value in [-1.0, 2.0, 7.0, 1e308, f64::NAN] {
                let error = validate(value).expect_err("no share").to_string();
                assert!(error.contains("dropout"), "{error}");
            }
            for value in [0.0, 0.1, 1.0] {
                validate(value).expect("a share");
            }
        }
    }

    #[test]
    fn the_frame_rate_is_halved_a_bounded_number_of_times() {
        let nested = |count: usize| {
            let config = WenetConfig {
                reduce_idx: OneOrMany::Many(vec![1; count]),
                recover_idx: OneOrMany::Many(vec![2; count]),
                ..WenetConfig::default()
            };
            SqueezeformerConfig::Wenet(config).validate()
        };
        nested(8).expect("at the bound");
        let error = nested(64).expect_err("above the bound").to_string();
        assert!(error.contains("reduce_idx"), "{error}");
    }

    #[test]
    fn the_smallest_numbers_do_not_overflow() {
        let config = WenetConfig { input_dim: i64::MIN, ..WenetConfig::default() };
        assert!(SqueezeformerConfig::Wenet(config).validate().is_err());
    }
}
