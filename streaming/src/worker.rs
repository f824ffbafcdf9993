//! The thread of one task.

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::event::Event;
use crate::queue::{Queue, Taken};
use crate::shared::Shared;
use crate::task::{Finding, LiveTask, shift};

pub(crate) fn start(
    task: Box<dyn LiveTask>,
    queue: Arc<Queue>,
    events: Sender<Event>,
    shared: Arc<Shared>,
) -> Result<JoinHandle<Result<()>>> {
    let name = task.name();
    let stages = Stages::of(name);
    let work = move || {
        let worker = Worker { queue: Closing(queue), events, shared, stages };
        let outcome = worker.run(&*task);
        outcome.and(task.close())
    };
    std::thread::Builder::new()
        .name(format!("formant-{name}"))
        .spawn(work)
        .map_err(|error| Error::device(name, error.to_string()))
}

/// Names of what is measured.
struct Stages {
    wait: String,
    work: String,
    events: String,
    output: String,
}

impl Stages {
    fn of(task: &str) -> Self {
        Self {
            wait: format!("{task}: wait"),
            work: format!("{task}: work"),
            events: format!("{task}: capture to event"),
            output: format!("{task}: capture to output"),
        }
    }
}

/// A queue that nobody waits for once its task is gone, however that went.
struct Closing(Arc<Queue>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

struct Worker {
    queue: Closing,
    events: Sender<Event>,
    shared: Arc<Shared>,
    stages: Stages,
}

impl Worker {
    fn run(self, task: &dyn LiveTask) -> Result<()> {
        let rate = f64::from(task.rate().max(1));
        let mut base = 0.0;
        let mut stream = task.start()?;
        let mut heard = (0.0, Instant::now());
        loop {
            match self.queue.0.take() {
                Taken::Audio(chunks) => {
                    let Some(last) = chunks.last() else { continue };
                    heard = last.heard;
                    let started = Instant::now();
                    for chunk in &chunks {
                        self.shared.meters.delay(&self.stages.wait, chunk.queued.elapsed());
                    }
                    let found = match &chunks[..] {
                        [only] => stream.push(&only.samples)?,
                        several => {
                            let samples: Vec<f32> =
                                several.iter().flat_map(|chunk| &chunk.samples).copied().collect();
                            stream.push(&samples)?
                        }
                    };
                    let samples: usize = chunks.iter().map(|chunk| chunk.samples.len()).sum();
                    let seconds = samples as f64 / rate;
                    self.shared.meters.work(&self.stages.work, started.elapsed(), seconds);
                    self.tell(found, base, heard);
                }
                Taken::Restart(at) => {
                    let before = std::mem::replace(&mut stream, task.start_at(at)?);
                    self.tell(before.finish()?, base, heard);
                    base = at;
                }
                Taken::End => {
                    let found = stream.finish()?;
                    self.tell(found, base, heard);
                    return Ok(());
                }
            }
        }
    }

    /// Moves what was found to the session's time, and measures how late it is.
    fn tell(&self, found: Vec<Finding>, base: f64, heard: (f64, Instant)) {
        let (until, captured) = heard;
        for Finding { mut event, known } in found {
            shift(&mut event, base);
            if let Some(known) = known {
                // Captured evenly: what was known earlier was captured earlier.
                let before = Duration::from_secs_f64((until - known - base).max(0.0));
                let mut delay = captured.elapsed() + before;
                let mut stage = &self.stages.events;
                if let Event::Enhanced { buffered_ms, .. } = &event {
                    delay += Duration::from_secs_f64(buffered_ms.max(0.0) / 1e3);
                    stage = &self.stages.output;
                }
                self.shared.meters.delay(stage, delay);
                if let Event::Keyword { latency_ms, .. } | Event::Enhanced { latency_ms, .. } =
                    &mut event
                {
                    *latency_ms = (delay.as_secs_f64() * 1e5).round() / 100.0;
                }
            }
            if let Event::Underrun { count, .. } = &event {
                self.shared.meters.count(|counts| counts.underruns += count);
            }
            // Nobody may be listening any more.
            let _ = self.events.send(event);
        }
    }
}
