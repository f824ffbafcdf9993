//! The training loop: epochs, validation, the best weights, and a state to go on from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use formant_audio_core::features::FeaturePlan;
use formant_models::arch::lmuformer::LmuFormer;
use formant_models::checkpoint::{self, RawTensor, StateDict};
use formant_models::network::NoTrace;
use formant_models::tasks::spot::{Activation, DetectionDefaults, SpotCard, Spotter};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

use super::batches::{Batch, Batches};
use super::compose::Geometry;
use super::data::SpotData;
use super::evaluate::{SpotReport, score_clips};
use super::recipe::SpotRecipe;
use crate::error::{Error, Result};
use crate::optim::AdamW;
use crate::progress::{Event, Progress};

/// Label of speech that holds none of the words.
pub(super) const UNKNOWN: &str = "unknown";
/// Label of sound without speech.
pub(super) const SILENCE: &str = "silence";

/// Where a training writes.
#[derive(Debug, Clone)]
pub struct TrainPaths {
    /// The finished model.
    pub output: PathBuf,
    /// State after the last epoch; removed when training is done.
    pub state: PathBuf,
}

/// What a training came to.
#[derive(Debug, Clone, Serialize)]
pub struct TrainOutcome {
    /// Epoch whose weights were kept, from 1.
    pub best_epoch: usize,
    /// Its figures on the `dev` split.
    pub dev: SpotReport,
    /// Trainable parameters.
    pub parameters: u64,
    /// Seconds of this run.
    pub seconds: f64,
}

/// What is needed, besides tensors, to go on.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Resume {
    recipe: SpotRecipe,
    words: Vec<String>,
    epoch: usize,
    steps: u64,
    best_epoch: usize,
    best_score: f64,
}

/// Trains a network on `data` by `recipe` and writes it, with its card, to `paths.output`.
///
/// After every epoch the averaged weights are validated on the `dev` clips; the best are kept.
/// A run that was stopped goes on from its last epoch when it is started with the same recipe.
/// With `start`, training begins with the weights of that model instead of random ones; the head
/// starts afresh when the words differ. `provenance` goes into the file as it is.
///
/// # Errors
/// [`Error::Interrupted`] when `progress` asks to stop; [`Error::Config`] for a recipe that cannot
/// work; what reading and writing files says.
pub fn train(
    data: &SpotData,
    recipe: &SpotRecipe,
    paths: &TrainPaths,
    start: Option<&Spotter>,
    provenance: serde_json::Value,
    progress: &dyn Progress,
) -> Result<TrainOutcome> {
    let began = Instant::now();
    let mut recipe = recipe.clone();
    recipe.validate()?;
    let plan = FeaturePlan::new(&recipe.frontend.streamable())?;
    recipe.network.in_channels = plan.bins() as i64;
    recipe.network.num_classes = data.words.len() as i64 + 2;
    let mut card = card(data, &recipe, provenance);
    tch::manual_seed(recipe.seed as i64);
    let vs = VarStore::new(Device::Cpu);
    let network = LmuFormer::new(&vs.root(), &recipe.network)?;
    if let Some(start) = start {
        copy_weights(&vs, start, card.labels == start.card().labels)?;
    }
    let mut optimizer = AdamW::new(&vs, recipe.optimizer.clone());
    let mut resume = Resume {
        recipe: recipe.clone(),
        words: data.words.clone(),
        epoch: 0,
        steps: 0,
        best_epoch: 0,
        best_score: f64::NEG_INFINITY,
    };
    let mut best: Option<BTreeMap<String, Tensor>> = None;
    if let Some((found, tensors)) = read_state(&paths.state) {
        if found.recipe == resume.recipe && found.words == resume.words {
            let (kept, state): (BTreeMap<_, _>, BTreeMap<_, _>) =
                tensors.into_iter().partition(|(name, _)| name.starts_with("best."));
            if optimizer.restore(&state, found.steps) {
                best = Some(
                    kept.into_iter()
                        .map(|(name, t)| (name["best.".len()..].to_owned(), t))
                        .collect(),
                );
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
    let hop = recipe.frontend.hop_length;
    let batches = Batches {
        data,
        recipe: &recipe,
        plan: &plan,
        geometry: Geometry {
            length: recipe.samples(),
            window_start: recipe.context_frames * hop,
            word_end: recipe.frames().saturating_sub(network.info().lookahead_frames + 1) * hop,
            rate: recipe.frontend.sample_rate as f32,
        },
    };
    let total = (recipe.epochs * recipe.steps_per_epoch) as u64;
    for epoch in resume.epoch..recipe.epochs {
        let mut losses = 0.0;
        let mut recent = f64::NAN;
        batches.run(epoch, |step, batch| {
            if progress.cancelled() {
                return Err(Error::Interrupted);
            }
            let loss = loss(&network, &recipe, &batch, (epoch, step));
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
        let score = report.selection_score();
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
        let recipe = serde_json::to_value(&recipe).expect("a recipe is plain data");
        provenance.insert("recipe".to_owned(), recipe);
        provenance.insert("best_epoch".to_owned(), resume.best_epoch.into());
    }
    let spotter = build(&card, &best)?;
    spotter.save(&paths.output, Kind::Float)?;
    match std::fs::remove_file(&paths.state) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::io(&paths.state, e));
        }
        _ => {}
    }
    Ok(TrainOutcome {
        best_epoch: resume.best_epoch,
        dev,
        parameters: network.info().parameters,
        seconds: began.elapsed().as_secs_f64(),
    })
}

/// Copies the weights of `start` into a new network of the same sizes.
fn copy_weights(vs: &VarStore, start: &Spotter, same_labels: bool) -> Result<()> {
    let given = start.weights();
    for (name, mut variable) in vs.variables() {
        if name.starts_with("head.") && !same_labels {
            continue;
        }
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

fn card(data: &SpotData, recipe: &SpotRecipe, provenance: serde_json::Value) -> SpotCard {
    let background = [UNKNOWN, SILENCE].map(str::to_owned);
    SpotCard {
        config: recipe.network.clone(),
        frontend: recipe.frontend.clone(),
        labels: data.words.iter().cloned().chain(background.clone()).collect(),
        background: background.to_vec(),
        activation: Activation::Softmax,
        detection: DetectionDefaults {
            window_frames: recipe.window_frames,
            threshold: recipe.threshold,
            smoothing: recipe.smoothing,
            ..DetectionDefaults::default()
        },
        provenance,
    }
}

/// Cross-entropy of the answer that is averaged over the window.
fn loss(network: &LmuFormer, recipe: &SpotRecipe, batch: &Batch, at: (usize, usize)) -> Tensor {
    let mut rng = ChaCha8Rng::seed_from_u64(recipe.seed ^ 0x006d_6978);
    rng.set_stream((at.0 * recipe.steps_per_epoch + at.1) as u64);
    let blend = rng.random_bool(recipe.mixup_share).then(|| {
        let order: Vec<i64> =
            (0..recipe.batch as i64).map(|i| (i + 1) % recipe.batch as i64).collect();
        (rng.random_range(0.6..1.0f64), Tensor::from_slice(&order))
    });
    let features = match &blend {
        Some((share, order)) => {
            &batch.features * *share + batch.features.index_select(0, order) * (1.0 - share)
        }
        None => batch.features.shallow_clone(),
    };
    let frames = network.forward_t(&features, true, &mut NoTrace); // [batch, frames, answers]
    let window = frames.narrow(1, recipe.context_frames as i64, recipe.window_frames as i64);
    let logits = window.mean_dim([1i64].as_slice(), false, Kind::Float);
    let entropy = |answers: &Tensor| {
        let reduction = tch::Reduction::Mean;
        logits.cross_entropy_loss::<Tensor>(answers, None, reduction, -100, recipe.label_smoothing)
    };
    match &blend {
        Some((share, order)) => {
            let other = batch.answers.index_select(0, order);
            entropy(&batch.answers) * *share + entropy(&other) * (1.0 - share)
        }
        None => entropy(&batch.answers),
    }
}

fn build(card: &SpotCard, weights: &BTreeMap<String, Tensor>) -> Result<Spotter> {
    Ok(Spotter::from_tensors(card.clone(), weights, Device::Cpu)?)
}

fn validate(
    card: &SpotCard,
    weights: &BTreeMap<String, Tensor>,
    data: &SpotData,
) -> Result<SpotReport> {
    let spotter = build(card, weights)?;
    let rate = data.corpus.rate();
    score_clips(&spotter, data.dev.len(), |i| {
        let (clip, label) = &data.dev[i];
        Ok((
            formant_audio_core::AudioBuf::from_mono(rate, data.corpus.clip_f32(*clip)),
            label.clone(),
        ))
    })
}

fn write_state(
    path: &Path,
    resume: &Resume,
    optimizer: &AdamW,
    best: Option<&BTreeMap<String, Tensor>>,
) -> Result<()> {
    let mut tensors = optimizer.state();
    for (name, tensor) in best.into_iter().flatten() {
        tensors.insert(format!("best.{name}"), tensor.shallow_clone());
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
