//! A session: one source, any number of tasks, a recording, and events in the order of their making.
//!
//! A reader thread takes audio from the source and hands it on; each task has a thread of its own.
//! What they say goes through one channel to whoever holds the [`Listening`].

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use formant_audio_core::AudioBuf;

use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::event::{EndReason, Event, GapCause};
use crate::intake::Intake;
use crate::level::LevelTap;
use crate::queue::{Chunk, Queue};
use crate::record::Recorder;
use crate::shared::Shared;
use crate::source::{Pace, Reading, Source, StreamInfo};
use crate::state::State;
use crate::stats::Stats;
use crate::task::{JOINED, LiveTask};
use crate::worker;

/// How long the reader waits for audio before it looks whether it is to stop.
const PATIENCE: Duration = Duration::from_millis(50);
/// Longer gaps end the stretches of the tasks instead of being heard as silence.
const LONGEST_SILENCE: Duration = Duration::from_secs(2);
/// Silence is handed on in blocks of this length, in seconds.
const SILENCE_BLOCK: f64 = 0.1;

/// How a session works.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SessionOptions {
    /// Time from one level event to the next; without one there are none.
    pub level: Option<Duration>,
    /// Where the take goes: a WAV file, which is replaced if it is there.
    pub record: Option<PathBuf>,
    /// Length of the stream after which the session stops by itself.
    pub limit: Option<Duration>,
    /// Audio that may wait for a task of a live source before the task skips to the newest second;
    /// 10 s where none is given.
    pub longest_lag: Option<Duration>,
}

/// A session that is being put together.
pub struct Session {
    source: Box<dyn Source>,
    tasks: Vec<Box<dyn LiveTask>>,
    options: SessionOptions,
}

impl Session {
    /// A session that hears `source`.
    #[must_use]
    pub fn new(source: impl Source + 'static) -> Self {
        Self { source: Box::new(source), tasks: Vec::new(), options: SessionOptions::default() }
    }

    /// Adds a task.
    #[must_use]
    pub fn task(mut self, task: impl LiveTask + 'static) -> Self {
        self.tasks.push(Box::new(task));
        self
    }

    /// Sets how it works.
    #[must_use]
    pub fn options(mut self, options: SessionOptions) -> Self {
        self.options = options;
        self
    }

    /// Begins to listen.
    ///
    /// # Errors
    /// When the recording can't be begun, or a thread can't be started.
    pub fn start(self) -> Result<Listening> {
        let Self { source, tasks, options } = self;
        let recorder = match &options.record {
            Some(path) => Some(Recorder::create(path, source.info().spec)?),
            None => None,
        };
        let (sender, events) = channel();
        let shared = Arc::new(Shared::new());
        let reader = Reader {
            pace: source.info().pace,
            source,
            recorder,
            level: options.level.map(LevelTap::new),
            feeds: Vec::new(),
            clock: Clock::default(),
            longest_lag: options.longest_lag.unwrap_or(Duration::from_secs(10)).as_secs_f64(),
            limit: options.limit.map(|limit| limit.as_secs_f64()),
            events: sender,
            shared: Arc::clone(&shared),
        };
        let thread = std::thread::Builder::new()
            .name("formant-listen".to_owned())
            .spawn(move || reader.run(tasks))
            .map_err(|error| Error::device("session", error.to_string()))?;
        Ok(Listening { events, shared, thread: Some(thread) })
    }
}

/// A session at work. Iterate over it for its events; dropping it ends the session.
pub struct Listening {
    events: Receiver<Event>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Listening {
    /// The next event; waits no longer than `patience`. `None` also after the last event, when
    /// [`Listening::is_over`] says so.
    #[must_use]
    pub fn next_within(&self, patience: Duration) -> Option<Event> {
        self.events.recv_timeout(patience).ok()
    }

    /// Where the session is in its life.
    #[must_use]
    pub fn state(&self) -> State {
        self.shared.state.get()
    }

    /// Whether the session is over; events may still wait to be taken. Ask before you ask for an
    /// event: when there is none then, there will be none.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits for the end of a session that ends by itself.
    ///
    /// # Errors
    /// What ended the session, if it did not end by itself; told once.
    pub fn wait(&mut self) -> Result<()> {
        self.join()
    }

    /// Asks the session to stop. What was heard is still finished and told.
    pub fn stop(&self) {
        self.shared.stop();
    }

    /// The figures so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.meters.stats()
    }

    /// Stops and waits for the end; events that were not taken are lost.
    ///
    /// # Errors
    /// What ended the session, if it did not end by itself.
    pub fn finish(mut self) -> Result<Stats> {
        self.stop();
        let result = self.join();
        result.map(|()| self.stats())
    }

    fn join(&mut self) -> Result<()> {
        match self.thread.take() {
            Some(thread) => thread.join().unwrap_or(Err(Error::Fault("listen"))),
            None => Ok(()),
        }
    }
}

impl Iterator for Listening {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        self.events.recv().ok()
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.stop();
        // Who drops a session does not want to hear how it ended.
        let _ = self.join();
    }
}

/// Audio on its way to the tasks of one rate.
struct Feed {
    intake: Intake,
    /// Seconds of the session at the start of the stretch, and samples since then.
    base: f64,
    samples: u64,
    held: Vec<f32>,
    tasks: Vec<(&'static str, Arc<Queue>)>,
}

/// The thread that hears the source.
struct Reader {
    source: Box<dyn Source>,
    pace: Pace,
    recorder: Option<Recorder>,
    level: Option<LevelTap>,
    feeds: Vec<Feed>,
    clock: Clock,
    longest_lag: f64,
    limit: Option<f64>,
    events: Sender<Event>,
    shared: Arc<Shared>,
}

impl Reader {
    fn run(mut self, tasks: Vec<Box<dyn LiveTask>>) -> Result<()> {
        let names = tasks.iter().map(|task| task.name().to_owned()).collect();
        let mut workers = Vec::new();
        for task in tasks {
            let queue = Arc::new(Queue::default());
            self.add_feed(task.rate(), (task.name(), Arc::clone(&queue)));
            workers.push(worker::start(
                task,
                queue,
                self.events.clone(),
                Arc::clone(&self.shared),
            )?);
        }
        let StreamInfo { name, spec, .. } = self.source.info();
        let channels = spec.channels();
        self.tell(Event::Started { source: name, rate: spec.rate, channels, tasks: names });
        self.shared.state.enter(State::Listening);
        let heard = self.listen(&workers);
        self.shared.state.enter(State::Finishing);
        let flushed = self.flush();
        for feed in &self.feeds {
            feed.tasks.iter().for_each(|(_, queue)| queue.end());
        }
        let mut outcome = flushed;
        for worker in workers {
            let ended = worker.join().unwrap_or(Err(Error::Fault("task")));
            outcome = outcome.and(ended);
        }
        if let Some(recorder) = self.recorder.take() {
            outcome = outcome.and(recorder.finish());
        }
        let (reason, outcome) = match heard {
            Ok(reason) if outcome.is_ok() => (reason, outcome),
            Ok(_) => (EndReason::Failed, outcome),
            Err(error @ Error::Lost { .. }) => (EndReason::DeviceLost, Err(error)),
            Err(error) => (EndReason::Failed, Err(error)),
        };
        self.count();
        self.shared.meters.warn(self.source.warnings());
        let counts = self.shared.meters.counts();
        let (seconds, lost_frames) = (counts.seconds, counts.lost_frames);
        self.shared.state.enter(State::Finished);
        self.tell(Event::Finished { seconds, reason, lost_frames });
        outcome
    }

    fn add_feed(&mut self, rate: u32, task: (&'static str, Arc<Queue>)) {
        match self.feeds.iter_mut().find(|feed| feed.intake.rate() == rate) {
            Some(feed) => feed.tasks.push(task),
            None => {
                let intake = Intake::new(rate);
                let held = Vec::new();
                self.feeds.push(Feed { intake, base: 0.0, samples: 0, held, tasks: vec![task] });
            }
        }
    }

    fn tell(&self, event: Event) {
        // Nobody may be listening any more.
        let _ = self.events.send(event);
    }

    fn count(&self) {
        let (seconds, drift_ppm) = (self.clock.now(), self.clock.drift());
        self.shared.meters.count(|counts| {
            (counts.seconds, counts.drift_ppm) = (seconds, drift_ppm);
        });
    }

    fn listen(&mut self, workers: &[JoinHandle<Result<()>>]) -> Result<EndReason> {
        loop {
            let over = self.limit.is_some_and(|limit| self.clock.now() >= limit);
            if over || self.shared.is_stopped() {
                return Ok(EndReason::Stopped);
            }
            let failed = self.recorder.as_ref().is_some_and(Recorder::has_failed);
            if failed || workers.iter().any(JoinHandle::is_finished) {
                // Their own errors say why.
                return Ok(EndReason::Failed);
            }
            match self.source.read(PATIENCE)? {
                Reading::Audio { block, captured } => self.audio(block, captured)?,
                Reading::Missing { frames, cause } => self.missing(frames, cause)?,
                Reading::Waiting => {}
                Reading::Lost { reason } => {
                    self.shared.state.enter(State::Waiting);
                    let (at, source) = (self.clock.now(), self.source.info().name);
                    self.tell(Event::DeviceLost { at, source, reason });
                }
                Reading::Resumed { away } => self.resumed(away)?,
                Reading::Gone => {
                    let name = self.source.info().name;
                    return Err(Error::Lost { name, reason: "it did not come back".to_owned() });
                }
                Reading::End => return Ok(EndReason::End),
            }
        }
    }

    fn audio(&mut self, mut block: AudioBuf, captured: Instant) -> Result<()> {
        let rate = block.rate();
        if let Some(limit) = self.limit {
            // A thousandth of a frame is rounding, no frame.
            let left = (limit - self.clock.now()) * f64::from(rate);
            let left = (left - 1e-3).ceil().max(0.0);
            if (left as usize) < block.frames() {
                block = block.view().slice(0..left as usize).to_owned();
            }
        }
        let mut non_finite = 0;
        for sample in block.as_planar_mut().iter_mut().filter(|sample| !sample.is_finite()) {
            *sample = 0.0;
            non_finite += 1;
        }
        self.shared.meters.delay("capture", captured.elapsed());
        self.clock.audio(block.frames(), rate, captured);
        self.count();
        self.shared.meters.count(|counts| counts.non_finite += non_finite);
        if let Some(recorder) = &mut self.recorder {
            recorder.audio(&block, self.pace);
        }
        let now = self.clock.now();
        if let Some(event) = self.level.as_mut().and_then(|level| level.push(&block.view(), now)) {
            self.tell(event);
        }
        self.hand_on(&block, captured)
    }

    /// To the tasks, at their rates.
    fn hand_on(&mut self, block: &AudioBuf, captured: Instant) -> Result<()> {
        for at in 0..self.feeds.len() {
            let started = Instant::now();
            let samples = self.feeds[at].intake.push(&block.view())?;
            self.shared.meters.work("resample", started.elapsed(), block.duration());
            let feed = &mut self.feeds[at];
            feed.held.extend(samples);
            if feed.held.len() as f64 >= JOINED * f64::from(feed.intake.rate()) {
                self.put(at, captured);
            }
        }
        Ok(())
    }

    fn put(&mut self, at: usize, captured: Instant) {
        let heard = (self.clock.now(), captured);
        let feed = &mut self.feeds[at];
        let samples = std::mem::take(&mut feed.held);
        if samples.is_empty() {
            return;
        }
        let rate = f64::from(feed.intake.rate());
        let start = feed.base + feed.samples as f64 / rate;
        feed.samples += samples.len() as u64;
        let seconds = samples.len() as f64 / rate;
        let queued = Instant::now();
        let chunk = Arc::new(Chunk { samples, start, seconds, heard, queued });
        for (name, queue) in &feed.tasks {
            if self.pace == Pace::Elastic {
                queue.push_elastic(Arc::clone(&chunk));
            } else if let Some((start, end)) = queue.push_live(Arc::clone(&chunk), self.longest_lag)
            {
                let task = Some((*name).to_owned());
                let _ = self.events.send(Event::Gap { start, end, cause: GapCause::Shed, task });
                self.shared.meters.count(|counts| counts.shed_seconds += end - start);
            }
        }
    }

    /// Frames that were not heard: time goes on, and short gaps are heard as silence.
    fn missing(&mut self, frames: u64, cause: GapCause) -> Result<()> {
        let spec = self.source.info().spec;
        let start = self.clock.now();
        self.shared.meters.count(|counts| {
            counts.overruns += 1;
            counts.lost_frames += frames;
        });
        let total_frames = self.shared.meters.counts().lost_frames;
        self.tell(Event::Overrun { at: start, frames, total_frames });
        let length = Duration::from_secs_f64(frames as f64 / f64::from(spec.rate.max(1)));
        self.clock.missing(frames, spec.rate);
        self.gap(start, length, frames, cause)
    }

    /// A device after a time without one.
    fn resumed(&mut self, away: Duration) -> Result<()> {
        let StreamInfo { name, spec, .. } = self.source.info();
        let start = self.clock.now();
        let frames = (away.as_secs_f64() * f64::from(spec.rate)).round() as u64;
        self.clock.away(away);
        self.shared.meters.count(|counts| counts.lost_frames += frames);
        self.shared.state.enter(State::Listening);
        self.tell(Event::Resumed {
            at: self.clock.now(),
            source: name,
            rate: spec.rate,
            channels: spec.channels(),
            away: away.as_secs_f64(),
        });
        self.gap(start, away, frames, GapCause::DeviceLost)
    }

    fn gap(&mut self, start: f64, length: Duration, frames: u64, cause: GapCause) -> Result<()> {
        let end = self.clock.now();
        if frames == 0 {
            return Ok(());
        }
        self.tell(Event::Gap { start, end, cause, task: None });
        let spec = self.source.info().spec;
        if let Some(recorder) = &mut self.recorder {
            recorder.silence(frames, spec.rate);
        }
        if length > LONGEST_SILENCE {
            self.flush()?;
            for feed in &mut self.feeds {
                (feed.base, feed.samples) = (end, 0);
                feed.tasks.iter().for_each(|(_, queue)| queue.restart(end));
            }
            return Ok(());
        }
        let now = Instant::now();
        let block = ((SILENCE_BLOCK * f64::from(spec.rate)) as u64).max(1);
        let mut left = frames;
        while left > 0 {
            let step = left.min(block);
            self.hand_on(&AudioBuf::silence(spec, step as usize), now)?;
            left -= step;
        }
        Ok(())
    }

    /// What the resamplers still hold.
    fn flush(&mut self) -> Result<()> {
        for at in 0..self.feeds.len() {
            let samples = self.feeds[at].intake.finish()?;
            self.feeds[at].held.extend(samples);
            self.put(at, Instant::now());
        }
        Ok(())
    }
}
