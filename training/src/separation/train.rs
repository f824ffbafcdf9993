//! A training of a separator: its loss and its validation.

use formant_audio_core::metrics::separation::{si_sdr, si_sdr_sources};
use formant_models::arch::mossformer::{
    MossFormer, MossformerCard, MossformerModel, Network, SourceSeparator,
};
use formant_models::params::Params;
use serde::Serialize;
use serde_json::{Value, json};
use tch::Tensor;
use tch::nn::VarStore;

use super::batches::{self, Batch};
use super::data::SeparationData;
use super::loss::separation_loss;
use super::recipe::{Filters, Goal, SeparationRecipe};
use crate::epochs::Verdict;
use crate::error::{Error, Result};
use crate::paths::TrainPaths;
use crate::progress::Progress;
use crate::start::begin_from;
use crate::training::{self, At, Key, Learn, Trained, Training};

/// Figures of a separator.
#[derive(Debug, Clone, Serialize)]
pub struct SeparationFigures {
    /// Mean gain in SI-SDR over the mixtures to validate on, dB.
    pub si_sdri: f64,
    /// Speakers that it learned from.
    pub speakers: usize,
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
    provenance: Value,
    progress: &dyn Progress,
) -> Result<Trained<SeparationFigures>> {
    recipe.validate()?;
    let training = Separation { data, recipe };
    let key = Key { recipe: recipe.clone(), data: json!(data.voices.speakers.len()) };
    training::run(&training, key, paths, provenance, progress, begin_from(start))
}

struct Separation<'a> {
    data: &'a SeparationData,
    recipe: &'a SeparationRecipe,
}

impl Training for Separation<'_> {
    type Network = SourceSeparator;
    type Batch = Batch;
    type Arch = MossFormer;
    type Figures = SeparationFigures;
    const TAPED: bool = true;

    fn card(&self, provenance: Value) -> Result<MossformerCard> {
        let SeparationRecipe { network, sample_rate, .. } = self.recipe;
        let card = MossformerCard::published(network.clone(), *sample_rate)?;
        Ok(MossformerCard { provenance, ..card })
    }

    fn network(&self, vs: &VarStore) -> Result<SourceSeparator> {
        let network = SourceSeparator::new(&Params::random(&vs.root()), &self.recipe.network)?;
        if self.recipe.filters == Filters::Fourier && !network.begin_with_fourier() {
            let reason =
                "`fourier` needs `in_channels` of `kernel_size`, or of twice that".to_owned();
            return Err(Error::Config { setting: "filters", reason });
        }
        Ok(network)
    }

    fn batches(&self, _: &SourceSeparator, epoch: usize, learn: Learn<'_, Batch>) -> Result<()> {
        batches::run(epoch, &self.data.voices, self.recipe, learn)
    }

    fn loss(&self, network: &SourceSeparator, batch: &Batch, _: At) -> Tensor {
        let SeparationRecipe { goal, measure, clamp_db, .. } = *self.recipe;
        let estimates = network.forward(&batch.mixtures);
        separation_loss(&estimates, &batch.sources, goal, measure, clamp_db)
    }

    fn most_parts(&self) -> usize {
        self.recipe.batch
    }

    fn split(&self, batch: Batch, count: usize) -> Vec<(f64, Batch)> {
        batch.split(count)
    }

    /// Mean gain in SI-SDR: of all voices in the best order, or of the speech.
    fn validate(&self, model: &MossformerModel) -> Result<SeparationFigures> {
        let speakers = self.data.voices.speakers.len();
        let figures = |si_sdri| SeparationFigures { si_sdri, speakers };
        let Network::Separator(network) = &model.network else {
            return Ok(figures(f64::NEG_INFINITY));
        };
        let network = network.clone().freeze();
        let mut gains = Vec::with_capacity(self.data.dev.len());
        for item in &self.data.dev {
            let least = self.recipe.network.kernel_size as usize;
            if item.mixture.len() < least {
                continue;
            }
            let mixture = Tensor::from_slice(&item.mixture).unsqueeze(0);
            let estimates = network.forward(&mixture).squeeze_dim(0);
            let estimates: Vec<Vec<f32>> = (0..estimates.size()[0])
                .map(|voice| Vec::<f32>::try_from(estimates.get(voice)))
                .collect::<std::result::Result<_, _>>()
                .map_err(formant_models::Error::from)?;
            let gain = match self.recipe.goal {
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
        Ok(figures(gains.iter().sum::<f64>() / gains.len().max(1) as f64))
    }

    fn verdict(&self, &SeparationFigures { si_sdri, .. }: &SeparationFigures) -> Verdict {
        Verdict { score: si_sdri, detail: format!("SI-SDRi {si_sdri:.2} dB") }
    }
}
