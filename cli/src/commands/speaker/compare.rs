//! `formant speaker compare`: each recording with each other.

use formant_models::tasks::speaker::Embedding;
use serde_json::json;

use super::{fields, listen, unusable};
use crate::escape::one_line;
use crate::exit::Outcome;
use crate::failure::{Failure, Kind};
use crate::messages::Messages;
use crate::reading::Sources;
use crate::settings::Settings;
use crate::tasks::speaker::{DecisionPlan, SpeakerModel};
use crate::{interrupt, json as lines, stdout};

pub(super) fn run(
    model: &SpeakerModel,
    sources: &Sources,
    decision: &DecisionPlan,
    settings: &Settings,
    messages: &Messages,
) -> Result<Outcome, Failure> {
    let embedder = model.load()?;
    let scorer = decision.scorer(&embedder, model)?;
    let mut voices: Vec<(String, Embedding)> = Vec::new();
    let mut failed: Vec<Kind> = Vec::new();
    let bar = messages.bar(sources.list.entries.len() as u64, "recordings");
    for entry in &sources.list.entries {
        interrupt::check()?;
        let heard = match entry {
            Ok(input) => {
                let work = || -> Result<Embedding, Failure> {
                    let heard = listen(&embedder, model, &mut sources.open(input)?)?;
                    for warning in &heard.warnings {
                        messages.warning(&input.name(), warning);
                    }
                    heard.embedding.map_err(|why| unusable(&input.name(), why))
                };
                work().map(|voice| (input.name(), voice)).map_err(|f| f.of_input(&input.name()))
            }
            Err((_, failure)) => Err(failure.clone()),
        };
        match heard {
            Ok(voice) => voices.push(voice),
            Err(failure) => {
                messages.failure(&failure);
                failed.push(failure.kind);
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let mut text = String::new();
    for (i, (a, first)) in voices.iter().enumerate() {
        for (b, second) in &voices[i + 1..] {
            let found = scorer.verify(&first.values, &second.values);
            if settings.json {
                let mut line = fields(&found);
                line.insert("inputs".to_owned(), json!([a, b]));
                text += &lines::line("comparison", &line);
            }
        }
    }
    if !settings.json {
        text = table(&voices, |a, b| scorer.verify(&a.values, &b.values).score);
        text += &format!("threshold {:.3}\n", scorer.threshold());
    }
    if !voices.is_empty() {
        stdout::print(&text)?;
    }
    Ok(Outcome::Worked { done: voices.len(), failed, interrupted: interrupt::requested() })
}

/// Scores in rows and columns that are numbered as the recordings are.
fn table(voices: &[(String, Embedding)], score: impl Fn(&Embedding, &Embedding) -> f64) -> String {
    let mut text = " ".repeat(4);
    for column in 1..=voices.len() {
        text += &format!(" {column:>6}");
    }
    text += "\n";
    for (row, (name, voice)) in voices.iter().enumerate() {
        text += &format!("{:>4}", row + 1);
        for (_, other) in voices {
            text += &format!(" {:>6.3}", score(voice, other));
        }
        text += &format!("  {}\n", one_line(name));
    }
    text
}
