//! Sizes of the MossFormer family; field names are those of the references' configs.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::arch::bounds::check_sizes;
use crate::checkpoint::StateDict;
use crate::error::{Error, Result};

/// Eight times the published size. Every thread holds the scores of a group, which are its square:
/// 16 MiB here.
const LARGEST_GROUP: i64 = 2048;

/// Which network of the family, and by that the names of its parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// MossFormer, separation.
    Mossformer,
    /// MossFormer2, separation.
    #[default]
    #[serde(rename = "mossformer2-ss")]
    Mossformer2Ss,
    /// MossFormer2 from features to a mask: enhancement, and the encoder of super-resolution.
    #[serde(rename = "mossformer2-se")]
    Mossformer2Se,
}

/// What comes out of a separator's mask network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// Masks, with which the encoded mixture is multiplied.
    #[default]
    Masks,
    /// The encoded voices themselves, as in the release that was trained on WHAMR.
    Mapping,
}

/// Sizes of a network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MossformerConfig {
    /// Which network.
    #[serde(rename = "model")]
    pub family: Family,
    /// Filters of the encoder, or features per frame.
    pub in_channels: i64,
    /// Width.
    pub out_channels: i64,
    /// Width once more, where a config states both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub d_model: Option<i64>,
    /// Channels of the result where they are not `in_channels`.
    pub out_channels_final: Option<i64>,
    /// Samples that a filter of the encoder sees; the stride is half of it.
    pub kernel_size: i64,
    /// Samples from one frame to the next.
    pub stride: Option<i64>,
    /// Whether the decoder has a bias.
    pub bias: bool,
    /// Number of blocks.
    pub num_blocks: i64,
    /// Frames that see each other exactly.
    pub group_size: i64,
    /// Channels of queries and keys.
    pub query_key_dim: i64,
    /// Rotated channels among them; 32 at most if not given.
    pub rotary_dim: Option<i64>,
    /// Hidden channels for every channel; 4 alone.
    pub expansion_factor: f64,
    /// Frames that the convolutions see, odd.
    pub conv_kernel: i64,
    /// Channels inside of the recurrent blocks.
    pub fsmn_inner_channels: i64,
    /// Order of their memory.
    pub fsmn_lorder: i64,
    /// Convolutions of a dense memory.
    pub fsmn_depth: i64,
    /// Voices; the results of a network that masks features have as many slots.
    pub num_spks: i64,
    /// Kind of the norms over the whole sequence; `ln` alone.
    pub norm: String,
    /// Whether attention sees the past alone; `false` alone.
    pub causal: bool,
    /// Whether the input of all blocks is added to their output.
    pub skip_around_intra: bool,
    /// Whether positions are added to the input of the blocks.
    pub use_global_pos_enc: bool,
    /// What comes out of the mask network.
    pub output: Output,
}

impl Default for MossformerConfig {
    /// The published MossFormer2 for separation.
    fn default() -> Self {
        Self {
            family: Family::Mossformer2Ss,
            in_channels: 512,
            out_channels: 512,
            d_model: None,
            out_channels_final: None,
            kernel_size: 16,
            stride: None,
            bias: false,
            num_blocks: 24,
            group_size: 256,
            query_key_dim: 128,
            rotary_dim: None,
            expansion_factor: 4.0,
            conv_kernel: 17,
            fsmn_inner_channels: 256,
            fsmn_lorder: 20,
            fsmn_depth: 2,
            num_spks: 2,
            norm: "ln".to_owned(),
            causal: false,
            skip_around_intra: true,
            use_global_pos_enc: true,
            output: Output::Masks,
        }
    }
}

impl MossformerConfig {
    /// The published MossFormer2 for enhancement at 48 kHz.
    #[must_use]
    pub fn enhancement() -> Self {
        Self {
            family: Family::Mossformer2Se,
            in_channels: 180,
            out_channels_final: Some(961),
            ..Self::default()
        }
    }

    /// The published MossFormer.
    #[must_use]
    pub fn first_generation() -> Self {
        Self { family: Family::Mossformer, ..Self::default() }
    }

    /// Name of the architecture, as in the detection table.
    #[must_use]
    pub fn architecture(&self) -> &'static str {
        match self.family {
            Family::Mossformer => "mossformer",
            Family::Mossformer2Ss => "mossformer2-ss",
            Family::Mossformer2Se => "mossformer2-se",
        }
    }

    /// Whether the network takes waveforms and gives waveforms.
    #[must_use]
    pub fn separates(&self) -> bool {
        self.family != Family::Mossformer2Se
    }

    /// Channels of the blocks.
    #[must_use]
    pub fn width(&self) -> i64 {
        self.d_model.unwrap_or(self.out_channels)
    }

    /// Channels of the result.
    #[must_use]
    pub fn final_channels(&self) -> i64 {
        self.out_channels_final.unwrap_or(self.in_channels)
    }

    /// Samples from one frame to the next.
    #[must_use]
    pub fn hop(&self) -> i64 {
        self.kernel_size / 2
    }

    /// Rotated channels of queries and keys.
    #[must_use]
    pub fn rotated(&self) -> i64 {
        self.rotary_dim.unwrap_or(32).min(self.query_key_dim)
    }

    /// Hidden channels for every channel, as a whole number.
    #[must_use]
    pub fn expansion(&self) -> i64 {
        self.expansion_factor as i64
    }

    /// Refuses sizes that no network can have, and settings that formant has not.
    ///
    /// # Errors
    /// [`Error::Config`] naming the field.
    pub fn validate(&self) -> Result<()> {
        let width = 1 << 14;
        let sizes = [
            ("in_channels", self.in_channels, width),
            ("out_channels", self.width(), width),
            ("out_channels_final", self.final_channels(), width),
            ("kernel_size", self.kernel_size, width),
            ("num_blocks", self.num_blocks, 256),
            ("group_size", self.group_size, LARGEST_GROUP),
            ("query_key_dim", self.query_key_dim, width),
            ("rotary_dim", self.rotated(), width),
            ("conv_kernel", self.conv_kernel, 1023),
            ("fsmn_inner_channels", self.fsmn_inner_channels, width),
            ("fsmn_lorder", self.fsmn_lorder, 512),
            ("fsmn_depth", self.fsmn_depth, 8),
            ("num_spks", self.num_spks, 16),
        ];
        check_sizes(&sizes)?;
        // A network rotates 32 channels, or as many as there are: more are no network's.
        if self.rotary_dim.is_some_and(|dim| dim > self.query_key_dim.max(32)) {
            let reason = format!("more than the {} channels of queries", self.query_key_dim);
            return Err(Error::config("rotary_dim", reason));
        }
        let even = [("out_channels", self.width()), ("rotary_dim", self.rotated())];
        if let Some((field, size)) = even.into_iter().find(|(_, size)| size % 2 != 0) {
            return Err(Error::config(field, format!("{size} is odd; pairs are needed")));
        }
        if self.conv_kernel % 2 == 0 {
            return Err(Error::config("conv_kernel", "an even kernel has no middle"));
        }
        if self.expansion_factor != 4.0 {
            let reason = format!("{} is not supported; 4 is", self.expansion_factor);
            return Err(Error::config("expansion_factor", reason));
        }
        if self.norm != "ln" {
            return Err(Error::config(
                "norm",
                format!("`{}` is not supported; `ln` is", self.norm),
            ));
        }
        if self.causal {
            return Err(Error::config("causal", "true is not supported; no release is causal"));
        }
        if self.separates() {
            if self.kernel_size < 2 || self.stride.is_some_and(|stride| stride != self.hop()) {
                let reason =
                    format!("the stride has to be half the kernel of {}", self.kernel_size);
                return Err(Error::config("stride", reason));
            }
            if self.in_channels != self.final_channels() || self.in_channels != self.width() {
                let reason = "encoder, blocks and decoder need one width";
                return Err(Error::config("in_channels", reason));
            }
        }
        Ok(())
    }

    /// The config of a stored config file: formant's own fields, ModelScope's `model` section, or
    /// the stand-alone release's fields, which need `weights` for the sizes.
    ///
    /// # Errors
    /// [`Error::Config`] for values of a wrong type.
    pub fn read(config: &Value, weights: &StateDict) -> Result<Self> {
        let unreadable = |e: serde_json::Error| Error::config("config", e.to_string());
        let section = config.get("model").filter(|model| model.is_object()).unwrap_or(config);
        let own = ["num_blocks", "group_size"].iter().any(|field| section.get(field).is_some());
        if own {
            let mut section = section.clone();
            let found = Self::of_weights(weights)?;
            if let Value::Object(fields) = &mut section {
                // Where the file says nothing, the weights do.
                let Value::Object(known) = serde_json::to_value(&found).map_err(unreadable)? else {
                    return Ok(found);
                };
                for (field, value) in known.into_iter().filter(|(_, value)| !value.is_null()) {
                    fields.entry(field).or_insert(value);
                }
            }
            return serde_json::from_value(section).map_err(unreadable);
        }
        let inner = config.get("config").filter(|inner| inner.is_object()).unwrap_or(config);
        let mapping =
            inner.get("config_name").and_then(Value::as_str) == Some("mossformer2-whamr-2spk");
        let output = if mapping { Output::Mapping } else { Output::Masks };
        Ok(Self { output, ..Self::of_weights(weights)? })
    }

    /// The sizes that weights show by their shapes; what no shape shows (the group size, mapping)
    /// is as published.
    ///
    /// # Errors
    /// [`Error::Config`] when the weights are not of this family.
    pub fn of_weights(weights: &StateDict) -> Result<Self> {
        let shape = |name: &str| weights.get(name).map(|tensor| tensor.shape().to_vec());
        let has = |name: &str| weights.get(name).is_some();
        let (family, net, mdl) = if has("mask_net.mdl.att_norm.weight") {
            (Family::Mossformer, "mask_net", "att_mdl")
        } else if has("mask_net.mdl.intra_norm.weight") {
            (Family::Mossformer2Ss, "mask_net", "intra_mdl")
        } else if has("mossformer.mdl.intra_norm.weight") {
            (Family::Mossformer2Se, "mossformer", "intra_mdl")
        } else {
            return Err(Error::config("weights", "no MossFormer or MossFormer2 network"));
        };
        let dim = |name: &str, axis: usize| -> Result<i64> {
            let found = shape(name).and_then(|shape| shape.get(axis).copied());
            found
                .map(|n| n as i64)
                .ok_or_else(|| Error::config("weights", format!("no `{name}` in the checkpoint")))
        };
        let defaults = Self { family, ..Self::default() };
        let width = dim(&format!("{net}.conv1d_encoder.weight"), 0)?;
        let blocks = format!("{net}.mdl.{mdl}.mossformerM");
        let count = (0..)
            .take_while(|i| has(&format!("{blocks}.layers.{i}.to_hidden.mdl.1.weight")))
            .count();
        let layer = format!("{blocks}.layers.0");
        let recurrent = format!("{blocks}.fsmn.0");
        let depth = (1..)
            .take_while(|k| has(&format!("{recurrent}.gated_fsmn.fsmn.conv.conv{k}.weight")))
            .count();
        let memory = match family {
            Family::Mossformer => None,
            Family::Mossformer2Ss => Some(format!("{recurrent}.gated_fsmn.fsmn.conv.conv1.weight")),
            Family::Mossformer2Se => Some(format!("{recurrent}.gated_fsmn.fsmn.conv1.weight")),
        };
        let (inner, order) = match &memory {
            Some(name) => (dim(name, 0)?, dim(name, 2)?.saturating_add(1) / 2),
            None => (defaults.fsmn_inner_channels, defaults.fsmn_lorder),
        };
        let (encoder, bias) = match family {
            Family::Mossformer => ("encoder.conv1d.weight", has("decoder.bias")),
            _ => ("enc.conv1d.weight", has("dec.bias")),
        };
        let rotated = dim(&format!("{layer}.rotary_pos_emb.freqs"), 0).ok();
        let inputs = dim(&format!("{net}.conv1d_encoder.weight"), 1)?;
        let outputs = dim(&format!("{net}.conv1_decoder.weight"), 0)?;
        let separates = family != Family::Mossformer2Se;
        Ok(Self {
            in_channels: inputs,
            out_channels: width,
            out_channels_final: (!separates).then_some(outputs),
            kernel_size: if separates { dim(encoder, 2)? } else { defaults.kernel_size },
            bias,
            num_blocks: count as i64,
            query_key_dim: dim(&format!("{layer}.to_qk.mdl.1.weight"), 0)?,
            rotary_dim: rotated.map(|pairs| pairs.saturating_mul(2)),
            conv_kernel: dim(&format!("{layer}.to_hidden.mdl.3.sequential.1.conv.weight"), 2)?,
            fsmn_inner_channels: inner,
            fsmn_lorder: order,
            fsmn_depth: if depth > 0 { depth as i64 } else { defaults.fsmn_depth },
            num_spks: dim(&format!("{net}.conv1d_out.weight"), 0)? / width.max(1),
            ..defaults
        })
    }
}

#[cfg(test)]
impl MossformerConfig {
    /// A separator that computes in no time, for tests.
    pub(crate) fn tiny() -> Self {
        Self {
            in_channels: 8,
            out_channels: 8,
            num_blocks: 1,
            group_size: 32,
            query_key_dim: 6,
            fsmn_inner_channels: 6,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::RawTensor;

    #[test]
    fn frequencies_of_no_axis_are_no_frequencies() {
        let blocks = "mossformer.mdl.intra_mdl.mossformerM";
        let shapes: [(String, &[usize]); 9] = [
            ("mossformer.mdl.intra_norm.weight".to_owned(), &[8]),
            ("mossformer.conv1d_encoder.weight".to_owned(), &[8, 12, 1]),
            ("mossformer.conv1_decoder.weight".to_owned(), &[5, 8, 1]),
            ("mossformer.conv1d_out.weight".to_owned(), &[16, 8, 1]),
            (format!("{blocks}.layers.0.to_hidden.mdl.1.weight"), &[32, 8]),
            (format!("{blocks}.layers.0.to_qk.mdl.1.weight"), &[6, 8]),
            (format!("{blocks}.layers.0.to_hidden.mdl.3.sequential.1.conv.weight"), &[32, 1, 5]),
            (format!("{blocks}.layers.0.rotary_pos_emb.freqs"), &[]),
            (format!("{blocks}.fsmn.0.gated_fsmn.fsmn.conv1.weight"), &[6, 1, 5, 1]),
        ];
        let mut state = StateDict::default();
        for (name, shape) in shapes {
            let values = vec![0.0; shape.iter().product()];
            state.insert(name, RawTensor::from_f32(shape.to_vec(), &values).expect("fits"));
        }
        assert_eq!(MossformerConfig::of_weights(&state).expect("all there").rotary_dim, None);
    }

    #[test]
    fn impossible_sizes_are_refused() {
        for config in [
            MossformerConfig::default(),
            MossformerConfig::enhancement(),
            MossformerConfig::first_generation(),
        ] {
            config.validate().expect("published sizes");
        }
        let broken = [
            MossformerConfig { in_channels: 256, ..MossformerConfig::default() },
            MossformerConfig { conv_kernel: 16, ..MossformerConfig::default() },
            MossformerConfig { num_spks: 0, ..MossformerConfig::default() },
            MossformerConfig { group_size: 0, ..MossformerConfig::default() },
            MossformerConfig { group_size: 1 << 16, ..MossformerConfig::default() },
            MossformerConfig { stride: Some(4), ..MossformerConfig::default() },
            MossformerConfig { causal: true, ..MossformerConfig::default() },
            MossformerConfig { norm: "gln".to_owned(), ..MossformerConfig::default() },
            MossformerConfig { expansion_factor: 2.0, ..MossformerConfig::default() },
            MossformerConfig { query_key_dim: 7, ..MossformerConfig::default() },
        ];
        for config in broken {
            assert!(config.validate().is_err(), "{config:?}");
        }
    }
}
