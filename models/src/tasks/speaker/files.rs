//! Reading and writing speaker models: formant's own files with a card, and published checkpoints
//! whose sizes follow from their weights and whose front end follows from who published them.

use std::collections::BTreeMap;
use std::path::Path;

use formant_audio_core::features::presets;
use serde_json::Value;
use tch::nn::VarStore;
use tch::{Kind, Tensor};

use super::card::SpeakerCard;
use super::score::Cohort;
use crate::arch::ecapa::{EcapaConfig, IGNORED_KEYS, Layout};
use crate::checkpoint::{self, Container, ContainerKind, LoadOptions, RawTensor, StateDict};
use crate::error::{Error, Result};
use crate::registry::{self, Located};
use crate::source::ModelSource;

/// Key of the card in the metadata of a weights file.
const CARD_KEY: &str = "formant.speaker";
/// Mean of the training speakers' voices of unit length, `[values]`.
const CENTRE_KEY: &str = "scoring.centre";
/// Voices of the training speakers, `[speakers, values]`, of unit length.
const COHORT_KEY: &str = "scoring.cohort";

/// What a file holds besides the network.
#[derive(Debug, Clone, Default)]
pub(super) struct Companions {
    pub(super) centre: Option<Vec<f32>>,
    pub(super) cohort: Option<Cohort>,
}

/// Card, weights and companions of a model.
pub(super) fn read(source: &ModelSource) -> Result<(SpeakerCard, StateDict, Companions)> {
    let mut state = match registry::locate(source)? {
        Located::Path(path) if path.is_dir() => return read_folder(&path),
        Located::Path(path) => checkpoint::read_state_dict(&path)?,
        Located::Bundled(_) => registry::read_weights(source)?,
    };
    if let Some(text) = state.metadata.get(CARD_KEY) {
        let card: SpeakerCard = serde_json::from_str(text).map_err(|e| {
            let reason = format!("the card in {} is unreadable: {e}", state.path.display());
            Error::config(CARD_KEY, reason)
        })?;
        let companions = take_companions(&mut state)?;
        return Ok((card, state, companions));
    }
    clean(&mut state)?;
    let card = card_of_weights(&state, None)?;
    Ok((card, state, Companions::default()))
}

fn read_folder(path: &Path) -> Result<(SpeakerCard, StateDict, Companions)> {
    let container = Container::open(path)?;
    let mut state = container.state_dict()?.clone();
    clean(&mut state)?;
    let card = card_of_weights(&state, Some(&container))?;
    Ok((card, state, Companions::default()))
}

/// Removes wrappers, also the module that TaoRuijie's files have the network in.
fn clean(state: &mut StateDict) -> Result<()> {
    checkpoint::clean(state, checkpoint::WeightNorm::Keep)?;
    state.rename(|name| name.strip_prefix("speaker_encoder.").unwrap_or(name).to_owned());
    Ok(())
}

fn take_companions(state: &mut StateDict) -> Result<Companions> {
    let path = state.path.clone();
    let mut take = |key: &str| -> Result<Option<(Vec<usize>, Vec<f32>)>> {
        let Some(raw) = state.tensors.shift_remove(key) else { return Ok(None) };
        let values = raw.to_f32_vec().map_err(|fault| fault.at(&path))?;
        Ok(Some((raw.shape().to_vec(), values)))
    };
    let centre = take(CENTRE_KEY)?.map(|(_, values)| values);
    let cohort = match take(COHORT_KEY)? {
        Some((shape, values)) if shape.len() == 2 => Some(Cohort::new(values, shape[1])?),
        _ => None,
    };
    Ok(Companions { centre, cohort })
}

/// Copies weights into the variables of a network; everything has to fit.
pub(super) fn load_into(vs: &mut VarStore, weights: &StateDict) -> Result<()> {
    let options = LoadOptions::default().ignoring(IGNORED_KEYS);
    checkpoint::load_into(vs, weights, &options)?;
    Ok(())
}

/// Writes weights, card and companions.
pub(super) fn write(
    path: &Path,
    card: &SpeakerCard,
    vs: &VarStore,
    companions: &Companions,
    kind: Kind,
) -> Result<()> {
    let variables: BTreeMap<String, Tensor> = vs.variables().into_iter().collect();
    let mut state = StateDict::default();
    for (name, tensor) in variables {
        // Half precision is too coarse for variances, which may be below its smallest number.
        let kind = if name.ends_with("running_var") { Kind::Float } else { kind };
        state.insert(name, RawTensor::from_tensor(&tensor.detach().to_kind(kind))?);
    }
    if let Some(centre) = &companions.centre {
        let tensor = Tensor::from_slice(centre).to_kind(kind);
        state.insert(CENTRE_KEY, RawTensor::from_tensor(&tensor)?);
    }
    if let Some(cohort) = &companions.cohort {
        let tensor = Tensor::from_slice(cohort.values());
        let tensor = tensor.view([-1, cohort.width() as i64]).to_kind(kind);
        state.insert(COHORT_KEY, RawTensor::from_tensor(&tensor)?);
    }
    let card = serde_json::to_string(card).map_err(|e| Error::config(CARD_KEY, e.to_string()))?;
    let metadata = BTreeMap::from([(CARD_KEY.to_owned(), card)]);
    checkpoint::write_safetensors(path, &state, &metadata)
}

/// The card of a published checkpoint.
fn card_of_weights(state: &StateDict, container: Option<&Container>) -> Result<SpeakerCard> {
    let mut config = EcapaConfig::of_weights(state)?;
    let hyperparams = container.and_then(|c| c.config("hyperparams.yaml"));
    if let Some(model) = hyperparams.and_then(|all| all.get("embedding_model")) {
        read_distances(model, &mut config);
    }
    let mut card = SpeakerCard::published(config)?;
    // 3D-Speaker has SpeechBrain's names and comes from ModelScope.
    let modelscope = container.is_some_and(|c| c.kind == ContainerKind::ModelScope);
    if modelscope && card.config.layout == Layout::Speechbrain {
        let bands = card.frontend.mel;
        card.frontend = presets::by_name("3d-speaker")?;
        if let (Some(mel), Some(bands)) = (&mut card.frontend.mel, bands) {
            mel.n_mels = bands.n_mels;
        }
    }
    Ok(card)
}

/// What shapes do not tell: the distances between frames, and whether convolutions are grouped.
fn read_distances(model: &Value, config: &mut EcapaConfig) {
    let list = |name: &str| -> Option<Vec<i64>> {
        model.get(name)?.as_array()?.iter().map(Value::as_i64).collect()
    };
    if let Some(dilations) = list("dilations") {
        config.dilations = dilations;
    }
    if let Some(groups) = list("groups") {
        config.groups = groups;
    }
}
