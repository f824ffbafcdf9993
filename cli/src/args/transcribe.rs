//! `transcribe`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{AudioArgs, InputArgs, OutputArgs};

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
