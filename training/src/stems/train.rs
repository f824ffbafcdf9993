//! A training of a voice separator.

use std::collections::BTreeMap;
use std::time::Instant;

use formant_models::Model;
use formant_models::arch::mel_roformer::MelRoformer;
use formant_models::network::NoTrace;
use formant_models::params::Params;
use formant_models::tasks::stems::{Augment, StemsModel};
use serde::{Deserialize, Serialize};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

use super::data::{Song, StemsData};
use super::evaluate::ratio_db;
use super::loss::StemLoss;
use super::mixing::Batches;
use super::recipe::StemsRecipe;
use crate::epochs::{Epochs, Verdict, backward};
use crate::error::Result;
use crate::optim::AdamW;
use crate::paths::TrainPaths;
use crate::progress::Progress;
use crate::resume;
use crate::start::copy_weights;

/// What a training came to.
#[derive(Debug, Clone, Serialize)]
pub struct StemsOutcome {
    /// Epoch whose weights were kept, from 1.
    pub best_epoch: usize,
    /// Mean signal-to-distortion ratio of the voice on the songs to validate on, in dB.
    pub dev_sdr: f64,
    /// The same of the mix taken for the voice.
    pub dev_sdr_of_mix: f64,
    /// Trainable parameters.
    pub parameters: u64,
    /// Seconds of this run.
    pub seconds: f64,
}

/// What a state has to agree with to be gone on from.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Key {
    recipe: StemsRecipe,
    recordings: usize,
}

/// Trains a network on `data` by `recipe` and writes it, with its card, to `paths.output`.
///
/// After every epoch the averaged weights separate the songs of `data.dev`; the best are kept. A
/// run that was stopped goes on from its last epoch when it is started with the same recipe. With
/// `start`, training begins with the weights of that model instead of random ones. `provenance` goes into the file as it is.
///
/// # Errors
/// [`crate::Error::Interrupted`] when `progress` asks to stop; [`crate::Error::Config`] for a
/// recipe that cannot work; what reading and writing files says.
pub fn train(
    data: &StemsData,
    recipe: &StemsRecipe,
    paths: &TrainPaths,
    start: Option<&Model<MelRoformer>>,
    provenance: serde_json::Value,
    progress: &dyn Progress,
) -> Result<StemsOutcome> {
    let began = Instant::now();
    recipe.validate()?;
    tch::manual_seed(recipe.seed as i64);
    let vs = VarStore::new(Device::Cpu);
    // Examples come back as long as they are.
    let mut sizes = recipe.network.clone();
    sizes.match_input_audio_length = true;
    let network = MelRoformer::new(&Params::random(&vs.root()), &sizes)?;
    let epochs = Epochs {
        epochs: recipe.epochs,
        steps_per_epoch: recipe.steps_per_epoch,
        state: &paths.state,
        began,
        progress,
    };
    let key = Key { recipe: recipe.clone(), recordings: data.corpus.len() };
    let saved = epochs.saved(&key);
    if let Some(start) = start.filter(|_| saved.is_none()) {
        let given = start.weights();
        copy_weights(&vs, |_| true, |name| given.get(name))?;
    }
    let mut optimizer = AdamW::new(&vs, recipe.optimizer.clone());
    let (batches, measure) = (Batches { data, recipe }, StemLoss::new(&recipe.loss_windows));
    let build = |weights: &BTreeMap<String, Tensor>| -> Result<Model<MelRoformer>> {
        Ok(Model::from_tensors(recipe.card(), weights, Device::Cpu)?)
    };
    let best = epochs.run(
        key,
        saved,
        &mut optimizer,
        |epoch, take| {
            batches.run(epoch, |step, batch| {
                let loss = || {
                    let found = network.forward_t(&batch.mix.unsqueeze(1), &mut NoTrace);
                    measure.of(&found.flatten(0, 2), &batch.voice)
                };
                take(step, Box::new(|| backward(&loss())))
            })
        },
        AdamW::averaged,
        |weights| {
            let (sdr, of_mix) = validate(&build(weights)?, data)?;
            let detail = format!("SDR {sdr:.2} dB (mix {of_mix:.2} dB)");
            Ok(Verdict { score: sdr, detail })
        },
    )?;
    let mut model = build(&best.weights)?;
    let (dev_sdr, dev_sdr_of_mix) = validate(&model, data)?;
    let mut provenance = provenance;
    if let serde_json::Value::Object(provenance) = &mut provenance {
        let recipe = serde_json::to_value(recipe).expect("a recipe is plain data");
        provenance.insert("recipe".to_owned(), recipe);
        provenance.insert("best_epoch".to_owned(), best.epoch.into());
        provenance.insert("dev_sdr".to_owned(), dev_sdr.into());
    }
    model.card.provenance = provenance;
    model.save(&paths.output, Kind::Half)?;
    resume::remove(&paths.state)?;
    Ok(StemsOutcome {
        best_epoch: best.epoch,
        dev_sdr,
        dev_sdr_of_mix,
        parameters: network.info().parameters,
        seconds: began.elapsed().as_secs_f64(),
    })
}

/// Mean ratio of the voice over the songs to validate on, and that of the mix.
fn validate(model: &Model<MelRoformer>, data: &StemsData) -> Result<(f64, f64)> {
    let model = StemsModel::from(model.clone());
    let (mut sum, mut of_mix) = (0.0, 0.0);
    for song in &data.dev {
        let (vocals, rest) = parts(song, data);
        let mix: Vec<f32> = vocals.iter().zip(&rest).map(|(a, b)| a + b).collect();
        let stems = model.separate(&Tensor::from_slice(&mix).view([1, 1, -1]), Augment::No)?;
        let found = Vec::<f32>::try_from(stems.view([-1])).map_err(formant_models::Error::from)?;
        sum += ratio_db(&vocals, &found);
        of_mix += ratio_db(&vocals, &mix);
    }
    let count = data.dev.len() as f64;
    Ok((sum / count, of_mix / count))
}

fn parts(song: &Song, data: &StemsData) -> (Vec<f32>, Vec<f32>) {
    let mut parts = [song.vocals, song.accompaniment].map(|clip| data.corpus.clip_f32(clip));
    let length = parts[0].len().min(parts[1].len());
    parts.iter_mut().for_each(|part| part.truncate(length));
    let [vocals, rest] = parts;
    (vocals, rest)
}
