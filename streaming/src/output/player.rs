//! A task's mono audio on its way to a device: brought to the device's rate, behind a cushion, in
//! step with the device's clock, and never further behind than a set time.

use std::any::Any;
use std::time::{Duration, Instant};

use formant_audio_core::resample::{Quality, StreamResampler};
use formant_audio_core::{AudioSpec, AudioView};

use super::OpenedOutput;
use super::drift::DriftLoop;
use super::feed::{Feed, Underruns};
use super::varispeed::{HISTORY, Varispeed};
use crate::error::{Error, Result};
use crate::source::Pace;

/// Silence before the first audio, in seconds: what work may take longer at one time than at
/// another without a pause being heard.
const CUSHION: f64 = 0.1;
/// What may wait above the cushion and two pieces of audio, in seconds; more is skipped, so that
/// what a device that stood still left behind does not stay.
const SLACK: f64 = 0.3;
/// Smaller differences from a ratio of one are not worth a filter.
const WORTH: f64 = 2e-5;
/// How often a full ring is looked at.
const POLL: Duration = Duration::from_millis(4);
/// A device that takes nothing for this long is taken for lost.
const SILENT: Duration = Duration::from_secs(3);

/// Plays what it is given.
pub struct Player {
    name: String,
    rate: u32,
    device_rate: u32,
    pace: Pace,
    feed: Feed,
    resampler: Option<StreamResampler>,
    drift: DriftLoop,
    /// At work from the moment on at which the clocks are seen to differ.
    varispeed: Option<Varispeed>,
    /// What was played last without it.
    recent: Vec<f32>,
    /// Underruns and skipped frames that the level of the loop was taken after.
    disturbed: (u64, u64),
    most: usize,
    playing: bool,
    skipped: u64,
    asked: (u64, Instant),
    stream: Option<Box<dyn Any + Send>>,
}

impl Player {
    /// Plays audio of `rate` Hz, which comes in pieces of up to `piece` seconds, at the pace of its
    /// source: who is live can't wait for the device, and skips what the device is too slow for.
    ///
    /// # Errors
    /// When the device's rate can't be reached from `rate`.
    pub fn new(output: OpenedOutput, rate: u32, piece: f64, pace: Pace) -> Result<Self> {
        let OpenedOutput { name, rate: device_rate, feed, stream } = output;
        let spec = AudioSpec::mono(rate);
        let resampler = (rate != device_rate)
            .then(|| StreamResampler::low_latency(spec, device_rate, Quality::High))
            .transpose()?;
        let most = ((CUSHION + 2.0 * piece + SLACK) * f64::from(device_rate)) as usize;
        Ok(Self {
            name,
            rate,
            device_rate,
            pace,
            asked: (feed.callbacks(), Instant::now()),
            feed,
            resampler,
            drift: DriftLoop::default(),
            varispeed: None,
            recent: Vec::new(),
            disturbed: (0, 0),
            most,
            playing: false,
            skipped: 0,
            stream: Some(stream),
        })
    }

    /// The device.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Adds audio.
    ///
    /// # Errors
    /// [`Error::Output`] when the device is gone.
    pub fn play(&mut self, samples: &[f32]) -> Result<()> {
        self.play_at(samples, Instant::now())
    }

    fn play_at(&mut self, samples: &[f32], now: Instant) -> Result<()> {
        if self.playing {
            self.follow(samples.len() as f64 / f64::from(self.rate), now);
        } else {
            self.playing = true;
            self.drift.restart();
            self.put(&vec![0.0; (CUSHION * f64::from(self.device_rate)) as usize])?;
            self.feed.set_due(true);
        }
        match &mut self.resampler {
            Some(resampler) => {
                let there = resampler.push(&AudioView::from_mono(self.rate, samples))?;
                self.put_in_step(there.channel(0))
            }
            None => self.put_in_step(samples),
        }
    }

    /// Compares the clocks, before audio of `passed` seconds is added.
    fn follow(&mut self, passed: f64, now: Instant) {
        // Who can wait goes at the device's pace anyway.
        if self.pace == Pace::Elastic {
            return;
        }
        let disturbed = (self.feed.underruns().count, self.skipped);
        if std::mem::replace(&mut self.disturbed, disturbed) != disturbed {
            self.drift.restart();
        }
        let rate = self.device_rate;
        self.drift.hear(self.feed.waiting_evenly(now, rate) / f64::from(rate), passed);
    }

    /// Adds audio at the device's rate as its clock counts it.
    fn put_in_step(&mut self, samples: &[f32]) -> Result<()> {
        let ratio = self.drift.ratio();
        if self.varispeed.is_none() && (ratio - 1.0).abs() > WORTH {
            let mut history = vec![0.0; HISTORY.saturating_sub(self.recent.len())];
            history.append(&mut self.recent);
            self.varispeed = Some(Varispeed::after(&history)?);
        }
        if let Some(varispeed) = &mut self.varispeed {
            let there = varispeed.push(samples, ratio)?;
            return self.put(&there);
        }
        self.recent.extend_from_slice(&samples[samples.len().saturating_sub(HISTORY)..]);
        let old = self.recent.len().saturating_sub(HISTORY);
        self.recent.drain(..old);
        self.put(samples)
    }

    /// Nothing is due until the next audio.
    ///
    /// # Errors
    /// As [`Player::play`].
    pub fn rest(&mut self) -> Result<()> {
        if let (Some(resampler), true) = (&mut self.resampler, self.playing) {
            let there = resampler.finish()?;
            self.put_in_step(there.channel(0))?;
        }
        if let Some(varispeed) = self.varispeed.take() {
            let there = varispeed.finish(self.drift.ratio())?;
            self.put(&there)?;
        }
        self.recent.clear();
        self.feed.set_due(false);
        self.playing = false;
        Ok(())
    }

    /// Waits until everything was played.
    ///
    /// # Errors
    /// As [`Player::play`].
    pub fn finish(&mut self) -> Result<()> {
        self.rest()?;
        while self.feed.waiting() > 0 {
            self.check()?;
            std::thread::sleep(POLL);
        }
        // What the device itself still holds.
        std::thread::sleep(self.feed.delay().min(Duration::from_secs(1)));
        self.stream = None;
        Ok(())
    }

    /// Time until audio that is added now is heard.
    #[must_use]
    pub fn delay(&self) -> Duration {
        let waiting = self.feed.waiting() as f64 / f64::from(self.device_rate.max(1));
        Duration::from_secs_f64(waiting) + self.feed.delay()
    }

    /// What was played as silence although audio was due.
    #[must_use]
    pub fn underruns(&self) -> Underruns {
        self.feed.underruns()
    }

    /// Frames that were skipped because the device was too slow for them.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    fn put(&mut self, mut samples: &[f32]) -> Result<()> {
        loop {
            self.check()?;
            let room = self.most.saturating_sub(self.feed.waiting()).min(samples.len());
            let taken = self.feed.push(&samples[..room]);
            samples = &samples[taken..];
            if samples.is_empty() {
                return Ok(());
            }
            if self.pace == Pace::Live {
                self.skipped += samples.len() as u64;
                return Ok(());
            }
            std::thread::sleep(POLL);
        }
    }

    fn check(&mut self) -> Result<()> {
        let lost = |reason: &str| Err(Error::output(&self.name, reason));
        if let Some(failure) = self.feed.failure() {
            return lost(failure.reason());
        }
        let callbacks = self.feed.callbacks();
        if callbacks != self.asked.0 || self.feed.waiting() == 0 {
            self.asked = (callbacks, Instant::now());
        } else if self.asked.1.elapsed() > SILENT {
            return lost("it has taken no audio for 3 seconds");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::super::feed::{self, Speaker};
    use super::*;
    use crate::ring::Failure;

    fn player(rate: u32, device_rate: u32, pace: Pace) -> (Player, feed::OutputAlarm, Speaker) {
        let (feed, alarm, speaker) = feed::feed(4 * device_rate as usize, 1);
        let name = "mock".to_owned();
        let output = OpenedOutput { name, rate: device_rate, feed, stream: Box::new(()) };
        (Player::new(output, rate, 0.1, pace).expect("rates"), alarm, speaker)
    }

    fn heard(speaker: &mut Speaker, frames: usize) -> Vec<f32> {
        let mut out = vec![0.0; frames];
        speaker.fill(&mut out, Duration::ZERO);
        out
    }

    #[test]
    fn audio_comes_behind_a_cushion_and_pauses_count() {
        let (mut player, _, mut speaker) = player(8000, 8000, Pace::Live);
        heard(&mut speaker, 100);
        player.play(&[0.5; 800]).expect("plays");
        assert_eq!(player.delay(), Duration::from_millis(200));
        assert!(heard(&mut speaker, 800).iter().all(|&x| x == 0.0));
        assert!(heard(&mut speaker, 800).iter().all(|&x| x == 0.5));
        assert_eq!(player.underruns(), Underruns::default());
        heard(&mut speaker, 80);
        heard(&mut speaker, 80);
        assert_eq!(player.underruns(), Underruns { count: 1, frames: 160 });
        player.play(&[0.5; 80]).expect("plays");
        player.rest().expect("rests");
        heard(&mut speaker, 500);
        player.play(&[0.5; 80]).expect("plays");
        heard(&mut speaker, 880);
        assert_eq!(player.underruns(), Underruns { count: 1, frames: 160 });
    }

    #[test]
    fn rates_are_converted_and_live_audio_does_not_pile_up() {
        let (mut player, _, mut speaker) = player(16_000, 48_000, Pace::Live);
        for _ in 0..4 {
            player.play(&[0.5; 400]).expect("plays");
        }
        player.rest().expect("rests");
        assert_eq!(player.delay(), Duration::from_millis(200));
        assert_eq!(player.skipped(), 0);
        for _ in 0..100 {
            player.play(&[0.5; 1600]).expect("plays");
        }
        // Cushion, two pieces, and the slack.
        assert!(player.delay() <= Duration::from_millis(601), "{:?}", player.delay());
        assert!(player.skipped() > 0);
        assert_eq!(heard(&mut speaker, 4800), vec![0.0; 4800]);
        assert!(heard(&mut speaker, 4800)[2400] > 0.4);
    }

    /// Half an hour of a tone in pieces that come up to 20 ms late, on a device whose clock is
    /// `drift` faster; the worst difference of pitch, in cents, and the delay at the end.
    fn half_an_hour(drift: f64) -> (f64, f64) {
        const PIECE: f64 = 0.1;
        const TONE: f64 = 440.0;
        let device_rate = 8000;
        let (mut player, _, mut speaker) = player(device_rate, device_rate, Pace::Live);
        let start = Instant::now();
        let clock = f64::from(device_rate) * (1.0 + drift);
        let mut callback = vec![0.0; 200];
        let (mut played, mut late, mut worst) = (0usize, 0x2545_f491u32, 0.0f64);
        // Phase of the tone, as a second of the device hears it.
        let turn = std::f64::consts::TAU * TONE / clock;
        let (mut sums, mut before) = ((0.0, 0.0), None::<f64>);
        for piece in 0..18_000usize {
            late = late.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let now = PIECE * (piece + 1) as f64 + 0.02 * f64::from(late) / f64::from(u32::MAX);
            while ((played + callback.len()) as f64) < now * clock {
                let at = (played + callback.len()) as f64 / clock;
                speaker.fill_at(&mut callback, start + Duration::from_secs_f64(at));
                for (n, sample) in callback.iter().enumerate() {
                    let phase = turn * (played + n) as f64;
                    sums.0 += f64::from(*sample) * phase.cos();
                    sums.1 -= f64::from(*sample) * phase.sin();
                }
                played += callback.len();
                if played.is_multiple_of(device_rate as usize) {
                    let phase = f64::atan2(sums.1, sums.0);
                    // Two seconds of silence and of the beginning apart.
                    if let Some(before) = before.filter(|_| played > 3 * device_rate as usize) {
                        let turned = (phase - before + std::f64::consts::PI)
                            .rem_euclid(std::f64::consts::TAU)
                            - std::f64::consts::PI;
                        let hertz = turned / std::f64::consts::TAU * (1.0 + drift);
                        worst = worst.max((1200.0 * (1.0 + hertz / TONE).log2()).abs());
                        assert!(f64::hypot(sums.0, sums.1) > 0.2 * f64::from(device_rate));
                    }
                    (before, sums) = (Some(phase), (0.0, 0.0));
                }
            }
            let step = std::f64::consts::TAU * TONE / f64::from(device_rate);
            let frames = (PIECE * f64::from(device_rate)) as usize;
            let tone: Vec<f32> = (piece * frames..(piece + 1) * frames)
                .map(|n| (0.5 * (step * n as f64).sin()) as f32)
                .collect();
            player.play_at(&tone, start + Duration::from_secs_f64(now)).expect("plays");
        }
        assert_eq!((player.underruns(), player.skipped()), (Underruns::default(), 0), "{drift}");
        (worst, player.delay().as_secs_f64())
    }

    #[test]
    fn clocks_that_differ_are_followed() {
        for drift in [5e-4, -5e-4] {
            let (cents, delay) = half_an_hour(drift);
            assert!(cents < 1.0, "{drift}: {cents} cents");
            assert!((0.1..0.3).contains(&delay), "{drift}: {delay} s");
        }
    }

    #[test]
    fn who_can_wait_loses_nothing() {
        let (mut player, _, mut speaker) = player(8000, 8000, Pace::Elastic);
        let over = Arc::new(AtomicBool::new(false));
        let played = Arc::clone(&over);
        let listener = std::thread::spawn(move || {
            let mut all = Vec::new();
            while !played.load(Ordering::Acquire) {
                all.extend(heard(&mut speaker, 400));
                std::thread::sleep(Duration::from_millis(1));
            }
            all
        });
        let ramp: Vec<f32> = (1..=16_000).map(|n| n as f32).collect();
        for piece in ramp.chunks(700) {
            player.play(piece).expect("plays");
        }
        player.finish().expect("played");
        over.store(true, Ordering::Release);
        assert_eq!((player.skipped(), player.feed.waiting()), (0, 0));
        // Silence before, between where the listener was faster, and behind.
        let all = listener.join().expect("heard");
        let played: Vec<f32> = all.into_iter().filter(|&x| x != 0.0).collect();
        assert_eq!(played, ramp);
    }

    #[test]
    fn lost_devices_are_named() {
        let (mut player, alarm, _) = player(8000, 8000, Pace::Elastic);
        alarm.failed(Failure::Gone);
        let said = player.play(&[0.0; 10]).expect_err("gone").to_string();
        assert!(said.contains("mock") && said.contains("gone"), "{said}");
    }
}
