//! Super-resolution: recordings of any rate, channel count and length in, the same at the network's
//! rate (48 kHz) with a full band out.

mod bandwidth;
mod crossover;
mod live;
mod session;
mod widen;

use formant_audio_core::AudioBuf;
use formant_audio_core::features::FeaturePlan;
use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

pub(in crate::tasks) use self::bandwidth::BandMeter;
pub(in crate::tasks) use self::crossover::Crossover;
pub(in crate::tasks) use self::widen::{HOLD_SECONDS, gate};

pub use live::LiveSuperRes;
pub use session::{SuperResReport, SuperResSession};
pub use widen::SEAM;

pub use super::rolling::{LiveOptions, LiveTiming};
use super::task::{Pieces, Task};
use crate::arch::hifi_sr::{FrozenHifiSr, HifiSr, HifiSrCard};
use crate::compute::compute;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::source::{LoadOptions, ModelSource, Precision};

/// Hz from which on a band is full: few people hear what is above, and a network adds nothing to it.
pub const FULL_BAND: f64 = 18_000.0;
/// Seconds of a window, and most that windows share, where neither options nor card have others.
const WINDOW_SECONDS: f64 = 20.0;
const OVERLAP_SECONDS: f64 = 2.0;
/// The lowest edge of a band that can be given, Hz.
const LOWEST_EDGE: f64 = 1_000.0;

/// How a band is widened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SuperResOptions {
    /// Hz up to which recordings have sound; measured if not given.
    pub cutoff_hz: Option<f64>,
    /// Seconds of a window; those of the model's card, or 20, if not given.
    pub window_seconds: Option<f64>,
    /// Seconds that neighboring windows share, at most half of one; a quarter, up to 2, if not given.
    pub overlap_seconds: Option<f64>,
}

impl SuperResOptions {
    /// Seconds of a window, and those that windows share.
    fn windows(&self, card: &HifiSrCard) -> (f64, f64) {
        let window = self.window_seconds.or(card.window_seconds).unwrap_or(WINDOW_SECONDS);
        (window, self.overlap_seconds.unwrap_or((window / 4.0).min(OVERLAP_SECONDS)))
    }

    fn validate(&self) -> Result<()> {
        match self.cutoff_hz.filter(|hz| !(LOWEST_EDGE..=FULL_BAND).contains(hz)) {
            Some(hz) => {
                let reason = format!("{hz} Hz is not from {LOWEST_EDGE} to {FULL_BAND}");
                Err(Error::config("cutoff", reason))
            }
            None => Ok(()),
        }
    }
}

/// A loaded super-resolution network. One serves any number of recordings at the same time; clones
/// share its weights.
#[derive(Debug, Clone)]
pub struct SuperResolver {
    card: HifiSrCard,
    plan: FeaturePlan,
    network: FrozenHifiSr,
    device: Device,
}

impl SuperResolver {
    /// A resolver with random weights, for timing sizes that have no weights.
    ///
    /// # Errors
    /// [`Error::Config`] for impossible sizes.
    pub fn random(card: HifiSrCard, device: Device) -> Result<Self> {
        Self::of(Model::random(card, device)?)
    }

    /// A resolver of a model that is there already.
    ///
    /// # Errors
    /// [`Error::Config`] when the front end can't be planned.
    pub fn of(model: Model<HifiSr>) -> Result<Self> {
        let plan = FeaturePlan::new(&model.card.frontend)?;
        let device = model.device();
        // The store goes first, so that weights are given back as they are packed.
        let Model { card, network, .. } = model;
        Ok(Self { card, plan, network: network.freeze(), device })
    }

    /// Makes the network's matrix products in numbers of this kind from now on.
    pub fn set_precision(&mut self, precision: Precision) {
        self.network.set_kind(precision.kind());
    }

    /// What the model says about itself.
    #[must_use]
    pub fn card(&self) -> &HifiSrCard {
        &self.card
    }

    /// The rate of what comes out, in Hz.
    #[must_use]
    pub fn sample_rate(&self) -> u32 {
        self.card.sample_rate()
    }

    /// Begins a stream of `rate` Hz that is widened while it is being spoken, with a delay that is known
    /// before. Windows and overlap of `options` are for recordings; here `live` has those.
    ///
    /// # Errors
    /// [`Error::Config`] for options out of range, with the shortest latency that would do.
    pub fn live(
        &self,
        options: &SuperResOptions,
        live: &LiveOptions,
        rate: u32,
    ) -> Result<LiveSuperRes> {
        LiveSuperRes::new(self, options, live, rate)
    }

    /// What the network makes of samples of one channel at its own rate, with nothing of the samples
    /// kept: a hop of samples for each of theirs that is whole.
    ///
    /// # Errors
    /// What the front end and libtorch say.
    pub fn generate(&self, samples: &[f32]) -> Result<Vec<f32>> {
        let features = self.plan.compute(samples)?;
        let (frames, bands) = features.dim();
        if frames == 0 {
            return Ok(Vec::new());
        }
        let values: Vec<f32> = features.iter().copied().collect();
        let mel = Tensor::from_slice(&values).view([1, frames as i64, bands as i64]);
        let run = || self.network.forward(&mel.to_device(self.device)).to_device(Device::Cpu);
        let out = compute("the super-resolution network", &mel.size(), run)?;
        let mut out = Vec::<f32>::try_from(out.contiguous().view([-1]))?;
        out.iter_mut().filter(|x| !x.is_finite()).for_each(|x| *x = 0.0);
        Ok(out)
    }

    /// As [`SuperResolver::generate`], as many samples as there are.
    fn cover(&self, samples: &[f32]) -> Result<Vec<f32>> {
        let frontend = &self.card.frontend;
        let mut padded = samples.to_vec();
        let least = samples.len().max(frontend.n_fft);
        padded.resize(least.next_multiple_of(frontend.hop_length), 0.0);
        let mut out = self.generate(&padded)?;
        out.resize(samples.len(), 0.0);
        Ok(out)
    }
}

/// Hz up to which samples of one channel at `rate` have sound, of a recording made at that rate.
///
/// # Errors
/// When no transform can be planned.
pub fn measured_band(samples: &[f32], rate: u32) -> Result<f64> {
    let mut meter = BandMeter::new(rate, rate)?;
    meter.push(samples);
    Ok(meter.edge())
}

/// What the network hears of samples at `rate` whose band ends at `edge` Hz: nothing of what a soft
/// slope, or noise, leaves above.
///
/// # Errors
/// What libtorch says.
pub fn heard_band(samples: &[f32], edge: f64, rate: u32) -> Result<Vec<f32>> {
    let low = Crossover::new(edge, edge + SEAM, f64::from(rate)).low(&Tensor::from_slice(samples));
    Ok(Vec::<f32>::try_from(low)?)
}

impl Task for SuperResolver {
    const NAME: &'static str = "superres";
    type Options = SuperResOptions;
    type Session = SuperResSession;
    /// The recording with a full band, every channel by itself.
    type Output = AudioBuf;

    fn load(source: &ModelSource, options: &LoadOptions) -> Result<Self> {
        let mut resolver = Self::of(Model::load(source, options.device.resolve()?)?)?;
        resolver.set_precision(options.precision);
        Ok(resolver)
    }

    fn start(&self, options: &SuperResOptions) -> Result<SuperResSession> {
        SuperResSession::new(self, options)
    }

    fn join(&self, pieces: Pieces<'_, Self>) -> Result<AudioBuf> {
        Ok(AudioBuf::concat(&pieces.parts)?)
    }
}
