//! A training of a separator: its loss and its validation.

use std::collections::BTreeMap;
use std::path::Path;

use formant_audio_core::metrics::separation::{si_sdr, si_sdr_sources};
use formant_models::arch::mossformer::{MossformerCard, MossformerModel, Network, SourceSeparator};
use formant_models::nn::tape;
use formant_models::params::Params;
use serde::{Deserialize, Serialize};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

use super::batches::{self, Batch};
use super::data::SeparationData;
use super::loss::separation_loss;
use super::recipe::{Filters, Goal, SeparationRecipe};
use crate::epochs::Verdict;
use crate::error::{Error, Result};
use crate::paths::TrainPaths;
use crate::progress::Progress;
use crate::start::begin_from;
use crate::training::{self, At, Course, Trained, Training};

/// Figures of a separator.
#[derive(Debug, Clone, Serialize)]
pub struct SeparationFigures {
    /// Mean gain in SI-SDR over the mixtures to validate on, dB.
    pub si_sdri: f64,
    /// Speakers that it learned from.
    pub speakers: usize,
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
) -> Result<Trained<SeparationFigures>> {
    recipe.validate()?;
    let training = Separation { data, recipe };
    training::run(&training, paths, provenance, progress, |vs, _| {
        begin_from(vs, start.map(MossformerModel::weights))
    })
}

struct Separation<'a> {
    data: &'a SeparationData,
    recipe: &'a SeparationRecipe,
}

impl Separation<'_> {
    fn model(&self, weights: &BTreeMap<String, Tensor>) -> Result<MossformerModel> {
        let card = MossformerCard::published(self.recipe.network.clone(), self.recipe.sample_rate)?;
        Ok(MossformerModel::from_tensors(card, weights, Device::Cpu)?)
    }
}

impl Training for Separation<'_> {
    type Network = SourceSeparator;
    type Batch = Batch;
    type Key = Key;
    type Recipe = SeparationRecipe;
    type Figures = SeparationFigures;

    fn course(&self) -> Course<'_> {
        let SeparationRecipe { epochs, steps_per_epoch, seed, ref optimizer, .. } = *self.recipe;
        Course { epochs, steps_per_epoch, seed, optimizer }
    }

    fn recipe(&self) -> &SeparationRecipe {
        self.recipe
    }

    fn key(&self) -> Key {
        Key { recipe: self.recipe.clone(), speakers: self.data.voices.speakers.len() }
    }

    fn network(&self) -> Result<(VarStore, SourceSeparator)> {
        let vs = VarStore::new(Device::Cpu);
        let network = SourceSeparator::new(&Params::random(&vs.root()), &self.recipe.network)?;
        if self.recipe.filters == Filters::Fourier && !network.begin_with_fourier() {
            let reason =
                "`fourier` needs `in_channels` of `kernel_size`, or of twice that".to_owned();
            return Err(Error::Config { setting: "filters", reason });
        }
        Ok((vs, network))
    }

    fn parameters(network: &SourceSeparator) -> u64 {
        network.info().parameters
    }

    fn batches(
        &self,
        _: &SourceSeparator,
        epoch: usize,
        learn: &mut dyn FnMut(usize, Batch) -> Result<()>,
    ) -> Result<()> {
        let examples = self.course().examples(self.recipe.batch);
        batches::run(examples, epoch, &self.data.voices, self.recipe, learn)
    }

    fn loss(&self, network: &SourceSeparator, batch: &Batch, _: At) -> Tensor {
        let SeparationRecipe { goal, measure, clamp_db, .. } = *self.recipe;
        let estimates = network.forward(&batch.mixtures);
        separation_loss(&estimates, &batch.sources, goal, measure, clamp_db)
    }

    fn learn(&self, network: &SourceSeparator, batch: &Batch, at: At, share: f64) -> f64 {
        let (loss, tape) = tape::record(|| self.loss(network, batch, at) * share);
        tape.backward(&loss);
        loss.double_value(&[])
    }

    fn most_parts(&self) -> usize {
        self.recipe.batch
    }

    fn split(&self, batch: Batch, count: usize) -> Vec<(f64, Batch)> {
        batch.split(count)
    }

    fn judge(&self, weights: &BTreeMap<String, Tensor>) -> Result<Verdict> {
        let score = validate(&self.model(weights)?, self.data, self.recipe)?;
        Ok(Verdict { score, detail: format!("SI-SDRi {score:.2} dB") })
    }

    fn finish(
        &self,
        weights: &BTreeMap<String, Tensor>,
        provenance: serde_json::Value,
        output: &Path,
    ) -> Result<SeparationFigures> {
        let mut model = self.model(weights)?;
        model.card.provenance = provenance;
        let si_sdri = validate(&model, self.data, self.recipe)?;
        model.save(output, Kind::Float)?;
        Ok(SeparationFigures { si_sdri, speakers: self.data.voices.speakers.len() })
    }
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
