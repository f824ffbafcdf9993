//! `formant listen`: words, captions, voices and cleaned speech from a microphone or what stands in
//! for one.

mod screen;
mod tell;

use std::time::Duration;

use formant_models::tasks::enhance::Enhancer;
use formant_models::tasks::speaker::Voices;
use formant_streaming::event::EndReason;
use formant_streaming::output::Outputs;
use formant_streaming::source::{FileSource, LiveSource, Microphones, Source, StreamSource};
use formant_streaming::task::{EnhanceTask, SpeakerTask, SpotTask, TranscribeTask};
use formant_streaming::{DeviceInfo, Direction, Event, Session, SessionOptions};

use super::{tell_precision, use_few_threads};
use crate::exit::Outcome;
use crate::failure::{Failure, Kind};
use crate::messages::Messages;
use crate::plan::{ListenEnhancement, ListenPlan, ListenSource, ListenTask, Play, Settings};
use crate::{interrupt, json as lines, stdout};
use tell::Teller;

/// How often Ctrl-C is looked for.
const PATIENCE: Duration = Duration::from_millis(100);
/// Time from one level to the next: what eyes can follow, and what a file can hold.
const METER: Duration = Duration::from_millis(100);
const LEVEL_LINES: Duration = Duration::from_secs(1);

pub(crate) fn run(
    task: ListenTask,
    settings: &Settings,
    messages: &Messages,
) -> Result<Outcome, Failure> {
    match task {
        ListenTask::Devices => devices(settings),
        ListenTask::Listen(plan) => {
            interrupt::install()?;
            use_few_threads(settings);
            listen(*plan, settings, messages)
        }
    }
}

fn devices(settings: &Settings) -> Result<Outcome, Failure> {
    let mut list = Microphones::new()?.list();
    list.extend(Outputs::new()?.list());
    if list.is_empty() {
        return Err(Failure::new(Kind::Device, "microphones", "there are none")
            .help("plug one in, and see that the sound server runs; `formant doctor` says more"));
    }
    for device in &list {
        let text = match settings.json {
            true => lines::line("device", device),
            false => device_line(device),
        };
        stdout::print(&text)?;
    }
    Ok(Outcome::done())
}

pub(crate) fn device_line(device: &DeviceInfo) -> String {
    let DeviceInfo { name, description, rate, channels, default, direction } = device;
    let mark = if *default { "*" } else { " " };
    let way = if *direction == Direction::Input { "in " } else { "out" };
    format!("{mark} {way} {name:<24} {rate:>6} Hz {channels:>2} ch  {description}\n")
}

fn listen(plan: ListenPlan, settings: &Settings, messages: &Messages) -> Result<Outcome, Failure> {
    // Models first: nothing should be lost while they load.
    let mut tasks = Tasks::default();
    if let Some((model, options)) = &plan.spot {
        tasks.spot = Some(SpotTask::new(super::spot::load(model)?, options.clone())?);
    }
    if let Some(recognizer) = &plan.transcribe {
        let ready = super::transcribe::load(recognizer)?;
        super::transcribe::tell_default(recognizer, &ready, messages)?;
        tasks.transcribe = Some(TranscribeTask::new(ready.transcriber, ready.options)?);
    }
    if let Some((model, voices)) = &plan.speaker {
        let embedder = super::speaker::load(model)?;
        let scorer = embedder.scorer();
        tasks.speaker = Some(SpeakerTask::new(embedder, Voices::read(voices)?, scorer)?);
    }
    if let Some(wanted) = &plan.enhance {
        tell_precision(&wanted.load, messages);
        tasks.enhance = Some((Enhancer::load(&wanted.model, &wanted.load)?, wanted));
    }
    let mut teller = Teller::new(&plan, settings, messages);
    let level = if teller.has_screen() { METER } else { LEVEL_LINES };
    let options = SessionOptions {
        level: plan.level.then_some(level),
        record: plan.record.clone(),
        limit: plan.limit,
        longest_lag: Some(plan.longest_lag),
    };
    let session = match &plan.source {
        ListenSource::Microphone { wanted, on_loss } => {
            let microphones = Box::new(Microphones::new()?);
            tasks.session(LiveSource::open(microphones, wanted.clone(), *on_loss)?)?
        }
        ListenSource::Stdin(decode) => {
            let stdin = Box::new(std::io::stdin());
            tasks.session(match decode.raw {
                Some(format) => StreamSource::raw(stdin, "-", format)?,
                None => StreamSource::decoded(stdin, "-", decode)?,
            })?
        }
        ListenSource::File { path, decode, pace } => {
            tasks.session(FileSource::open(path, decode, *pace)?)?
        }
    };
    let session = session.options(options).start()?;
    let mut stopped = false;
    let reason = loop {
        if interrupt::requested() && !stopped {
            session.stop();
            stopped = true;
        }
        let over = session.is_over();
        let Some(event) = session.next_within(PATIENCE) else {
            if over {
                break EndReason::Failed;
            }
            continue;
        };
        teller.tell(&event)?;
        if let Event::Finished { reason, .. } = event {
            break reason;
        }
    };
    let result = session.finish();
    if let (true, Ok(stats)) = (plan.stats, &result) {
        teller.stats(stats)?;
    }
    result?;
    if let (Some(path), true) = (&plan.record, reason != EndReason::Failed) {
        messages.note(&format!("the take is in {}", path.display()));
    }
    let enhanced = plan.enhance.as_ref().and_then(|wanted| wanted.file.as_ref());
    if let (Some(path), true) = (enhanced, reason != EndReason::Failed) {
        messages.note(&format!("the enhanced audio is in {}", path.display()));
    }
    Ok(Outcome::Worked { done: 1, failed: Vec::new(), interrupted: stopped })
}

/// What listens.
#[derive(Default)]
struct Tasks<'a> {
    spot: Option<SpotTask>,
    transcribe: Option<TranscribeTask>,
    speaker: Option<SpeakerTask>,
    enhance: Option<(Enhancer, &'a ListenEnhancement)>,
}

impl Tasks<'_> {
    fn session(self, source: impl Source + 'static) -> Result<Session, Failure> {
        let enhance = self.enhance.map(|(enhancer, wanted)| enhance(enhancer, wanted, &source));
        let mut session = Session::new(source);
        if let Some(task) = self.spot {
            session = session.task(task);
        }
        if let Some(task) = self.transcribe {
            session = session.task(task);
        }
        if let Some(task) = self.speaker {
            session = session.task(task);
        }
        if let Some(task) = enhance {
            session = session.task(task?);
        }
        Ok(session)
    }
}

/// Cleaned audio has the source's rate, and goes at its pace.
fn enhance(
    enhancer: Enhancer,
    wanted: &ListenEnhancement,
    source: &impl Source,
) -> Result<EnhanceTask, Failure> {
    let info = source.info();
    let mut task = EnhanceTask::new(enhancer, wanted.options, wanted.live, &info)?;
    if let Some(play) = &wanted.play {
        let name = match play {
            Play::Default => None,
            Play::Named(name) => Some(name.as_str()),
        };
        task = task.to_device(Outputs::new()?.open(name, info.spec.rate)?)?;
    }
    if let Some(path) = &wanted.file {
        task = task.to_file(path)?;
    }
    Ok(task)
}
