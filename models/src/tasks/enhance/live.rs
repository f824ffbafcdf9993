//! Speech from noise while it is being spoken. Whole recordings are cleaned in `session`.

use formant_audio_core::AudioView;
use formant_audio_core::features::Dither;
use formant_audio_core::resample::StreamResampler;

use super::{EnhanceOptions, Enhancer};
use crate::error::Result;
use crate::tasks::intake::Guard;
use crate::tasks::outlet::Outlet;
use crate::tasks::rolling::{LiveOptions, LiveTiming, Rolling, soon};
use crate::tasks::task::{Heard, TaskSession};

/// A stream on its way through an enhancer: blocks of any size in, mono out, as many frames, at
/// the same rate and in their places.
///
/// Channels are mixed. With the network's rate lower than the stream's, what lies beyond half of
/// it is gone, but for the share that [`EnhanceOptions::mix`] and the attenuation limit leave.
pub struct LiveEnhancement {
    enhancer: Enhancer,
    guard: Guard,
    noise: Option<Dither>,
    forth: StreamResampler,
    outlet: Outlet,
    rolling: Rolling,
}

impl LiveEnhancement {
    pub(super) fn new(
        enhancer: &Enhancer,
        options: &EnhanceOptions,
        live: &LiveOptions,
        rate: u32,
    ) -> Result<Self> {
        options.validate()?;
        let own_rate = enhancer.sample_rate();
        let (forth, back) = (soon(rate, own_rate)?, soon(own_rate, rate)?);
        let resampling = forth.max_delay() + back.max_delay();
        let rolling = Rolling::new(live, own_rate, enhancer.frames(), resampling)?;
        Ok(Self {
            enhancer: enhancer.clone(),
            guard: Guard::at(rate),
            noise: options.noise(),
            forth,
            outlet: Outlet::new(back).beside_stream(options.wet()),
            rolling,
        })
    }

    /// Where the time goes.
    #[must_use]
    pub fn timing(&self) -> LiveTiming {
        self.rolling.timing()
    }
}

impl TaskSession for LiveEnhancement {
    /// What is settled: mono samples at the stream's rate, often none.
    type Part = Vec<f32>;
    type Report = Heard;

    fn push(&mut self, block: &AudioView<'_>) -> Result<Vec<f32>> {
        let mono = self.guard.take_mono(block)?;
        self.outlet.expect(&mono);
        let own = self.forth.push_mono(&mono)?;
        let (enhancer, noise) = (&self.enhancer, self.noise);
        let clean = self.rolling.hear(&own, |window| enhancer.run(window, noise))?;
        self.outlet.push(&clean)
    }

    fn heard(&self) -> Heard {
        self.guard.heard()
    }

    fn finish(mut self) -> Result<(Vec<f32>, Heard)> {
        let own = self.forth.finish()?.into_planar();
        let (enhancer, noise) = (&self.enhancer, self.noise);
        let mut clean = self.rolling.hear(&own, |window| enhancer.run(window, noise))?;
        clean.extend(self.rolling.finish(|window| enhancer.run(window, noise))?);
        let mut out = self.outlet.push(&clean)?;
        out.extend(self.outlet.finish()?);
        Ok((out, self.heard()))
    }
}

#[cfg(test)]
mod tests {
    use formant_audio_core::{AudioBuf, AudioSpec, ChannelLayout};
    use tch::Device;

    use super::*;
    use crate::arch::mossformer::{MossformerCard, MossformerConfig};

    fn small(config: MossformerConfig, rate: u32) -> Enhancer {
        let config = MossformerConfig {
            out_channels: 8,
            num_blocks: 1,
            group_size: 16,
            query_key_dim: 6,
            conv_kernel: 5,
            fsmn_inner_channels: 6,
            fsmn_lorder: 3,
            ..config
        };
        let card = MossformerCard::published(config, rate).expect("a card");
        Enhancer::random(card, Device::Cpu).expect("sound sizes")
    }

    fn masking() -> Enhancer {
        small(MossformerConfig::enhancement(), 48_000)
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

    fn options() -> LiveOptions {
        LiveOptions { latency_seconds: 0.3, look_ahead_seconds: 0.05, context_seconds: 0.3 }
    }

    /// Frames that had come out after each block, and everything that came out.
    fn clean(
        enhancer: &Enhancer,
        options: &EnhanceOptions,
        audio: &AudioBuf,
        block: usize,
    ) -> (Vec<usize>, Vec<f32>) {
        let mut live = enhancer.live(options, &self::options(), audio.rate()).expect("sound");
        let (mut out, mut known) = (Vec::new(), Vec::new());
        for from in (0..audio.frames()).step_by(block) {
            let to = audio.frames().min(from + block);
            out.extend(live.push(&audio.view().slice(from..to)).expect("runs"));
            known.push(out.len());
        }
        out.extend(live.finish().expect("runs").0);
        (known, out)
    }

    #[test]
    fn lengths_stay_and_blocks_do_not_matter() {
        let enhancer = masking();
        let stereo = AudioSpec { rate: 44_100, layout: ChannelLayout::Stereo };
        let usual = EnhanceOptions::default();
        for (spec, frames, blocks) in [
            (AudioSpec::mono(48_000), 40_001, [480, 7777]),
            (stereo, 30_011, [441, 30_011]),
            (AudioSpec::mono(8_000), 9_999, [33, 4096]),
            (AudioSpec::mono(48_000), 1, [1, 2]),
            (AudioSpec::mono(16_000), 0, [1, 2]),
        ] {
            let audio = noise(spec, frames);
            let (_, first) = clean(&enhancer, &usual, &audio, blocks[0]);
            let (_, second) = clean(&enhancer, &usual, &audio, blocks[1]);
            assert_eq!((first.len(), second.len()), (frames, frames));
            for (n, (a, b)) in first.iter().zip(&second).enumerate() {
                assert!((a - b).abs() < 1e-6 && a.is_finite(), "{n}: {a} {b}");
            }
        }
    }

    #[test]
    fn the_delay_is_the_one_that_was_promised() {
        let enhancer = masking();
        for rate in [48_000, 44_100, 16_000, 8_000] {
            let audio = noise(AudioSpec::mono(rate), rate as usize);
            let live = enhancer.live(&EnhanceOptions::default(), &options(), rate).expect("sound");
            let timing = live.timing();
            assert!(timing.latency() <= options().latency_seconds + 1e-9, "{timing:?}");
            let most = (timing.latency() * f64::from(rate)).ceil() as usize + 1;
            let (known, _) = clean(&enhancer, &EnhanceOptions::default(), &audio, 1);
            let late = known.iter().enumerate().map(|(n, out)| n + 1 - out).max();
            assert!(late.expect("blocks") <= most, "{late:?} of {most} at {rate} Hz");
        }
    }

    #[test]
    fn dry_is_dry_and_limits_are_kept() {
        let enhancer = masking();
        let stereo = AudioSpec { rate: 44_100, layout: ChannelLayout::Stereo };
        let audio = noise(stereo, 20_000);
        let mono = audio.view().to_mono();
        for options in [
            EnhanceOptions { mix: 0.0, ..EnhanceOptions::default() },
            EnhanceOptions { attenuation_limit_db: Some(0.0), ..EnhanceOptions::default() },
        ] {
            assert_eq!(clean(&enhancer, &options, &audio, 1000).1, mono);
        }
        let whole = clean(&enhancer, &EnhanceOptions::default(), &audio, 1000).1;
        let half = EnhanceOptions { mix: 0.5, ..EnhanceOptions::default() };
        let half = clean(&enhancer, &half, &audio, 1000).1;
        for (n, x) in half.iter().enumerate() {
            assert!((x - 0.5 * (whole[n] + mono[n])).abs() < 1e-6);
        }
        let seeded = EnhanceOptions { seed: 5, ..EnhanceOptions::default() };
        assert_ne!(clean(&enhancer, &seeded, &audio, 1000).1, whole);
    }

    #[test]
    fn separators_serve_too_and_odd_samples_are_none() {
        let config =
            MossformerConfig { num_spks: 1, in_channels: 8, ..MossformerConfig::default() };
        let enhancer = small(config, 16_000);
        let mut audio = noise(AudioSpec::mono(48_000), 48_000);
        audio.channel_mut(0)[100] = f32::NAN;
        audio.channel_mut(0)[101] = f32::INFINITY;
        let (_, out) = clean(&enhancer, &EnhanceOptions::default(), &audio, 480);
        assert_eq!(out.len(), 48_000);
        assert!(out.iter().all(|x| x.is_finite()));
        let silence = AudioBuf::silence(AudioSpec::mono(16_000), 16_000);
        let (_, quiet) = clean(&enhancer, &EnhanceOptions::default(), &silence, 160);
        assert!(quiet.iter().all(|&x| x == 0.0));
    }

    #[test]
    fn what_cannot_be_is_refused_with_what_can() {
        let enhancer = masking();
        let start = |live: LiveOptions| {
            let started = enhancer.live(&EnhanceOptions::default(), &live, 48_000);
            started.err().map(|error| error.to_string())
        };
        let short = LiveOptions { latency_seconds: 0.05, ..LiveOptions::default() };
        let said = start(short).expect("too short");
        assert!(said.contains("or more"), "{said}");
        for wrong in [
            LiveOptions { latency_seconds: f64::NAN, ..LiveOptions::default() },
            LiveOptions { context_seconds: -1.0, ..LiveOptions::default() },
        ] {
            assert!(start(wrong).is_some());
        }
        assert_eq!(start(LiveOptions::default()), None);
        let mut live =
            enhancer.live(&EnhanceOptions::default(), &options(), 48_000).expect("sound");
        assert!(live.push(&AudioView::from_mono(16_000, &[0.0; 10])).is_err());
    }
}
