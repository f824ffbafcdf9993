//! Voices apart: recordings of any rate and length in, one signal a voice out, of the same rate and
//! length.

mod level;
mod likeness;
mod session;

use formant_audio_core::AudioBuf;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::task::{Pieces, Task, transposed};
use likeness::Helper;
pub use likeness::spectral_print;
pub use session::{SeparateSession, SeparationReport};

use crate::arch::mossformer::{FrozenSourceSeparator, MossFormer, MossformerCard, Network, Output};
use crate::compute::compute;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::source::{LoadOptions, ModelSource, Precision};

/// What the levels of the outputs are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Levels {
    /// Outputs add up to the mixture, where the network masks it; what it leaves over goes to who is
    /// loudest.
    #[default]
    Mixture,
    /// As the network gives them.
    Network,
}

/// How long recordings are cut, and what comes out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SeparateOptions {
    /// Seconds of a window.
    pub window_seconds: f64,
    /// Seconds that neighbouring windows share, at most half of one.
    pub overlap_seconds: f64,
    /// Levels of the outputs.
    pub levels: Levels,
}

impl Default for SeparateOptions {
    fn default() -> Self {
        Self { window_seconds: 8.0, overlap_seconds: 2.0, levels: Levels::Mixture }
    }
}

/// A loaded separator. One serves any number of recordings at the same time; clones share its
/// weights.
#[derive(Debug, Clone)]
pub struct Separator {
    card: MossformerCard,
    network: FrozenSourceSeparator,
    device: Device,
    helper: Helper,
}

impl Separator {
    /// Makes the network's matrix products in numbers of this kind from now on.
    pub fn set_precision(&mut self, precision: Precision) {
        self.network.set_kind(precision.kind());
    }

    /// A separator with random weights, for timing sizes that have no weights.
    ///
    /// # Errors
    /// [`Error::Config`] for impossible sizes.
    pub fn random(card: MossformerCard, device: Device) -> Result<Self> {
        Self::of(Model::random(card, device)?)
    }

    /// A separator of a model that is there already.
    ///
    /// # Errors
    /// [`Error::Config`] when it is none.
    pub fn of(model: Model<MossFormer>) -> Result<Self> {
        let device = model.device();
        // The store goes first, so that weights are given back as they are packed.
        let Model { card, network, .. } = model;
        let Network::Separator(network) = network else {
            let reason = "this model cleans speech and parts no voices; see `formant enhance`";
            return Err(Error::config("model", reason));
        };
        Ok(Self { card, network: network.freeze(), device, helper: Helper::default() })
    }

    /// What the model says about itself.
    #[must_use]
    pub fn card(&self) -> &MossformerCard {
        &self.card
    }

    /// The rate at which the model hears, in Hz.
    #[must_use]
    pub fn sample_rate(&self) -> u32 {
        self.card.sample_rate
    }

    /// Voices that come out.
    #[must_use]
    pub fn voices(&self) -> usize {
        usize::try_from(self.card.config.num_spks).unwrap_or(0)
    }

    /// Whether the outputs can add up to the mixture: a network that maps leaves noise out.
    #[must_use]
    pub fn sums_to_mixture(&self) -> bool {
        self.card.config.output == Output::Masks
    }

    /// The network's answer for samples at its own rate, a row a voice, all as long as `samples`.
    ///
    /// # Errors
    /// What libtorch says.
    pub fn run(&self, samples: &[f32]) -> Result<Vec<Vec<f32>>> {
        // Silence has no voices, whatever a network makes of it.
        if samples.iter().all(|x| x.abs() < 1e-8) {
            return Ok(vec![vec![0.0; samples.len()]; self.voices()]);
        }
        // Zeros behind the end bring the last samples into a whole frame.
        let (kernel, hop) = (self.card.config.kernel_size, self.card.config.hop());
        let (kernel, hop) = (kernel as usize, hop as usize);
        let frames = samples.len().saturating_sub(kernel).div_ceil(hop);
        let mut padded = samples.to_vec();
        padded.resize(kernel + frames * hop, 0.0);
        let mixture = Tensor::from_slice(&padded).unsqueeze(0).to_device(self.device);
        let voices = compute("the separator", &mixture.size(), || {
            self.network.forward(&mixture).squeeze_dim(0)
        })?;
        let voices = voices.narrow(1, 0, samples.len() as i64).to_device(Device::Cpu);
        (0..self.voices())
            .map(|voice| {
                let row = voices.get(voice as i64).to_kind(Kind::Float).contiguous();
                let mut row = Vec::<f32>::try_from(row)?;
                row.iter_mut().filter(|x| !x.is_finite()).for_each(|x| *x = 0.0);
                Ok(row)
            })
            .collect()
    }
}

impl Task for Separator {
    const NAME: &'static str = "separate";
    type Options = SeparateOptions;
    type Session = SeparateSession;
    /// A mono signal a voice, with rate and length of the recording, whose channels are mixed.
    type Output = Vec<AudioBuf>;

    fn load(source: &ModelSource, options: &LoadOptions) -> Result<Self> {
        let mut separator = Self::of(Model::load(source, options.device.resolve()?)?)?;
        separator.set_precision(options.precision);
        Ok(separator)
    }

    fn start(&self, options: &SeparateOptions) -> Result<SeparateSession> {
        SeparateSession::new(self, options)
    }

    fn join(&self, pieces: Pieces<'_, Self>) -> Result<Vec<AudioBuf>> {
        transposed(pieces.parts).iter().map(|voice| Ok(AudioBuf::concat(voice)?)).collect()
    }
}

#[cfg(test)]
mod tests {
    use formant_audio_core::AudioView;

    use super::*;
    use crate::arch::mossformer::MossformerConfig;

    #[test]
    fn the_speaker_model_is_loaded_when_speakers_are_compared() {
        let card = MossformerCard::published(MossformerConfig::tiny(), 8_000).expect("a card");
        let separator = Separator::random(card, Device::Cpu).expect("sound sizes");
        let samples: Vec<f32> = (0..3_000).map(|n| (n as f32 * 0.2).sin() * 0.3).collect();
        let audio = AudioView::from_mono(8_000, &samples);
        separator.process(&audio, &SeparateOptions::default()).expect("separated");
        assert!(
            !separator.helper.is_loaded(),
            "less than half a second says nothing about a voice"
        );
        let clone = separator.clone();
        assert!(clone.helper.get().is_some(), "it is bundled");
        assert!(separator.helper.is_loaded(), "clones share it");
    }
}
