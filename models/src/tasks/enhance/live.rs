//! Speech from noise while it is being spoken: windows of what was just heard, of which only the
//! newest part is new, and a delay that is known before.
//!
//! A run at `end` hears `context + hop + look-ahead` up to there and settles what lies before the
//! look-ahead; neighbouring runs are cross-faded. Where runs are made hangs on sample counts alone,
//! so that blocks of any size give the same. Whole recordings are cleaned in `session`.

use formant_audio_core::features::Dither;
use formant_audio_core::resample::{Quality, StreamResampler};
use formant_audio_core::{AudioSpec, AudioView};
use serde::{Deserialize, Serialize};

use super::{EnhanceOptions, Enhancer};
use crate::error::{Error, Result};
use crate::tasks::intake::Guard;
use crate::tasks::outlet::Outlet;
use crate::tasks::task::{Heard, TaskSession};

/// Seconds over which one run's answer becomes the next one's.
const FADE: f64 = 0.01;
/// Seconds that are settled by a run at least: a network that is run more often does nothing else.
const SHORTEST_HOP: f64 = 0.02;

/// What live enhancement may cost in time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LiveOptions {
    /// Seconds after which a sample is given out at the latest, work apart.
    pub latency_seconds: f64,
    /// Seconds behind a sample that the network hears before the sample is settled; part of the
    /// latency.
    pub look_ahead_seconds: f64,
    /// Seconds of the past that the network hears besides what it settles.
    pub context_seconds: f64,
}

impl Default for LiveOptions {
    fn default() -> Self {
        Self { latency_seconds: 0.5, look_ahead_seconds: 0.08, context_seconds: 1.0 }
    }
}

/// Where the time goes, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LiveTiming {
    /// From one run of the network to the next.
    pub hop: f64,
    /// What is heard behind a sample before it is settled.
    pub look_ahead: f64,
    /// What the resamplers to the network's rate and back hold back.
    pub resampling: f64,
    /// The past that is heard again with every run.
    pub context: f64,
}

impl LiveTiming {
    /// Seconds after which a sample is given out at the latest, work apart.
    #[must_use]
    pub fn latency(&self) -> f64 {
        self.hop + self.look_ahead + self.resampling
    }

    /// Seconds of audio that the network hears for each second that is settled.
    #[must_use]
    pub fn effort(&self) -> f64 {
        (self.context + self.hop + self.look_ahead) / self.hop
    }
}

/// Sizes in samples of the network's rate, all of them on the grid of its frames so that the
/// frames of neighbouring runs lie at the same places.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    hop: usize,
    look_ahead: usize,
    context: usize,
    fade: usize,
}

/// A stream on its way through an enhancer: blocks of any size in, mono out, as many frames, at
/// the same rate and in their places.
///
/// Channels are mixed. With the network's rate lower than the stream's, what lies beyond half of
/// it is gone, but for the share that [`EnhanceOptions::mix`] and the attenuation limit leave.
pub struct LiveEnhancement {
    enhancer: Enhancer,
    guard: Guard,
    noise: Option<Dither>,
    rate: u32,
    forth: StreamResampler,
    resampling: f64, // seconds
    outlet: Outlet,
    sizes: Sizes,
    /// The newest samples at the network's rate, and the place of the first of them.
    recent: Vec<f32>,
    first: usize,
    /// Where the next run is made.
    due: usize,
    /// What was settled so far, and the last run's answer behind that.
    settled: usize,
    tail: Vec<f32>,
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
        // Short in time, which counts twice here: what it costs lies above 0.94 of half the rate.
        let way = |from, to| StreamResampler::low_latency(AudioSpec::mono(from), to, Quality::Fast);
        let (forth, back) = (way(rate, own_rate)?, way(own_rate, rate)?);
        let resampling = forth.max_delay() + back.max_delay();
        let sizes = sizes(enhancer, live, resampling)?;
        Ok(Self {
            enhancer: enhancer.clone(),
            guard: Guard::default(),
            noise: options.noise(),
            rate,
            forth,
            resampling,
            outlet: Outlet::new(back).beside_stream(options.wet()),
            sizes,
            recent: Vec::new(),
            first: 0,
            due: sizes.hop + sizes.look_ahead,
            settled: 0,
            tail: Vec::new(),
        })
    }

    /// Where the time goes.
    #[must_use]
    pub fn timing(&self) -> LiveTiming {
        let seconds = |samples: usize| samples as f64 / f64::from(self.enhancer.sample_rate());
        LiveTiming {
            hop: seconds(self.sizes.hop),
            look_ahead: seconds(self.sizes.look_ahead),
            resampling: self.resampling,
            context: seconds(self.sizes.context),
        }
    }

    /// Makes the runs that are due with these samples of the network's rate.
    fn hear(&mut self, samples: &[f32]) -> Result<Vec<f32>> {
        self.recent.extend(samples);
        let mut clean = Vec::new();
        while self.first + self.recent.len() >= self.due {
            clean.extend(self.run(self.due, self.due - self.sizes.look_ahead)?);
            self.due += self.sizes.hop;
            let needed = self.settled.saturating_sub(self.sizes.context);
            self.recent.drain(..needed - self.first);
            self.first = needed;
        }
        Ok(clean)
    }

    /// Hears what is known before `end`, and settles what lies before `until`.
    fn run(&mut self, end: usize, until: usize) -> Result<Vec<f32>> {
        let window = &self.recent[..end - self.first];
        let mut answer = self.enhancer.run(window, self.noise)?;
        let (from, to) = (self.settled - self.first, until - self.first);
        let steps = self.tail.len() as f32 + 1.0;
        for (n, (now, before)) in answer[from..].iter_mut().zip(&self.tail).enumerate() {
            let share = (n + 1) as f32 / steps;
            *now = share * *now + (1.0 - share) * before;
        }
        self.tail = answer[to..(to + self.sizes.fade).min(answer.len())].to_vec();
        self.settled = until;
        Ok(answer[from..to].to_vec())
    }
}

impl TaskSession for LiveEnhancement {
    /// What is settled: mono samples at the stream's rate, often none.
    type Part = Vec<f32>;
    type Report = Heard;

    fn push(&mut self, block: &AudioView<'_>) -> Result<Vec<f32>> {
        if block.rate() != self.rate {
            return Err(formant_audio_core::Error::Shape {
                what: "block of the stream",
                expected: format!("{} Hz", self.rate),
                found: format!("{} Hz", block.rate()),
            }
            .into());
        }
        let mono = self.guard.take_mono(block)?;
        self.outlet.expect(&mono);
        let own = self.forth.push_mono(&mono)?;
        let clean = self.hear(&own)?;
        self.outlet.push(&clean)
    }

    fn heard(&self) -> Heard {
        self.guard.heard()
    }

    fn finish(mut self) -> Result<(Vec<f32>, Heard)> {
        let own = self.forth.finish()?.into_planar();
        let mut clean = self.hear(&own)?;
        let end = self.first + self.recent.len();
        if end > self.settled {
            clean.extend(self.run(end, end)?);
        }
        let mut out = self.outlet.push(&clean)?;
        out.extend(self.outlet.finish()?);
        Ok((out, self.heard()))
    }
}

fn sizes(enhancer: &Enhancer, live: &LiveOptions, resampling: f64) -> Result<Sizes> {
    let LiveOptions { latency_seconds: latency, look_ahead_seconds, context_seconds } = *live;
    if !(0.0..=10.0).contains(&latency) {
        return Err(Error::config("latency", format!("{latency} s is not between 0 and 10 s")));
    }
    if !(0.0..=60.0).contains(&context_seconds) {
        let reason = format!("{context_seconds} s is not between 0 and 60 s");
        return Err(Error::config("context", reason));
    }
    let rate = f64::from(enhancer.sample_rate());
    let (frame, grid) = enhancer.frames();
    let on_grid = |seconds: f64| ((seconds * rate / grid as f64).round() as usize) * grid;
    let fade = (FADE * rate) as usize;
    // Samples whose frames are not complete yet are not settled.
    let least = (fade + frame).next_multiple_of(grid);
    let wanted =
        if look_ahead_seconds.is_finite() { look_ahead_seconds.clamp(0.0, 10.0) } else { 0.0 };
    let look_ahead = on_grid(wanted).max(least);
    let before = look_ahead as f64 / rate + resampling;
    let hop = ((latency - before) * rate / grid as f64 + 1e-6).floor().max(0.0) as usize * grid;
    if (hop as f64) < SHORTEST_HOP * rate {
        let least = before + SHORTEST_HOP + grid as f64 / rate;
        let reason = format!(
            "{latency} s is too short: look-ahead and resampling take {before:.3} s; give \
             {:.2} s or more",
            (least * 100.0).ceil() / 100.0
        );
        return Err(Error::config("latency", reason));
    }
    Ok(Sizes { hop, look_ahead, context: on_grid(context_seconds), fade })
}

#[cfg(test)]
mod tests {
    use formant_audio_core::{AudioBuf, ChannelLayout};
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
