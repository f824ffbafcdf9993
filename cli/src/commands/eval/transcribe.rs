//! `formant eval transcribe`: how many words and characters a recognizer gets wrong.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use formant_audio_core::metrics::text::{ErrorCounts, TextOptions, character_errors, word_errors};
use formant_models::tasks::Task;
use formant_training::manifest::{self, Row};
use serde_json::json;

use super::{Evaluation, Summary, Tally, beside, evaluate, figures, of_split, write};
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::messages::Messages;
use crate::outputs::Target;
use crate::settings::Settings;
use crate::tasks::transcribe::{Recognizer, RecognizerArgs, RecognizerPlan};
use crate::tasks::use_threads;
use crate::times::to_millis;
use crate::{interrupt, json as lines};

/// What `formant eval transcribe` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant eval transcribe --manifest test.tsv --split test --json")]
pub(super) struct EvalTranscribeArgs {
    /// Table with the columns path and text (or sentence, transcript, label), and where there are such
    /// split, offset and duration (in seconds).
    #[arg(long, value_name = "FILE")]
    manifest: PathBuf,
    /// Use rows of this split only.
    #[arg(long, value_name = "NAME")]
    split: Option<String>,
    /// Write the word alignment of reference and transcript of each recording to a file.
    #[arg(long, value_name = "FILE")]
    listing: Option<PathBuf>,
    /// Replace an existing listing.
    #[arg(long)]
    overwrite: bool,
    /// Count differences in case and punctuation as errors.
    #[arg(long)]
    exact: bool,
    #[command(flatten)]
    recognizer: RecognizerArgs,
}

/// A recognizer to be measured.
#[derive(Debug)]
pub(super) struct EvalTranscribePlan {
    recognizer: RecognizerPlan,
    manifest: PathBuf,
    split: Option<String>,
    listing: Option<Target>,
    texts: TextOptions,
}

pub(super) fn resolve(
    typed: &EvalTranscribeArgs,
    settings: &Settings,
) -> Result<EvalTranscribePlan, Failure> {
    Ok(EvalTranscribePlan {
        listing: beside(typed.listing.as_ref(), typed.overwrite)?,
        recognizer: typed.recognizer.resolve(settings)?,
        manifest: typed.manifest.clone(),
        split: typed.split.clone(),
        texts: if typed.exact { TextOptions::default() } else { TextOptions::plain() },
    })
}

pub(super) fn run(
    plan: EvalTranscribePlan,
    settings: &Settings,
    messages: &Messages,
) -> Result<Outcome, Failure> {
    use_threads(settings);
    let rows = manifest::read_transcripts(&plan.manifest)?;
    let rows = of_split(rows, &plan.manifest, plan.split.as_deref())?;
    let recognizer = plan.recognizer.load()?;
    plan.recognizer.tell_default(&recognizer, messages)?;
    recognizer.transcriber.start(&recognizer.options)?;
    let task = Utterances {
        recognizer,
        texts: plan.texts,
        target: plan.listing,
        words: ErrorCounts::default(),
        characters: ErrorCounts::default(),
        seconds: 0.0,
        listing: String::new(),
    };
    evaluate(task, &rows, settings, messages)
}

/// A recognizer, and sums over all recordings.
struct Utterances {
    recognizer: Recognizer,
    texts: TextOptions,
    target: Option<Target>,
    words: ErrorCounts,
    characters: ErrorCounts,
    seconds: f64,
    listing: String,
}

impl Evaluation for Utterances {
    type Item = Row;
    const UNIT: &'static str = "recordings";

    fn name(&self, row: &Row) -> String {
        row.recording().to_string()
    }

    fn measure(&mut self, row: &Row) -> Result<Option<String>, Failure> {
        interrupt::check()?;
        let mut reader = row.recording().open()?;
        let Recognizer { transcriber, options } = &self.recognizer;
        let (found, heard) = transcriber.process_to_end(&mut reader, options)?;
        let words = word_errors(&row.label, &found.text, &self.texts)?;
        let characters = character_errors(&row.label, &found.text, &self.texts)?.counts;
        self.words += words.counts;
        self.characters += characters;
        self.seconds += heard.seconds;
        let name = row.recording();
        let _ = write!(
            self.listing,
            "{name}  {} of {} words wrong\n  said:  {}\n  heard: {}\n  {words}\n\n",
            words.counts.errors(),
            words.counts.reference_units(),
            self.texts.normalize(&row.label),
            self.texts.normalize(&found.text),
        );
        let mut line = json!({
            "input": row.path.display().to_string(),
            "reference": row.label,
            "text": found.text,
            "wer": words.counts.rate(),
            "cer": characters.rate(),
            "errors": words.counts.errors(),
            "words": words.counts.reference_units(),
        });
        if let Some(channel) = &row.channel {
            line["channel"] = json!(channel.to_string());
        }
        if !row.stretch.is_whole() {
            line["offset"] = json!(row.stretch.start);
            line["duration"] = json!(row.stretch.seconds);
        }
        Ok(Some(lines::line("utterance", &line)))
    }

    fn finish(self, tally: &mut Tally) -> Result<Summary, Failure> {
        write(self.target.as_ref(), || Ok(self.listing.into_bytes()))?;
        let (words, characters) = (self.words, self.characters);
        let mut figures = figures([("wer", words.rate()), ("cer", characters.rate())]);
        for (name, count) in [
            ("words", words.reference_units()),
            ("substitutions", words.substitutions),
            ("deletions", words.deletions),
            ("insertions", words.insertions),
        ] {
            figures.insert(name.to_owned(), count.into());
        }
        figures.insert("audio_seconds".to_owned(), to_millis(self.seconds).into());
        let percent = |rate: Option<f64>| {
            rate.map_or_else(|| "none".to_owned(), |rate| format!("{:.2} %", 100.0 * rate))
        };
        let text = format!(
            "WER {} ({} substituted, {} left out, {} added, of {} words)\nCER {}\n\
             {}, {:.2} h, {} failed\n",
            percent(words.rate()),
            words.substitutions,
            words.deletions,
            words.insertions,
            words.reference_units(),
            percent(characters.rate()),
            tally.recordings(),
            self.seconds / 3600.0,
            tally.failed.len(),
        );
        Ok(Summary { details: String::new(), figures, text })
    }
}
