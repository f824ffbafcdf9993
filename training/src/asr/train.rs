//! The training loop: epochs, validation, the best weights, and a state to go on from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use formant_audio_core::features::FeaturePlan;
use formant_models::arch::squeezeformer::{CtcCard, CtcModel, Squeezeformer, Vocabulary};
use formant_models::checkpoint::{self, RawTensor, StateDict};
use formant_models::network::NoTrace;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::batches::{Batch, Batches};
use super::data::AsrData;
use super::evaluate::{AsrReport, score_utterances};
use super::pieces::learn_pieces;
use super::recipe::AsrRecipe;
use crate::error::{Error, Result};
use crate::optim::AdamW;
use crate::progress::{Event, Progress};

/// Where a training writes.
#[derive(Debug, Clone)]
pub struct AsrPaths {
    /// The finished model.
    pub output: PathBuf,
    /// State after the last epoch; removed when training is done.
    pub state: PathBuf,
}

/// What a training came to.
#[derive(Debug, Clone, Serialize)]
pub struct AsrOutcome {
    /// Epoch whose weights were kept, from 1.
    pub best_epoch: usize,
    /// Its errors on the `dev` split.
    pub dev: AsrReport,
    /// Trainable parameters.
    pub parameters: u64,
    /// Seconds of this run.
    pub seconds: f64,
}

/// What is needed, besides tensors, to go on.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Resume {
    recipe: AsrRecipe,
    pieces: Vec<String>,
    epoch: usize,
    steps: u64,
    best_epoch: usize,
    best_score: f64,
}

/// Trains a recogniser on `data` and writes it to `paths.output`.
///
/// After every epoch the averaged weights are validated on the `dev` utterances; the best are
/// kept. A run that was stopped goes on from its last epoch when it is started with the same
/// recipe. With `start`, training begins with the weights and the vocabulary of that model.
/// `provenance` goes into the file as it is.
///
/// # Errors
/// [`Error::Interrupted`] when `progress` asks to stop; [`Error::Config`] for a recipe that cannot
/// work; what reading and writing files says.
pub fn train(
    data: &AsrData,
    recipe: &AsrRecipe,
    paths: &AsrPaths,
    start: Option<&CtcModel>,
    provenance: serde_json::Value,
    progress: &dyn Progress,
) -> Result<AsrOutcome> {
    let began = Instant::now();
    recipe.validate()?;
    let plan = FeaturePlan::new(&recipe.frontend)?;
    let pieces = match start {
        Some(start) => super::Pieces::new(start.card.vocabulary.pieces.clone()),
        None => learn_pieces(data.texts(recipe), recipe.pieces),
    };
    let mut card = CtcCard {
        config: recipe.network_for(pieces.list().len(), plan.bins()),
        frontend: recipe.frontend.clone(),
        vocabulary: Vocabulary { pieces: pieces.list().to_vec(), ..Vocabulary::default() },
        provenance,
    };
    tch::manual_seed(recipe.seed as i64);
    let model = CtcModel::random(card.clone(), Device::Cpu)?;
    if let Some(start) = start {
        copy_weights(&model, start)?;
    }
    let mut optimizer = AdamW::new(&model.store, recipe.optimizer.clone());
    let mut resume = Resume {
        recipe: recipe.clone(),
        pieces: pieces.list().to_vec(),
        epoch: 0,
        steps: 0,
        best_epoch: 0,
        best_score: f64::NEG_INFINITY,
    };
    let mut best: Option<BTreeMap<String, Tensor>> = None;
    if let Some((found, tensors)) = read_state(&paths.state) {
        if found.recipe == resume.recipe && found.pieces == resume.pieces {
            let (kept, state): (BTreeMap<_, _>, BTreeMap<_, _>) =
                tensors.into_iter().partition(|(name, _)| name.starts_with(BEST));
            if optimizer.restore(&state, found.steps) {
                let kept = kept.into_iter().map(|(name, t)| (name[BEST.len()..].to_owned(), t));
                best = Some(kept.collect());
                let text = format!("going on after epoch {}", found.epoch);
                progress.event(&Event::Note { text });
                resume = found;
            }
        } else {
            let text =
                format!("{} belongs to another recipe and is not used", paths.state.display());
            progress.event(&Event::Note { text });
        }
    }
    let batches = Batches { data, recipe, plan: &plan, pieces: &pieces };
    let blank = card.blank();
    let total = (recipe.epochs * recipe.steps_per_epoch) as u64;
    for epoch in resume.epoch..recipe.epochs {
        let mut losses = 0.0;
        let mut recent = f64::NAN;
        batches.run(epoch, |step, batch| {
            if progress.cancelled() {
                return Err(Error::Interrupted);
            }
            let loss = loss(&model.network, &batch, blank);
            let value = loss.double_value(&[]);
            optimizer.backward_step(&loss, total);
            losses += value;
            recent = if recent.is_nan() { value } else { 0.95 * recent + 0.05 * value };
            progress.event(&Event::Step {
                epoch: epoch + 1,
                step: step + 1,
                steps: recipe.steps_per_epoch,
                loss: recent,
            });
            Ok(())
        })?;
        let averaged = optimizer.averaged();
        let report = validate(&card, &averaged, data)?;
        let score = report.selection_score(|source| recipe.weight(source));
        let is_best = score > resume.best_score;
        if is_best {
            resume.best_score = score;
            resume.best_epoch = epoch + 1;
            best = Some(averaged);
        }
        resume.epoch = epoch + 1;
        resume.steps = optimizer.steps();
        write_state(&paths.state, &resume, &optimizer, best.as_ref())?;
        progress.event(&Event::Epoch {
            epoch: epoch + 1,
            epochs: recipe.epochs,
            loss: losses / recipe.steps_per_epoch as f64,
            score,
            best: is_best,
            seconds: began.elapsed().as_secs_f64(),
            detail: report.one_line(),
        });
    }
    let best = best.unwrap_or_else(|| optimizer.averaged());
    let dev = validate(&card, &best, data)?;
    if let serde_json::Value::Object(provenance) = &mut card.provenance {
        provenance.insert("recipe".to_owned(), serde_json::json!(recipe));
        provenance.insert("best_epoch".to_owned(), resume.best_epoch.into());
    }
    build(&card, &best)?.save(&paths.output, Kind::Float)?;
    match std::fs::remove_file(&paths.state) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::io(&paths.state, e));
        }
        _ => {}
    }
    Ok(AsrOutcome {
        best_epoch: resume.best_epoch,
        dev,
        parameters: model.network.info().parameters,
        seconds: began.elapsed().as_secs_f64(),
    })
}

/// Prefix of the best weights so far in a state file.
const BEST: &str = "best.";

/// Connectionist temporal classification, a number an answer; an utterance with more answers than
/// frames counts nothing.
fn loss(network: &Squeezeformer, batch: &Batch, blank: i64) -> Tensor {
    let (log_probs, lengths) =
        network.forward_t(&batch.features, &batch.lengths, true, &mut NoTrace);
    let log_probs = log_probs.transpose(0, 1); // [frames, batch, vocabulary]
    let answers: i64 = batch.counts.iter().sum();
    let reduction = tch::Reduction::Sum;
    let (answered, counts) = (&batch.answers, &batch.counts);
    let sum = Tensor::ctc_loss(&log_probs, answered, lengths, counts, blank, reduction, true);
    sum / answers.max(1) as f64
}

/// Copies the weights of `start` into a new network of the same sizes.
fn copy_weights(model: &CtcModel, start: &CtcModel) -> Result<()> {
    let given = start.store.variables();
    for (name, mut variable) in model.store.variables() {
        match given.get(&name) {
            Some(weight) if weight.size() == variable.size() => {
                tch::no_grad(|| variable.copy_(weight));
            }
            _ => {
                let reason = "the model to start from has other sizes than the recipe".to_owned();
                return Err(Error::Config { setting: "network", reason });
            }
        }
    }
    Ok(())
}

fn build(card: &CtcCard, weights: &BTreeMap<String, Tensor>) -> Result<CtcModel> {
    let mut state = StateDict::default();
    for (name, tensor) in weights {
        state.insert(name.clone(), RawTensor::from_tensor(tensor)?);
    }
    Ok(CtcModel::from_state(card.clone(), &state, Device::Cpu)?)
}

fn validate(
    card: &CtcCard,
    weights: &BTreeMap<String, Tensor>,
    data: &AsrData,
) -> Result<AsrReport> {
    let model = build(card, weights)?;
    let utterances = data.dev.iter().map(|utterance| {
        (data.corpus.clip_f32(utterance.clip), utterance.text.clone(), utterance.source.clone())
    });
    score_utterances(&model, utterances)
}

fn write_state(
    path: &Path,
    resume: &Resume,
    optimizer: &AdamW,
    best: Option<&BTreeMap<String, Tensor>>,
) -> Result<()> {
    let mut tensors = optimizer.state();
    for (name, tensor) in best.into_iter().flatten() {
        tensors.insert(format!("{BEST}{name}"), tensor.shallow_clone());
    }
    let resume = serde_json::to_string(resume).expect("the resume record is plain data");
    let metadata = BTreeMap::from([("resume".to_owned(), resume)]);
    let mut state = StateDict::default();
    for (name, tensor) in tensors {
        state.insert(name, RawTensor::from_tensor(&tensor)?);
    }
    Ok(checkpoint::write_safetensors(path, &state, &metadata)?)
}

fn read_state(path: &Path) -> Option<(Resume, BTreeMap<String, Tensor>)> {
    let state = checkpoint::read_state_dict(path).ok()?;
    let tensors: BTreeMap<String, Tensor> = state
        .iter()
        .map(|(name, raw)| Some((name.to_owned(), raw.to_tensor().ok()?)))
        .collect::<Option<_>>()?;
    Some((serde_json::from_str(state.metadata.get("resume")?).ok()?, tensors))
}
