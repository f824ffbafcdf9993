//! `formant speaker embed`: a vector for each recording.

use std::io::Cursor;

use formant_models::tasks::speaker::{Embedding, SpeakerEmbedder};
use ndarray::Array1;
use ndarray_npy::WriteNpyExt;
use serde_json::json;

use super::{VectorTarget, listen, unusable};
use crate::batch::{self, Done, Lane};
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::inputs::Input;
use crate::messages::Messages;
use crate::outputs::{Existing, Target, target_of};
use crate::reading::Sources;
use crate::settings::Settings;
use crate::tasks::speaker::SpeakerModel;
use crate::times::to_millis;
use crate::{draft, json as lines};

pub(super) fn run(
    model: &SpeakerModel,
    sources: &Sources,
    target: &VectorTarget,
    existing: Existing,
    settings: &Settings,
    messages: &Messages,
) -> Result<Outcome, Failure> {
    let work = |embedder: &mut SpeakerEmbedder, input: &Input, lane: &Lane<'_>| {
        let place = match target {
            VectorTarget::Npy(targets) => Some(target_of(targets, lane.index)?),
            VectorTarget::Json(_) => None,
        };
        if let Some(place) = place
            && !existing.admits(place)?
        {
            return Ok(Done::Skipped);
        }
        let heard = listen(embedder, model, &mut lane.open(sources, input)?)?;
        lane.warn(&heard.warnings);
        let embedding = heard.embedding.map_err(|why| unusable(&lane.name, why))?;
        if let Some(place) = place {
            draft::write(place, &npy(&embedding.values)?)?;
            lane.note(&format!("{} -> {}", lane.name, place.name()))?;
        }
        if place.is_none() || settings.json {
            let odd = lines::warnings(&heard.warnings);
            let line = line(&lane.name, &embedding, place, &odd);
            if place.is_some() { lane.tell(&line) } else { lane.print(&line) }?;
        }
        Ok(Done::Worked)
    };
    let (list, options) = (&sources.list, settings.batch_of_networks());
    match target {
        VectorTarget::Npy(_) => batch::run(list, options, messages, || model.load(), work),
        VectorTarget::Json(target) => {
            let place = batch::Place { target, existing, heading: "" };
            batch::gather(place, list, options, messages, || model.load(), work)
        }
    }
}

/// The vector as a NumPy file.
pub(super) fn npy(values: &[f32]) -> Result<Vec<u8>, Failure> {
    let mut bytes = Cursor::new(Vec::new());
    let array = Array1::from(values.to_vec());
    array.write_npy(&mut bytes).map_err(|error| Failure::internal("NumPy file", error))?;
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
        "speech_seconds": to_millis(embedding.speech_seconds),
        "warnings": warnings,
    });
    if place.is_none() {
        fields["embedding"] = json!(embedding.values);
    }
    lines::line("embedding", &fields)
}
