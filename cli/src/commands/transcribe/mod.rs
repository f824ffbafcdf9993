//! `formant transcribe`: what is said in recordings of any length, as it is found.

mod formats;
mod recognizer;
mod subtitles;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use formant_audio_core::text;
use formant_models::arch::squeezeformer::NemoRelease;
use formant_models::decoding::{DEFAULT_BOOST, Hotwords};
use formant_models::tasks::transcribe::{
    Segment, Segmentation, TranscribeOptions, Transcript, TranscriptEvent,
};
use formant_models::{LoadOptions, ModelSource};
use formats::Style;
use serde_json::json;

use crate::args::{AudioArgs, InputArgs, OutputArgs, Precision};
use crate::batch::{Done, Lane};
use crate::commands::spot::{Sink, model_source};
use crate::commands::{Work, work};
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::inputs::{Input, InputList};
use crate::messages::Messages;
use crate::outputs::{Existing, Naming, SuffixWhen, Target, assign, begin};
use crate::plan::{Settings, Sources, check_stdout};
use crate::run::{set_threads, warn};
use crate::{batch, interrupt, json as lines, outputs};

/// Kinds of transcripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TranscriptFormat {
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

/// Where recordings are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CutArg {
    /// At pauses; what is no speech is left out.
    Pauses,
    /// By length alone; everything is transcribed.
    Length,
}

/// Releases of NeMo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum NemoArg {
    /// Up to 2.4: how the published checkpoints were scored.
    V1,
    /// From 2.5 on.
    V2,
}

/// Which recogniser, and how it decides.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Recognition options")]
pub(crate) struct RecognizerArgs {
    /// A name from `formant models list`, a .nemo file, a WeNet folder, or a file of formant's own.
    #[arg(long, value_name = "NAME|PATH")]
    pub(crate) model: Option<String>,
    /// Language model: an ARPA file, gzipped or not; none leaves out that of the model.
    #[arg(long, value_name = "FILE|none")]
    pub(crate) lm: Option<PathBuf>,
    /// Weight of the language model [default: that of the model, else 0.5].
    #[arg(long, value_name = "WEIGHT")]
    pub(crate) alpha: Option<f32>,
    /// What each word is worth beside the language model [default: that of the model, else 1.5].
    #[arg(long, value_name = "WEIGHT", allow_negative_numbers = true)]
    pub(crate) beta: Option<f32>,
    /// Readings that the search keeps [default: greedy, or 16 where a search is needed].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(crate) beam: Option<u16>,
    /// Words and phrases to expect: a text file, one a line, or a list separated by commas; a
    /// number after a colon is what a letter is worth [default: 1.5].
    #[arg(long, value_name = "FILE|LIST")]
    pub(crate) hotwords: Option<String>,
    /// Where recordings are cut.
    #[arg(long, value_enum, default_value = "pauses", value_name = "WHERE")]
    pub(crate) cut: CutArg,
    /// Longest stretch that the network hears at once, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 20.0)]
    pub(crate) window: f64,
    /// Stretches that the network hears side by side [default: 1 on a CPU, 8 on a GPU].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) batch_size: Option<u16>,
    /// The NeMo releases that .nemo files are to behave like.
    #[arg(long, value_enum, default_value = "v2", value_name = "RELEASE")]
    pub(crate) nemo: NemoArg,
}

/// What `formant transcribe` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant transcribe talk.mp3 --format srt -o talk.srt")]
pub(crate) struct TranscribeArgs {
    #[command(flatten)]
    pub(crate) input: InputArgs,
    #[command(flatten)]
    pub(crate) audio: AudioArgs,
    #[command(flatten)]
    pub(crate) recognizer: RecognizerArgs,
    /// Kind of transcript [default: by the output's extension, else txt].
    #[arg(long, value_enum, value_name = "KIND")]
    pub(crate) format: Option<TranscriptFormat>,
    /// Give words with times: a line a word in txt, a cue a word in srt and vtt.
    #[arg(long)]
    pub(crate) words: bool,
    /// Give the N best readings, in txt, json and jsonl.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) nbest: u16,
    /// Find the times of a known text instead: a text file, or a folder with NAME.txt for NAME.wav;
    /// every line becomes a segment.
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["lm", "alpha", "beta", "beam", "hotwords", "nbest"])]
    pub(crate) align: Option<PathBuf>,
    /// Longest line of a subtitle, in characters.
    #[arg(long, value_name = "N", default_value_t = 42, value_parser = clap::value_parser!(u16).range(8..=1000))]
    pub(crate) line_length: u16,
    /// Most lines of a subtitle.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=10))]
    pub(crate) lines: u16,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

impl TranscribeArgs {
    /// Finds out what was meant.
    pub(crate) fn resolve(self, settings: &Settings) -> Result<Work, Failure> {
        let plan = plan(&self, settings)?;
        Ok(work(plan, run))
    }
}

/// Which language model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LanguageModel {
    /// That of the model, where it has one.
    Own,
    None,
    File(PathBuf),
}

/// A recogniser and how it decides.
#[derive(Debug)]
pub(crate) struct RecognizerPlan {
    /// `None` is the default model.
    pub(crate) source: Option<ModelSource>,
    pub(crate) release: NemoRelease,
    pub(crate) load: LoadOptions,
    pub(crate) lm: LanguageModel,
    pub(crate) alpha: Option<f32>,
    pub(crate) beta: Option<f32>,
    /// Everything but the language model.
    pub(crate) options: TranscribeOptions,
    /// `None` is what suits the device.
    pub(crate) batch_size: Option<usize>,
}

/// How subtitles are set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SubtitleLayout {
    /// Characters of a line.
    pub(crate) line_length: usize,
    pub(crate) lines: usize,
}

/// Where transcripts go.
#[derive(Debug)]
pub(crate) enum Output {
    /// All to one place, as they come.
    Gathered(Target),
    /// Each to a place of its own.
    Each(Vec<Option<Target>>),
}

/// Recordings to be transcribed.
#[derive(Debug)]
pub(crate) struct TranscribePlan {
    pub(crate) recognizer: RecognizerPlan,
    pub(crate) sources: Sources,
    pub(crate) format: TranscriptFormat,
    pub(crate) words: bool,
    pub(crate) layout: SubtitleLayout,
    /// The texts that are known, one for each input.
    pub(crate) texts: Option<Vec<PathBuf>>,
    pub(crate) output: Output,
    pub(crate) existing: Existing,
}

fn plan(typed: &TranscribeArgs, settings: &Settings) -> Result<TranscribePlan, Failure> {
    let mut recognizer = recognizer(&typed.recognizer, settings)?;
    recognizer.options.nbest = usize::from(typed.nbest);
    let format = format(typed, settings)?;
    let sources = Sources::of(&typed.input, &typed.audio)?;
    let texts = typed.align.as_deref().map(|path| texts(path, &sources.list)).transpose()?;
    let output = match (format, &typed.output.output) {
        (TranscriptFormat::Jsonl | TranscriptFormat::Ctm, Some(path)) if !is_dash(path) => {
            Output::Gathered(Target::File(path.clone()))
        }
        (TranscriptFormat::Txt | TranscriptFormat::Jsonl | TranscriptFormat::Ctm, None) => {
            Output::Gathered(Target::Stdout)
        }
        (TranscriptFormat::Jsonl | TranscriptFormat::Ctm, Some(_)) => {
            Output::Gathered(Target::Stdout)
        }
        _ => {
            let naming = Naming {
                suffix: "_transcript".to_owned(),
                suffix_when: SuffixWhen::SameExtension,
                extension: extension(format).to_owned(),
            };
            let targets = assign(&typed.output, &sources.list, &naming)?;
            check_stdout(&targets, settings)?;
            Output::Each(targets)
        }
    };
    Ok(TranscribePlan {
        recognizer,
        sources,
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

fn is_dash(path: &Path) -> bool {
    path.as_os_str() == "-"
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
    let by_name = typed.output.output.as_deref().and_then(Path::extension).and_then(|given| {
        let mut known = [Txt, Json, Jsonl, Srt, Vtt, Ctm, TextGrid].into_iter();
        known.find(|format| given.eq_ignore_ascii_case(extension(*format)))
    });
    let is_folder = typed.output.output.as_deref().is_some_and(Path::is_dir);
    let format = typed.format.or(by_name.filter(|_| !is_folder));
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

pub(crate) fn recognizer(
    typed: &RecognizerArgs,
    settings: &Settings,
) -> Result<RecognizerPlan, Failure> {
    if matches!(settings.precision, Precision::Bf16 | Precision::F16) {
        return Err(Failure::usage("--precision", "recognisers run in f32 only"));
    }
    let lm = match &typed.lm {
        None => LanguageModel::Own,
        Some(name) if name.as_os_str() == "none" => LanguageModel::None,
        Some(path) => LanguageModel::File(path.clone()),
    };
    let segmentation = match typed.cut {
        CutArg::Pauses => Segmentation::default(),
        CutArg::Length => Segmentation::Length,
    };
    Ok(RecognizerPlan {
        source: typed.model.as_deref().map(model_source),
        release: match typed.nemo {
            NemoArg::V1 => NemoRelease::V1,
            NemoArg::V2 => NemoRelease::V2,
        },
        load: LoadOptions { device: settings.device, ..LoadOptions::default() },
        lm,
        alpha: typed.alpha,
        beta: typed.beta,
        options: TranscribeOptions {
            segmentation,
            window: typed.window,
            beam: typed.beam.map(usize::from),
            hotwords: typed.hotwords.as_deref().map(hotwords).transpose()?.map(Arc::new),
            ..TranscribeOptions::default()
        },
        batch_size: typed.batch_size.map(usize::from),
    })
}

/// A file with a phrase a line, or phrases separated by commas; `phrase:2.5` has its own boost.
fn hotwords(text: &str) -> Result<Hotwords, Failure> {
    let path = Path::new(text);
    let list = match path.exists() && !path.is_dir() {
        true => text::read(path, text::MAX_TEXT)?,
        false => text.replace(',', "\n"),
    };
    let phrases: Vec<(&str, f32)> = list
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| match line.rsplit_once(':').map(|(phrase, n)| (phrase, n.trim().parse())) {
            Some((phrase, Ok(boost))) => (phrase, boost),
            _ => (line, DEFAULT_BOOST),
        })
        .collect();
    if phrases.is_empty() {
        return Err(Failure::usage("--hotwords", format!("`{text}` names no words"))
            .help("give a text file with a phrase a line, or phrases separated by commas"));
    }
    Ok(Hotwords::new(phrases)?)
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

pub(crate) use recognizer::{Recognizer, load, tell_default};

pub(crate) fn run(
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
    let worker = || Ok(first);
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
        let text = text::read(path, text::MAX_TEXT)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hotwords_come_as_a_list_or_a_file() {
        assert!(hotwords("new york:2.5, oslo").is_ok());
        assert!(hotwords(" , ").is_err());
        assert!(hotwords("oslo:1e9").is_err());
        let file = tempfile::NamedTempFile::new().expect("file");
        std::fs::write(file.path(), "# places\noslo\n\nnew york: 3\n").expect("written");
        assert!(hotwords(&file.path().display().to_string()).is_ok());
    }
}
