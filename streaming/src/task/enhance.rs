//! Speech without its noise, or with a full band, in a session: into a file, to an output device, or
//! both, with a delay that is known before.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use formant_audio_core::{AudioBuf, AudioSpec, AudioView};
use formant_models::tasks::TaskSession;
use formant_models::tasks::enhance::{EnhanceOptions, Enhancer, LiveOptions, LiveTiming};
use formant_models::tasks::superres::{SuperResOptions, SuperResolver};

use super::{Finding, JOINED, LiveStream, LiveTask};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::output::feed::Underruns;
use crate::output::{OpenedOutput, Player};
use crate::record::Recorder;
use crate::source::{Pace, StreamInfo};

/// Cleans what is heard, or widens its band.
///
/// What comes out is mono and in its place: what was not heard, or was skipped because the network is
/// too slow, is silence. Cleaned audio has the rate that the source has when the session begins,
/// widened audio the rate of the network.
pub struct EnhanceTask {
    name: &'static str,
    begin: Begin,
    timing: LiveTiming,
    /// The rate at which it hears, and that of what comes out.
    rate: u32,
    output_rate: u32,
    pace: Pace,
    outlets: Mutex<Outlets>,
}

/// Begins a stretch of audio.
type Begin = Box<dyn Fn() -> Result<Box<dyn Stretch>> + Send>;

/// Mono samples on their way through a model.
trait Stretch {
    fn push(&mut self, block: &AudioView<'_>) -> Result<Vec<f32>>;
    fn finish(self: Box<Self>) -> Result<Vec<f32>>;
}

impl<S: TaskSession<Part = Vec<f32>>> Stretch for S {
    fn push(&mut self, block: &AudioView<'_>) -> Result<Vec<f32>> {
        Ok(TaskSession::push(self, block)?)
    }

    fn finish(self: Box<Self>) -> Result<Vec<f32>> {
        Ok(TaskSession::finish(*self)?.0)
    }
}

/// Takes mono samples, in order and without gaps.
type Sink = Box<dyn FnMut(&[f32]) + Send>;

/// Where cleaned audio goes; the stretches of a session share it.
#[derive(Default)]
struct Outlets {
    file: Option<Recorder>,
    player: Option<Player>,
    sink: Option<Sink>,
    /// Frames so far, silence included.
    frames: u64,
    /// What the device lacked and skipped, as far as it was told.
    underruns: (Underruns, u64),
    told: bool,
}

impl EnhanceTask {
    /// Cleans what `source` gives. The network runs once here, so that the first words don't wait
    /// for what libraries do at their first use.
    ///
    /// # Errors
    /// For a value out of range, and a latency that is too short for the model.
    pub fn new(
        enhancer: Enhancer,
        options: EnhanceOptions,
        live: LiveOptions,
        source: &StreamInfo,
    ) -> Result<Self> {
        let rate = source.spec.rate;
        let timing = enhancer.live(&options, &live, rate)?.timing();
        let begin = move || -> Result<Box<dyn Stretch>> {
            Ok(Box::new(enhancer.live(&options, &live, rate)?))
        };
        Self::of("enhance", Box::new(begin), timing, rate, source)
    }

    /// Widens the band of what `source` gives, as [`EnhanceTask::new`].
    ///
    /// # Errors
    /// As [`EnhanceTask::new`].
    pub fn widening(
        resolver: SuperResolver,
        options: SuperResOptions,
        live: LiveOptions,
        source: &StreamInfo,
    ) -> Result<Self> {
        let rate = source.spec.rate;
        let timing = resolver.live(&options, &live, rate)?.timing();
        let output_rate = resolver.sample_rate();
        let begin = move || -> Result<Box<dyn Stretch>> {
            Ok(Box::new(resolver.live(&options, &live, rate)?))
        };
        Self::of("superres", Box::new(begin), timing, output_rate, source)
    }

    fn of(
        name: &'static str,
        begin: Begin,
        timing: LiveTiming,
        output_rate: u32,
        source: &StreamInfo,
    ) -> Result<Self> {
        let rate = source.spec.rate;
        let window = timing.latency() + timing.context + timing.resampling;
        // Not silence, which has short cuts.
        let hum: Vec<f32> =
            (0..(window * f64::from(rate)) as usize).map(|n| 1e-3 * (n as f32).sin()).collect();
        begin()?.push(&AudioView::from_mono(rate, &hum))?;
        let outlets = Mutex::default();
        Ok(Self { name, begin, timing, rate, output_rate, pace: source.pace, outlets })
    }

    /// Writes into a WAV file too, which is replaced if it is there and whole at every moment.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn to_file(self, path: &Path) -> Result<Self> {
        let file = Recorder::create(path, AudioSpec::mono(self.output_rate))?;
        self.outlets().file = Some(file);
        Ok(self)
    }

    /// Plays on a device too.
    ///
    /// # Errors
    /// When the device's rate can't be reached.
    pub fn to_device(self, output: OpenedOutput) -> Result<Self> {
        let player = Player::new(output, self.output_rate, self.timing.hop, self.pace)?;
        self.outlets().player = Some(player);
        Ok(self)
    }

    /// Gives to `sink` too: every sample in its place, silence for what was not heard. It is called
    /// on the task's own thread.
    #[must_use]
    pub fn to_sink(self, sink: impl FnMut(&[f32]) + Send + 'static) -> Self {
        self.outlets().sink = Some(Box::new(sink));
        self
    }

    /// The rate of what comes out, in Hz.
    #[must_use]
    pub fn output_rate(&self) -> u32 {
        self.output_rate
    }

    /// Where the time goes.
    #[must_use]
    pub fn timing(&self) -> LiveTiming {
        self.timing
    }

    /// Seconds after which a sample is given out at the latest, work apart: hop, look-ahead and
    /// resampling, and the blocks that a session hands on.
    #[must_use]
    pub fn latency(&self) -> f64 {
        self.timing.latency() + JOINED
    }

    fn outlets(&self) -> MutexGuard<'_, Outlets> {
        self.outlets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LiveTask for EnhanceTask {
    fn name(&self) -> &'static str {
        self.name
    }

    fn rate(&self) -> u32 {
        self.rate
    }

    fn start(&self) -> Result<Box<dyn LiveStream + '_>> {
        self.start_at(0.0)
    }

    fn start_at(&self, at: f64) -> Result<Box<dyn LiveStream + '_>> {
        Ok(Box::new(Stream {
            task: self,
            live: (self.begin)()?,
            base: (at * f64::from(self.output_rate)).round() as u64,
            given: 0,
        }))
    }

    fn close(&self) -> Result<()> {
        let mut outlets = self.outlets();
        let written = outlets.file.take().map_or(Ok(()), Recorder::finish);
        let played = outlets.player.take().map_or(Ok(()), |mut player| player.finish());
        written.and(played)
    }
}

struct Stream<'a> {
    task: &'a EnhanceTask,
    live: Box<dyn Stretch>,
    base: u64,  // frame of the session at which the stretch begins
    given: u64, // frames since then
}

impl LiveStream for Stream<'_> {
    fn push(&mut self, samples: &[f32]) -> Result<Vec<Finding>> {
        let clean = self.live.push(&AudioView::from_mono(self.task.rate, samples))?;
        give(self.task, self.base, &mut self.given, &clean)
    }

    fn finish(self: Box<Self>) -> Result<Vec<Finding>> {
        let Self { task, live, base, mut given } = *self;
        let rest = live.finish()?;
        let found = give(task, base, &mut given, &rest)?;
        if let Some(player) = &mut task.outlets().player {
            player.rest()?;
        }
        Ok(found)
    }
}

/// Puts cleaned audio in its place, and tells of it.
fn give(task: &EnhanceTask, base: u64, given: &mut u64, clean: &[f32]) -> Result<Vec<Finding>> {
    let mut outlets = task.outlets();
    let gap = (base + *given).saturating_sub(outlets.frames);
    outlets.silence(gap, task)?;
    outlets.audio(clean, task)?;
    let mut found = Vec::new();
    if !std::mem::replace(&mut outlets.told, true) {
        found.push(Finding { event: announcement(task, &outlets), known: None });
    }
    let rate = f64::from(task.output_rate);
    let start = *given as f64 / rate;
    *given += clean.len() as u64;
    let end = *given as f64 / rate;
    if !clean.is_empty() {
        let buffered = outlets.player.as_ref().map_or(0.0, |player| player.delay().as_secs_f64());
        let buffered_ms = (buffered * 1e5).round() / 100.0;
        let event = Event::Enhanced { start, end, buffered_ms, latency_ms: 0.0 };
        // The oldest sample is the one that is latest.
        found.push(Finding { event, known: Some(start) });
    }
    let counts = |player: &Player| (player.underruns(), player.skipped());
    let now = outlets.player.as_ref().map(counts).unwrap_or_default();
    let (before, skipped) = outlets.underruns;
    if now != outlets.underruns {
        let event = Event::Underrun {
            at: end,
            count: now.0.count - before.count,
            frames: now.0.frames - before.frames,
            skipped: now.1 - skipped,
        };
        found.push(Finding { event, known: None });
        outlets.underruns = now;
    }
    Ok(found)
}

fn announcement(task: &EnhanceTask, outlets: &Outlets) -> Event {
    let LiveTiming { hop, look_ahead, resampling, context } = task.timing;
    Event::Enhancing {
        rate: task.output_rate,
        latency: task.latency(),
        hop,
        look_ahead,
        resampling,
        context,
        output: outlets.player.as_ref().map(|player| player.name().to_owned()),
    }
}

impl Outlets {
    fn audio(&mut self, clean: &[f32], task: &EnhanceTask) -> Result<()> {
        if clean.is_empty() {
            return Ok(());
        }
        self.frames += clean.len() as u64;
        if let Some(file) = &mut self.file {
            // The task's own thread can wait for the disk.
            file.audio(&AudioBuf::from_mono(task.output_rate, clean.to_vec()), Pace::Elastic);
        }
        if let Some(sink) = &mut self.sink {
            sink(clean);
        }
        self.check_file()?;
        self.player.as_mut().map_or(Ok(()), |player| player.play(clean))
    }

    /// What was not heard or was skipped.
    fn silence(&mut self, frames: u64, task: &EnhanceTask) -> Result<()> {
        self.frames += frames;
        if frames > 0
            && let Some(file) = &mut self.file
        {
            file.silence(frames, task.output_rate);
        }
        let second = vec![0.0; task.output_rate as usize];
        let mut left = frames as usize;
        while left > 0 {
            let silence = &second[..left.min(second.len())];
            if let Some(sink) = &mut self.sink {
                sink(silence);
            }
            // A live gap has passed by itself; where the device sets the pace, it has to be played.
            if let Some(player) = self.player.as_mut().filter(|_| task.pace == Pace::Elastic) {
                player.play(silence)?;
            }
            left -= silence.len();
        }
        Ok(())
    }

    /// A file that can't be written any more says why.
    fn check_file(&mut self) -> Result<()> {
        match self.file.take_if(|file| file.has_failed()) {
            Some(file) => file.finish().and(Err(Error::Fault("record"))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use formant_models::arch::mossformer::{MossformerCard, MossformerConfig};
    use formant_models::{DeviceChoice, tasks::enhance::EnhanceOptions};

    use super::*;
    use crate::output::feed::feed;

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
        let device = DeviceChoice::Cpu.resolve().expect("a processor");
        Enhancer::random(card, device).expect("sound sizes")
    }

    fn task(pace: Pace) -> EnhanceTask {
        let spec = AudioSpec::mono(16_000);
        let source = StreamInfo { name: "mock".to_owned(), spec, pace };
        let live = LiveOptions { latency_seconds: 0.3, ..LiveOptions::default() };
        EnhanceTask::new(enhancer(), EnhanceOptions::default(), live, &source).expect("sound")
    }

    #[test]
    fn pauses_of_a_device_are_told() {
        let (feed, _, mut speaker) = feed(64_000, 2);
        let output = OpenedOutput { name: "mock".into(), rate: 16_000, feed, stream: Box::new(()) };
        let task = task(Pace::Live).to_device(output).expect("rates");
        let mut stream = task.start().expect("begins");
        let mut found = stream.push(&[0.1; 8000]).expect("runs");
        let Event::Enhancing { latency, ref output, .. } = found[0].event else { panic!("first") };
        assert_eq!((latency, output.as_deref()), (task.latency(), Some("mock")));
        assert!(latency <= 0.3 + JOINED);
        let Event::Enhanced { start, end, buffered_ms, .. } = found[1].event else {
            panic!("audio")
        };
        assert!(start == 0.0 && end > 0.2);
        assert!((buffered_ms - 1e3 * (end + 0.1)).abs() < 0.02, "{buffered_ms} {end}");
        // The device plays on while nothing comes.
        speaker.fill(&mut vec![0.0; 2 * 16_000], std::time::Duration::ZERO);
        found = stream.push(&[0.1; 8000]).expect("runs");
        let missing = 16_000 - (1600 + (end * 16_000.0).round() as u64);
        let told = found.iter().any(|finding| {
            matches!(finding.event, Event::Underrun { count: 1, frames, .. } if frames == missing)
        });
        assert!(told, "{found:?}");
    }

    #[test]
    fn files_keep_time_over_gaps() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("clean.wav");
        let heard = std::sync::Arc::new(Mutex::new(Vec::new()));
        let sink = std::sync::Arc::clone(&heard);
        let task = task(Pace::Live).to_file(&path).expect("a file");
        let task = task.to_sink(move |clean| sink.lock().expect("sound").extend_from_slice(clean));
        let mut stream = task.start().expect("begins");
        stream.push(&[0.1; 8000]).expect("runs");
        let next = task.start_at(2.0).expect("begins");
        stream.finish().expect("runs");
        stream = next;
        stream.push(&[0.1; 100]).expect("runs");
        stream.finish().expect("runs");
        // A gap at the very end.
        task.start_at(3.0).expect("begins").finish().expect("nothing");
        task.close().expect("written");
        let options = formant_audio_core::decode::DecodeOptions::default();
        let clip = formant_audio_core::decode::decode_file(&path, &options).expect("whole");
        assert_eq!((clip.audio.rate(), clip.audio.frames()), (16_000, 48_000));
        let samples = clip.audio.channel(0);
        assert!(samples[8000..32_000].iter().all(|&x| x == 0.0));
        assert!(samples[..8000].iter().any(|&x| x != 0.0));
        // The file has 16 bits.
        let heard = heard.lock().expect("sound");
        let close = |(a, b): (&f32, &f32)| (a - b).abs() < 0.6 / 32768.0;
        assert!(heard.len() == samples.len() && heard.iter().zip(samples).all(close));
    }
}
