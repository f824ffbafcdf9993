//! `formant transcribe`: what is said in recordings of any length, as it is found.

mod formats;
mod recognizer;
mod subtitles;

use std::sync::{Mutex, PoisonError};

use formant_models::tasks::transcribe::{Segment, Transcript, TranscriptEvent};
use serde_json::json;

pub(crate) use recognizer::{Recognizer, load, tell_default};

use super::spot::Sink;
use super::{set_threads, warn};
use crate::args::TranscriptFormat;
use crate::batch::{self, Done, Lane};
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::inputs::Input;
use crate::messages::Messages;
use crate::outputs::{self, Target, begin};
use crate::plan::{Output, Settings, TranscribePlan};
use crate::{interrupt, json as lines};
use formats::Style;

pub(super) fn run(
    plan: TranscribePlan,
    settings: &Settings,
    messages: &Messages,
) -> Result<Outcome, Failure> {
    let gathered = match &plan.output {
        Output::Gathered(target) => Some(target.clone()),
        Output::Each(_) => None,
    };
    if let Some(target) = &gathered
        && !plan.existing.admits(target)?
    {
        messages.note("the output is there already");
        return Ok(Outcome::done());
    }
    let entries = &plan.sources.list.entries;
    // Several recordings go side by side, one core each; a single one has all cores.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let alone = if entries.len() == 1 { cores } else { 1 };
    set_threads(settings.threads.unwrap_or(alone));

    let first = load(&plan.recognizer)?;
    tell_default(&plan.recognizer, &first, messages)?;
    // A wrong number is one error, not one an input.
    first.transcriber.start(&first.options)?;
    let shared = first.shared();
    let first = Mutex::new(Some(first));
    let worker = || {
        let ready = first.lock().unwrap_or_else(PoisonError::into_inner).take();
        ready.map_or_else(|| recognizer::load_with(&plan.recognizer, &shared), Ok)
    };
    let work = |recognizer: &mut Recognizer, input: &Input, lane: &Lane<'_>| {
        Job { plan: &plan, recognizer, input, lane, json: settings.json }.run()
    };
    // Lines of a file that gathers transcripts are of one kind.
    let json = match gathered {
        Some(_) => plan.format == TranscriptFormat::Jsonl,
        None => settings.json,
    };
    let options = batch::Options { json, ..settings.batch_of_networks() };
    let Some(target) = gathered else {
        return batch::run(entries, options, messages, worker, work);
    };
    let sink = Sink::new(&target)?;
    let print = |text: &str| sink.print(text);
    let outcome = batch::run_into(&print, entries, options, messages, worker, work)?;
    if let Outcome::Worked { done: 1.., interrupted: false, .. } = outcome {
        sink.commit()?;
    }
    Ok(outcome)
}

/// One recording.
struct Job<'a> {
    plan: &'a TranscribePlan,
    recognizer: &'a Recognizer,
    input: &'a Input,
    lane: &'a Lane<'a>,
    json: bool,
}

impl Job<'_> {
    fn run(&self) -> Result<Done, Failure> {
        let target = match &self.plan.output {
            Output::Gathered(_) => None,
            Output::Each(targets) => targets.get(self.lane.index).cloned().flatten(),
        };
        if let Some(target) = &target
            && !self.plan.existing.admits(target)?
        {
            return Ok(Done::Skipped);
        }
        let mut reader = self.plan.sources.open(self.input)?;
        let transcript = match &self.plan.texts {
            Some(texts) => self.align(&mut reader, texts)?,
            None => self.listen(&mut reader, target.is_none())?,
        };
        let info = reader.info();
        warn(self.lane, &info.warnings);
        let mut more = json!({"warnings": lines::warnings(&info.warnings)});
        if let Some(target) = &target {
            let _underway = begin(target)?;
            outputs::write(target, self.whole(&transcript).as_bytes())?;
            more["output"] = target.name().into();
        }
        let is_line = match &target {
            None => self.plan.format == TranscriptFormat::Jsonl,
            Some(target) => self.json && *target != Target::Stdout,
        };
        if is_line {
            self.lane.print(&formats::transcript_line(&transcript, &self.lane.name, &more))?;
        }
        if transcript.segments.is_empty() {
            self.lane.messages.detail(&format!("{}: no speech", self.lane.name));
        }
        Ok(Done::Worked)
    }

    /// Recognises; with `tell`, segments are printed as they are found.
    fn listen(
        &self,
        reader: &mut formant_audio_core::decode::BlockReader,
        tell: bool,
    ) -> Result<Transcript, Failure> {
        let Recognizer { transcriber, options, .. } = self.recognizer;
        let mut session = transcriber.start(options)?;
        let mut segments = Vec::new();
        let mut take = |events: Vec<TranscriptEvent>| -> Result<(), Failure> {
            for event in events {
                if let TranscriptEvent::Final(segment) = event {
                    if tell {
                        self.lane.print(&self.part(&segment))?;
                    }
                    segments.push(segment);
                }
            }
            Ok(())
        };
        while let Some(block) = reader.next_block()? {
            interrupt::check()?;
            take(session.step(&block.view())?)?;
        }
        let seconds = session.seconds();
        take(session.finish()?)?;
        Ok(Transcript::of(segments, seconds, options.nbest))
    }

    /// Finds the times of a known text.
    fn align(
        &self,
        reader: &mut formant_audio_core::decode::BlockReader,
        texts: &[std::path::PathBuf],
    ) -> Result<Transcript, Failure> {
        let Recognizer { transcriber, options, .. } = self.recognizer;
        let path =
            texts.get(self.lane.index).map(std::path::PathBuf::as_path).unwrap_or("".as_ref());
        let text = std::fs::read_to_string(path).map_err(|error| Failure::input(path, &error))?;
        let found = transcriber.align(reader, &text, options).map_err(|error| match error {
            // The text is an input like the recording.
            formant_models::Error::Config { setting, reason } if setting == "text" => {
                Failure::new(crate::failure::Kind::Input, path.display().to_string(), reason)
            }
            other => other.into(),
        })?;
        if !found.unknown.is_empty() {
            let words = found.unknown.join(" ");
            let text = format!("no times for words that the model can't spell: {words}");
            self.lane.messages.warning(&self.lane.name, text);
        }
        if matches!(self.plan.output, Output::Gathered(_)) {
            for segment in &found.transcript.segments {
                self.lane.print(&self.part(segment))?;
            }
        }
        Ok(found.transcript)
    }

    fn style(&self) -> Style {
        Style {
            words: self.plan.words,
            layout: self.plan.layout,
            several: !self.plan.sources.list.single
                && matches!(self.plan.output, Output::Gathered(_)),
        }
    }

    /// A segment in a format whose transcripts are a list of them.
    fn part(&self, segment: &Segment) -> String {
        let name = &self.lane.name;
        match self.plan.format {
            TranscriptFormat::Jsonl => formats::segment_line(segment, name, self.style()),
            TranscriptFormat::Ctm => formats::ctm(segment, name),
            _ => formats::txt(segment, name, self.style()),
        }
    }

    fn whole(&self, transcript: &Transcript) -> String {
        let style = self.style();
        match self.plan.format {
            TranscriptFormat::Json => formats::json_file(transcript, &self.lane.name, style),
            TranscriptFormat::Srt => formats::srt(transcript, style),
            TranscriptFormat::Vtt => formats::vtt(transcript, style),
            TranscriptFormat::TextGrid => formats::textgrid(transcript),
            TranscriptFormat::Txt | TranscriptFormat::Jsonl | TranscriptFormat::Ctm => {
                transcript.segments.iter().map(|segment| self.part(segment)).collect()
            }
        }
    }
}
