//! `formant speaker embed`: a vector for each recording.

use std::io::Cursor;
use std::sync::{Mutex, PoisonError};

use formant_models::tasks::speaker::{Embedding, SpeakerEmbedder};
use ndarray::Array1;
use ndarray_npy::WriteNpyExt;
use serde_json::json;

use super::{listen, load, unusable};
use crate::batch::{self, Done, Lane};
use crate::commands::speaker::{SpeakerModel, VectorTarget};
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::inputs::Input;
use crate::messages::Messages;
use crate::outputs::{self, Existing, Target, begin};
use crate::plan::{Settings, Sources};
use crate::run::{internal, target_of, warn};
use crate::{json as lines, stdout};

pub(super) fn run(
    model: &SpeakerModel,
    sources: &Sources,
    target: &VectorTarget,
    existing: Existing,
    settings: &Settings,
    messages: &Messages,
) -> Result<Outcome, Failure> {
    if let VectorTarget::Json(file) = target
        && !existing.admits(file)?
    {
        messages.note("the output is there already");
        return Ok(Outcome::done());
    }
    let first = Mutex::new(Some(load(model)?));
    let worker = || {
        let ready = first.lock().unwrap_or_else(PoisonError::into_inner).take();
        ready.map_or_else(|| load(model), Ok)
    };
    let gathered = Mutex::new(String::new());
    let sink = |text: &str| match target {
        VectorTarget::Json(Target::File(_)) => {
            gathered.lock().unwrap_or_else(PoisonError::into_inner).push_str(text);
            Ok(())
        }
        _ => stdout::print(text),
    };
    let work = |embedder: &mut SpeakerEmbedder, input: &Input, lane: &Lane<'_>| {
        let place = match target {
            VectorTarget::Npy(targets) => Some(target_of(targets, lane)?),
            VectorTarget::Json(_) => None,
        };
        if let Some(place) = place
            && !existing.admits(place)?
        {
            return Ok(Done::Skipped);
        }
        let heard = listen(embedder, model, &mut sources.open(input)?)?;
        warn(lane, &heard.warnings);
        let embedding = heard.embedding.map_err(|why| unusable(&lane.name, why))?;
        if let Some(place) = place {
            let _underway = begin(place)?;
            outputs::write(place, &npy(&embedding.values)?)?;
            lane.messages.note(&format!("{} -> {}", lane.name, place.name()));
        }
        if place.is_none() || settings.json {
            let odd = lines::warnings(&heard.warnings);
            lane.print(&line(&lane.name, &embedding, place, &odd))?;
        }
        Ok(Done::Worked)
    };
    let options = settings.batch_of_networks();
    let outcome = batch::run_into(&sink, &sources.list.entries, options, messages, worker, work)?;
    if let VectorTarget::Json(file @ Target::File(_)) = target
        && matches!(outcome, Outcome::Worked { done: 1.., interrupted: false, .. })
    {
        let _underway = begin(file)?;
        let text = gathered.into_inner().unwrap_or_else(PoisonError::into_inner);
        outputs::write(file, text.as_bytes())?;
    }
    Ok(outcome)
}

/// The vector as a NumPy file.
pub(super) fn npy(values: &[f32]) -> Result<Vec<u8>, Failure> {
    let mut bytes = Cursor::new(Vec::new());
    let array = Array1::from(values.to_vec());
    array.write_npy(&mut bytes).map_err(|error| internal("NumPy file", error))?;
    Ok(bytes.into_inner())
}

fn line(
    name: &str,
    embedding: &Embedding,
    place: Option<&Target>,
    warnings: &[serde_json::Value],
) -> String {
    let mut fields = json!({
        "input": name,
        "output": place.map(Target::name),
        "model": embedding.model,
        "speech_seconds": (embedding.speech_seconds * 1e3).round() / 1e3,
        "warnings": warnings,
    });
    if place.is_none() {
        fields["embedding"] = json!(embedding.values);
    }
    lines::line("embedding", &fields)
}
