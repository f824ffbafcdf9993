//! `transcribe`: which recogniser, which search, which kind of transcript.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use formant_models::arch::squeezeformer::NemoRelease;
use formant_models::decoding::{DEFAULT_BOOST, Hotwords};
use formant_models::tasks::transcribe::{Segmentation, TranscribeOptions};
use formant_models::{LoadOptions, ModelSource};

use super::spot::model_source;
use super::{Settings, Sources, check_stdout};
use crate::args::{CutArg, NemoArg, Precision, RecognizerArgs, TranscribeArgs, TranscriptFormat};
use crate::failure::Failure;
use crate::inputs::InputList;
use crate::outputs::{Existing, Naming, SuffixWhen, Target, assign};

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

pub(super) fn transcribe(
    typed: &TranscribeArgs,
    settings: &Settings,
) -> Result<TranscribePlan, Failure> {
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
    let list = match path.is_file() {
        true => std::fs::read_to_string(path).map_err(|error| Failure::input(path, &error))?,
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
