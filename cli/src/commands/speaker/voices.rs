//! `formant speaker enroll` and `identify`: known voices in a file.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use formant_models::tasks::speaker::{Embedding, SpeakerEmbedder, Voices};
use serde_json::json;

use super::{EnrollTask, fields, listen, unusable, words};
use crate::batch::{self, Done, Lane};
use crate::escape::one_line;
use crate::exit::Outcome;
use crate::failure::{Failure, Kind};
use crate::inputs::Input;
use crate::messages::Messages;
use crate::outputs::{Existing, Target};
use crate::reading::Sources;
use crate::settings::Settings;
use crate::tasks::speaker::{DecisionPlan, SpeakerModel};
use crate::times::to_millis;
use crate::{draft, json as lines, stdout};

pub(super) fn enroll(
    model: &SpeakerModel,
    voices: &Path,
    task: EnrollTask,
    settings: &Settings,
    messages: &Messages,
) -> Result<Outcome, Failure> {
    match task {
        EnrollTask::Add { name, sources } => {
            add(model, voices, &name, &sources, settings, messages)
        }
        EnrollTask::List => list(voices, settings),
        EnrollTask::Remove(name) => {
            let removed = Voices::edit(voices, |voices| voices.remove(&name)).map_err(of_store)?;
            let text = match settings.json {
                true => lines::line("removed", &json!({"name": removed.name})),
                false => format!("removed {}\n", one_line(&removed.name)),
            };
            stdout::print(&text)?;
            Ok(Outcome::done())
        }
        EnrollTask::Export { name, target, existing } => {
            export(voices, &name, &target, existing, settings)
        }
    }
}

/// A file of voices that can't be read or written is no model.
fn of_store(error: formant_models::Error) -> Failure {
    match error {
        formant_models::Error::Io { path, source } => Failure::input(&path, &source),
        other @ (formant_models::Error::Unsupported { .. }
        | formant_models::Error::Damaged { .. }
        | formant_models::Error::Limit { .. }) => Failure::new(Kind::Input, "", other.to_string()),
        other => other.into(),
    }
}

fn add(
    model: &SpeakerModel,
    path: &Path,
    name: &str,
    sources: &Sources,
    settings: &Settings,
    messages: &Messages,
) -> Result<Outcome, Failure> {
    let embedder = model.load()?;
    let identity = embedder.identity().to_owned();
    // A file of another model is told before the work, not after it.
    if path.exists() {
        Voices::read(path).and_then(|voices| voices.check_model(&identity)).map_err(of_store)?;
    }
    let heard: Mutex<Vec<(usize, Embedding)>> = Mutex::new(Vec::new());
    let work = |embedder: &mut SpeakerEmbedder, input: &Input, lane: &Lane<'_>| {
        let found = listen(embedder, model, &mut lane.open(sources, input)?)?;
        lane.warn(&found.warnings);
        let embedding = found.embedding.map_err(|why| unusable(&lane.name, why))?;
        heard.lock().unwrap_or_else(PoisonError::into_inner).push((lane.index, embedding));
        Ok(Done::Worked)
    };
    // `--resume` is for --export.
    let options = batch::Options { resumes: false, ..settings.batch_of_networks() };
    let outcome = batch::run(&sources.list, options, messages, || Ok(embedder), work)?;
    let mut heard = heard.into_inner().unwrap_or_else(PoisonError::into_inner);
    // Means are taken in the order of the inputs, whatever was finished first.
    heard.sort_by_key(|(index, _)| *index);
    let embeddings: Vec<Embedding> = heard.into_iter().map(|(_, embedding)| embedding).collect();
    if embeddings.is_empty() || matches!(outcome, Outcome::Worked { interrupted: true, .. }) {
        return Ok(outcome);
    }
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|error| Failure::output(folder, &error))?;
    }
    let voice = Voices::update(path, &identity, |voices| voices.enroll(name, &embeddings).cloned())
        .map_err(of_store)?;
    let (recordings, seconds) = (voice.recordings, voice.speech_seconds);
    let text = match settings.json {
        true => lines::line(
            "enrolled",
            &json!({"name": name, "recordings": recordings, "speech_seconds": to_millis(seconds)}),
        ),
        false => {
            let plural = if recordings == 1 { "recording" } else { "recordings" };
            format!("{}: {recordings} {plural}, {seconds:.1} s of speech\n", one_line(name))
        }
    };
    stdout::print(&text)?;
    Ok(outcome)
}

fn list(path: &Path, settings: &Settings) -> Result<Outcome, Failure> {
    let voices = Voices::read(path).map_err(of_store)?;
    for voice in voices.voices() {
        let text = match settings.json {
            true => lines::line(
                "voice",
                &json!({
                    "name": voice.name,
                    "recordings": voice.recordings,
                    "speech_seconds": to_millis(voice.speech_seconds),
                    "model": voices.model(),
                }),
            ),
            false => format!(
                "{:<24} {:>4} {:<10}  {:>8.1} s of speech\n",
                one_line(&voice.name),
                voice.recordings,
                if voice.recordings == 1 { "recording" } else { "recordings" },
                voice.speech_seconds
            ),
        };
        stdout::print(&text)?;
    }
    Ok(Outcome::done())
}

fn export(
    path: &Path,
    name: &str,
    target: &Target,
    existing: Existing,
    settings: &Settings,
) -> Result<Outcome, Failure> {
    if !existing.admits(target)? {
        return Ok(Outcome::done());
    }
    let voices = Voices::read(path).map_err(of_store)?;
    let voice = voices.get(name).ok_or_else(|| of_store(voices.unknown(name)))?;
    let is_npy = matches!(target, Target::File(path)
        if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("npy")));
    let bytes = match is_npy {
        true => super::embed::npy(&voice.embedding)?,
        false => {
            let text = json!({
                "name": voice.name,
                "model": voices.model(),
                "recordings": voice.recordings,
                "speech_seconds": to_millis(voice.speech_seconds),
                "embedding": voice.embedding,
            });
            format!("{text}\n").into_bytes()
        }
    };
    draft::write(target, &bytes)?;
    if settings.json && *target != Target::Stdout {
        let line = json!({"name": name, "output": target.name()});
        stdout::print(&lines::line("exported", &line))?;
    }
    Ok(Outcome::done())
}

pub(super) fn identify(
    model: &SpeakerModel,
    sources: &Sources,
    path: &Path,
    decision: &DecisionPlan,
    settings: &Settings,
    messages: &Messages,
) -> Result<Outcome, Failure> {
    let voices = Voices::read(path).map_err(of_store)?;
    if voices.voices().is_empty() {
        let failure = Failure::new(Kind::Input, path.display().to_string(), "no voices in it");
        return Err(failure.help("teach it some with `formant speaker enroll`"));
    }
    let embedder = model.load()?;
    voices.check_model(embedder.identity()).map_err(of_store)?;
    let scorer = decision.scorer(&embedder, model)?;
    let work = |embedder: &mut SpeakerEmbedder, input: &Input, lane: &Lane<'_>| {
        let heard = listen(embedder, model, &mut lane.open(sources, input)?)?;
        lane.warn(&heard.warnings);
        let embedding = heard.embedding.map_err(|why| unusable(&lane.name, why))?;
        let found = voices.identify(&embedding, &scorer).map_err(of_store)?;
        let Some((nearest, best)) = found.candidates.first() else {
            return Err(Failure::internal("identification", "no voices"));
        };
        let name = found.name.as_deref();
        let text = match settings.json {
            true => {
                let candidates: Vec<_> = found
                    .candidates
                    .iter()
                    .map(|(name, decision)| {
                        let mut candidate = fields(decision);
                        candidate.insert("name".to_owned(), json!(name));
                        candidate
                    })
                    .collect();
                lines::line(
                    "identification",
                    &json!({
                        "input": lane.name,
                        "name": name,
                        "candidates": candidates,
                        "warnings": lines::warnings(&heard.warnings),
                    }),
                )
            }
            false => {
                let shown = one_line(name.unwrap_or("unknown"));
                let (input, nearest) = (one_line(&lane.name), one_line(nearest));
                format!("{shown}  {input}  (nearest: {nearest}, {})\n", words(best))
            }
        };
        lane.print(&text)?;
        Ok(Done::Worked)
    };
    batch::run(&sources.list, settings.batch_of_networks(), messages, || Ok(embedder), work)
}
