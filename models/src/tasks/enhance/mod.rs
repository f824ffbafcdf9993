//! Speech from noise: recordings of any rate, channel count and length in, the same without the
//! noise out; and streams as they are being spoken.

mod live;
mod masking;
mod session;

use formant_audio_core::AudioBuf;
use formant_audio_core::features::Dither;
use serde::{Deserialize, Serialize};
use tch::Device;

pub use live::LiveEnhancement;
pub use masking::{Masking, Tail};
pub use session::{EnhanceSession, EnhancementReport};

pub use super::rolling::{LiveOptions, LiveTiming};
use super::separate::Separator;
use super::task::{Pieces, Task};
use crate::arch::mossformer::{MossFormer, MossformerCard, Network};
use crate::error::{Error, Result};
use crate::model::Model;
use crate::source::{LoadOptions, ModelSource, Precision};

/// How noise is taken away.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EnhanceOptions {
    /// Noise that the front end adds at 16-bit scale, as the published training did; 0 for none.
    pub dither: f32,
    /// Start of its random draws.
    pub seed: u64,
    /// By how many dB noise is turned down at most; all of it without a limit.
    pub attenuation_limit_db: Option<f32>,
    /// Share of the cleaned signal in the output, from 0 to 1.
    pub mix: f32,
    /// Seconds of a window.
    pub window_seconds: f64,
    /// Seconds that neighbouring windows share, at most half of one.
    pub overlap_seconds: f64,
}

impl Default for EnhanceOptions {
    fn default() -> Self {
        Self {
            dither: 1.0,
            seed: 0,
            attenuation_limit_db: None,
            mix: 1.0,
            window_seconds: 20.0,
            overlap_seconds: 2.0,
        }
    }
}

impl EnhanceOptions {
    /// Share of the cleaned signal in the output after both limits.
    fn wet(&self) -> f32 {
        let left = self.attenuation_limit_db.map_or(0.0, |limit| 10f32.powf(-limit / 20.0));
        self.mix * (1.0 - left)
    }

    fn validate(&self) -> Result<()> {
        if !(0.0..=1.0).contains(&self.mix) {
            return Err(Error::config("mix", format!("{} is not between 0 and 1", self.mix)));
        }
        if let Some(limit) =
            self.attenuation_limit_db.filter(|limit| !(0.0..=200.0).contains(limit))
        {
            let reason = format!("{limit} dB is not between 0 and 200");
            return Err(Error::config("attenuation limit", reason));
        }
        if !(0.0..=1000.0).contains(&self.dither) {
            return Err(Error::config("dither", format!("{} is not from 0 to 1000", self.dither)));
        }
        Ok(())
    }

    fn noise(&self) -> Option<Dither> {
        (self.dither > 0.0).then_some(Dither { amount: self.dither, seed: self.seed })
    }
}

/// A loaded enhancer. One serves any number of recordings at the same time; clones share its
/// weights.
#[derive(Debug, Clone)]
pub struct Enhancer {
    card: MossformerCard,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    /// Masks of a spectrum.
    Masking(Box<Masking>),
    /// A separator whose first output is speech.
    Waveform(Box<Separator>),
}

impl Enhancer {
    /// Makes the network's matrix products in numbers of this kind from now on.
    pub fn set_precision(&mut self, precision: Precision) {
        match &mut self.kind {
            Kind::Masking(masking) => masking.set_precision(precision),
            Kind::Waveform(separator) => separator.set_precision(precision),
        }
    }

    /// An enhancer with random weights, for timing sizes that have no weights.
    ///
    /// # Errors
    /// [`Error::Config`] for impossible sizes.
    pub fn random(card: MossformerCard, device: Device) -> Result<Self> {
        Self::of(Model::random(card, device)?)
    }

    /// An enhancer of a model that is there already.
    ///
    /// # Errors
    /// [`Error::Config`] when front end and network do not fit each other.
    pub fn of(model: Model<MossFormer>) -> Result<Self> {
        let card = model.card.clone();
        if let Network::Separator(_) = model.network {
            return Ok(Self { card, kind: Kind::Waveform(Box::new(Separator::of(model)?)) });
        }
        let device = model.device();
        // The store goes first, so that weights are given back as they are packed.
        let Model { network, .. } = model;
        let Network::MaskEstimator(network) = network else {
            return Err(Error::config("model", "no network that makes a mask"));
        };
        let masking = Masking::new(&card, network.freeze(), device)?;
        Ok(Self { card, kind: Kind::Masking(Box::new(masking)) })
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

    /// The part that masks a spectrum, where the model works so.
    #[must_use]
    pub fn masking(&self) -> Option<&Masking> {
        match &self.kind {
            Kind::Masking(masking) => Some(masking),
            Kind::Waveform(_) => None,
        }
    }

    /// Begins a stream of `rate` Hz that is cleaned while it is being spoken, with a delay that is
    /// known before. Windows and overlap of `options` are for recordings; here `live` has those.
    ///
    /// # Errors
    /// [`Error::Config`] for options out of range, with the shortest latency that would do.
    pub fn live(
        &self,
        options: &EnhanceOptions,
        live: &LiveOptions,
        rate: u32,
    ) -> Result<LiveEnhancement> {
        LiveEnhancement::new(self, options, live, rate)
    }

    /// Length and distance of the network's frames, in samples at its own rate.
    fn frames(&self) -> (usize, usize) {
        let (length, hop) = match &self.card.frontend {
            Some(frontend) => (frontend.win_length, frontend.hop_length),
            None => (self.card.config.kernel_size as usize, self.card.config.hop() as usize),
        };
        (length, hop.max(1))
    }

    /// The network's answer for samples of one channel at its own rate, as long as they are.
    fn run(&self, samples: &[f32], noise: Option<Dither>) -> Result<Vec<f32>> {
        match &self.kind {
            Kind::Masking(masking) => masking.run(samples, noise, Tail::Covered),
            Kind::Waveform(separator) => Ok(separator.run(samples)?.swap_remove(0)),
        }
    }
}

impl Task for Enhancer {
    const NAME: &'static str = "enhance";
    type Options = EnhanceOptions;
    type Session = EnhanceSession;
    /// The recording without its noise, every channel by itself.
    type Output = AudioBuf;

    fn load(source: &ModelSource, options: &LoadOptions) -> Result<Self> {
        let mut enhancer = Self::of(Model::load(source, options.device.resolve()?)?)?;
        enhancer.set_precision(options.precision);
        Ok(enhancer)
    }

    fn start(&self, options: &EnhanceOptions) -> Result<EnhanceSession> {
        EnhanceSession::new(self, options)
    }

    fn join(&self, pieces: Pieces<'_, Self>) -> Result<AudioBuf> {
        Ok(AudioBuf::concat(&pieces.parts)?)
    }
}
