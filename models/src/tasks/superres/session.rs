//! A recording on its way to a full band, window by window, every channel by itself, in memory that
//! does not grow with it.

use formant_audio_core::chunk::ChunkConfig;
use formant_audio_core::level::power_db;
use formant_audio_core::resample::StreamResampler;
use formant_audio_core::{AudioBuf, AudioSpec, AudioView, Warning};
use serde::Serialize;
use tch::{Kind, Tensor};

use super::bandwidth::BandMeter;
use super::crossover::Crossover;
use super::{FULL_BAND, SuperResOptions, SuperResolver};
use crate::error::Result;
use crate::tasks::chunked::{ChunkedSources, SourceModel, windows};
use crate::tasks::intake::{Guard, Pace, resampler};
use crate::tasks::task::{Heard, TaskSession};

/// Hz in which the recording gives way to what the network adds.
const SEAM: f64 = 300.0;
/// Samples up to this are silence (-100 dBFS), to which nothing is added.
const SILENCE: f32 = 1e-5;
/// Seconds of silence around sound in which what is added stays, and seconds in which it fades then;
/// so it does at the cuts of a window, since a step has a low band of its own.
const HOLD_SECONDS: f64 = 0.01;

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
    channels: Vec<Channel>,
}

/// One channel of a recording.
struct Channel {
    forth: StreamResampler,
    chunked: ChunkedSources<Widening>,
}

/// The network on the windows of one channel.
struct Widening {
    resolver: SuperResolver,
    cutoff_hz: Option<f64>,
    meter: BandMeter,
    counts: Counts,
}

impl SuperResSession {
    pub(super) fn new(resolver: &SuperResolver, options: &SuperResOptions) -> Result<Self> {
        options.validate()?;
        let SuperResOptions { window_seconds, overlap_seconds, .. } = *options;
        let config = windows(resolver.sample_rate(), window_seconds, overlap_seconds)?;
        let (guard, channels) = (Guard::default(), Vec::new());
        Ok(Self { resolver: resolver.clone(), options: *options, config, guard, channels })
    }

    /// Rate and layout of what comes out for a recording of `input`.
    #[must_use]
    pub fn output_spec(&self, input: AudioSpec) -> AudioSpec {
        AudioSpec { rate: self.resolver.sample_rate(), ..input }
    }

    fn channel(&self, rate: u32) -> Result<Channel> {
        let own_rate = self.resolver.sample_rate();
        let widening = Widening {
            resolver: self.resolver.clone(),
            cutoff_hz: self.options.cutoff_hz,
            meter: BandMeter::new(own_rate, rate)?,
            counts: Counts::default(),
        };
        Ok(Channel {
            forth: resampler(AudioSpec::mono(rate), own_rate, Pace::Throughput)?,
            chunked: ChunkedSources::new(widening, self.config, own_rate, None),
        })
    }
}

impl SourceModel for Widening {
    fn sources(&self) -> usize {
        1
    }

    fn process(&mut self, window: &[f32]) -> Result<Vec<Vec<f32>>> {
        self.meter.push(window);
        let edge = self.edge();
        self.counts.windows += 1;
        if edge >= FULL_BAND || window.iter().all(|x| x.abs() <= SILENCE) {
            return Ok(vec![window.to_vec()]);
        }
        self.counts.widened += 1;
        Ok(vec![self.widened(window, edge)?])
    }
}

impl Widening {
    /// Hz up to which there is sound.
    fn edge(&self) -> f64 {
        self.cutoff_hz.unwrap_or_else(|| self.meter.edge())
    }

    /// A window: below `edge` the recording, above it what the network adds.
    fn widened(&mut self, samples: &[f32], edge: f64) -> Result<Vec<f32>> {
        let rate = f64::from(self.resolver.sample_rate());
        let seam = Crossover::new(edge, edge + SEAM, rate);
        let x = Tensor::from_slice(samples);
        // The network hears nothing of what a soft slope, or noise, leaves above the edge.
        let low = seam.low(&x);
        let heard = Vec::<f32>::try_from(&low)?;
        let added = Tensor::from_slice(&self.resolver.cover(&heard)?);
        let gate = Tensor::from_slice(&gate(samples, (HOLD_SECONDS * rate) as usize));
        // Where the gate is shut the recording stays as it is to the bit.
        let y = (seam.high(&(added * &gate)) + &low - &x) * gate + &x;
        // What the filters and the gate did below the edge, and how much is there.
        let inside = Crossover::new(edge - SEAM, edge, rate);
        let energy = |x: &Tensor| inside.low(x).square().sum(Kind::Double).double_value(&[]);
        self.counts.low_energy += energy(&x);
        self.counts.low_change += energy(&(&y - &x));
        Ok(Vec::<f32>::try_from(&y)?)
    }
}

/// One where a sample within `hold` samples is more than silence, falling to zero within as many, and
/// at the ends.
fn gate(samples: &[f32], hold: usize) -> Vec<f32> {
    let mut distances = vec![usize::MAX; samples.len()];
    let pass = |distances: &mut [usize], order: &mut dyn Iterator<Item = usize>| {
        let mut distance = usize::MAX;
        for at in order {
            distance = match samples[at].abs() > SILENCE {
                true => 0,
                false => distance.saturating_add(1),
            };
            distances[at] = distances[at].min(distance);
        }
    };
    pass(&mut distances, &mut (0..samples.len()));
    pass(&mut distances, &mut (0..samples.len()).rev());
    let hold = hold.max(1);
    let share = |(at, distance): (usize, usize)| {
        let open = hold - distance.saturating_sub(hold).min(hold);
        open.min(at).min(samples.len() - 1 - at) as f32 / hold as f32
    };
    distances.into_iter().enumerate().map(share).collect()
}

impl TaskSession for SuperResSession {
    /// What is settled, at the network's rate with the stream's channels.
    type Part = AudioBuf;
    type Report = SuperResReport;

    fn push(&mut self, block: &AudioView<'_>) -> Result<AudioBuf> {
        let block = self.guard.take(block)?;
        let spec = block.spec();
        while self.channels.len() < spec.channels() {
            let channel = self.channel(spec.rate)?;
            self.channels.push(channel);
        }
        let mut out = Vec::new();
        for (index, Channel { forth, chunked }) in self.channels.iter_mut().enumerate() {
            let settled = chunked.push(&forth.push_mono(block.channel(index))?)?;
            out.extend(settled.into_iter().flat_map(AudioBuf::into_planar));
        }
        Ok(AudioBuf::from_planar(self.output_spec(spec), out)?)
    }

    fn heard(&self) -> Heard {
        self.guard.heard()
    }

    fn finish(mut self) -> Result<(AudioBuf, SuperResReport)> {
        let spec = self.output_spec(self.guard.end()?);
        let (mut out, mut cutoff_hz, mut all) = (Vec::new(), Vec::new(), Counts::default());
        for Channel { forth, chunked } in &mut self.channels {
            let settled = chunked.push(forth.finish()?.channel(0))?;
            let (rest, _) = chunked.finish()?;
            out.extend(settled.into_iter().chain(rest).flat_map(AudioBuf::into_planar));
            let Widening { counts, .. } = chunked.model();
            cutoff_hz.push(chunked.model().edge());
            all.windows += counts.windows;
            all.widened += counts.widened;
            all.low_energy += counts.low_energy;
            all.low_change += counts.low_change;
        }
        let Heard { seconds, warnings } = self.heard();
        let Counts { windows, widened, low_energy, low_change } = all;
        let report = SuperResReport {
            seconds,
            cutoff_hz,
            widened: widened as f64 / windows.max(1) as f64,
            low_band_db: (low_energy > 0.0).then(|| power_db(low_change / low_energy)).flatten(),
            warnings,
        };
        Ok((AudioBuf::from_planar(spec, out)?, report))
    }
}

#[cfg(test)]
mod tests {
    use formant_audio_core::ChannelLayout;
    use formant_audio_core::resample::{Quality, output_frames, resample};
    use tch::Device;

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
        SuperResOptions { window_seconds: 0.5, overlap_seconds: 0.2, ..Default::default() }
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
        let options = SuperResOptions { overlap_seconds: 15.0, ..Default::default() };
        assert!(resolver.start(&options).is_err());
    }

    #[test]
    fn gates_open_around_sound() {
        let mut samples = vec![0.0; 100];
        samples[50] = 0.1;
        let shares = gate(&samples, 10);
        assert_eq!([shares[50], shares[40], shares[60]], [1.0; 3]);
        assert_eq!([shares[35], shares[65]], [0.5; 2]);
        assert_eq!([shares[30], shares[70], shares[0]], [0.0; 3]);
        assert!(gate(&[0.0; 5], 10).iter().all(|&share| share == 0.0));
    }
}
