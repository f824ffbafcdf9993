//! A training of a super-resolution network.

use formant_audio_core::AudioView;
use formant_audio_core::features::FeaturePlan;
use formant_audio_core::metrics::spectral::{LsdOptions, lsd};
use formant_audio_core::resample::{Quality, resample};
use formant_models::arch::hifi_sr::{HifiSr, HifiSrCard, HifiSrModel};
use formant_models::params::Params;
use formant_models::tasks::Task;
use formant_models::tasks::superres::{SuperResOptions, SuperResolver};
use serde::Serialize;
use serde_json::{Value, json};
use tch::nn::VarStore;
use tch::{Kind, Tensor};

use super::compose::{Batch, Batches};
use super::data::SuperresData;
use super::loss::BandLoss;
use super::narrow::continued;
use super::recipe::SuperresRecipe;
use crate::epochs::Verdict;
use crate::error::Result;
use crate::paths::TrainPaths;
use crate::progress::Progress;
use crate::start::begin_from;
use crate::training::{self, At, Key, Learn, Trained, Training};

/// Sample rates that recordings are brought back from for validation, Hz.
const VALIDATED: [u32; 2] = [8_000, 16_000];
/// Most seconds of one recording to validate on.
const LONGEST: f64 = 12.0;
/// Frames at each end of a slice whose samples see beyond it.
const MARGIN: i64 = 4;

/// Figures of a super-resolution network, on the recordings to validate on.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct SuperresFigures {
    /// Mean log-spectral distance from 8 and from 16 kHz.
    pub dev_lsd: f64,
    /// The same of plain resampling.
    pub dev_lsd_resampled: f64,
}

/// Trains a network on `data` by `recipe` and writes it, with its card, to `paths.output`.
///
/// After every epoch the averaged weights widen the recordings to validate on; the best are kept. A
/// stopped run resumes from its last epoch when it is started with the same recipe. With `start`,
/// training begins with the weights of that model instead of random ones. `provenance` goes into the
/// file as it is.
///
/// # Errors
/// [`crate::Error::Interrupted`] when `progress` asks to stop; [`crate::Error::Config`] for a recipe
/// that cannot work; what reading and writing files says.
pub fn train(
    data: &SuperresData,
    recipe: &SuperresRecipe,
    paths: &TrainPaths,
    start: Option<&HifiSrModel>,
    provenance: Value,
    progress: &dyn Progress,
) -> Result<Trained<SuperresFigures>> {
    recipe.validate()?;
    let card = recipe.card()?;
    let plan = FeaturePlan::new(&card.frontend)?;
    let dev = references(data, recipe)?;
    let (frames, hop) = (recipe.frames(&card), card.frontend.hop_length);
    let training = Superres { batches: Batches { data, recipe, plan, frames, hop }, dev };
    let key = Key { recipe: recipe.clone(), data: json!(data.counts()) };
    training::run(&training, key, paths, provenance, progress, begin_from(start))
}

struct Superres<'a> {
    batches: Batches<'a>,
    dev: Vec<Reference>,
}

/// A recording to validate on.
struct Reference {
    full: Vec<f32>,
    narrow: Vec<f32>,
    rate: u32,
    /// Distance of plain resampling.
    resampled: f64,
}

fn references(data: &SuperresData, recipe: &SuperresRecipe) -> Result<Vec<Reference>> {
    let wide = data.corpus.rate();
    let samples = |seconds: f64| (seconds * f64::from(wide)) as usize;
    let mut left = samples(recipe.dev_seconds);
    let mut found = Vec::new();
    for recording in &data.dev {
        let mut full = data.corpus.clip_f32(recording.clip);
        full.truncate(samples(LONGEST).min(left));
        left -= full.len();
        // What a codec took off would count against a network that fills it.
        let full = continued(&full, f64::from(wide), recording.band);
        for rate in VALIDATED {
            let to = |samples: &[f32], from, to| {
                let view = AudioView::from_mono(from, samples);
                resample(&view, to, Quality::High).map(|audio| audio.into_planar())
            };
            if full.len() < wide as usize / 10 {
                continue;
            }
            let narrow = to(&full, wide, rate)?;
            let resampled = distance(&full, &to(&narrow, rate, wide)?)?;
            found.push(Reference { full: full.clone(), narrow, rate, resampled });
        }
    }
    Ok(found)
}

fn distance(wanted: &[f32], found: &[f32]) -> Result<f64> {
    let count = wanted.len().min(found.len());
    Ok(lsd(&wanted[..count], &found[..count], &LsdOptions::default())?)
}

impl Training for Superres<'_> {
    type Network = (HifiSr, BandLoss);
    type Batch = Batch;
    type Arch = HifiSr;
    type Figures = SuperresFigures;
    const KIND: Kind = Kind::Half;
    const TAPED: bool = true;

    fn card(&self, provenance: Value) -> Result<HifiSrCard> {
        Ok(HifiSrCard { provenance, ..self.batches.recipe.card()? })
    }

    fn network(&self, vs: &VarStore) -> Result<Self::Network> {
        let Batches { data, recipe, .. } = &self.batches;
        let network = HifiSr::new(&Params::random(&vs.root()), &recipe.network)?;
        Ok((network, BandLoss::new(&recipe.loss_windows, data.corpus.rate())))
    }

    fn batches(&self, _: &Self::Network, epoch: usize, learn: Learn<'_, Batch>) -> Result<()> {
        self.batches.run(epoch, learn)
    }

    fn loss(&self, (network, measure): &Self::Network, batch: &Batch, _: At) -> Tensor {
        let latents = network.encode(&batch.mel);
        let [crop, slice] = self.batches.frames.map(|frames| frames as i64);
        let first = ((crop - slice) / 2 - MARGIN).max(0);
        let before = (crop - slice) / 2 - first;
        let count = (slice + before + MARGIN).min(crop - first);
        let hop = self.batches.hop as i64;
        let made = network.generate(&latents.narrow(2, first, count)).squeeze_dim(1);
        let made = made.narrow(1, before * hop, slice * hop);
        measure.of(&made, &batch.low, &batch.full, &batch.edges)
    }

    /// Mean distances of a model and of plain resampling.
    fn validate(&self, model: &HifiSrModel) -> Result<SuperresFigures> {
        let resolver = SuperResolver::of(model.clone())?;
        let mut sums = [0.0; 2];
        for reference in &self.dev {
            let view = AudioView::from_mono(reference.rate, &reference.narrow);
            let (widened, _) = resolver.process(&view, &SuperResOptions::default())?;
            sums[0] += distance(&reference.full, widened.channel(0))?;
            sums[1] += reference.resampled;
        }
        let [dev_lsd, dev_lsd_resampled] = sums.map(|sum| sum / self.dev.len().max(1) as f64);
        Ok(SuperresFigures { dev_lsd, dev_lsd_resampled })
    }

    fn verdict(&self, figures: &SuperresFigures) -> Verdict {
        let SuperresFigures { dev_lsd, dev_lsd_resampled } = figures;
        let detail = format!("LSD {dev_lsd:.3} (resampled {dev_lsd_resampled:.3})");
        Verdict { score: -dev_lsd, detail }
    }
}
