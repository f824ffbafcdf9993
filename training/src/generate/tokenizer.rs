//! A training of a tokenizer.

use formant_audio_core::features::FeaturePlan;
use formant_models::arch::specvqgan::{SpecVqgan, SpecVqganCard};
use formant_models::model::Model;
use formant_models::network::NoTrace;
use formant_models::params::Params;
use rand::distr::Distribution;
use rand::distr::weighted::WeightedIndex;
use serde::Serialize;
use serde_json::{Value, json};
use tch::nn::VarStore;
use tch::{Kind, Tensor};

use super::codes::means;
use super::compose::{spectrogram, stretch, weights};
use super::data::SoundData;
use super::tokenizer_recipe::TokenizerRecipe;
use crate::epochs::Verdict;
use crate::error::{Error, Result};
use crate::examples::stack;
use crate::optim::by_name;
use crate::paths::TrainPaths;
use crate::progress::Progress;
use crate::start::begin_from;
use crate::training::{self, At, Key, Learn, Recipe, Trained, Training};

/// Name of the codes among the weights.
const CODES: &str = "quantize.embedding.weight";
/// Batches whose latents the codes are chosen among.
const BATCHES_FOR_CODES: usize = 60;
/// Bands and frames over which deviations are compared.
const PATCHES: [[i64; 2]; 2] = [[4, 4], [4, 16]];
/// Least variance whose root has a gradient.
const LEAST_VARIANCE: f64 = 1e-5;
/// Most frames of a recording to validate on.
const MOST_FRAMES: usize = 432;

/// Figures of a tokenizer, on the recordings to validate on.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct TokenizerFigures {
    /// Mean absolute difference of a spectrogram and what its tokens give back, of values within -1 and
    /// 1.
    pub dev_distance: f64,
    /// Codes that were used at least once.
    pub dev_codes: usize,
}

/// Trains a tokenizer on `data` by `recipe` and writes it, with its card, to `paths.output`.
///
/// After every epoch the averaged weights code the recordings to validate on; the best are kept. A
/// stopped run resumes from its last epoch when it is started with the same recipe. `provenance` goes
/// into the file as it is.
///
/// # Errors
/// [`Error::Interrupted`] when `progress` asks to stop; [`Error::Config`] for a recipe that cannot work;
/// what reading and writing files says.
pub fn train_tokenizer(
    data: &SoundData,
    recipe: &TokenizerRecipe,
    paths: &TrainPaths,
    start: Option<&Model<SpecVqgan>>,
    provenance: Value,
    progress: &dyn Progress,
) -> Result<Trained<TokenizerFigures>> {
    recipe.validate()?;
    let plan = FeaturePlan::new(&recipe.card(Value::Null)?.frontend)?;
    let lengths = weights(data, recipe.frames(), plan.config().hop_length);
    let draw = WeightedIndex::new(lengths).map_err(|e| Error::Data(e.to_string()))?;
    let training = Tokenizer { data, recipe, plan, draw };
    let key = Key { recipe: recipe.clone(), data: json!(data.counts()) };
    training::run(&training, key, paths, provenance, progress, begin_from(start))
}

struct Tokenizer<'a> {
    data: &'a SoundData,
    recipe: &'a TokenizerRecipe,
    plan: FeaturePlan,
    draw: WeightedIndex<f64>,
}

impl Tokenizer<'_> {
    fn bands(&self) -> i64 {
        self.plan.bins() as i64
    }

    /// Examples of an epoch, `[batch, 1, bands, frames]`.
    fn examples(&self, epoch: usize, learn: impl FnMut(usize, Tensor) -> Result<()>) -> Result<()> {
        let Self { data, recipe, ref plan, ref draw } = *self;
        let batch = |examples| {
            let [values] = stack(examples)?;
            let rows = values.view([values.size()[0], 1, -1, self.bands()]);
            Ok(rows.transpose(2, 3).contiguous())
        };
        recipe.course().examples(recipe.batch).run(
            epoch,
            |rng| {
                let sound = data.train[draw.sample(rng)];
                Ok([stretch(data, plan, sound, recipe.frames(), recipe.gain, rng)?])
            },
            batch,
            learn,
        )
    }
}

/// Chooses codes among the latents of batches.
fn choose_codes((network, codes): &(SpecVqgan, Tensor), batches: &[Tensor]) {
    let latents = |batch: &Tensor| {
        let z = network.latents(batch, &mut NoTrace);
        z.permute([0, 2, 3, 1]).reshape([-1, codes.size()[1]])
    };
    tch::no_grad(|| {
        let latents: Vec<Tensor> = batches.iter().map(latents).collect();
        codes.shallow_clone().copy_(&means(&Tensor::cat(&latents, 0), codes.size()[0]));
    });
}

impl Training for Tokenizer<'_> {
    /// The network, and its codes.
    type Network = (SpecVqgan, Tensor);
    type Batch = Tensor;
    type Arch = SpecVqgan;
    type Figures = TokenizerFigures;
    const KIND: Kind = Kind::Half;

    fn card(&self, provenance: Value) -> Result<SpecVqganCard> {
        self.recipe.card(provenance)
    }

    fn network(&self, vs: &VarStore) -> Result<Self::Network> {
        let network = SpecVqgan::new(&Params::random(&vs.root()), &self.recipe.network)?;
        let codes = by_name(vs).remove(CODES).expect("a tokenizer has codes");
        Ok((network, codes))
    }

    fn batches(
        &self,
        network: &Self::Network,
        epoch: usize,
        learn: Learn<'_, Tensor>,
    ) -> Result<()> {
        if epoch != self.recipe.plain_epochs {
            return self.examples(epoch, learn);
        }
        // The first batches wait until codes are chosen among their latents.
        let count = BATCHES_FOR_CODES.min(self.recipe.steps_per_epoch);
        let mut first = Vec::new();
        self.examples(epoch, |step, batch| {
            if step >= count {
                return learn(step, batch);
            }
            first.push(batch);
            if first.len() == count {
                choose_codes(network, &first);
                for (step, batch) in first.drain(..).enumerate() {
                    learn(step, batch)?;
                }
            }
            Ok(())
        })
    }

    fn loss(&self, (network, _): &Self::Network, x: &Tensor, (epoch, _): At) -> Tensor {
        let TokenizerRecipe { plain_epochs, noise, codes_share, commitment, texture_share, .. } =
            *self.recipe;
        let latents = network.latents(x, &mut NoTrace);
        let (passed, apart) = if epoch < plain_epochs {
            // Latents that grow would outgrow the noise.
            let noisy = &latents + latents.randn_like() * noise;
            (noisy, latents.square().mean(Kind::Float) * 1e-2)
        } else {
            let codes = network.lookup(&network.nearest(&latents));
            let square = |a: &Tensor, b: &Tensor| (a - b).square().mean(Kind::Float);
            let apart =
                square(&latents.detach(), &codes) + square(&latents, &codes.detach()) * commitment;
            (&latents + (&codes - &latents).detach(), apart)
        };
        let y = network.decode_codes(&passed, &mut NoTrace);
        let mut loss = (&y - x).abs().mean(Kind::Float) + apart * codes_share;
        for patch in PATCHES {
            let apart = deviations(&y, patch) - deviations(x, patch);
            loss += apart.abs().mean(Kind::Float) * texture_share;
        }
        loss
    }

    /// The distance of spectrograms from what their tokens give back.
    fn validate(&self, model: &Model<SpecVqgan>) -> Result<TokenizerFigures> {
        let factor = self.recipe.network.factor() as usize;
        let hop_length = self.plan.config().hop_length;
        let (mut sum, mut count, mut used) =
            (0.0, 0, vec![false; self.recipe.network.n_embed as usize]);
        for sound in &self.data.dev {
            let frames =
                self.data.corpus.clip(sound.clip).len().div_ceil(hop_length).min(MOST_FRAMES);
            let length = frames.next_multiple_of(factor) * hop_length;
            let values = spectrogram(self.data, &self.plan, *sound, 0, length, 1.0)?;
            let x = Tensor::from_slice(&values).view([1, 1, -1, self.bands()]).transpose(2, 3);
            let (tokens, again) = tch::no_grad(|| {
                let tokens = model.network.encode(&x.contiguous());
                let again = model.network.decode(&tokens);
                (tokens, again)
            });
            sum += (again - x).abs().mean(Kind::Double).double_value(&[]);
            count += 1;
            for token in Vec::<i64>::try_from(tokens.reshape([-1])).expect("integers in a row") {
                used[token as usize] = true;
            }
        }
        let dev_codes = used.into_iter().filter(|used| *used).count();
        Ok(TokenizerFigures { dev_distance: sum / f64::from(count.max(1)), dev_codes })
    }

    fn verdict(&self, figures: &TokenizerFigures) -> Verdict {
        let TokenizerFigures { dev_distance, dev_codes } = figures;
        let detail = format!("distance {dev_distance:.4}, {dev_codes} codes used");
        Verdict { score: -dev_distance, detail }
    }
}

/// Deviations of the values of patches of so many bands and frames.
fn deviations(x: &Tensor, patch: [i64; 2]) -> Tensor {
    let mean = |x: &Tensor| x.avg_pool2d(patch, patch, [0, 0], false, true, None);
    (mean(&x.square()) - mean(x).square()).clamp_min(LEAST_VARIANCE).sqrt()
}
