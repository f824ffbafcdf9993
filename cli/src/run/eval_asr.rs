//! `formant eval asr`: how many words and characters a recogniser gets wrong.

use std::fmt::Write;

use formant_audio_core::decode::{BlockReader, DecodeOptions};
use formant_audio_core::metrics::text::{ErrorCounts, TextOptions, character_errors, word_errors};
use formant_models::tasks::transcribe::Transcript;
use formant_training::manifest::{self, Row};
use serde_json::json;

use super::eval::of_split;
use super::transcribe::{Recognizer, load, tell_default};
use super::use_threads;
use crate::exit::Outcome;
use crate::failure::{Failure, Kind};
use crate::messages::Messages;
use crate::outputs::{self, begin};
use crate::plan::{EvalAsrPlan, Settings};
use crate::{interrupt, json as lines, stdout};

/// Sums over all recordings.
#[derive(Default)]
struct Totals {
    words: ErrorCounts,
    characters: ErrorCounts,
    items: usize,
    failed: Vec<Kind>,
    seconds: f64,
    listing: String,
}

pub(super) fn run(
    plan: EvalAsrPlan,
    settings: &Settings,
    messages: &Messages,
) -> Result<Outcome, Failure> {
    interrupt::install()?;
    use_threads(settings);
    let rows = manifest::read_transcripts(&plan.manifest)?;
    let rows = of_split(rows, &plan.manifest, plan.split.as_deref())?;
    let recognizer = load(&plan.recognizer)?;
    tell_default(&plan.recognizer, &recognizer, messages)?;
    recognizer.transcriber.start(&recognizer.options)?;
    let texts = if plan.exact { TextOptions::default() } else { TextOptions::plain() };
    let mut totals = Totals::default();
    let bar = messages.bar(rows.len() as u64, "recordings");
    for row in &rows {
        if interrupt::requested() {
            break;
        }
        match measure(&recognizer, row, &texts, &mut totals, settings.json) {
            Ok(line) => messages.aside(|| stdout::print(&line))?,
            Err(failure) if failure.kind == Kind::Interrupted => break,
            Err(failure) => {
                let name = row.path.display().to_string();
                let failure = failure.of_input(&name);
                messages.failure(&failure);
                if settings.json {
                    messages.aside(|| stdout::print(&lines::failure(&name, &failure)))?;
                }
                totals.failed.push(failure.kind);
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if let Some(target) = &plan.listing {
        let _underway = begin(target)?;
        outputs::write(target, totals.listing.as_bytes())?;
    }
    stdout::print(&summary(&totals, settings.json))?;
    Ok(Outcome::Worked {
        done: totals.items,
        failed: totals.failed,
        interrupted: interrupt::requested(),
    })
}

/// Recognises one recording and compares; the text to print for it.
fn measure(
    recognizer: &Recognizer,
    row: &Row,
    texts: &TextOptions,
    totals: &mut Totals,
    json: bool,
) -> Result<String, Failure> {
    interrupt::check()?;
    let mut reader = BlockReader::open(&row.path, &DecodeOptions::default())?;
    let mut segments = Vec::new();
    let report = |segment| segments.push(segment);
    let seconds =
        recognizer.transcriber.process_stream(&mut reader, &recognizer.options, report)?;
    let found = Transcript::of(segments, seconds, 1);
    let words = word_errors(&row.label, &found.text, texts)?;
    let characters = character_errors(&row.label, &found.text, texts)?.counts;
    totals.words += words.counts;
    totals.characters += characters;
    totals.items += 1;
    totals.seconds += seconds;
    let name = row.path.display();
    let _ = write!(
        totals.listing,
        "{name}  {} of {} words wrong\n  said:  {}\n  heard: {}\n  {words}\n\n",
        words.counts.errors(),
        words.counts.reference_units(),
        texts.normalize(&row.label),
        texts.normalize(&found.text),
    );
    if !json {
        return Ok(String::new());
    }
    let line = json!({
        "input": name.to_string(),
        "reference": row.label,
        "text": found.text,
        "wer": words.counts.rate(),
        "cer": characters.rate(),
        "errors": words.counts.errors(),
        "words": words.counts.reference_units(),
    });
    Ok(lines::line("utterance", &line))
}

fn summary(totals: &Totals, json: bool) -> String {
    let Totals { words, characters, items, failed, seconds, .. } = totals;
    if json {
        let mut summary = json!({
            "items": items,
            "failed": failed.len(),
            "words": words.reference_units(),
            "substitutions": words.substitutions,
            "deletions": words.deletions,
            "insertions": words.insertions,
            "audio_seconds": super::spot::round(*seconds),
        });
        for (name, rate) in [("wer", words.rate()), ("cer", characters.rate())] {
            if let Some(rate) = rate {
                summary[name] = rate.into();
            }
        }
        return lines::line("summary", &summary);
    }
    let percent = |rate: Option<f64>| {
        rate.map_or_else(|| "none".to_owned(), |rate| format!("{:.2} %", 100.0 * rate))
    };
    format!(
        "WER {} ({} substituted, {} left out, {} added, of {} words)\nCER {}\n\
         {items} recordings, {:.2} h\n",
        percent(words.rate()),
        words.substitutions,
        words.deletions,
        words.insertions,
        words.reference_units(),
        percent(characters.rate()),
        seconds / 3600.0,
    )
}
