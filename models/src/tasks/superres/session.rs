//! A recording on its way to a full band, window by window, every channel by itself, in memory that
//! does not grow with it.

use formant_audio_core::chunk::{Chunk, ChunkConfig, Chunker, OverlapAdd};
use formant_audio_core::level::power_db;
use formant_audio_core::resample::StreamResampler;
use formant_audio_core::{AudioBuf, AudioSpec, AudioView, Warning};
use serde::Serialize;

use super::bandwidth::BandMeter;
use super::widen::{is_narrow, widened};
use super::{SuperResOptions, SuperResolver};
use crate::error::Result;
use crate::tasks::intake::{Guard, Pace, resampler};
use crate::tasks::task::{Heard, TaskSession};

/// Seconds at the cuts of a window that its neighbor is taken for.
const CONTEXT_SECONDS: f64 = 0.1;

/// What was done to a recording.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SuperResReport {
    /// Seconds of the recording.
    pub seconds: f64,
    /// Hz up to which each channel had sound, as measured or given.
    pub cutoff_hz: Vec<f64>,
    /// Share of the windows in which the band was widened; the others went through untouched.
    pub widened: f64,
    /// Power of what changed below the edge beside that of the recording there, dB; `None` for
    /// nothing at all.
    pub low_band_db: Option<f64>,
    /// What was odd about the recording.
    pub warnings: Vec<Warning>,
}

/// What is counted over the windows of a recording.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    windows: u64,
    widened: u64,
    low_energy: f64,
    low_change: f64,
}

/// Blocks in, blocks with a full band out, at the network's rate.
pub struct SuperResSession {
    resolver: SuperResolver,
    options: SuperResOptions,
    config: ChunkConfig,
    guard: Guard,
    stream: Option<Stream>,
    counts: Counts,
}

/// What hangs on the rate and the channels of a recording.
struct Stream {
    forth: StreamResampler,
    chunker: Chunker,
    joiner: OverlapAdd,
    meters: Vec<BandMeter>,
}

impl SuperResSession {
    pub(super) fn new(resolver: &SuperResolver, options: &SuperResOptions) -> Result<Self> {
        options.validate()?;
        let rate = f64::from(resolver.sample_rate());
        let samples = |seconds: f64| (seconds * rate).round().max(0.0) as usize;
        let (window, overlap) = options.windows(&resolver.card);
        let overlap = samples(overlap);
        let context = samples(CONTEXT_SECONDS).min(overlap.saturating_sub(1) / 4);
        let config = ChunkConfig::new(samples(window), overlap, context)?;
        Ok(Self {
            resolver: resolver.clone(),
            options: *options,
            config,
            guard: Guard::default(),
            stream: None,
            counts: Counts::default(),
        })
    }

    /// Rate and layout of what comes out for a recording of `input`.
    #[must_use]
    pub fn output_spec(&self, input: AudioSpec) -> AudioSpec {
        AudioSpec { rate: self.resolver.sample_rate(), ..input }
    }

    fn stream(&self, input: AudioSpec) -> Result<Stream> {
        let inside = self.output_spec(input);
        let meter = || BandMeter::new(inside.rate, input.rate);
        Ok(Stream {
            forth: resampler(input, inside.rate, Pace::Throughput)?,
            chunker: Chunker::new(self.config, inside),
            joiner: OverlapAdd::new(self.config),
            meters: (0..input.channels()).map(|_| meter()).collect::<Result<_>>()?,
        })
    }

    fn take(&mut self, stream: &mut Stream, chunks: Vec<Chunk>) -> Result<Vec<AudioBuf>> {
        chunks.into_iter().map(|chunk| self.window(stream, chunk)).collect()
    }

    fn window(&mut self, stream: &mut Stream, mut chunk: Chunk) -> Result<AudioBuf> {
        for (index, meter) in stream.meters.iter_mut().enumerate() {
            meter.push(chunk.audio.channel(index));
            let edge = self.options.cutoff_hz.unwrap_or_else(|| meter.edge());
            self.counts.windows += 1;
            let samples = chunk.audio.channel_mut(index);
            if is_narrow(samples, edge) {
                self.counts.widened += 1;
                let widened = widened(&self.resolver, samples, edge)?;
                self.counts.low_energy += widened.low_energy;
                self.counts.low_change += widened.low_change;
                samples.copy_from_slice(&widened.samples);
            }
        }
        Ok(stream.joiner.push(chunk)?)
    }
}

impl TaskSession for SuperResSession {
    /// What is settled, at the network's rate with the stream's channels.
    type Part = AudioBuf;
    type Report = SuperResReport;

    fn push(&mut self, block: &AudioView<'_>) -> Result<AudioBuf> {
        let block = self.guard.take(block)?;
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.stream(block.spec())?,
        };
        let inside = stream.forth.push(&block.view())?;
        let chunks = stream.chunker.push(&inside.view())?;
        let mut parts = vec![AudioBuf::silence(inside.spec(), 0)];
        parts.extend(self.take(&mut stream, chunks)?);
        self.stream = Some(stream);
        Ok(AudioBuf::concat(&parts)?)
    }

    fn heard(&self) -> Heard {
        self.guard.heard()
    }

    fn finish(mut self) -> Result<(AudioBuf, SuperResReport)> {
        let spec = self.output_spec(self.guard.end()?);
        let mut parts = vec![AudioBuf::silence(spec, 0)];
        let mut cutoff_hz = Vec::new();
        if let Some(mut stream) = self.stream.take() {
            let mut chunks = stream.chunker.push(&stream.forth.finish()?.view())?;
            chunks.extend(stream.chunker.finish());
            parts.extend(self.take(&mut stream, chunks)?);
            parts.extend(stream.joiner.finish());
            let edge = |meter: &BandMeter| self.options.cutoff_hz.unwrap_or_else(|| meter.edge());
            cutoff_hz = stream.meters.iter().map(edge).collect();
        }
        let Heard { seconds, warnings } = self.heard();
        let Counts { windows, widened, low_energy, low_change } = self.counts;
        let report = SuperResReport {
            seconds,
            cutoff_hz,
            widened: widened as f64 / windows.max(1) as f64,
            low_band_db: (low_energy > 0.0).then(|| power_db(low_change / low_energy)).flatten(),
            warnings,
        };
        Ok((AudioBuf::concat(&parts)?, report))
    }
}

#[cfg(test)]
mod tests {
    use formant_audio_core::ChannelLayout;
    use formant_audio_core::resample::{Quality, output_frames, resample};
    use tch::{Device, Kind, Tensor};

    use super::super::crossover::Crossover;
    use super::super::widen::SEAM;
    use super::*;
    use crate::arch::hifi_sr::{HifiSrCard, HifiSrConfig};
    use crate::tasks::task::Task;

    fn resolver() -> SuperResolver {
        let card = HifiSrCard::published(HifiSrConfig::tiny()).expect("a card");
        SuperResolver::random(card, Device::Cpu).expect("sound sizes")
    }

    fn noise(spec: AudioSpec, frames: usize) -> AudioBuf {
        let mut audio = AudioBuf::silence(spec, frames);
        for channel in 0..spec.channels() {
            for (n, x) in audio.channel_mut(channel).iter_mut().enumerate() {
                *x = (((n * 7919 + channel * 31) % 1009) as f32 / 1009.0 - 0.5) * 0.4;
            }
        }
        audio
    }

    fn short_windows() -> SuperResOptions {
        let (window_seconds, overlap_seconds) = (Some(0.5), Some(0.2));
        SuperResOptions { window_seconds, overlap_seconds, ..Default::default() }
    }

    #[test]
    fn s8_lengths_are_exact_and_channels_stay() {
        let resolver = resolver();
        let stereo = AudioSpec { rate: 44_100, layout: ChannelLayout::Stereo };
        for (spec, frames) in
            [(stereo, 50_001), (AudioSpec::mono(8_000), 1), (AudioSpec::mono(16_000), 9_999)]
        {
            let audio = noise(spec, frames);
            let (out, report) =
                resolver.process(&audio.view(), &SuperResOptions::default()).expect("runs");
            assert_eq!(out.spec(), AudioSpec { rate: 48_000, ..spec });
            assert_eq!(out.frames() as u64, output_frames(frames as u64, spec.rate, 48_000));
            assert_eq!(report.cutoff_hz.len(), spec.channels());
        }
        let nothing = AudioBuf::silence(stereo, 0);
        assert!(resolver.process(&nothing.view(), &SuperResOptions::default()).is_err());
    }

    #[test]
    fn s9_outputs_are_finite_and_blocks_do_not_matter() {
        let resolver = resolver();
        let mut audio = noise(AudioSpec::mono(16_000), 40_000);
        audio.channel_mut(0)[77] = f32::NAN;
        audio.channel_mut(0)[78] = f32::INFINITY;
        let (whole, report) = resolver.process(&audio.view(), &short_windows()).expect("runs");
        assert!(whole.channel(0).iter().all(|x| x.is_finite()));
        assert_eq!(report.warnings, [Warning::NonFinite { count: 2 }]);
        let mut session = resolver.start(&short_windows()).expect("sound");
        let mut out = Vec::new();
        for from in (0..audio.frames()).step_by(1234) {
            let to = audio.frames().min(from + 1234);
            out.extend(session.push(&audio.view().slice(from..to)).expect("runs").into_planar());
        }
        let (rest, again) = session.finish().expect("runs");
        out.extend(rest.into_planar());
        assert_eq!(again, report);
        assert_eq!(out, whole.channel(0));
    }

    /// What comes out has no delay: below the edge it is the recording.
    #[test]
    fn s10_the_low_band_is_kept_and_something_is_above() {
        let resolver = resolver();
        let audio = noise(AudioSpec::mono(16_000), 40_000);
        let plain = resample(&audio.view(), 48_000, Quality::High).expect("sound rates");
        for options in [SuperResOptions::default(), short_windows()] {
            let (out, report) = resolver.process(&audio.view(), &options).expect("runs");
            let edge = report.cutoff_hz[0];
            assert!((7_500.0..8_000.0).contains(&edge), "{edge}");
            assert_eq!(report.widened, 1.0);
            let change = report.low_band_db.expect("something changed");
            assert!(change < -60.0, "{change} dB");
            let tensor = |audio: &AudioBuf| Tensor::from_slice(audio.channel(0));
            let change = tensor(&out) - tensor(&plain);
            let low = Crossover::new(edge - SEAM, edge, 48_000.0);
            let energy = |x: &Tensor| x.square().sum(Kind::Double).double_value(&[]);
            let below = energy(&low.low(&change)) / energy(&low.low(&tensor(&plain)));
            assert!(below < 1e-6, "{below}");
            assert!(energy(&low.high(&change)) > 0.0, "nothing was added");
        }
    }

    #[test]
    fn silence_and_full_bands_stay_as_they_are() {
        let resolver = resolver();
        let full = noise(AudioSpec::mono(48_000), 60_000);
        let (out, report) = resolver.process(&full.view(), &short_windows()).expect("runs");
        assert_eq!(out, full);
        assert_eq!((report.widened, report.low_band_db), (0.0, None));
        let mut narrow = noise(AudioSpec::mono(8_000), 30_000);
        narrow.channel_mut(0)[8_000..20_000].fill(0.0);
        let (out, report) = resolver.process(&narrow.view(), &short_windows()).expect("runs");
        assert!(report.widened > 0.0);
        // The resampler rings for some milliseconds, and rounds.
        assert!(out.channel(0)[50_000..118_000].iter().all(|x| x.abs() < 1e-6));
    }

    #[test]
    fn options_have_bounds() {
        let resolver = resolver();
        for cutoff_hz in [-1.0, 500.0, 20_000.0, f64::NAN] {
            let options = SuperResOptions { cutoff_hz: Some(cutoff_hz), ..Default::default() };
            assert!(resolver.start(&options).is_err(), "{cutoff_hz}");
        }
        let options = SuperResOptions { overlap_seconds: Some(15.0), ..Default::default() };
        assert!(resolver.start(&options).is_err());
    }
}
