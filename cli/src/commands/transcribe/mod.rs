//! `formant transcribe`: what is said in recordings of any length, as it is found.

mod formats;
mod subtitles;

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use formant_audio_core::{Warning, text};
use formant_models::tasks::Task;
use formant_models::tasks::transcribe::{Segment, Transcript, TranscriptEvent, Word};
use formats::Style;
use serde_json::json;

use super::{Work, work};
use crate::batch::{self, Done, Lane};
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::inputs::{Input, InputArgs, InputList};
use crate::messages::Messages;
use crate::outputs::{
    Existing, Naming, OutputArgs, Results, SuffixWhen, Target, assign_shared, kind_of_ending,
};
use crate::reading::{AudioArgs, ClockArgs, Sources};
use crate::settings::Settings;
use crate::tasks::transcribe::{Recognizer, RecognizerArgs, RecognizerPlan};
use crate::tasks::{use_few_threads, use_threads};
use crate::{draft, interrupt, json as lines};

/// Kinds of transcripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TranscriptFormat {
    /// Plain text, a line a segment.
    Txt,
    /// One JSON object a recording.
    Json,
    /// A JSON object a line: segments as they are found, then the transcript; the same as --json.
    Jsonl,
    /// SubRip subtitles.
    Srt,
    /// WebVTT subtitles.
    Vtt,
    /// NIST's time-marked conversation: a word a line.
    Ctm,
    /// Praat's annotation, with tiers of segments and of words.
    #[value(name = "textgrid", alias = "TextGrid")]
    TextGrid,
}

/// What `formant transcribe` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant transcribe talk.mp3 --format srt -o talk.srt")]
pub(crate) struct TranscribeArgs {
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    audio: AudioArgs,
    #[command(flatten)]
    clock: ClockArgs,
    #[command(flatten)]
    recognizer: RecognizerArgs,
    /// Kind of transcript [default: by the output's extension, otherwise txt].
    #[arg(long, value_enum, value_name = "KIND")]
    format: Option<TranscriptFormat>,
    /// Output words with times: one line a word in txt, one cue a word in srt and vtt.
    #[arg(long)]
    words: bool,
    /// Output the N best hypotheses, in txt, json and jsonl.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    nbest: u16,
    /// Align a known text instead: a text file, or a folder with NAME.txt for NAME.wav. Every line
    /// becomes a segment.
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["lm", "alpha", "beta", "beam", "hotwords", "nbest"])]
    align: Option<PathBuf>,
    /// Maximum length of a subtitle line in characters.
    #[arg(long, value_name = "N", default_value_t = 42, value_parser = clap::value_parser!(u16).range(8..=1000))]
    line_length: u16,
    /// Maximum number of lines of a subtitle.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=10))]
    lines: u16,
    #[command(flatten)]
    output: OutputArgs,
}

impl TranscribeArgs {
    /// Finds out what was meant.
    pub(crate) fn resolve(self, settings: &Settings) -> Result<Work, Failure> {
        let plan = plan(&self, settings)?;
        Ok(work(plan, run))
    }
}

/// How subtitles are set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SubtitleLayout {
    /// Characters of a line.
    line_length: usize,
    lines: usize,
}

/// Recordings to be transcribed.
#[derive(Debug)]
struct TranscribePlan {
    recognizer: RecognizerPlan,
    sources: Sources,
    clock: ClockArgs,
    format: TranscriptFormat,
    words: bool,
    layout: SubtitleLayout,
    /// The texts that are known, one for each input.
    texts: Option<Vec<PathBuf>>,
    output: Results,
    existing: Existing,
}

fn plan(typed: &TranscribeArgs, settings: &Settings) -> Result<TranscribePlan, Failure> {
    let mut recognizer = typed.recognizer.resolve(settings)?;
    recognizer.options.nbest = usize::from(typed.nbest);
    let mut sources = Sources::of(&typed.input, &typed.audio)?;
    let format = format(typed, settings)?;
    let texts = typed.align.as_deref().map(|path| texts(path, &sources.list)).transpose()?;
    let naming = Naming {
        suffix: "_transcript",
        suffix_when: SuffixWhen::SameExtension,
        extension: extension(format),
    };
    let shares = match format {
        TranscriptFormat::Jsonl | TranscriptFormat::Ctm => true,
        // A file has the plain text of one recording.
        TranscriptFormat::Txt => typed.output.output.is_none(),
        _ => false,
    };
    let output = assign_shared(&typed.output, &mut sources.list, naming, shares, settings)?;
    Ok(TranscribePlan {
        recognizer,
        sources,
        clock: typed.clock,
        format,
        words: typed.words,
        layout: SubtitleLayout {
            line_length: usize::from(typed.line_length),
            lines: usize::from(typed.lines),
        },
        texts,
        output,
        existing: Existing::of(&typed.output),
    })
}

fn extension(format: TranscriptFormat) -> &'static str {
    match format {
        TranscriptFormat::Txt => "txt",
        TranscriptFormat::Json => "json",
        TranscriptFormat::Jsonl => "jsonl",
        TranscriptFormat::Srt => "srt",
        TranscriptFormat::Vtt => "vtt",
        TranscriptFormat::Ctm => "ctm",
        TranscriptFormat::TextGrid => "TextGrid",
    }
}

/// As `--format` says, or the output's extension, or `--json`.
fn format(typed: &TranscribeArgs, settings: &Settings) -> Result<TranscriptFormat, Failure> {
    use TranscriptFormat::{Ctm, Json, Jsonl, Srt, TextGrid, Txt, Vtt};
    let known = [Txt, Json, Jsonl, Srt, Vtt, Ctm, TextGrid].map(|kind| (extension(kind), kind));
    let format = match typed.format {
        Some(format) => Some(format),
        None => kind_of_ending(&typed.output, true, &known)?,
    };
    match format {
        // Standard output has room for one kind of lines.
        None if settings.json && typed.output.output.is_none() => Ok(Jsonl),
        Some(Txt | Ctm) if settings.json && typed.output.output.is_none() => {
            Err(Failure::usage("--json", "the transcript itself goes to standard output")
                .help("name a file with -o, or leave out --format"))
        }
        Some(format) => Ok(format),
        None => Ok(Txt),
    }
}

/// The text of every input: one file for one input, or files of the same names in a folder.
fn texts(path: &Path, list: &InputList) -> Result<Vec<PathBuf>, Failure> {
    if path.is_dir() {
        let text = |entry: &crate::inputs::Entry| match entry {
            Ok(input) => path.join(&input.relative).with_extension("txt"),
            Err(_) => PathBuf::new(),
        };
        return Ok(list.entries.iter().map(text).collect());
    }
    match list.single {
        true => Ok(vec![path.to_owned()]),
        false => Err(Failure::usage("--align", "one text for several inputs")
            .help("name a folder that holds NAME.txt for every NAME.wav")),
    }
}

fn run(plan: TranscribePlan, settings: &Settings, messages: &Messages) -> Result<Outcome, Failure> {
    let list = &plan.sources.list;
    // Several recordings go side by side, one core each; a single one has all cores.
    match list.entries.len() {
        1 => use_threads(&Settings { jobs: None, ..*settings }),
        _ => use_few_threads(settings),
    }
    let worker = || {
        let recognizer = plan.recognizer.load()?;
        plan.recognizer.tell_default(&recognizer, messages)?;
        // A wrong number is one error, not one an input.
        recognizer.transcriber.start(&recognizer.options)?;
        Ok(recognizer)
    };
    let work = |recognizer: &mut Recognizer, input: &Input, lane: &Lane<'_>| {
        Job { plan: &plan, recognizer, input, lane, json: settings.json }.run()
    };
    let options = settings.batch_of_networks();
    let json = plan.format == TranscriptFormat::Jsonl;
    let gathering = batch::Gathering { existing: plan.existing, heading: "", json };
    batch::run_to(&plan.output, gathering, list, options, messages, worker, work)
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
        let target = self.plan.output.own(self.lane.index)?;
        if let Some(target) = target
            && !self.plan.existing.admits(target)?
        {
            return Ok(Done::Skipped);
        }
        let mut reader = self.lane.open(&self.plan.sources, self.input)?;
        let (transcript, odd) = match &self.plan.texts {
            Some(texts) => (self.align(&mut reader, texts)?, Vec::new()),
            None => self.listen(&mut reader, target.is_none())?,
        };
        let warnings = [reader.info().warnings.as_slice(), &odd].concat();
        self.lane.warn(&warnings);
        let mut more = json!({"warnings": lines::warnings(&warnings)});
        if let Some(target) = target {
            draft::write(target, self.whole(&transcript).as_bytes())?;
            more["output"] = target.name().into();
        }
        let is_line = match target {
            None => self.plan.format == TranscriptFormat::Jsonl,
            Some(target) => self.json && *target != Target::Stdout,
        };
        if is_line {
            let line = formats::transcript_line(&transcript, &self.lane.name, &more);
            if target.is_some() { self.lane.tell(&line) } else { self.lane.print(&line) }?;
        }
        if transcript.segments.is_empty() {
            self.lane.messages.detail(&format!("{}: no speech", self.lane.name));
        }
        Ok(Done::Worked)
    }

    /// Recognizes, and says what was odd; with `tell`, segments are printed as they are found.
    fn listen(
        &self,
        reader: &mut formant_audio_core::decode::BlockReader,
        tell: bool,
    ) -> Result<(Transcript, Vec<Warning>), Failure> {
        let Recognizer { transcriber, options, .. } = self.recognizer;
        let mut segments = Vec::new();
        let offset = self.plan.clock.offset(reader);
        let heard = transcriber.process_reader(reader, options, |events| {
            interrupt::check()?;
            for mut segment in events.into_iter().filter_map(TranscriptEvent::finished) {
                shift(&mut segment, offset);
                if tell {
                    self.lane.print(&self.part(&segment))?;
                }
                segments.push(segment);
            }
            Ok::<_, Failure>(())
        })?;
        Ok((Transcript::of(segments, heard.seconds, options.nbest), heard.warnings))
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
        let text = text::read(path, text::MAX_TEXT)?;
        let offset = self.plan.clock.offset(reader);
        let mut found = transcriber.align(reader, &text, options).map_err(|error| match error {
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
        found.transcript.segments.iter_mut().for_each(|segment| shift(segment, offset));
        found.transcript.words.iter_mut().for_each(|word| shift_word(word, offset));
        if matches!(self.plan.output, Results::Gathered(_)) {
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
                && matches!(self.plan.output, Results::Gathered(_)),
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

/// Moves a segment in time.
fn shift(segment: &mut Segment, seconds: f64) {
    segment.start += seconds;
    segment.end += seconds;
    segment.words.iter_mut().for_each(|word| shift_word(word, seconds));
}

fn shift_word(word: &mut Word, seconds: f64) {
    word.start += seconds;
    word.end += seconds;
}
