//! A training of a vocoder.

use formant_audio_core::AudioView;
use formant_audio_core::features::FeaturePlan;
use formant_audio_core::griffin_lim::{GriffinLim, GriffinLimOptions};
use formant_audio_core::metrics::spectral::mel_distance;
use formant_models::arch::periodwave::{
    FreeU, PeriodWave, PeriodWaveCard, PeriodWaveModel, Stretch,
};
use formant_models::network::NoTrace;
use formant_models::params::Params;
use formant_models::tasks::Task;
use formant_models::tasks::vocode::{VocodeOptions, Vocoder};
use serde::Serialize;
use serde_json::{Value, json};
use tch::nn::VarStore;
use tch::{Kind, Tensor};

use super::compose::{Batch, Batches};
use super::data::VocodeData;
use super::loss::WaveLoss;
use super::recipe::VocodeRecipe;
use crate::epochs::Verdict;
use crate::error::Result;
use crate::paths::TrainPaths;
use crate::progress::Progress;
use crate::start::begin_from;
use crate::training::{self, At, Key, Learn, Trained, Training};

/// Most seconds of one recording to validate on.
const LONGEST: f64 = 8.0;

/// Figures of a vocoder, on the recordings to validate on.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct VocodeFigures {
    /// Mean absolute difference of log-mel values, nepers.
    pub dev_mel_distance: f64,
    /// The same of Griffin and Lim's method.
    pub dev_mel_distance_of_griffin_lim: f64,
}

/// Trains a network on `data` by `recipe` and writes it, with its card, to `paths.output`.
///
/// After every epoch the averaged weights vocode the recordings to validate on; the best are kept. A
/// stopped run resumes from its last epoch when it is started with the same recipe. With `start`,
/// training begins with the weights of that model instead of random ones. `provenance` goes into the
/// file as it is.
///
/// # Errors
/// [`crate::Error::Interrupted`] when `progress` asks to stop; [`crate::Error::Config`] for a recipe
/// that cannot work; what reading and writing files says.
pub fn train(
    data: &VocodeData,
    recipe: &VocodeRecipe,
    paths: &TrainPaths,
    start: Option<&PeriodWaveModel>,
    provenance: Value,
    progress: &dyn Progress,
) -> Result<Trained<VocodeFigures>> {
    recipe.validate()?;
    let card = recipe.card(data.energy)?;
    let frontend = card.frontend.as_ref().expect("a card of spectrograms has a front end");
    let plan = FeaturePlan::new(&frontend.streamable())?;
    let dev = references(data, recipe, &plan)?;
    let length = recipe.frames(&card) * recipe.network.hop() as usize;
    let training = Vocode { batches: Batches { data, recipe, plan, length }, card, dev };
    let key = Key { recipe: recipe.clone(), data: json!(data.counts()) };
    training::run(&training, key, paths, provenance, progress, begin_from(start))
}

struct Vocode<'a> {
    batches: Batches<'a>,
    card: PeriodWaveCard,
    dev: Vec<Reference>,
}

/// A recording to validate on.
struct Reference {
    samples: Vec<f32>,
    /// Distance of Griffin and Lim's method.
    griffin_lim: f64,
}

fn references(
    data: &VocodeData,
    recipe: &VocodeRecipe,
    plan: &FeaturePlan,
) -> Result<Vec<Reference>> {
    let method = GriffinLim::new(plan.config(), GriffinLimOptions::default())?;
    let count = |seconds: f64| (seconds * f64::from(data.corpus.rate())) as usize;
    let mut left = count(recipe.dev_seconds);
    let mut found = Vec::new();
    for &clip in &data.dev {
        let mut samples = data.corpus.clip_f32(clip);
        samples.truncate(count(LONGEST).min(left));
        left -= samples.len();
        if samples.len() < 2 * plan.config().n_fft {
            continue;
        }
        let made = method.process(plan.compute(&samples)?.view())?;
        let griffin_lim = distance(plan, &samples, &made)?;
        found.push(Reference { samples, griffin_lim });
    }
    Ok(found)
}

fn distance(plan: &FeaturePlan, wanted: &[f32], found: &[f32]) -> Result<f64> {
    let count = wanted.len().min(found.len());
    let (wanted, found) = (plan.compute(&wanted[..count])?, plan.compute(&found[..count])?);
    Ok(mel_distance(wanted.view(), found.view())?)
}

impl Training for Vocode<'_> {
    type Network = (PeriodWave, WaveLoss);
    type Batch = Batch;
    type Arch = PeriodWave;
    type Figures = VocodeFigures;
    const KIND: Kind = Kind::Half;

    fn card(&self, provenance: Value) -> Result<PeriodWaveCard> {
        Ok(PeriodWaveCard { provenance, ..self.card.clone() })
    }

    fn network(&self, vs: &VarStore) -> Result<Self::Network> {
        let Batches { recipe, plan, .. } = &self.batches;
        let network = PeriodWave::new(&Params::random(&vs.root()), &recipe.network)?;
        let loss = WaveLoss::new(&recipe.loss_windows, plan.config(), recipe.mel_share)?;
        Ok((network, loss))
    }

    fn batches(&self, _: &Self::Network, epoch: usize, learn: Learn<'_, Batch>) -> Result<()> {
        self.batches.run(epoch, learn)
    }

    fn loss(&self, (network, measure): &Self::Network, batch: &Batch, (epoch, _): At) -> Tensor {
        let Batch { frames, wave, noise, times } = batch;
        let (inputs, deviation) = self.card.prior(frames);
        let recipe = self.batches.recipe;
        let deviation = deviation.repeat_interleave_self_int(recipe.network.hop(), 2, None);
        let noise = noise * &deviation * self.card.noise_scale;
        let latents = network.condition(&inputs, &mut NoTrace);
        if epoch >= recipe.flow_epochs {
            let made = network.sample(&noise, &latents, &self.card.sampling);
            return measure.of(&made, wave);
        }
        let end = wave.size()[2];
        let share = times.view([-1, 1, 1]);
        let x = &noise + (wave - &noise) * share;
        let stretch = Stretch { x: &x, at: 0, latents: &latents, core: 0..end, end };
        let change = network.velocity(&stretch, times, FreeU::OFF);
        // Quiet stretches count as loud ones do.
        ((change - (wave - &noise)) / deviation).square().mean(Kind::Float)
    }

    /// Mean distances of a model and of Griffin and Lim's method.
    fn validate(&self, model: &PeriodWaveModel) -> Result<VocodeFigures> {
        let vocoder = Vocoder::of(model.clone());
        let (mut sums, count) = ([0.0; 2], self.dev.len().max(1) as f64);
        for reference in &self.dev {
            let view = AudioView::from_mono(self.card.sample_rate(), &reference.samples);
            let (made, _) = vocoder.process(&view, &VocodeOptions::default())?;
            sums[0] += distance(&self.batches.plan, &reference.samples, made.channel(0))?;
            sums[1] += reference.griffin_lim;
        }
        let [dev_mel_distance, dev_mel_distance_of_griffin_lim] = sums.map(|sum| sum / count);
        Ok(VocodeFigures { dev_mel_distance, dev_mel_distance_of_griffin_lim })
    }

    fn verdict(&self, figures: &VocodeFigures) -> Verdict {
        let VocodeFigures { dev_mel_distance, dev_mel_distance_of_griffin_lim } = figures;
        let detail = format!(
            "log-mel distance {dev_mel_distance:.3} (Griffin-Lim {dev_mel_distance_of_griffin_lim:.3})"
        );
        Verdict { score: -dev_mel_distance, detail }
    }
}
