//! What a vocoder says about itself: sizes, front end, energy statistics, sampling, origin and measured
//! quality. Stored as JSON in the metadata of its weights file.

use formant_audio_core::features::{FeatureConfig, FeaturePlan, Leveling, presets};
use formant_audio_core::mel_correction::MelCorrection;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tch::{Kind, Tensor};

use super::config::{PeriodWaveConfig, Variant};
use super::sampling::Sampling;
use crate::arch::front_end;
use crate::checkpoint::StateDict;
use crate::error::{Error, Result};

/// The rate of models for EnCodec's embeddings, Hz.
const CODEC_RATE: u32 = 24_000;
/// Least deviation of the noise, relative to the loudest frame of the training data.
const LEAST_DEVIATION: f64 = 0.1;
/// Largest factor of the noise; the published ones are 0.25 and 0.5.
const MOST_NOISE: f64 = 10.0;

/// Extremes of the energy of frames over the training data. The published configs name files for them
/// that are in no release.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Energy {
    /// Of the quietest frame.
    pub min: f64,
    /// Of the loudest frame.
    pub max: f64,
}

impl Energy {
    /// LibriTTS, 24 kHz, 100 bands.
    pub const LIBRITTS: Self = Self { min: 0.031_622_782_349_586_49, max: 9.124_345_779_418_945 };
    /// LJSpeech, 22.05 kHz, 80 bands.
    pub const LJSPEECH: Self = Self { min: 0.069_023_370_742_797_85, max: 5.423_669_815_063_477 };
}

/// Everything about a model but its weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PeriodWaveCard {
    /// Sizes of the network.
    pub config: PeriodWaveConfig,
    /// The spectrogram that it takes; `None` for a codec's embeddings.
    pub frontend: Option<FeatureConfig>,
    /// Statistics of the energy prior, where the network takes spectrograms.
    pub energy: Option<Energy>,
    /// Factor of the noise that the flow begins with.
    pub noise_scale: f64,
    /// How waveforms are drawn where nothing else is asked for.
    pub sampling: Sampling,
    /// Where the weights come from: recipe, data, licence, measured quality; free-form.
    #[serde(default)]
    pub provenance: Value,
}

impl PeriodWaveCard {
    /// The card of a network as it is published: of 22.05 kHz for 80 bands, of 24 kHz otherwise.
    ///
    /// # Errors
    /// [`Error::Config`] when the front end's preset is gone.
    pub fn published(config: PeriodWaveConfig) -> Result<Self> {
        let (preset, energy, noise_scale) = match (config.variant, config.n_mel_channels) {
            (Variant::Codec, _) => (None, None, 0.25),
            (_, 80) => (Some("periodwave-22k-80"), Some(Energy::LJSPEECH), 0.25),
            _ => (Some("periodwave"), Some(Energy::LIBRITTS), 0.5),
        };
        let frontend = preset.map(presets::by_name).transpose()?.map(|mut preset| {
            if let Some(mel) = &mut preset.mel {
                mel.n_mels = usize::try_from(config.n_mel_channels).unwrap_or_default();
            }
            // The level is the business of the task.
            preset.leveling = Leveling::None;
            preset
        });
        let sampling = Sampling::default();
        let provenance = Value::Null;
        Ok(Self { config, frontend, energy, noise_scale, sampling, provenance })
    }

    /// The card of weights with plain names. Their shapes show the sizes; `stated` is the published
    /// config, whose values for the data are taken.
    ///
    /// # Errors
    /// [`Error::Config`] when the weights are of another network, or values have a wrong type.
    pub fn read(stated: Option<&Value>, weights: &StateDict) -> Result<Self> {
        let mut card = Self::published(PeriodWaveConfig::of_weights(weights)?)?;
        let Some(stated) = stated else { return Ok(card) };
        if !["data", "model"].iter().any(|name| stated.get(name).is_some_and(Value::is_object)) {
            let reason = "has no section `data` or `model`; remove it, or put the right one there";
            return Err(Error::config("config.json", reason));
        }
        let number = |section: &str, name: &str| -> Result<Option<f64>> {
            match stated.get(section).and_then(|section| section.get(name)) {
                None | Some(Value::Null) => Ok(None),
                Some(value) => value.as_f64().map(Some).ok_or_else(|| {
                    Error::config(format!("{section}.{name}"), format!("{value} is no number"))
                }),
            }
        };
        if let Some(bands) = number("data", "n_mel_channels")?
            && card.config.takes_mel()
            && bands != card.config.n_mel_channels as f64
        {
            let reason = format!("{bands}, but the weights have {}", card.config.n_mel_channels);
            return Err(Error::config("data.n_mel_channels", reason));
        }
        if let Some(frontend) = &mut card.frontend {
            let size = |name: &str, value: &mut usize| -> Result<()> {
                match number("data", name)? {
                    Some(stated) if stated.fract() == 0.0 && stated >= 0.0 => {
                        *value = stated as usize;
                        Ok(())
                    }
                    Some(stated) => {
                        Err(Error::config(format!("data.{name}"), format!("{stated} samples")))
                    }
                    None => Ok(()),
                }
            };
            let mut rate = frontend.sample_rate as usize;
            size("sampling_rate", &mut rate)?;
            frontend.sample_rate = u32::try_from(rate).unwrap_or(u32::MAX);
            size("filter_length", &mut frontend.n_fft)?;
            size("hop_length", &mut frontend.hop_length)?;
            size("win_length", &mut frontend.win_length)?;
            if let Some(mel) = &mut frontend.mel {
                mel.f_min = number("data", "mel_fmin")?.unwrap_or(mel.f_min);
                mel.f_max = number("data", "mel_fmax")?.unwrap_or(mel.f_max);
            }
            // The rate tells the training data.
            if frontend.sample_rate == 22_050 {
                card.energy = Some(Energy::LJSPEECH);
            }
        }
        card.noise_scale = number("model", "noise_scale")?.unwrap_or(card.noise_scale);
        if let Some(steps) = number("train", "tuning_steps")?.filter(|&steps| steps >= 1.0) {
            card.sampling.steps = steps as usize;
        }
        Ok(card)
    }

    /// Rate of the samples, Hz.
    #[must_use]
    pub fn sample_rate(&self) -> u32 {
        self.frontend.as_ref().map_or(CODEC_RATE, |frontend| frontend.sample_rate)
    }

    /// What goes into the conditioning encoder for frames `[batch, bands, frames]`, and the deviation of
    /// the noise in each frame, `[batch, 1, frames]`.
    pub fn prior(&self, frames: &Tensor) -> (Tensor, Tensor) {
        let size = frames.size();
        let Some(Energy { min, max }) = self.energy else {
            return (frames.shallow_clone(), Tensor::ones([size[0], 1, size[2]], kind_of(frames)));
        };
        let energy = frames.exp().sum_dim_intlist([1i64].as_slice(), true, Kind::Float).sqrt();
        let deviation = ((energy - min) / (max - min)).clamp_min(LEAST_DEVIATION);
        (Tensor::cat(&[frames, &deviation], 1), deviation)
    }

    /// What follows the network for so many passes.
    ///
    /// # Errors
    /// [`Error::Config`] for a front end that the correction cannot work on, and where there is none.
    pub fn mel_correction(&self, passes: usize) -> Result<Option<MelCorrection>> {
        match &self.frontend {
            _ if passes == 0 => Ok(None),
            Some(frontend) => Ok(Some(MelCorrection::new(&frontend.streamable(), passes)?)),
            None => {
                Err(Error::config("refine", "models of codecs have no spectrogram to refine to"))
            }
        }
    }

    /// Refuses a card whose parts do not fit each other.
    ///
    /// # Errors
    /// [`Error::Config`] naming the part.
    pub fn validate(&self) -> Result<()> {
        self.config.validate()?;
        self.sampling.validate()?;
        let refuse = |name: &str, reason: String| Err(Error::config(name, reason));
        if !(0.0..=MOST_NOISE).contains(&self.noise_scale) {
            let reason = format!("{} is not from 0 to {MOST_NOISE}", self.noise_scale);
            return refuse("noise_scale", reason);
        }
        let is_mel = self.config.takes_mel();
        if is_mel != self.frontend.is_some() || is_mel != self.energy.is_some() {
            let reason =
                "models of spectrograms have it, and `energy`; models of codecs have neither";
            return refuse("frontend", reason.to_owned());
        }
        if let Some(Energy { min, max }) = self.energy
            && !(min.is_finite() && max.is_finite() && min >= 0.0 && max > min)
        {
            return refuse("energy", format!("{min} to {max}"));
        }
        self.mel_correction(self.sampling.refine)?;
        let Some(frontend) = &self.frontend else { return Ok(()) };
        front_end::check(frontend, self.config.n_mel_channels)?;
        let hop = self.config.hop();
        if i64::try_from(frontend.hop_length) != Ok(hop) {
            let reason =
                format!("{}; the network makes {hop} samples a frame", frontend.hop_length);
            return refuse("frontend.hop_length", reason);
        }
        let samples = 8 * frontend.n_fft.next_multiple_of(frontend.hop_length);
        let frames = FeaturePlan::new(&frontend.streamable())?.num_frames(samples);
        if frames != samples / frontend.hop_length {
            let reason = format!("{frames} frames for {samples} samples, not one a hop");
            return refuse("frontend", reason);
        }
        Ok(())
    }
}

fn kind_of(tensor: &Tensor) -> (Kind, tch::Device) {
    (Kind::Float, tensor.device())
}
