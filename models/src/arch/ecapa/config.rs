//! Sizes of an ECAPA-TDNN; field names as in SpeechBrain's class, which has the most of them.

use serde::{Deserialize, Serialize};

use crate::arch::bounds::check_sizes;
use crate::checkpoint::StateDict;
use crate::error::{Error, Result};

/// Whose form of the network: names, padding and a few formulas differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// SpeechBrain, and 3D-Speaker, which has its names.
    #[default]
    Speechbrain,
    /// WeSpeaker.
    Wespeaker,
    /// TaoRuijie/ECAPA-TDNN.
    Taoruijie,
}

/// Sizes of an ECAPA-TDNN.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EcapaConfig {
    /// Whose form.
    pub layout: Layout,
    /// Feature bins.
    pub input_size: i64,
    /// Channels of the first layer, of the blocks, and of the aggregation.
    pub channels: Vec<i64>,
    /// Frames that each of them sees.
    pub kernel_sizes: Vec<i64>,
    /// Distance between these frames.
    pub dilations: Vec<i64>,
    /// Channels inside the attention.
    pub attention_channels: i64,
    /// Values of the embedding.
    pub lin_neurons: i64,
    /// Groups of channels in a Res2Net layer.
    pub res2net_scale: i64,
    /// Channels inside a squeeze-and-excitation layer.
    pub se_channels: i64,
    /// Whether the attention also sees mean and deviation over time.
    pub global_context: bool,
    /// Groups of the convolutions; only 1 is known to be in use.
    pub groups: Vec<i64>,
    /// Whether the embedding is normalised per batch in the end.
    pub embedding_norm: bool,
}

impl Default for EcapaConfig {
    /// The published hub model, `spkrec-ecapa-voxceleb`.
    fn default() -> Self {
        Self {
            layout: Layout::Speechbrain,
            input_size: 80,
            channels: vec![1024, 1024, 1024, 1024, 3072],
            kernel_sizes: vec![5, 3, 3, 3, 1],
            dilations: vec![1, 2, 3, 4, 1],
            attention_channels: 128,
            lin_neurons: 192,
            res2net_scale: 8,
            se_channels: 128,
            global_context: true,
            groups: vec![1; 5],
            embedding_norm: false,
        }
    }
}

/// Most layers; published networks have five.
const LAYERS: usize = 64;
/// Largest number of channels, bins or taps.
const WIDTH: i64 = 1 << 16;
/// Most frames between two taps, which no weight shows: 2.6 s at a hop of 10 ms, where published
/// networks use up to 4 frames. Signals are padded by this distance for every tap.
const DILATION: i64 = 256;

impl EcapaConfig {
    /// The sizes of the network that a state dict belongs to, from the shapes of its weights; the
    /// distances between frames, which leave no trace in shapes, are the published ones.
    ///
    /// # Errors
    /// [`Error::Missing`] naming a weight that every form has.
    pub fn of_weights(state: &StateDict) -> Result<Self> {
        let layout = if state.get("blocks.0.conv.conv.weight").is_some() {
            Layout::Speechbrain
        } else if state.get("layer1.conv.weight").is_some() {
            Layout::Wespeaker
        } else {
            Layout::Taoruijie
        };
        let names = super::names::Names::new(layout);
        let size = |name: &str, axis: usize| -> Result<i64> {
            let weight = state.get(&format!("{name}.weight"));
            let size = weight.and_then(|tensor| tensor.shape().get(axis).copied());
            size.map(|n| n as i64).ok_or_else(|| Error::Missing {
                path: state.path.clone(),
                what: format!("weight `{name}.weight` of an ECAPA-TDNN"),
            })
        };
        let blocks = (1..).take_while(|&i| size(&names.tdnn1(i).0, 0).is_ok()).count() as i64;
        let mut channels = vec![size(&names.first().0, 0)?];
        let mut kernel_sizes = vec![size(&names.first().0, 2)?];
        for block in 1..=blocks {
            channels.push(size(&names.tdnn2(block).0, 0)?);
            kernel_sizes.push(size(&names.res2net(block, 0).0, 2)?);
        }
        channels.push(size(&names.mfa().0, 0)?);
        kernel_sizes.push(size(&names.mfa().0, 2)?);
        let scale = (0..).take_while(|&j| size(&names.res2net(1, j).0, 0).is_ok()).count() as i64;
        let (attention, context) = (names.attention().0, names.attention_out());
        Ok(Self {
            layout,
            input_size: size(&names.first().0, 1)?,
            dilations: std::iter::once(1).chain((0..blocks).map(|i| i + 2)).chain([1]).collect(),
            groups: vec![1; channels.len()],
            attention_channels: size(&attention, 0)?,
            lin_neurons: size(&names.fc(), 0)?,
            res2net_scale: scale + 1,
            se_channels: size(&names.squeeze(1), 0)?,
            global_context: size(&attention, 1)? != size(&context, 0)?,
            embedding_norm: names.embedding_norm().is_some_and(|name| size(name, 0).is_ok()),
            channels,
            kernel_sizes,
        })
    }

    /// Channels of the aggregation.
    #[must_use]
    pub fn aggregation(&self) -> i64 {
        self.channels.last().copied().unwrap_or(0)
    }

    /// Number of SE-Res2Net blocks.
    #[must_use]
    pub fn blocks(&self) -> usize {
        self.channels.len().saturating_sub(2)
    }

    /// Refuses sizes that no network can have.
    ///
    /// # Errors
    /// [`Error::Config`] naming the field.
    pub fn validate(&self) -> Result<()> {
        let layers = self.channels.len();
        if layers < 3 {
            let reason = "needs the first layer, one block and the aggregation at least";
            return Err(Error::config("channels", reason));
        }
        if layers > LAYERS {
            let reason = format!("{layers} layers; at most {LAYERS} are supported");
            return Err(Error::config("channels", reason));
        }
        for (field, list) in [("kernel_sizes", &self.kernel_sizes), ("dilations", &self.dilations)]
        {
            if list.len() != layers {
                let reason = format!("{} values for {layers} layers", list.len());
                return Err(Error::config(field, reason));
            }
        }
        let mut sizes = vec![
            ("input_size", self.input_size, WIDTH),
            ("attention_channels", self.attention_channels, WIDTH),
            ("lin_neurons", self.lin_neurons, WIDTH),
            ("res2net_scale", self.res2net_scale, WIDTH),
            ("se_channels", self.se_channels, WIDTH),
        ];
        sizes.extend(self.channels.iter().map(|&n| ("channels", n, WIDTH)));
        sizes.extend(self.kernel_sizes.iter().map(|&n| ("kernel_sizes", n, WIDTH)));
        sizes.extend(self.dilations.iter().map(|&n| ("dilations", n, DILATION)));
        check_sizes(&sizes)?;
        if self.kernel_sizes.iter().any(|k| k % 2 == 0) {
            return Err(Error::config("kernel_sizes", "an even kernel has no middle"));
        }
        if self.channels[1..layers - 1].iter().any(|n| n % self.res2net_scale != 0) {
            let reason = format!("a block can't be parted into {} groups", self.res2net_scale);
            return Err(Error::config("channels", reason));
        }
        if self.res2net_scale < 2 {
            return Err(Error::config("res2net_scale", "at least 2 groups are needed"));
        }
        if self.channels[..layers - 1].iter().any(|&n| n != self.channels[0]) {
            let reason = "the first layer and all blocks need the same width";
            return Err(Error::config("channels", reason));
        }
        if self.groups.iter().any(|&n| n != 1) {
            return Err(Error::config("groups", "grouped convolutions are not supported; use 1"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_sizes_are_refused() {
        EcapaConfig::default().validate().expect("the published sizes");
        let broken = [
            EcapaConfig { channels: vec![8], ..EcapaConfig::default() },
            EcapaConfig { dilations: vec![1], ..EcapaConfig::default() },
            EcapaConfig { kernel_sizes: vec![5, 2, 3, 3, 1], ..EcapaConfig::default() },
            EcapaConfig { res2net_scale: 7, ..EcapaConfig::default() },
            EcapaConfig { lin_neurons: 0, ..EcapaConfig::default() },
            EcapaConfig { groups: vec![2; 5], ..EcapaConfig::default() },
            EcapaConfig { dilations: vec![1, 2, 65_536, 4, 1], ..EcapaConfig::default() },
            EcapaConfig {
                channels: vec![8; 65],
                kernel_sizes: vec![1; 65],
                dilations: vec![1; 65],
                ..EcapaConfig::default()
            },
        ];
        for config in broken {
            assert!(config.validate().is_err(), "{config:?}");
        }
    }
}
