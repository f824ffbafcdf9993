//! Sizes of the network; field names are those of the reference's config.

use serde::{Deserialize, Serialize};

use crate::checkpoint::StateDict;
use crate::error::{Error, Result};

/// Samples of a step of the conditioning, and of a mid frame of the path with period 1: what three
/// downsamplings by 4 make of a sample.
pub const STEP: i64 = 64;

/// Most channels, eight times the published number.
const MOST_CHANNELS: i64 = 1 << 12;
/// Most bands of a spectrogram, ten times the published number.
const MOST_BANDS: i64 = 1 << 10;
/// Most paths, and the longest period.
const MOST_PERIODS: usize = 8;
const LONGEST_PERIOD: i64 = 16;
/// Largest common multiple of the periods, on which windows begin; that of the published ones is 210.
const MOST_COMMON: i64 = 1 << 11;

/// The three layouts that were released.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Variant {
    /// From log-mel spectrograms.
    #[default]
    Base,
    /// As base, with one residual block more at the bottom and behind the paths.
    Large,
    /// From embeddings of EnCodec.
    Codec,
}

/// Sizes of the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PeriodWaveConfig {
    /// Layout.
    pub variant: Variant,
    /// Bands of the spectrogram, or dimensions of the codec's embedding.
    pub n_mel_channels: i64,
    /// Samples that are folded to a row, one for each path.
    pub periods: Vec<i64>,
    /// Channels at the bottom of the paths.
    pub hidden_dim: i64,
    /// Channels at the rate of the samples: a sixteenth of `hidden_dim`.
    pub final_dim: i64,
}

impl Default for PeriodWaveConfig {
    /// The published base network at 24 kHz.
    fn default() -> Self {
        Self {
            variant: Variant::Base,
            n_mel_channels: 100,
            periods: vec![1, 2, 3, 5, 7],
            hidden_dim: 512,
            final_dim: 32,
        }
    }
}

impl PeriodWaveConfig {
    /// Whether spectrograms go in, with the energy prior, and not embeddings.
    #[must_use]
    pub fn takes_mel(&self) -> bool {
        self.variant != Variant::Codec
    }

    /// Channels that go into the conditioning encoder.
    #[must_use]
    pub fn inputs(&self) -> i64 {
        self.n_mel_channels + i64::from(self.takes_mel())
    }

    /// Steps of the conditioning in a frame.
    #[must_use]
    pub fn steps_a_frame(&self) -> i64 {
        if self.takes_mel() { 4 } else { 5 }
    }

    /// Samples of a frame.
    #[must_use]
    pub fn hop(&self) -> i64 {
        STEP * self.steps_a_frame()
    }

    /// The least number of frames: the reflections at the end need as many.
    #[must_use]
    pub fn minimum_frames(&self) -> i64 {
        STEP * self.periods.iter().max().copied().unwrap_or(1) / self.hop() + 1
    }

    /// Samples after which frames and the rows of all paths begin together.
    #[must_use]
    pub fn grid(&self) -> i64 {
        let rows = self.periods.iter().fold(STEP, |all, &period| common(all, STEP * period));
        common(rows, self.hop())
    }

    /// Dilations of the residual blocks at the bottom and behind the paths.
    pub(super) fn dilations(&self) -> &'static [i64] {
        match self.variant {
            Variant::Large => &[1, 2, 1, 4],
            Variant::Base | Variant::Codec => &[1, 2, 4],
        }
    }

    /// Dimensions of the embeddings of time and of the period.
    pub(super) fn embedding_dim(&self) -> i64 {
        if self.takes_mel() { self.hidden_dim / 2 } else { self.hidden_dim }
    }

    /// Refuses sizes that no network can have.
    ///
    /// # Errors
    /// [`Error::Config`] naming the field.
    pub fn validate(&self) -> Result<()> {
        crate::arch::bounds::check_sizes(&[
            ("n_mel_channels", self.n_mel_channels, MOST_BANDS),
            ("hidden_dim", self.hidden_dim, MOST_CHANNELS),
        ])?;
        let refuse = |field: &str, reason: String| Err(Error::config(field, reason));
        let hidden = self.hidden_dim;
        if hidden % 16 != 0 {
            return refuse("hidden_dim", format!("{hidden} is no multiple of 16"));
        }
        if self.final_dim != hidden / 16 {
            let reason = format!("{} is not a sixteenth of {hidden}", self.final_dim);
            return refuse("final_dim", reason);
        }
        let periods = &self.periods;
        let each = periods.iter().all(|period| (1..=LONGEST_PERIOD).contains(period));
        if !(1..=MOST_PERIODS).contains(&periods.len()) || !each {
            let reason =
                format!("{periods:?}; 1 to {MOST_PERIODS} from 1 to {LONGEST_PERIOD} are accepted");
            return refuse("periods", reason);
        }
        match periods.iter().fold(1, |all, &period| common(all, period)) {
            ..=MOST_COMMON => Ok(()),
            most => refuse("periods", format!("{periods:?} meet after {most} samples only")),
        }
    }

    /// The sizes that weights show by their shapes. The published config of the large network is that
    /// of the base one, so that no file is asked.
    ///
    /// # Errors
    /// [`Error::Config`] when the weights are of another network.
    pub fn of_weights(weights: &StateDict) -> Result<Self> {
        let dim = |name: &str, axis: usize| -> Option<i64> {
            let plain = weights.get(name).or_else(|| weights.get(&format!("{name}_v")))?;
            plain.shape().get(axis).and_then(|&size| i64::try_from(size).ok())
        };
        let needed = |name: &str, axis: usize| {
            let missing = || Error::config("weights", format!("no `{name}` of a PeriodWave"));
            dim(name, axis).ok_or_else(missing)
        };
        let hidden_dim = needed("estimator.mlp.2.weight", 0)?;
        let is_codec = Some(needed("estimator.mlp.0.weight", 1)?) == hidden_dim.checked_mul(2);
        let is_large = dim("estimator.proj_layer.ResBlocks.3.block1.weight", 0).is_some();
        let inputs = needed("estimator.MelCond.embed.weight", 1)?;
        let kernels = (0..MOST_PERIODS)
            .map_while(|path| dim(&format!("estimator.MelCond.cond_block.{path}.weight"), 2));
        Ok(Self {
            variant: match (is_codec, is_large) {
                (true, _) => Variant::Codec,
                (false, true) => Variant::Large,
                (false, false) => Variant::Base,
            },
            n_mel_channels: inputs - i64::from(!is_codec),
            periods: kernels.map(|kernel| kernel / 2).collect(),
            hidden_dim,
            final_dim: hidden_dim / 16,
        })
    }
}

/// The least common multiple; both numbers are small and positive.
fn common(a: i64, b: i64) -> i64 {
    let (mut x, mut y) = (a.max(1), b.max(1));
    while y != 0 {
        (x, y) = (y, x % y);
    }
    (a / x).saturating_mul(b)
}

#[cfg(test)]
impl PeriodWaveConfig {
    /// A network that computes in no time, for tests.
    pub(crate) fn tiny() -> Self {
        Self { n_mel_channels: 80, hidden_dim: 16, final_dim: 1, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_begin_where_all_rows_and_frames_do() {
        let config = PeriodWaveConfig::default();
        assert_eq!((config.hop(), config.grid(), config.minimum_frames()), (256, 105 * 256, 2));
        let codec = PeriodWaveConfig { variant: Variant::Codec, ..config };
        assert_eq!((codec.hop(), codec.grid(), codec.minimum_frames()), (320, 42 * 320, 2));
    }

    #[test]
    fn impossible_sizes_are_refused() {
        PeriodWaveConfig::tiny().validate().expect("sound sizes");
        let published = PeriodWaveConfig::default;
        published().validate().expect("published sizes");
        let broken = [
            PeriodWaveConfig { hidden_dim: 24, ..published() },
            PeriodWaveConfig { hidden_dim: 1 << 20, ..published() },
            PeriodWaveConfig { final_dim: 48, ..published() },
            PeriodWaveConfig { n_mel_channels: 0, ..published() },
            PeriodWaveConfig { periods: vec![], ..published() },
            PeriodWaveConfig { periods: vec![0], ..published() },
            PeriodWaveConfig { periods: vec![1 << 40], ..published() },
            PeriodWaveConfig { periods: vec![16, 15, 13, 11], ..published() },
        ];
        for config in broken {
            assert!(config.validate().is_err(), "{config:?}");
        }
    }
}
