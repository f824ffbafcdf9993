//! Vocoding by networks that make a waveform in one pass: HiFi-GAN, BigVGAN, BigVSAN, MelGAN.

use formant_audio_core::features::{FeatureConfig, FeaturePlan};
use formant_audio_core::mel_correction::MelCorrection;
use tch::{Device, Tensor};

use super::correction::Correction;
use super::session::VocodeSession;
use crate::arch::gan_vocoder::{FrozenGanVocoder, GanVocoder, GanVocoderModel};
use crate::checkpoint::Architecture;
use crate::compute::compute;
use crate::error::{Error, Result};
use crate::model::{Arch, Model};
use crate::registry;
use crate::source::{LoadOptions, ModelSource, Precision};

/// Frames that the network makes at a time, and frames around them that it sees: more than samples of any
/// published one depend on.
const CORE: usize = 512;
const AROUND: usize = 64;

/// Makes waveforms of spectrograms in one pass, in the place of a [`Vocoder`](super::Vocoder).
#[derive(Debug, Clone)]
pub struct OnePassVocoder {
    pub(super) front_end: FeaturePlan,
    network: FrozenGanVocoder,
    name: String,
    /// Fewest frames that the network takes.
    minimum: usize,
    correction: Option<MelCorrection>,
    device: Device,
}

impl OnePassVocoder {
    /// Whether a source holds such a network.
    ///
    /// # Errors
    /// What reading the checkpoint says.
    pub fn is_in(source: &ModelSource) -> Result<bool> {
        let found: Option<Architecture> = registry::architecture(source)?;
        Ok(found.is_some_and(|found| GanVocoder::ARCHITECTURES.contains(&found)))
    }

    /// Loads a published file or folder.
    ///
    /// # Errors
    /// What reading the checkpoint says; [`Error::Device`] when the device is not there.
    pub fn load(source: &ModelSource, options: &LoadOptions) -> Result<Self> {
        Self::of(Model::load(source, options.device.resolve()?)?, options.precision)
    }

    /// A vocoder of a model that is there already.
    ///
    /// # Errors
    /// [`Error::Config`] for a front end that cannot be.
    pub fn of(model: GanVocoderModel, precision: Precision) -> Result<Self> {
        let (device, info) = (model.device(), model.network.info());
        let mut network = model.network.freeze();
        if precision != Precision::F32 {
            network.set_kind(precision.kind());
        }
        Ok(Self {
            front_end: FeaturePlan::new(&model.card.frontend.streamable())?,
            network,
            name: info.architecture,
            minimum: info.minimum_frames,
            correction: None,
            device,
        })
    }

    /// The same with so many passes of [`MelCorrection`] behind it.
    ///
    /// # Errors
    /// As [`MelCorrection::new`], where there are passes.
    pub fn refined(mut self, passes: usize) -> Result<Self> {
        self.correction = match passes {
            0 => None,
            passes => Some(MelCorrection::new(self.front_end(), passes)?),
        };
        Ok(self)
    }

    /// Name of the network, such as `hifi-gan`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The spectrogram that it takes.
    #[must_use]
    pub fn front_end(&self) -> &FeatureConfig {
        self.front_end.config()
    }

    /// The rate of what comes out, in Hz.
    #[must_use]
    pub fn sample_rate(&self) -> u32 {
        self.front_end.sample_rate()
    }

    /// Values of a frame.
    #[must_use]
    pub fn bands(&self) -> usize {
        self.front_end.bins()
    }

    /// Begins a spectrogram, whose rows are given as they come.
    #[must_use]
    pub fn start_mel(&self) -> OnePassStream {
        OnePassStream {
            correction: Correction::new(self.correction.as_ref()),
            vocoder: self.clone(),
            rows: Vec::new(),
            first: 0,
            made: 0,
        }
    }

    /// The waveform of a whole spectrogram, frame by frame in `rows`: a hop of samples for each.
    ///
    /// # Errors
    /// As [`OnePassStream::push`].
    pub fn process_mel(&self, rows: &[f32]) -> Result<Vec<f32>> {
        let mut stream = self.start_mel();
        let mut samples = stream.push(rows)?;
        samples.extend(stream.finish()?);
        Ok(samples)
    }

    /// Begins a recording, every channel by itself. Its level is kept.
    #[must_use]
    pub fn start(&self) -> VocodeSession {
        VocodeSession::of_one_pass(self)
    }
}

/// One spectrogram on its way to a waveform: rows in, samples out.
pub struct OnePassStream {
    vocoder: OnePassVocoder,
    /// Frames from number `first` on.
    rows: Vec<f32>,
    first: usize,
    /// Frames whose samples are made.
    made: usize,
    correction: Correction,
}

impl OnePassStream {
    /// Takes frames, one after the other in `rows`, and returns the samples that are settled by now.
    ///
    /// # Errors
    /// [`Error::Config`] for values that are no whole frames; what libtorch says.
    pub fn push(&mut self, rows: &[f32]) -> Result<Vec<f32>> {
        if !rows.len().is_multiple_of(self.vocoder.bands()) {
            return Err(Error::config("rows", "are no whole frames"));
        }
        self.rows.extend(rows);
        let mut samples = Vec::new();
        while self.frames() >= self.made + CORE + AROUND {
            samples.extend(self.make(self.made + CORE)?);
        }
        self.correction.push(rows, samples)
    }

    /// Ends the spectrogram: the rest of the samples.
    ///
    /// # Errors
    /// What libtorch says.
    pub fn finish(mut self) -> Result<Vec<f32>> {
        let mut samples = Vec::new();
        while self.made < self.frames() {
            samples.extend(self.make(self.frames().min(self.made + CORE))?);
        }
        self.correction.finish(samples)
    }

    fn frames(&self) -> usize {
        self.first + self.rows.len() / self.vocoder.bands()
    }

    /// Samples of the frames up to `end`.
    fn make(&mut self, end: usize) -> Result<Vec<f32>> {
        let bands = self.vocoder.bands();
        let (from, to) = (self.made.saturating_sub(AROUND), self.frames().min(end + AROUND));
        let seen = &self.rows[(from - self.first) * bands..(to - self.first) * bands];
        let last = &seen[seen.len() - bands..];
        let missing = self.vocoder.minimum.saturating_sub(to - from);
        let seen = [seen, &last.repeat(missing)].concat();
        let mel =
            Tensor::from_slice(&seen).view([1, -1, bands as i64]).transpose(1, 2).contiguous();
        let mel = mel.to_device(self.vocoder.device);
        let wave = compute("the vocoder", &mel.size(), || self.vocoder.network.forward(&mel))?;
        let hop = self.vocoder.front_end().hop_length;
        let (skipped, count) = ((self.made - from) * hop, (end - self.made) * hop);
        let core = wave.reshape([-1]).narrow(0, skipped as i64, count as i64);
        self.made = end;
        // What the next frames do not see is not kept.
        let kept = end.saturating_sub(AROUND).max(self.first);
        self.rows.drain(..(kept - self.first) * bands);
        self.first = kept;
        Ok(Vec::<f32>::try_from(core)?)
    }
}

#[cfg(test)]
mod tests {
    use tch::kind::FLOAT_CPU;

    use super::*;
    use crate::arch::gan_vocoder::{
        GanVocoderCard, GanVocoderConfig, GeneratorConfig, HifiGanConfig, MelGanConfig,
    };

    fn models() -> [GanVocoderModel; 2] {
        tch::manual_seed(3);
        let generator = GeneratorConfig::tiny();
        let hifi = GanVocoderConfig::HifiGan(HifiGanConfig { num_mels: 80, generator });
        let melgan = GanVocoderConfig::Melgan(MelGanConfig { ngf: 1, ..MelGanConfig::default() });
        [hifi, melgan].map(|config| {
            let card = GanVocoderCard::published(config).expect("a card");
            GanVocoderModel::random(card, Device::Cpu).expect("sound sizes")
        })
    }

    /// The whole at once, blocks of any size, and what one call makes are the same.
    #[test]
    fn spectrograms_are_made_in_pieces_whatever_the_blocks() {
        for model in models() {
            let whole = model.clone().network.freeze();
            let vocoder = OnePassVocoder::of(model, Precision::F32).expect("a vocoder");
            let mel = Tensor::rand([1, 80, 1_100], FLOAT_CPU);
            let wanted = Vec::<f32>::try_from(whole.forward(&mel).reshape([-1])).expect("numbers");
            let rows: Vec<f32> = Vec::try_from(mel.transpose(1, 2).reshape([-1])).expect("numbers");
            let found = vocoder.process_mel(&rows).expect("runs");
            assert_eq!(found.len(), 1_100 * 256);
            let worst = found.iter().zip(&wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 1e-4, "{}: {worst}", vocoder.name());
            let mut stream = vocoder.start_mel();
            let mut pieces = Vec::new();
            for rows in rows.chunks(97 * 80) {
                pieces.extend(stream.push(rows).expect("runs"));
            }
            pieces.extend(stream.finish().expect("runs"));
            assert!(pieces == found, "{}", vocoder.name());
            for frames in [0, 1, 2] {
                let few = vocoder.process_mel(&rows[..frames * 80]).expect("runs");
                assert_eq!(few.len(), frames * 256);
            }
            assert!(vocoder.process_mel(&rows[..81]).is_err());
        }
    }
}
