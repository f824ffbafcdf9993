//! A training of a voice separator.

use formant_models::Model;
use formant_models::arch::mel_roformer::{MelRoformer, StemsCard};
use formant_models::network::NoTrace;
use formant_models::params::Params;
use formant_models::tasks::stems::{Augment, StemsModel};
use serde::Serialize;
use serde_json::{Value, json};
use tch::nn::VarStore;
use tch::{Kind, Tensor};

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
use crate::training::{self, At, Key, Learn, Trained, Training};

/// Figures of a stem separator, on the songs to validate on.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct StemsFigures {
    /// Mean SDR of the voice, dB.
    pub dev_sdr: f64,
    /// The same of the mix, as it is.
    pub dev_sdr_of_mix: f64,
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
    provenance: Value,
    progress: &dyn Progress,
) -> Result<Trained<StemsFigures>> {
    recipe.validate()?;
    let training = Stems { data, recipe };
    let key = Key { recipe: recipe.clone(), data: json!(data.corpus.len()) };
    training::run(&training, key, paths, provenance, progress, begin_from(start))
}

struct Stems<'a> {
    data: &'a StemsData,
    recipe: &'a StemsRecipe,
}

impl Training for Stems<'_> {
    type Network = (MelRoformer, StemLoss);
    type Batch = Batch;
    type Arch = MelRoformer;
    type Figures = StemsFigures;
    const KIND: Kind = Kind::Half;

    fn card(&self, provenance: Value) -> Result<StemsCard> {
        Ok(StemsCard { provenance, ..self.recipe.card() })
    }

    fn network(&self, vs: &VarStore) -> Result<Self::Network> {
        // Examples come back as long as they are.
        let mut sizes = self.recipe.network.clone();
        sizes.match_input_audio_length = true;
        let network = MelRoformer::new(&Params::random(&vs.root()), &sizes)?;
        Ok((network, StemLoss::new(&self.recipe.loss_windows)))
    }

    fn batches(&self, _: &Self::Network, epoch: usize, learn: Learn<'_, Batch>) -> Result<()> {
        Batches { data: self.data, recipe: self.recipe }.run(epoch, learn)
    }

    fn loss(&self, (network, measure): &Self::Network, batch: &Batch, _: At) -> Tensor {
        let found = network.forward_t(&batch.mix.unsqueeze(1), &mut NoTrace);
        measure.of(&found.flatten(0, 2), &batch.voice)
    }

    /// Mean ratio of the voice over the songs to validate on, and that of the mix.
    fn validate(&self, model: &Model<MelRoformer>) -> Result<StemsFigures> {
        let (data, model) = (self.data, StemsModel::from(model.clone()));
        let (mut sum, mut of_mix) = (0.0, 0.0);
        for song in &data.dev {
            let (vocals, rest) = parts(song, data);
            let mix: Vec<f32> = vocals.iter().zip(&rest).map(|(a, b)| a + b).collect();
            let stems = model.separate(&Tensor::from_slice(&mix).view([1, 1, -1]), Augment::No)?;
            let found =
                Vec::<f32>::try_from(stems.view([-1])).map_err(formant_models::Error::from)?;
            sum += ratio_db(&vocals, &found);
            of_mix += ratio_db(&vocals, &mix);
        }
        let count = data.dev.len() as f64;
        Ok(StemsFigures { dev_sdr: sum / count, dev_sdr_of_mix: of_mix / count })
    }

    fn verdict(&self, &StemsFigures { dev_sdr, dev_sdr_of_mix }: &StemsFigures) -> Verdict {
        let detail = format!("SDR {dev_sdr:.2} dB (mix {dev_sdr_of_mix:.2} dB)");
        Verdict { score: dev_sdr, detail }
    }
}

fn parts(song: &Song, data: &StemsData) -> (Vec<f32>, Vec<f32>) {
    let mut parts = [song.vocals, song.accompaniment].map(|clip| data.corpus.clip_f32(clip));
    let length = parts[0].len().min(parts[1].len());
    parts.iter_mut().for_each(|part| part.truncate(length));
    let [vocals, rest] = parts;
    (vocals, rest)
}
