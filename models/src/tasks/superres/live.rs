//! A full band while it is being spoken. Whole recordings are widened in `session`.

use formant_audio_core::AudioView;
use formant_audio_core::resample::StreamResampler;

use super::bandwidth::BandMeter;
use super::widen::{is_narrow, widened};
use super::{SuperResOptions, SuperResolver};
use crate::error::Result;
use crate::tasks::intake::Guard;
use crate::tasks::rolling::{LiveOptions, LiveTiming, Rolling, soon};
use crate::tasks::task::{Heard, TaskSession};

/// A stream on its way to a full band: blocks of any size in, mono at the network's rate out.
pub struct LiveSuperRes {
    resolver: SuperResolver,
    options: SuperResOptions,
    guard: Guard,
    forth: StreamResampler,
    rolling: Rolling,
    meter: BandMeter,
}

impl LiveSuperRes {
    pub(super) fn new(
        resolver: &SuperResolver,
        options: &SuperResOptions,
        live: &LiveOptions,
        rate: u32,
    ) -> Result<Self> {
        options.validate()?;
        let (own, frontend) = (resolver.sample_rate(), &resolver.card.frontend);
        let forth = soon(rate, own)?;
        let frames = (frontend.win_length, frontend.hop_length);
        Ok(Self {
            resolver: resolver.clone(),
            options: *options,
            guard: Guard::at(rate),
            rolling: Rolling::new(live, own, frames, forth.max_delay())?,
            forth,
            meter: BandMeter::new(own, rate)?,
        })
    }

    /// Where the time goes.
    #[must_use]
    pub fn timing(&self) -> LiveTiming {
        self.rolling.timing()
    }

    /// What is settled with these samples of the network's rate, and with all that are there at the
    /// end of the stream.
    fn hear(&mut self, samples: &[f32], is_over: bool) -> Result<Vec<f32>> {
        let Self { resolver, options, rolling, meter, .. } = self;
        let hop = rolling.hop();
        let mut run = |window: &[f32]| {
            // Windows overlap; each sample is measured once.
            meter.push(&window[window.len().saturating_sub(hop)..]);
            let edge = options.cutoff_hz.unwrap_or_else(|| meter.edge());
            match is_narrow(window, edge) {
                true => Ok(widened(resolver, window, edge)?.samples),
                false => Ok(window.to_vec()),
            }
        };
        let mut out = rolling.hear(samples, &mut run)?;
        if is_over {
            out.extend(rolling.finish(&mut run)?);
        }
        Ok(out)
    }
}

impl TaskSession for LiveSuperRes {
    /// What is settled: mono samples at the network's rate, often none.
    type Part = Vec<f32>;
    type Report = Heard;

    fn push(&mut self, block: &AudioView<'_>) -> Result<Vec<f32>> {
        let mono = self.guard.take_mono(block)?;
        let own = self.forth.push_mono(&mono)?;
        self.hear(&own, false)
    }

    fn heard(&self) -> Heard {
        self.guard.heard()
    }

    fn finish(mut self) -> Result<(Vec<f32>, Heard)> {
        let own = self.forth.finish()?.into_planar();
        let out = self.hear(&own, true)?;
        Ok((out, self.heard()))
    }
}

#[cfg(test)]
mod tests {
    use formant_audio_core::resample::output_frames;
    use tch::Device;

    use super::*;
    use crate::arch::hifi_sr::{HifiSrCard, HifiSrConfig};

    fn resolver() -> SuperResolver {
        let card = HifiSrCard::published(HifiSrConfig::tiny()).expect("a card");
        SuperResolver::random(card, Device::Cpu).expect("sound sizes")
    }

    fn options() -> LiveOptions {
        LiveOptions { latency_seconds: 0.3, look_ahead_seconds: 0.05, context_seconds: 0.3 }
    }

    /// Samples that had come out after each block, and everything that came out.
    fn widen(
        resolver: &SuperResolver,
        rate: u32,
        samples: &[f32],
        block: usize,
    ) -> (Vec<usize>, Vec<f32>) {
        let live = resolver.live(&SuperResOptions::default(), &options(), rate);
        let (mut live, mut out, mut known) = (live.expect("sound"), Vec::new(), Vec::new());
        for part in samples.chunks(block) {
            out.extend(live.push(&AudioView::from_mono(rate, part)).expect("runs"));
            known.push(out.len());
        }
        out.extend(live.finish().expect("runs").0);
        (known, out)
    }

    fn noise(count: usize) -> Vec<f32> {
        (0..count).map(|n| ((n * 7919 % 1009) as f32 / 1009.0 - 0.5) * 0.4).collect()
    }

    #[test]
    fn lengths_are_exact_and_blocks_do_not_matter() {
        let resolver = resolver();
        for (rate, count, blocks) in
            [(16_000, 12_345, [160, 5000]), (48_000, 30_000, [480, 30_000]), (8_000, 1, [1, 2])]
        {
            let samples = noise(count);
            let live = |block| widen(&resolver, rate, &samples, block).1;
            let (first, second) = (live(blocks[0]), live(blocks[1]));
            assert_eq!(first.len() as u64, output_frames(count as u64, rate, 48_000));
            assert_eq!(first.len(), second.len());
            for (n, (a, b)) in first.iter().zip(&second).enumerate() {
                assert!((a - b).abs() < 1e-5 && a.is_finite(), "{n}: {a} {b}");
            }
        }
    }

    #[test]
    fn the_delay_is_the_one_that_was_promised() {
        let resolver = resolver();
        for rate in [48_000, 16_000, 8_000] {
            let live = resolver.live(&SuperResOptions::default(), &options(), rate);
            let latency = live.expect("sound").timing().latency();
            assert!(latency <= options().latency_seconds + 1e-9, "{latency}");
            let (known, _) = widen(&resolver, rate, &noise(rate as usize / 2), 8);
            let late = known
                .iter()
                .enumerate()
                .map(|(n, out)| 8.0 * (n + 1) as f64 / f64::from(rate) - *out as f64 / 48_000.0);
            let late = late.fold(0.0, f64::max);
            assert!(late <= latency + 9.0 / f64::from(rate), "{late} of {latency} at {rate} Hz");
        }
    }

    #[test]
    fn silence_stays_and_impossible_options_are_refused() {
        let resolver = resolver();
        let (_, quiet) = widen(&resolver, 16_000, &[0.0; 16_000], 1000);
        assert!(quiet.iter().all(|&x| x == 0.0));
        let short = LiveOptions { latency_seconds: 0.05, ..LiveOptions::default() };
        assert!(resolver.live(&SuperResOptions::default(), &short, 16_000).is_err());
        let low = SuperResOptions { cutoff_hz: Some(10.0), ..Default::default() };
        assert!(resolver.live(&low, &options(), 16_000).is_err());
        let mut live =
            resolver.live(&SuperResOptions::default(), &options(), 48_000).expect("sound");
        assert!(live.push(&AudioView::from_mono(16_000, &[0.0; 10])).is_err());
    }
}
