//! A training of a separator: its loss and its validation.

use std::time::Instant;

use formant_audio_core::metrics::separation::{si_sdr, si_sdr_sources};
use formant_models::arch::mossformer::{MossformerCard, MossformerModel, Network, Separator};
use formant_models::nn::tape;
use formant_models::params::Params;
use serde::{Deserialize, Serialize};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

use super::batches::{Batch, Batches};
use super::data::SeparationData;
use super::loss::separation_loss;
use super::recipe::{Filters, Goal, SeparationRecipe};
use crate::epochs::{Epochs, Verdict};
use crate::error::{Error, Result};
use crate::optim::AdamW;
use crate::paths::TrainPaths;
use crate::progress::Progress;
use crate::replicas::{Learner, Replicas, variables};
use crate::resume;
use crate::start::copy_weights;

/// What a training came to.
#[derive(Debug, Clone, Serialize)]
pub struct SeparationOutcome {
    /// Epoch whose weights were kept, from 1.
    pub best_epoch: usize,
    /// Mean gain in SI-SDR over the mixtures to validate on, dB.
    pub si_sdri: f64,
    /// Trainable parameters of the network.
    pub parameters: u64,
    /// Speakers that it learned from.
    pub speakers: usize,
    /// Seconds of this run.
    pub seconds: f64,
}

/// What a state has to agree with to be gone on from.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Key {
    recipe: SeparationRecipe,
    speakers: usize,
}

/// Trains a network on mixtures of `data` by `recipe` and writes it, with its card, to
/// `paths.output`.
///
/// After every epoch the averaged weights are validated on `data.dev`; the best are kept. A run that
/// was stopped goes on from its last epoch when it is started with the same recipe. With `start`,
/// training begins with the weights of that model instead of random ones. `provenance` goes into
/// the file as it is.
///
/// # Errors
/// [`crate::Error::Interrupted`] when `progress` asks to stop; [`crate::Error::Config`] for a recipe
/// that cannot work; what reading and writing files says.
pub fn train(
    data: &SeparationData,
    recipe: &SeparationRecipe,
    paths: &TrainPaths,
    start: Option<&MossformerModel>,
    provenance: serde_json::Value,
    progress: &dyn Progress,
) -> Result<SeparationOutcome> {
    let began = Instant::now();
    recipe.validate()?;
    let mut card = MossformerCard::published(recipe.network.clone(), recipe.sample_rate)?;
    card.provenance = provenance;
    tch::manual_seed(recipe.seed as i64);
    let vs = VarStore::new(Device::Cpu);
    let network = Separator::new(&Params::random(&vs.root()), &recipe.network)?;
    if recipe.filters == Filters::Fourier && !network.begin_with_fourier() {
        let reason = "`fourier` needs `in_channels` of `kernel_size`, or of twice that".to_owned();
        return Err(Error::Config { setting: "filters", reason });
    }
    let epochs = Epochs {
        epochs: recipe.epochs,
        steps_per_epoch: recipe.steps_per_epoch,
        state: &paths.state,
        began,
        progress,
    };
    let key = Key { recipe: recipe.clone(), speakers: data.speakers.len() };
    let saved = epochs.saved(&key);
    if let Some(start) = start.filter(|_| saved.is_none()) {
        let given = start.store.variables();
        copy_weights(&vs, |_| true, |name| given.get(name))?;
    }
    let mut optimizer = AdamW::new(&vs, recipe.optimizer.clone());
    let batches = Batches { data, recipe };
    let variables = variables(&vs);
    let threads = tch::get_num_threads();
    let copies = usize::try_from(threads).unwrap_or(1).min(recipe.batch) - 1;
    let best = std::thread::scope(|scope| {
        let mut replicas = Replicas::start(scope, copies, || learner(recipe));
        epochs.run(
            key,
            saved,
            &mut optimizer,
            |epoch, take| {
                tch::set_num_threads((threads / replicas.parts() as i32).max(1));
                let done = batches.run(epoch, |step, batch| {
                    let mut parts = batch.split(replicas.parts()).into_iter();
                    let Some(own) = parts.next() else { return Ok(()) };
                    let others = parts.collect();
                    let learn = || learn(&network, recipe, &own);
                    take(step, Box::new(|| replicas.learn(&variables, others, learn)))
                });
                tch::set_num_threads(threads);
                done
            },
            AdamW::averaged,
            |weights| {
                let model = MossformerModel::from_tensors(card.clone(), weights, Device::Cpu)?;
                let score = validate(&model, data, recipe)?;
                Ok(Verdict { score, detail: format!("SI-SDRi {score:.2} dB") })
            },
        )
    })?;
    if let serde_json::Value::Object(provenance) = &mut card.provenance {
        let recipe = serde_json::to_value(recipe).expect("a recipe is plain data");
        provenance.insert("recipe".to_owned(), recipe);
        provenance.insert("best_epoch".to_owned(), best.epoch.into());
    }
    let model = MossformerModel::from_tensors(card, &best.weights, Device::Cpu)?;
    let si_sdri = validate(&model, data, recipe)?;
    model.save(&paths.output, Kind::Float)?;
    resume::remove(&paths.state)?;
    Ok(SeparationOutcome {
        best_epoch: best.epoch,
        si_sdri,
        parameters: network.info().parameters,
        speakers: data.speakers.len(),
        seconds: began.elapsed().as_secs_f64(),
    })
}

/// A part of a batch and its share of the whole.
type Part = (f64, Batch);

/// Another copy of the network of `recipe`, whose weights it is given with every part.
fn learner(recipe: &SeparationRecipe) -> Learner<Part> {
    let vs = VarStore::new(Device::Cpu);
    let network = Separator::new(&Params::random(&vs.root()), &recipe.network)
        .expect("the recipe is validated");
    let recipe = recipe.clone();
    Learner {
        variables: variables(&vs),
        learn: Box::new(move |part| learn(&network, &recipe, part)),
    }
}

/// Adds the gradients of a part of a batch to those of the network's variables, and returns its
/// share of the loss.
fn learn(network: &Separator, recipe: &SeparationRecipe, (share, batch): &Part) -> f64 {
    let SeparationRecipe { goal, measure, clamp_db, .. } = *recipe;
    let (loss, tape) = tape::record(|| {
        let estimates = network.forward(&batch.mixtures);
        separation_loss(&estimates, &batch.sources, goal, measure, clamp_db) * *share
    });
    tape.backward(&loss);
    loss.double_value(&[])
}

/// Mean gain in SI-SDR: of all voices in the best order, or of the speech.
fn validate(
    model: &MossformerModel,
    data: &SeparationData,
    recipe: &SeparationRecipe,
) -> Result<f64> {
    let Network::Separator(network) = &model.network else { return Ok(f64::NEG_INFINITY) };
    let network = network.clone().freeze();
    let mut gains = Vec::with_capacity(data.dev.len());
    for item in &data.dev {
        let least = recipe.network.kernel_size as usize;
        if item.mixture.len() < least {
            continue;
        }
        let mixture = Tensor::from_slice(&item.mixture).unsqueeze(0);
        let estimates = network.forward(&mixture).squeeze_dim(0);
        let estimates: Vec<Vec<f32>> = (0..estimates.size()[0])
            .map(|voice| Vec::<f32>::try_from(estimates.get(voice)))
            .collect::<std::result::Result<_, _>>()
            .map_err(formant_models::Error::from)?;
        let gain = match recipe.goal {
            Goal::Separate => {
                let references: Vec<&[f32]> = item.sources.iter().map(Vec::as_slice).collect();
                let estimates: Vec<&[f32]> = estimates.iter().map(Vec::as_slice).collect();
                si_sdr_sources(&references, &estimates, Some(&item.mixture))?
                    .mean_si_sdr_improvement_db
            }
            Goal::Enhance => {
                let after = si_sdr(&item.sources[0], &estimates[0])?;
                after.zip(si_sdr(&item.sources[0], &item.mixture)?).map(|(a, b)| a - b)
            }
        };
        gains.extend(gain);
    }
    Ok(gains.iter().sum::<f64>() / gains.len().max(1) as f64)
}
