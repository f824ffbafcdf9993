//! A recording on its way through an enhancer, block by block, every channel by itself, in memory
//! that does not grow with it.

use formant_audio_core::chunk::ChunkConfig;
use formant_audio_core::features::Dither;
use formant_audio_core::resample::StreamResampler;
use formant_audio_core::{AudioBuf, AudioSpec, AudioView, Warning};
use serde::Serialize;

use super::{EnhanceOptions, Enhancer};
use crate::error::Result;
use crate::tasks::chunked::{ChunkedSources, SourceModel, windows};
use crate::tasks::intake::{Guard, Pace, resampler};
use crate::tasks::outlet::Outlet;
use crate::tasks::task::{Heard, TaskSession};

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

struct Cleaning {
    enhancer: Enhancer,
    noise: Option<Dither>,
}

impl SourceModel for Cleaning {
    fn sources(&self) -> usize {
        1
    }

    fn process(&mut self, chunk: &[f32]) -> Result<Vec<Vec<f32>>> {
        Ok(vec![self.enhancer.run(chunk, self.noise)?])
    }
}

/// One channel on its way.
struct Channel {
    forth: StreamResampler,
    chunked: ChunkedSources<Cleaning>,
    outlet: Outlet,
}

impl Channel {
    fn push(&mut self, samples: &[f32]) -> Result<Vec<f32>> {
        self.outlet.expect(samples);
        let own = self.forth.push_mono(samples)?;
        let settled = self.chunked.push(&own)?;
        self.give(settled)
    }

    fn give(&mut self, settled: Option<AudioBuf>) -> Result<Vec<f32>> {
        settled.map_or_else(|| Ok(Vec::new()), |settled| self.outlet.push(settled.channel(0)))
    }

    fn finish(&mut self) -> Result<Vec<f32>> {
        let tail = self.forth.finish()?.into_planar();
        let first = self.chunked.push(&tail)?;
        let mut out = self.give(first)?;
        let (rest, _) = self.chunked.finish()?;
        out.extend(self.give(rest)?);
        out.extend(self.outlet.finish()?);
        Ok(out)
    }
}

/// Blocks in, blocks without noise out.
pub struct EnhanceSession {
    enhancer: Enhancer,
    options: EnhanceOptions,
    config: ChunkConfig,
    guard: Guard,
    channels: Vec<Channel>,
}

impl EnhanceSession {
    pub(super) fn new(enhancer: &Enhancer, options: &EnhanceOptions) -> Result<Self> {
        options.validate()?;
        let EnhanceOptions { window_seconds, overlap_seconds, .. } = *options;
        let config = windows(enhancer.sample_rate(), window_seconds, overlap_seconds)?;
        Ok(Self {
            enhancer: enhancer.clone(),
            options: *options,
            config,
            guard: Guard::default(),
            channels: Vec::new(),
        })
    }

    fn channel(&self, rate: u32) -> Result<Channel> {
        let own_rate = self.enhancer.sample_rate();
        let cleaning = Cleaning { enhancer: self.enhancer.clone(), noise: self.options.noise() };
        let back = resampler(AudioSpec::mono(own_rate), rate, Pace::Throughput)?;
        Ok(Channel {
            forth: resampler(AudioSpec::mono(rate), own_rate, Pace::Throughput)?,
            chunked: ChunkedSources::new(cleaning, self.config, own_rate, None),
            outlet: Outlet::new(back).beside_stream(self.options.wet()),
        })
    }
}

impl TaskSession for EnhanceSession {
    /// What is settled, with the stream's rate and channels.
    type Part = AudioBuf;
    type Report = EnhancementReport;

    fn push(&mut self, block: &AudioView<'_>) -> Result<AudioBuf> {
        let block = self.guard.take(block)?;
        let spec = block.spec();
        while self.channels.len() < spec.channels() {
            let channel = self.channel(spec.rate)?;
            self.channels.push(channel);
        }
        let mut out = Vec::with_capacity(self.channels.len());
        for (index, channel) in self.channels.iter_mut().enumerate() {
            out.extend(channel.push(block.channel(index))?);
        }
        Ok(AudioBuf::from_planar(spec, out)?)
    }

    fn heard(&self) -> Heard {
        self.guard.heard()
    }

    fn finish(mut self) -> Result<(AudioBuf, EnhancementReport)> {
        let spec = self.guard.end()?;
        let (mut out, mut energy, mut removed) = (Vec::new(), 0.0, 0.0);
        for channel in &mut self.channels {
            out.extend(channel.finish()?);
            let (channel_energy, channel_removed) = channel.outlet.removed();
            energy += channel_energy;
            removed += channel_removed;
        }
        let Heard { seconds, warnings } = self.heard();
        let removed_db = (energy > 0.0 && removed > 0.0).then(|| 10.0 * (removed / energy).log10());
        let report = EnhancementReport { seconds, removed_db, warnings };
        Ok((AudioBuf::from_planar(spec, out)?, report))
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::arch::mossformer::{MossformerCard, MossformerConfig};
    use crate::tasks::task::Task;
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
            let wet = enhancer.process(&audio.view(), &EnhanceOptions::default()).expect("runs").0;
            assert_eq!((wet.spec(), wet.frames()), (spec, frames));
            let options = EnhanceOptions { mix: 0.0, ..EnhanceOptions::default() };
            let dry = enhancer.process(&audio.view(), &options).expect("runs").0;
            assert_eq!(dry, audio);
            let options =
                EnhanceOptions { attenuation_limit_db: Some(0.0), ..EnhanceOptions::default() };
            assert_eq!(enhancer.process(&audio.view(), &options).expect("runs").0, audio);
        }
        let nothing = AudioBuf::silence(AudioSpec::mono(48_000), 0);
        assert!(enhancer.process(&nothing.view(), &EnhanceOptions::default()).is_err());
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
        let whole = enhancer.process(&audio.view(), &options).expect("runs").0;
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
        let quiet = enhancer.process(&silence.view(), &options).expect("runs").0;
        assert!(quiet.channel(0).iter().all(|&x| x == 0.0));
    }
}
