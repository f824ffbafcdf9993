//! A spotter's training: its loss, its validation, and the card of the finished model.

use std::sync::{Mutex, PoisonError};

use formant_audio_core::AudioBuf;
use formant_audio_core::features::FeaturePlan;
use formant_models::Model;
use formant_models::arch::lmuformer::LmuFormer;
use formant_models::network::NoTrace;
use formant_models::params::Params;
use formant_models::tasks::spot::{Activation, DetectionDefaults, SpotCard, Spotter};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use tch::nn::VarStore;
use tch::{Kind, Tensor};

use super::compose::{Geometry, compose};
use super::data::SpotData;
use super::evaluate::{SpotReport, score_clips};
use super::recipe::SpotRecipe;
use super::threshold::{self, Threshold};
use crate::epochs::Verdict;
use crate::error::Result;
use crate::examples::Labelled;
use crate::paths::TrainPaths;
use crate::progress::Progress;
use crate::start::copy_weights;
use crate::training::{self, At, Dev, Key, Learn, Recipe, Trained, Training};

/// Label of speech that holds none of the words.
pub(super) const UNKNOWN: &str = "unknown";
/// Label of sound without speech.
pub(super) const SILENCE: &str = "silence";

/// Trains a network on `data` by `recipe` and writes it, with its card, to `paths.output`.
///
/// After every epoch the averaged weights are validated on the `dev` clips; the best are kept.
/// A run that was stopped goes on from its last epoch when it is started with the same recipe.
/// With `start`, training begins with the weights of that model instead of random ones; the head
/// starts afresh when the words differ. `provenance` goes into the file as it is.
///
/// # Errors
/// [`crate::Error::Interrupted`] when `progress` asks to stop; [`crate::Error::Config`] for a
/// recipe that cannot work; what reading and writing files says.
pub fn train(
    data: &SpotData,
    recipe: &SpotRecipe,
    paths: &TrainPaths,
    start: Option<&Spotter>,
    provenance: Value,
    progress: &dyn Progress,
) -> Result<Trained<Dev<SpotReport>>> {
    let mut recipe = recipe.clone();
    recipe.validate()?;
    let plan = FeaturePlan::new(&recipe.frontend.streamable())?;
    recipe.network.in_channels = plan.bins() as i64;
    recipe.network.num_classes = data.words.len() as i64 + 2;
    let card = card(data, &recipe);
    let measured = Mutex::new(None);
    let training = Spotting { data, recipe: &recipe, plan: &plan, card: &card, measured };
    let key = Key { recipe: recipe.clone(), data: json!(data.words) };
    training::run(&training, key, paths, provenance, progress, |vs, _| match start {
        Some(start) => {
            let same_labels = card.labels == start.card().labels;
            let given = start.weights();
            let wanted = |name: &str| same_labels || !name.starts_with("head.");
            copy_weights(vs, wanted, |name| given.get(name))
        }
        None => Ok(()),
    })
}

struct Spotting<'a> {
    data: &'a SpotData,
    recipe: &'a SpotRecipe,
    plan: &'a FeaturePlan,
    card: &'a SpotCard,
    /// The threshold of the model that was validated last.
    measured: Mutex<Option<Threshold>>,
}

impl Training for Spotting<'_> {
    type Network = LmuFormer;
    type Batch = Labelled;
    type Arch = LmuFormer;
    type Figures = Dev<SpotReport>;

    fn card(&self, mut provenance: Value) -> Result<SpotCard> {
        let mut card = self.card.clone();
        let measured = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        // A model without provenance is one to validate, before its threshold is known.
        if let (Value::Object(facts), Some(measured)) = (&mut provenance, measured.as_ref()) {
            card.detection.threshold = measured.threshold;
            facts.insert("detection".to_owned(), json!(measured));
            if !self.data.splits.is_empty() {
                facts.insert("splits".to_owned(), json!(self.data.splits));
            }
        }
        Ok(SpotCard { provenance, ..card })
    }

    fn patience(&self) -> Option<usize> {
        Some(self.recipe.patience).filter(|epochs| *epochs > 0)
    }

    fn network(&self, vs: &VarStore) -> Result<LmuFormer> {
        Ok(LmuFormer::new(&Params::random(&vs.root()), &self.recipe.network)?)
    }

    fn batches(&self, network: &LmuFormer, epoch: usize, learn: Learn<'_, Labelled>) -> Result<()> {
        let Self { data, recipe, plan, .. } = *self;
        let hop = recipe.frontend.hop_length;
        let lookahead = network.info().lookahead_frames;
        let geometry = Geometry {
            length: recipe.samples(),
            window_start: recipe.context_frames * hop,
            word_end: recipe.frames().saturating_sub(lookahead + 1) * hop,
            rate: recipe.frontend.sample_rate as f32,
        };
        recipe.course().examples(recipe.batch).run_labelled(
            epoch,
            (plan, &recipe.augmentation.masks),
            |rng| compose(rng, data, recipe, &geometry),
            learn,
        )
    }

    fn loss(&self, network: &LmuFormer, batch: &Labelled, at: At) -> Tensor {
        loss(network, self.recipe, batch, at)
    }

    fn validate(&self, model: &Model<LmuFormer>) -> Result<Dev<SpotReport>> {
        let SpotData { dev, corpus, quiet, speech, .. } = self.data;
        let spotter = Spotter::of_model(model.clone())?;
        let dev = score_clips(&spotter, dev.len(), |i| {
            let (clip, label) = &dev[i];
            Ok((AudioBuf::from_mono(corpus.rate(), corpus.clip_f32(*clip)), label.clone()))
        })?;
        let clips = quiet.iter().chain(speech).copied();
        let measured = threshold::measure(&spotter, corpus, clips, self.recipe.threshold)?;
        *self.measured.lock().unwrap_or_else(PoisonError::into_inner) = Some(measured);
        Ok(Dev { dev })
    }

    fn verdict(&self, Dev { dev }: &Dev<SpotReport>) -> Verdict {
        Verdict { score: dev.selection_score(), detail: dev.one_line() }
    }
}

fn card(data: &SpotData, recipe: &SpotRecipe) -> SpotCard {
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
        provenance: Value::Null,
    }
}

/// Cross-entropy of the answer that is averaged over the window.
fn loss(network: &LmuFormer, recipe: &SpotRecipe, batch: &Labelled, at: (usize, usize)) -> Tensor {
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
            let other = batch.classes.index_select(0, order);
            entropy(&batch.classes) * *share + entropy(&other) * (1.0 - share)
        }
        None => entropy(&batch.classes),
    }
}
