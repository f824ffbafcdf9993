//! Sizes of a Mel-RoFormer; field names and defaults as in the reference's constructor.

use formant_audio_core::mel::BandLayout;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::checkpoint::StateDict;
use crate::error::{Error, Result};

/// Whose form of the network: names and a few formulas differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// The vocal model and the training kit, whose names are the same.
    #[default]
    Reference,
    /// The package at version 1.1, without hyper-connections.
    Lucidrains,
}

/// Sizes of a Mel-RoFormer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MelRoformerConfig {
    /// Whose form.
    pub layout: Layout,
    /// Width.
    pub dim: i64,
    /// Number of layers.
    pub depth: i64,
    /// Two channels rather than one.
    pub stereo: bool,
    /// Stems that come out.
    pub num_stems: i64,
    /// Blocks over time in a layer.
    pub time_transformer_depth: i64,
    /// Blocks over bands in a layer.
    pub freq_transformer_depth: i64,
    /// Blocks of linear attention over both in a layer; none if 0.
    pub linear_transformer_depth: i64,
    /// Mel bands.
    pub num_bands: i64,
    /// Width of an attention head, even.
    pub dim_head: i64,
    /// Attention heads.
    pub heads: i64,
    /// Hz, for the bands.
    pub sample_rate: u32,
    /// Samples of a transform.
    pub stft_n_fft: i64,
    /// Samples between transforms.
    pub stft_hop_length: i64,
    /// Samples of the window; equal to `stft_n_fft`.
    pub stft_win_length: i64,
    /// Transforms are divided by the root of their length.
    pub stft_normalized: bool,
    /// Nothing at 0 Hz in the stems.
    pub zero_dc: bool,
    /// Hidden layers of the mask heads.
    pub mask_estimator_depth: i64,
    /// Width of these layers relative to `dim`.
    pub mlp_expansion_factor: i64,
    /// Stems as long as the input; otherwise a whole number of hops.
    pub match_input_audio_length: bool,
    /// Each layer also sees the sum of the outputs of all before it.
    pub skip_connection: bool,
    /// Attention mixes its values with those of the first layer (package alone).
    pub add_value_residual: bool,
}

impl Default for MelRoformerConfig {
    /// The published vocal model, in the training kit's form.
    fn default() -> Self {
        Self {
            dim: 384,
            depth: 6,
            stereo: true,
            time_transformer_depth: 1,
            freq_transformer_depth: 1,
            stft_hop_length: 441,
            mask_estimator_depth: 2,
            ..Self::constructor()
        }
    }
}

/// Arguments of the reference that change no number at inference.
const WITHOUT_EFFECT: &[&str] = &[
    "flash_attn",
    "sage_attention",
    "use_torch_checkpoint",
    "dim_freqs_in",
    "attn_dropout",
    "ff_dropout",
    "multi_stft_resolution_loss_weight",
    "multi_stft_resolutions_window_sizes",
    "multi_stft_hop_size",
    "multi_stft_normalized",
    "multi_stft_window_fn",
    "stft_window_fn",
];

impl MelRoformerConfig {
    /// The defaults of the constructor of the training kit.
    fn constructor() -> Self {
        Self {
            layout: Layout::Reference,
            dim: 0,
            depth: 0,
            stereo: false,
            num_stems: 1,
            time_transformer_depth: 2,
            freq_transformer_depth: 2,
            linear_transformer_depth: 0,
            num_bands: 60,
            dim_head: 64,
            heads: 8,
            sample_rate: 44_100,
            stft_n_fft: 2048,
            stft_hop_length: 512,
            stft_win_length: 2048,
            stft_normalized: false,
            zero_dc: true,
            mask_estimator_depth: 1,
            mlp_expansion_factor: 4,
            match_input_audio_length: false,
            skip_connection: false,
            add_value_residual: false,
        }
    }

    /// From arguments of the reference's constructor, as in the `model` section of its
    /// configuration files. Arguments that are not known are refused, because a network that
    /// passes over one of them gives wrong stems.
    ///
    /// # Errors
    /// [`Error::Config`] naming the argument.
    pub fn from_arguments(arguments: &Value, layout: Layout) -> Result<Self> {
        let Value::Object(arguments) = arguments else {
            return Err(Error::config("model", "a mapping of arguments is needed"));
        };
        let mut merged = match serde_json::to_value(Self::of_layout(layout)) {
            Ok(Value::Object(map)) => map,
            _ => Map::new(),
        };
        for (name, value) in arguments {
            match name.as_str() {
                name if WITHOUT_EFFECT.contains(&name) => {}
                "use_pope" if value != &Value::Bool(true) => {}
                "num_residual_streams" if value.as_i64() == Some(1) => {}
                "num_residual_streams" => return Err(hyper_connections()),
                _ if value.is_null() => {}
                _ => {
                    merged.insert(name.clone(), value.clone());
                }
            }
        }
        let unreadable = |e: serde_json::Error| {
            Error::config("model", format!("{e}: formant does not compute what it asks for"))
        };
        serde_json::from_value(Value::Object(merged)).map_err(unreadable)
    }

    fn of_layout(layout: Layout) -> Self {
        let base = Self { layout, ..Self::constructor() };
        match layout {
            Layout::Reference => base,
            Layout::Lucidrains => Self {
                linear_transformer_depth: 1,
                zero_dc: false,
                add_value_residual: true,
                ..base
            },
        }
    }

    /// The form that a state dict has.
    ///
    /// # Errors
    /// [`Error::Config`] for the hyper-connections of the package's version 1.1.
    pub fn layout_of(state: &StateDict) -> Result<Layout> {
        if state.names().any(|name| name.ends_with(".static_alpha")) {
            return Err(hyper_connections());
        }
        let branch = state.names().any(|name| name.contains(".branch."));
        Ok(if branch { Layout::Lucidrains } else { Layout::Reference })
    }

    /// The sizes of the network that a state dict belongs to. What leaves no trace in shapes is
    /// as published: 44.1 kHz, a hop of 441 samples (882 for transforms of 4096), nothing at 0 Hz,
    /// no skip connections.
    ///
    /// # Errors
    /// [`Error::Missing`] naming a weight, [`Error::Config`] for bands of no known layout.
    pub fn of_weights(state: &StateDict) -> Result<Self> {
        let layout = Self::layout_of(state)?;
        let shape = |name: &str| state.get(name).map(|tensor| tensor.shape().to_vec());
        let size = |name: &str, axis: usize| -> Result<i64> {
            let size = shape(name).and_then(|shape| shape.get(axis).copied());
            size.map(|n| n as i64).ok_or_else(|| Error::Missing {
                path: state.path.clone(),
                what: format!("weight `{name}` of a Mel-RoFormer"),
            })
        };
        let count = |name: &dyn Fn(i64) -> String| {
            (0..).take_while(|&i| shape(&name(i)).is_some()).count() as i64
        };
        let branch = if layout == Layout::Lucidrains { "branch." } else { "" };
        let at =
            |position: i64, block: i64| format!("layers.0.{position}.layers.{block}.0.{branch}");
        let linear = shape(&format!("{}temperature", at(0, 0))).is_some();
        let time = i64::from(linear || layout == Layout::Lucidrains);
        let blocks = |position: i64| count(&|i| format!("{}norm.gamma", at(position, i)));
        let gates = format!("{}to_gates.weight", at(time, 0));
        let heads = size(&gates, 0)?;
        let dim_head =
            size(&format!("{}to_qkv.weight", at(time, 0)), 0)? / heads.max(1).saturating_mul(3);
        let band = |k: i64| format!("band_split.to_features.{k}.0.gamma");
        let num_bands = count(&band);
        let widths: Vec<i64> = (0..num_bands).map(|k| size(&band(k), 0)).collect::<Result<_>>()?;
        let (stft_n_fft, stereo) = transform_of(&widths)?;
        let head = |i: i64| format!("mask_estimators.0.to_freqs.0.0.{}.weight", 2 * i);
        let dim = size(&gates, 1)?;
        Ok(Self {
            dim,
            depth: count(&|i| format!("layers.{i}.{time}.norm.gamma")),
            stereo,
            num_stems: count(&|i| format!("mask_estimators.{i}.to_freqs.0.0.0.weight")),
            time_transformer_depth: blocks(time),
            freq_transformer_depth: blocks(time + 1),
            linear_transformer_depth: if linear { blocks(0) } else { 0 },
            num_bands,
            dim_head,
            heads,
            stft_n_fft,
            stft_win_length: stft_n_fft,
            stft_hop_length: if stft_n_fft == 4096 { 882 } else { 441 },
            mask_estimator_depth: count(&head) - 1,
            mlp_expansion_factor: size(&head(0), 0)? / dim.max(1),
            add_value_residual: state.names().any(|n| n.contains("learned_value_residual_mix")),
            ..Self::of_layout(layout)
        })
    }

    /// Audio channels.
    #[must_use]
    pub fn channels(&self) -> i64 {
        if self.stereo { 2 } else { 1 }
    }

    /// Bins of a transform.
    #[must_use]
    pub fn bins(&self) -> i64 {
        self.stft_n_fft / 2 + 1
    }

    /// Position of the attention over time inside a layer.
    pub(super) fn time_position(&self) -> i64 {
        i64::from(self.linear_transformer_depth > 0 || self.layout == Layout::Lucidrains)
    }

    /// Refuses sizes that no network can have.
    ///
    /// # Errors
    /// [`Error::Config`] naming the field.
    pub fn validate(&self) -> Result<()> {
        let sizes = [
            ("dim", self.dim, 1),
            ("depth", self.depth, 1),
            ("num_stems", self.num_stems, 1),
            ("time_transformer_depth", self.time_transformer_depth, 0),
            ("freq_transformer_depth", self.freq_transformer_depth, 0),
            ("linear_transformer_depth", self.linear_transformer_depth, 0),
            ("num_bands", self.num_bands, 2),
            ("dim_head", self.dim_head, 2),
            ("heads", self.heads, 1),
            ("stft_n_fft", self.stft_n_fft, 4),
            ("stft_hop_length", self.stft_hop_length, 1),
            ("mask_estimator_depth", self.mask_estimator_depth, 0),
            ("mlp_expansion_factor", self.mlp_expansion_factor, 1),
        ];
        for (field, size, least) in sizes {
            if !(least..=1 << 16).contains(&size) {
                let reason = format!("{size} is not between {least} and 65536");
                return Err(Error::config(field, reason));
            }
        }
        if self.dim_head % 2 != 0 {
            return Err(Error::config("dim_head", "an odd width can't be turned in pairs"));
        }
        if self.stft_n_fft % 2 != 0 {
            return Err(Error::config("stft_n_fft", "an odd length has no bin at the end"));
        }
        if self.stft_win_length != self.stft_n_fft {
            let reason = "a window shorter than the transform is not supported; use stft_n_fft";
            return Err(Error::config("stft_win_length", reason));
        }
        if self.stft_hop_length > self.stft_n_fft / 2 {
            return Err(Error::config("stft_hop_length", "more than half of stft_n_fft"));
        }
        if self.layout == Layout::Reference && self.add_value_residual {
            let reason = "known of the package's layout alone";
            return Err(Error::config("add_value_residual", reason));
        }
        if self.layout == Layout::Lucidrains && self.skip_connection {
            return Err(Error::config("skip_connection", "not known of the package's layout"));
        }
        Ok(())
    }
}

fn hyper_connections() -> Error {
    Error::config(
        "num_residual_streams",
        "hyper-connections are not supported; train with num_residual_streams = 1",
    )
}

/// Transform length and channels that bands of these numbers of inputs belong to.
fn transform_of(widths: &[i64]) -> Result<(i64, bool)> {
    for n_fft in [2048usize, 4096, 1024, 512, 256] {
        let Ok(layout) = BandLayout::mel(44_100, n_fft, widths.len()) else { continue };
        let bins: Vec<i64> = layout.ranges().iter().map(|range| range.len() as i64).collect();
        for (channels, stereo) in [(2, true), (1, false)] {
            if bins.iter().zip(widths).all(|(bins, width)| 2 * channels * bins == *width) {
                return Ok((n_fft as i64, stereo));
            }
        }
    }
    let reason = format!(
        "{} bands that begin with {:?} inputs are of no known layout; put the model's .yaml beside \
         its weights",
        widths.len(),
        &widths[..widths.len().min(3)]
    );
    Err(Error::config("num_bands", reason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn arguments_have_the_reference_s_defaults() {
        let arguments = json!({
            "dim": 384, "depth": 6, "stereo": true, "time_transformer_depth": 1,
            "freq_transformer_depth": 1, "stft_hop_length": 441, "mask_estimator_depth": 2,
            "attn_dropout": 0, "multi_stft_resolutions_window_sizes": [4096, 2048],
        });
        let config = MelRoformerConfig::from_arguments(&arguments, Layout::Reference);
        let config = config.expect("known arguments");
        assert!(config.zero_dc && !config.skip_connection);
        assert_eq!((config.num_bands, config.heads, config.linear_transformer_depth), (60, 8, 0));
        config.validate().expect("the published sizes");
    }

    #[test]
    fn arguments_that_are_not_computed_are_refused() {
        for (name, value) in [
            ("use_pope", json!(true)),
            ("num_residual_streams", json!(4)),
            ("a_later_invention", json!(1)),
        ] {
            let arguments = json!({ "dim": 8, "depth": 1, name: value });
            let error = MelRoformerConfig::from_arguments(&arguments, Layout::Lucidrains);
            assert!(error.expect_err("refused").to_string().contains(name), "{name}");
        }
    }

    #[test]
    fn impossible_sizes_are_refused() {
        let broken = [
            MelRoformerConfig { dim: 0, ..Default::default() },
            MelRoformerConfig { dim_head: 7, ..Default::default() },
            MelRoformerConfig { stft_win_length: 1024, ..Default::default() },
            MelRoformerConfig { stft_hop_length: 2000, ..Default::default() },
            MelRoformerConfig { add_value_residual: true, ..Default::default() },
        ];
        for config in broken {
            assert!(config.validate().is_err(), "{config:?}");
        }
    }
}
