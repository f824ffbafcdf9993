//! Enhancement by a mask: log-mel features with their deltas in, a gain for every bin of a spectrum
//! out.
//!
//! Source: MossFormer2_SE_48K of ClearerVoice: frames without centring, symmetric Hamming windows.

use formant_audio_core::chunk::Edges;
use formant_audio_core::features::{Dither, FeatureConfig, FeaturePlan};
use formant_audio_core::stft::{StftConfig, StftPlan};
use formant_audio_core::window::{Symmetry, Window};
use tch::Device;

use crate::arch::mossformer::{FrozenMaskEstimator, MossformerCard};
use crate::compute::compute;
use crate::error::{Error, Result};
use crate::nn::frames::batch;
use crate::source::Precision;

/// What happens to samples behind the last whole frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// They become zeros, as in the reference.
    Zeros,
    /// They have the last frame's mask.
    Covered,
}

/// Front end, network and synthesis.
#[derive(Debug, Clone)]
pub struct Masking {
    frontend: FeatureConfig,
    plan: FeaturePlan,
    stft: StftPlan,
    network: FrozenMaskEstimator,
    device: Device,
}

impl Masking {
    pub(super) fn new(
        card: &MossformerCard,
        network: FrozenMaskEstimator,
        device: Device,
    ) -> Result<Self> {
        let Some(frontend) = card.frontend.clone() else {
            return Err(Error::config("frontend", "a network that masks needs features"));
        };
        let plan = FeaturePlan::new(&frontend)?;
        let stft = StftPlan::new(&StftConfig {
            n_fft: frontend.win_length,
            win_length: frontend.win_length,
            hop_length: frontend.hop_length,
            window: Window::Hamming,
            symmetry: Symmetry::Symmetric,
            edges: Edges::Snip,
            ..StftConfig::default()
        })?;
        let found = (plan.bins() as i64, stft.bins() as i64);
        let wanted = (card.config.in_channels, card.config.final_channels());
        if found != wanted {
            let reason = format!("{found:?} features and bins for a network of {wanted:?}");
            return Err(Error::config("frontend", reason));
        }
        Ok(Self { frontend, plan, stft, network, device })
    }

    /// Makes the network's matrix products in numbers of this kind from now on.
    pub fn set_precision(&mut self, precision: Precision) {
        self.network.set_kind(precision.kind());
    }

    /// The transform whose bins are masked.
    #[must_use]
    pub fn stft(&self) -> &StftPlan {
        &self.stft
    }

    /// Samples at the front end's rate without their noise, as many as there are.
    ///
    /// # Errors
    /// What the front end and libtorch say.
    pub fn run(&self, samples: &[f32], dither: Option<Dither>, tail: Tail) -> Result<Vec<f32>> {
        let window = self.frontend.win_length;
        // Whatever the mask, nothing is left of nothing.
        if samples.iter().all(|&x| x == 0.0) {
            return Ok(vec![0.0; samples.len()]);
        }
        let mut padded = samples.to_vec();
        padded.resize(samples.len().max(window), 0.0);
        let features = match dither {
            None => self.plan.compute(&padded)?,
            Some(_) => self.plan.with_dither(dither)?.compute(&padded)?,
        };
        let x = batch(&[features]);
        let mask =
            compute("the enhancer", &x.size(), || self.network.forward(&x.to_device(self.device)))?;
        let mask = mask.to_device(Device::Cpu).contiguous().view([-1]);
        let mask = Vec::<f32>::try_from(mask)?; // [frames, bins of the spectrum]
        if tail == Tail::Covered {
            let hop = self.frontend.hop_length;
            padded.resize(window + (padded.len() - window).div_ceil(hop) * hop, 0.0);
        }
        let mut spectrum = self.stft.forward(&padded);
        let rows = mask.len() / self.stft.bins();
        for (frame, mut row) in spectrum.rows_mut().into_iter().enumerate() {
            let from = frame.min(rows.saturating_sub(1)) * self.stft.bins();
            for (bin, gain) in row.iter_mut().zip(&mask[from..]) {
                *bin *= if gain.is_finite() { *gain } else { 0.0 };
            }
        }
        let mut out = self.stft.inverse(spectrum.view(), Some(padded.len()))?;
        out.truncate(samples.len());
        Ok(out)
    }
}
