//! A training of a voice separator.

use std::collections::BTreeMap;
use std::path::Path;

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
use super::mixing::{Batch, Batches};
use super::recipe::StemsRecipe;
use crate::epochs::Verdict;
use crate::error::Result;
use crate::paths::TrainPaths;
use crate::progress::Progress;
use crate::start::begin_from;
use crate::training::{self, At, Course, Trained, Training};

/// Figures of a stem separator, on the songs to validate on.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct StemsFigures {
    /// Mean SDR of the voice, dB.
    pub dev_sdr: f64,
    /// The same of the mix, as it is.
    pub dev_sdr_of_mix: f64,
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
/// `start`, training begins with the weights of that model instead of random ones.
/// `provenance` goes into the file as it is.
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
) -> Result<Trained<StemsFigures>> {
    recipe.validate()?;
    let training = Stems { data, recipe };
    training::run(&training, paths, provenance, progress, |vs, _| {
        begin_from(vs, start.map(Model::weights))
    })
}

struct Stems<'a> {
    data: &'a StemsData,
    recipe: &'a StemsRecipe,
}

impl Stems<'_> {
    fn model(&self, weights: &BTreeMap<String, Tensor>) -> Result<Model<MelRoformer>> {
        Ok(Model::from_tensors(self.recipe.card(), weights, Device::Cpu)?)
    }
}

impl Training for Stems<'_> {
    type Network = (MelRoformer, StemLoss);
    type Batch = Batch;
    type Key = Key;
    type Recipe = StemsRecipe;
    type Figures = StemsFigures;

    fn course(&self) -> Course<'_> {
        let StemsRecipe { epochs, steps_per_epoch, seed, ref optimizer, .. } = *self.recipe;
        Course { epochs, steps_per_epoch, seed, optimizer }
    }

    fn recipe(&self) -> &StemsRecipe {
        self.recipe
    }

    fn key(&self) -> Key {
        Key { recipe: self.recipe.clone(), recordings: self.data.corpus.len() }
    }

    fn network(&self) -> Result<(VarStore, Self::Network)> {
        let vs = VarStore::new(Device::Cpu);
        // Examples come back as long as they are.
        let mut sizes = self.recipe.network.clone();
        sizes.match_input_audio_length = true;
        let network = MelRoformer::new(&Params::random(&vs.root()), &sizes)?;
        Ok((vs, (network, StemLoss::new(&self.recipe.loss_windows))))
    }

    fn parameters((network, _): &Self::Network) -> u64 {
        network.info().parameters
    }

    fn batches(
        &self,
        _: &Self::Network,
        epoch: usize,
        learn: &mut dyn FnMut(usize, Batch) -> Result<()>,
    ) -> Result<()> {
        let examples = self.course().examples(self.recipe.batch);
        Batches { data: self.data, recipe: self.recipe }.run(examples, epoch, learn)
    }

    fn loss(&self, (network, measure): &Self::Network, batch: &Batch, _: At) -> Tensor {
        let found = network.forward_t(&batch.mix.unsqueeze(1), &mut NoTrace);
        measure.of(&found.flatten(0, 2), &batch.voice)
    }

    fn judge(&self, weights: &BTreeMap<String, Tensor>) -> Result<Verdict> {
        let StemsFigures { dev_sdr: sdr, dev_sdr_of_mix: of_mix } =
            validate(&self.model(weights)?, self.data)?;
        let detail = format!("SDR {sdr:.2} dB (mix {of_mix:.2} dB)");
        Ok(Verdict { score: sdr, detail })
    }

    fn finish(
        &self,
        weights: &BTreeMap<String, Tensor>,
        mut provenance: serde_json::Value,
        output: &Path,
    ) -> Result<StemsFigures> {
        let mut model = self.model(weights)?;
        let figures = validate(&model, self.data)?;
        if let serde_json::Value::Object(provenance) = &mut provenance {
            provenance.insert("dev_sdr".to_owned(), figures.dev_sdr.into());
        }
        model.card.provenance = provenance;
        model.save(output, Kind::Half)?;
        Ok(figures)
    }
}

/// Mean ratio of the voice over the songs to validate on, and that of the mix.
fn validate(model: &Model<MelRoformer>, data: &StemsData) -> Result<StemsFigures> {
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
    Ok(StemsFigures { dev_sdr: sum / count, dev_sdr_of_mix: of_mix / count })
}

fn parts(song: &Song, data: &StemsData) -> (Vec<f32>, Vec<f32>) {
    let mut parts = [song.vocals, song.accompaniment].map(|clip| data.corpus.clip_f32(clip));
    let length = parts[0].len().min(parts[1].len());
    parts.iter_mut().for_each(|part| part.truncate(length));
    let [vocals, rest] = parts;
    (vocals, rest)
}
