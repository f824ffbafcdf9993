//! `formant speaker verify`: one person in two recordings, or in each pair of a list.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use formant_audio_core::decode::DecodeOptions;
use formant_models::tasks::speaker::{Embedding, Scorer, Unusable};
use formant_training::speaker::read_trials;
use serde_json::{Map, Value, json};

use super::{Heard, fields, listen_to_file, words};
use crate::escape::one_line;
use crate::exit::Outcome;
use crate::failure::{Failure, Kind};
use crate::messages::Messages;
use crate::settings::Settings;
use crate::tasks::speaker::{DecisionPlan, SpeakerModel};
use crate::{interrupt, json as lines, stdout};

pub(super) fn pair(
    model: &SpeakerModel,
    pair: &[PathBuf; 2],
    decode: &DecodeOptions,
    decision: &DecisionPlan,
    settings: &Settings,
    messages: &Messages,
) -> Result<Outcome, Failure> {
    let embedder = model.load()?;
    let names = pair.each_ref().map(|path| path.display().to_string());
    let mut heard: Vec<Heard> = Vec::with_capacity(2);
    let mut odd: Vec<Value> = Vec::new();
    for (path, name) in pair.iter().zip(&names) {
        let found = listen_to_file(&embedder, model, path, decode)?;
        for warning in &found.warnings {
            messages.warning(name, warning);
        }
        odd.extend(lines::warnings(&found.warnings));
        heard.push(found);
    }
    let scorer = decision.scorer(&embedder, model)?;
    let answer = match &heard[..] {
        [a, b] => Answer::of(&scorer, [&names[0], &names[1]], [&a.embedding, &b.embedding]),
        _ => return Err(Failure::internal("verification", "needs two recordings")),
    };
    let mut text = answer.text();
    if settings.json {
        let mut line = answer.json(&names);
        line.insert("warnings".to_owned(), odd.into());
        text = lines::line("verification", &line);
    }
    stdout::print(&text)?;
    Ok(Outcome::done())
}

/// What is said about two recordings.
enum Answer {
    Scored(formant_models::tasks::speaker::Verification),
    /// Name of a recording, and why it has no embedding.
    None(Vec<(String, Unusable)>),
}

impl Answer {
    fn of(scorer: &Scorer, names: [&str; 2], heard: [&Result<Embedding, Unusable>; 2]) -> Self {
        if let [Ok(a), Ok(b)] = heard {
            return Self::Scored(scorer.verify(&a.values, &b.values));
        }
        let missing = names.iter().zip(heard);
        let missing = missing
            .filter_map(|(name, heard)| Some(((*name).to_owned(), heard.as_ref().err().copied()?)));
        Self::None(missing.collect())
    }

    fn text(&self) -> String {
        match self {
            Self::Scored(found) => format!("{}\n", words(found)),
            Self::None(missing) => missing
                .iter()
                .map(|(name, why)| format!("no answer  {}: {why}\n", one_line(name)))
                .collect(),
        }
    }

    fn json(&self, names: &[String; 2]) -> Map<String, Value> {
        let mut line = Map::new();
        line.insert("inputs".to_owned(), json!(names));
        match self {
            Self::Scored(found) => {
                let answer = if found.same_speaker { "same" } else { "different" };
                line.insert("answer".to_owned(), answer.into());
                line.extend(fields(found));
            }
            Self::None(missing) => {
                let kind = match missing.first() {
                    Some((_, Unusable::TooShort { .. })) => "too_short",
                    _ => "no_speech",
                };
                line.insert("answer".to_owned(), kind.into());
                let reasons = missing.iter().map(|(name, why)| {
                    let mut reason = json!(why);
                    reason["input"] = json!(name);
                    reason["message"] = json!(why.to_string());
                    reason
                });
                line.insert("unusable".to_owned(), reasons.collect());
            }
        }
        line
    }
}

pub(super) fn trials(
    model: &SpeakerModel,
    list: &Path,
    decode: &DecodeOptions,
    decision: &DecisionPlan,
    settings: &Settings,
    messages: &Messages,
) -> Result<Outcome, Failure> {
    let trials = read_trials(list, None)?;
    let embedder = model.load()?;
    let scorer = decision.scorer(&embedder, model)?;
    let mut heard: BTreeMap<&Path, Result<Heard, Failure>> = BTreeMap::new();
    let bar = messages.bar(trials.len() as u64, "pairs");
    let (mut done, mut failed) = (0, Vec::new());
    for trial in &trials {
        interrupt::check()?;
        let paths = [trial.first.as_path(), trial.second.as_path()];
        for path in paths {
            if !heard.contains_key(path) {
                let found = listen_to_file(&embedder, model, path, decode);
                if let Err(failure) = &found {
                    messages.failure(failure);
                }
                heard.insert(path, found);
            }
        }
        let names = paths.map(|path| path.display().to_string());
        let text = match (&heard[paths[0]], &heard[paths[1]]) {
            (Ok(a), Ok(b)) => {
                done += 1;
                let answer =
                    Answer::of(&scorer, [&names[0], &names[1]], [&a.embedding, &b.embedding]);
                match settings.json {
                    true => {
                        let mut line = answer.json(&names);
                        line.insert("target".to_owned(), json!(trial.target));
                        lines::line("verification", &line)
                    }
                    false => row(&answer, &names),
                }
            }
            _ => {
                failed.push(Kind::Input);
                match settings.json {
                    true => lines::line("error", &json!({"inputs": names, "kind": "input"})),
                    false => format!("-\t-\t{}\t{}\n", one_line(&names[0]), one_line(&names[1])),
                }
            }
        };
        messages.aside(|| stdout::print(&text))?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(Outcome::Worked { done, failed, interrupted: interrupt::requested() })
}

/// Score, answer and names in columns.
fn row(answer: &Answer, names: &[String; 2]) -> String {
    let (score, word) = match answer {
        Answer::Scored(found) => {
            let word = if found.same_speaker { "same" } else { "different" };
            (format!("{:.5}", found.score), word.to_owned())
        }
        Answer::None(missing) => {
            let why = missing.first().map(|(_, why)| why.to_string()).unwrap_or_default();
            ("-".to_owned(), why)
        }
    };
    format!("{score}\t{word}\t{}\t{}\n", one_line(&names[0]), one_line(&names[1]))
}
