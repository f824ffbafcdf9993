//! A recording on its way through an enhancer, block by block, every channel by itself, in memory
//! that does not grow with it.

use std::collections::VecDeque;

use formant_audio_core::chunk::ChunkConfig;
use formant_audio_core::features::Dither;
use formant_audio_core::resample::{Quality, StreamResampler};
use formant_audio_core::{AudioBuf, AudioSpec, AudioView, Warning};
use serde::Serialize;

use super::{EnhanceOptions, Enhancer};
use crate::error::Result;
use crate::tasks::chunked::{ChunkedSources, SourceModel};
use crate::tasks::mono_stream::{MonoStream, Pace};

/// Seconds at the cuts of a window that its neighbour is taken for, where frames are incomplete.
const CONTEXT_SECONDS: f64 = 0.1;

/// What was done to a recording.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EnhancementReport {
    /// Seconds of the recording.
    pub seconds: f64,
    /// Power of what was taken away beside that of the recording, dB; `None` for nothing.
    pub removed_db: Option<f64>,
    /// What was odd about the recording.
    pub warnings: Vec<Warning>,
}

struct Cleaning<'a> {
    enhancer: &'a Enhancer,
    noise: Option<Dither>,
}

impl SourceModel for Cleaning<'_> {
    fn sources(&self) -> usize {
        1
    }

    fn process(&mut self, chunk: &[f32]) -> Result<Vec<Vec<f32>>> {
        Ok(vec![self.enhancer.run(chunk, self.noise)?])
    }
}

/// One channel on its way.
struct Channel<'a> {
    mono: MonoStream,
    chunked: ChunkedSources<'a, Cleaning<'a>>,
    back: Option<StreamResampler>,
    /// What went in and has not come out.
    dry: VecDeque<f32>,
    own_rate: u32,
    rate: u32,
    wet: f32,
    energy: f64,
    removed: f64,
}

impl Channel<'_> {
    fn push(&mut self, samples: &[f32]) -> Result<Vec<f32>> {
        self.dry.extend(samples);
        let own = self.mono.push(&AudioView::from_mono(self.rate, samples))?;
        let settled = self.chunked.push(&own)?;
        self.give(settled)
    }

    fn give(&mut self, settled: Option<AudioBuf>) -> Result<Vec<f32>> {
        let Some(settled) = settled else { return Ok(Vec::new()) };
        let clean = match &mut self.back {
            Some(resampler) => {
                let view = AudioView::from_mono(self.own_rate, settled.channel(0));
                resampler.push(&view)?.into_planar()
            }
            None => settled.into_planar(),
        };
        Ok(self.mixed(clean))
    }

    /// Cleaned samples beside those that went in.
    fn mixed(&mut self, clean: Vec<f32>) -> Vec<f32> {
        let count = clean.len().min(self.dry.len());
        let mut out = Vec::with_capacity(count);
        for (clean, dry) in clean.into_iter().zip(self.dry.drain(..count)) {
            let y = self.wet * clean + (1.0 - self.wet) * dry;
            self.energy += f64::from(dry) * f64::from(dry);
            self.removed += f64::from(dry - y) * f64::from(dry - y);
            out.push(y);
        }
        out
    }

    fn finish(&mut self) -> Result<Vec<f32>> {
        let tail = self.mono.finish()?;
        let first = self.chunked.push(&tail)?;
        let mut out = self.give(first)?;
        let (rest, _) = self.chunked.finish()?;
        out.extend(self.give(rest)?);
        if let Some(resampler) = &mut self.back {
            let last = resampler.finish()?.into_planar();
            out.extend(self.mixed(last));
        }
        // Rounding of lengths can leave the end short.
        let missing = vec![0.0; self.dry.len()];
        out.extend(self.mixed(missing));
        Ok(out)
    }
}

/// Blocks in, blocks without noise out.
pub struct EnhanceSession<'a> {
    enhancer: &'a Enhancer,
    options: EnhanceOptions,
    config: ChunkConfig,
    spec: Option<AudioSpec>,
    channels: Vec<Channel<'a>>,
    frames: u64,
    non_finite: u64,
}

impl<'a> EnhanceSession<'a> {
    pub(super) fn new(enhancer: &'a Enhancer, options: &EnhanceOptions) -> Result<Self> {
        options.validate()?;
        let rate = f64::from(enhancer.sample_rate());
        let samples = |seconds: f64| (seconds * rate).round().max(0.0) as usize;
        let overlap = samples(options.overlap_seconds);
        let context = samples(CONTEXT_SECONDS).min(overlap.saturating_sub(1) / 4);
        let config = ChunkConfig::new(samples(options.window_seconds), overlap, context)?;
        Ok(Self {
            enhancer,
            options: *options,
            config,
            spec: None,
            channels: Vec::new(),
            frames: 0,
            non_finite: 0,
        })
    }

    fn channel(&self, rate: u32) -> Result<Channel<'a>> {
        let own_rate = self.enhancer.sample_rate();
        let back = match own_rate == rate {
            true => None,
            false => Some(StreamResampler::new(AudioSpec::mono(own_rate), rate, Quality::High)?),
        };
        let cleaning = Cleaning { enhancer: self.enhancer, noise: self.options.noise() };
        Ok(Channel {
            mono: MonoStream::new(own_rate, Pace::Throughput),
            chunked: ChunkedSources::new(cleaning, self.config, own_rate, None),
            back,
            dry: VecDeque::new(),
            own_rate,
            rate,
            wet: self.options.wet(),
            energy: 0.0,
            removed: 0.0,
        })
    }

    /// Takes a block, and returns what is settled, with the block's rate and channels.
    ///
    /// # Errors
    /// [`formant_audio_core::Error::Shape`] when rate or layout change; what the network says.
    pub fn push(&mut self, block: &AudioView<'_>) -> Result<AudioBuf> {
        let spec = block.spec();
        let known = *self.spec.get_or_insert(spec);
        if known != spec {
            return Err(formant_audio_core::Error::Shape {
                what: "block of the stream",
                expected: format!("{} Hz {}", known.rate, known.layout),
                found: format!("{} Hz {}", spec.rate, spec.layout),
            }
            .into());
        }
        while self.channels.len() < spec.channels() {
            let channel = self.channel(spec.rate)?;
            self.channels.push(channel);
        }
        self.frames += block.frames() as u64;
        let mut out = Vec::with_capacity(self.channels.len());
        for (index, channel) in self.channels.iter_mut().enumerate() {
            let mut samples = block.channel(index).to_vec();
            for x in samples.iter_mut().filter(|x| !x.is_finite()) {
                *x = 0.0;
                self.non_finite += 1;
            }
            out.extend(channel.push(&samples)?);
        }
        Ok(AudioBuf::from_planar(spec, out)?)
    }

    /// Ends the recording: what is left, and what was done.
    ///
    /// # Errors
    /// [`formant_audio_core::Error::Empty`] when there was nothing; what the network says.
    pub fn finish(mut self) -> Result<(AudioBuf, EnhancementReport)> {
        let Some(spec) = self.spec.filter(|_| self.frames > 0) else {
            return Err(formant_audio_core::Error::Empty.into());
        };
        let mut out = Vec::new();
        for channel in &mut self.channels {
            out.extend(channel.finish()?);
        }
        let sum = |of: fn(&Channel<'_>) -> f64| self.channels.iter().map(of).sum::<f64>();
        let (energy, removed) = (sum(|c| c.energy), sum(|c| c.removed));
        let mut warnings = Vec::new();
        if self.non_finite > 0 {
            warnings.push(Warning::NonFinite { count: self.non_finite });
        }
        let report = EnhancementReport {
            seconds: self.frames as f64 / f64::from(spec.rate),
            removed_db: (energy > 0.0 && removed > 0.0).then(|| 10.0 * (removed / energy).log10()),
            warnings,
        };
        Ok((AudioBuf::from_planar(spec, out)?, report))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::mossformer::{MossformerCard, MossformerConfig};
    use tch::Device;

    fn enhancer() -> Enhancer {
        let config = MossformerConfig {
            out_channels: 8,
            num_blocks: 1,
            group_size: 16,
            query_key_dim: 6,
            conv_kernel: 5,
            fsmn_inner_channels: 6,
            fsmn_lorder: 3,
            ..MossformerConfig::enhancement()
        };
        let card = MossformerCard::published(config, 48_000).expect("a card");
        Enhancer::random(card, Device::Cpu).expect("sound sizes")
    }

    fn noise(spec: AudioSpec, frames: usize) -> AudioBuf {
        let mut audio = AudioBuf::silence(spec, frames);
        for channel in 0..spec.channels() {
            for (n, x) in audio.channel_mut(channel).iter_mut().enumerate() {
                *x = (((n * 7919 + channel * 31) % 1000) as f32 / 1000.0 - 0.5) * 0.4;
            }
        }
        audio
    }

    #[test]
    fn lengths_and_channels_stay_and_dry_is_dry() {
        let enhancer = enhancer();
        let stereo = AudioSpec { rate: 44_100, layout: formant_audio_core::ChannelLayout::Stereo };
        for (spec, frames) in
            [(AudioSpec::mono(48_000), 1), (stereo, 50_001), (AudioSpec::mono(16_000), 9_999)]
        {
            let audio = noise(spec, frames);
            let wet = enhancer.enhance(&audio.view(), &EnhanceOptions::default()).expect("runs");
            assert_eq!((wet.spec(), wet.frames()), (spec, frames));
            let options = EnhanceOptions { mix: 0.0, ..EnhanceOptions::default() };
            let dry = enhancer.enhance(&audio.view(), &options).expect("runs");
            assert_eq!(dry, audio);
            let options =
                EnhanceOptions { attenuation_limit_db: Some(0.0), ..EnhanceOptions::default() };
            assert_eq!(enhancer.enhance(&audio.view(), &options).expect("runs"), audio);
        }
        let nothing = AudioBuf::silence(AudioSpec::mono(48_000), 0);
        assert!(enhancer.enhance(&nothing.view(), &EnhanceOptions::default()).is_err());
    }

    #[test]
    fn s9_outputs_are_finite_and_blocks_do_not_matter() {
        let enhancer = enhancer();
        let options = EnhanceOptions {
            window_seconds: 0.5,
            overlap_seconds: 0.2,
            ..EnhanceOptions::default()
        };
        let mut audio = noise(AudioSpec::mono(48_000), 100_000);
        audio.channel_mut(0)[77] = f32::NAN;
        audio.channel_mut(0)[78] = f32::INFINITY;
        let whole = enhancer.enhance(&audio.view(), &options).expect("runs");
        assert!(whole.channel(0).iter().all(|x| x.is_finite()));
        let mut session = enhancer.start(&options).expect("sound");
        let mut out = Vec::new();
        for from in (0..audio.frames()).step_by(1234) {
            let to = audio.frames().min(from + 1234);
            out.extend(session.push(&audio.view().slice(from..to)).expect("runs").into_planar());
        }
        let (rest, report) = session.finish().expect("runs");
        out.extend(rest.into_planar());
        assert_eq!(report.warnings, [Warning::NonFinite { count: 2 }]);
        assert_eq!(out.len(), whole.frames());
        for (a, b) in out.iter().zip(whole.channel(0)) {
            assert!((a - b).abs() < 1e-6);
        }
        let silence = AudioBuf::silence(AudioSpec::mono(48_000), 48_000);
        let quiet = enhancer.enhance(&silence.view(), &options).expect("runs");
        assert!(quiet.channel(0).iter().all(|&x| x == 0.0));
    }
}
