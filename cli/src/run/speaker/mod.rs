//! `formant speaker`: vectors of voices, comparison, and known voices.

mod compare;
mod embed;
mod verify;
mod voices;

use std::path::Path;

use formant_audio_core::decode::{BlockReader, DecodeOptions};
use formant_models::registry;
use formant_models::tasks::speaker::{
    Cohort, Embedding, Scorer, SpeakerEmbedder, Unusable, Verification,
};
use formant_training::speaker::embed_files;
use serde_json::{Map, Value, json};

use super::use_few_threads;
use crate::exit::Outcome;
use crate::failure::{Failure, Kind};
use crate::interrupt;
use crate::messages::Messages;
use crate::plan::{DecisionPlan, Settings, SpeakerModel, SpeakerPlan, SpeakerTask};

pub(super) fn run(
    plan: SpeakerPlan,
    settings: &Settings,
    messages: &Messages,
) -> Result<Outcome, Failure> {
    interrupt::install()?;
    use_few_threads(settings);
    let model = &plan.model;
    match plan.task {
        SpeakerTask::Embed { sources, target, existing } => {
            embed::run(model, &sources, &target, existing, settings, messages)
        }
        SpeakerTask::Verify { pair, decode, decision } => {
            verify::pair(model, &pair, &decode, &decision, settings, messages)
        }
        SpeakerTask::Trials { list, decode, decision } => {
            verify::trials(model, &list, &decode, &decision, settings, messages)
        }
        SpeakerTask::Compare { sources, decision } => {
            compare::run(model, &sources, &decision, settings, messages)
        }
        SpeakerTask::Enroll { voices, task } => {
            voices::enroll(model, &voices, task, settings, messages)
        }
        SpeakerTask::Identify { sources, voices, decision } => {
            voices::identify(model, &sources, &voices, &decision, settings, messages)
        }
    }
}

/// Loads the model that was asked for, or the default one.
pub(crate) fn load(model: &SpeakerModel) -> Result<SpeakerEmbedder, Failure> {
    let source = match &model.source {
        Some(source) => source.clone(),
        None => registry::default_for("speaker")?.source(),
    };
    Ok(SpeakerEmbedder::load(&source, &model.load)?)
}

/// What compares voices: the model's own way, or what the command line changes about it.
pub(crate) fn scorer(
    embedder: &SpeakerEmbedder,
    model: &SpeakerModel,
    decision: &DecisionPlan,
) -> Result<Scorer, Failure> {
    let scorer = embedder.scorer();
    if let Some(plan) = &decision.cohort {
        let found = embed_files(embedder, &plan.files, &model.embed, || !interrupt::requested())?;
        let values: Vec<f32> =
            found.into_values().flatten().flat_map(|embedding| embedding.values).collect();
        let width = embedder.network().config().lin_neurons as usize;
        return Ok(scorer.with_cohort(Cohort::new(values, width)?, plan.top, plan.threshold));
    }
    Ok(match decision.threshold {
        Some(threshold) => scorer.with_threshold(threshold),
        None => scorer,
    })
}

/// What was heard in a recording, and what was odd about it.
pub(super) struct Heard {
    pub(super) embedding: Result<Embedding, Unusable>,
    pub(super) warnings: Vec<formant_audio_core::Warning>,
}

/// Listens to a whole recording.
fn listen(
    embedder: &SpeakerEmbedder,
    model: &SpeakerModel,
    reader: &mut BlockReader,
) -> Result<Heard, Failure> {
    let mut session = embedder.start(&model.embed)?;
    while let Some(block) = reader.next_block()? {
        interrupt::check()?;
        session.push(&block.view())?;
    }
    let embedding = session.finish()?;
    Ok(Heard { embedding, warnings: reader.info().warnings.clone() })
}

fn listen_to_file(
    embedder: &SpeakerEmbedder,
    model: &SpeakerModel,
    path: &Path,
    decode: &DecodeOptions,
) -> Result<Heard, Failure> {
    let mut reader = match path.as_os_str() == "-" {
        true => BlockReader::from_stream(Box::new(std::io::stdin()), "-", decode)?,
        false => BlockReader::open(path, decode)?,
    };
    let heard = listen(embedder, model, &mut reader);
    heard.map_err(|failure| failure.of_input(&path.display().to_string()))
}

/// A recording without an embedding, as a failure.
fn unusable(name: &str, why: Unusable) -> Failure {
    let remedy = match why {
        Unusable::NoSpeech => "check that somebody speaks in it, or use all of it with --no-vad",
        Unusable::TooShort { .. } => "give a longer recording",
    };
    Failure::new(Kind::Input, name, why.to_string()).help(remedy)
}

/// The fields of a decision.
fn fields(found: &Verification) -> Map<String, Value> {
    let round = |x: f64| (x * 1e5).round() / 1e5;
    let mut fields = Map::new();
    fields.insert("score".to_owned(), round(found.score).into());
    fields.insert("threshold".to_owned(), round(found.threshold).into());
    fields.insert("same_speaker".to_owned(), found.same_speaker.into());
    fields.insert("probability".to_owned(), json!(found.probability.map(round)));
    fields
}

/// A decision in words.
fn words(found: &Verification) -> String {
    let answer = if found.same_speaker { "same speaker" } else { "different speakers" };
    let mut text = format!("{answer}  score {:.3}  threshold {:.3}", found.score, found.threshold);
    if let Some(probability) = found.probability {
        text += &format!("  probability {:.1} %", 100.0 * probability);
    }
    text
}
