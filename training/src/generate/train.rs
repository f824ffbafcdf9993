//! A training of a transformer that says what is masked in a grid of tokens.

use formant_audio_core::features::FeaturePlan;
use formant_models::arch::specmaskgit::{SpecMaskGit, SpecMaskGitCard};
use formant_models::arch::specvqgan::SpecVqgan;
use formant_models::model::Model;
use formant_models::params::Params;
use rand::distr::Distribution;
use rand::distr::weighted::WeightedIndex;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use serde_json::{Value, json};
use tch::nn::VarStore;
use tch::{Kind, Tensor};

use super::compose::spectrogram;
use super::data::{Sound, SoundData};
use super::recipe::GenerateRecipe;
use crate::epochs::Verdict;
use crate::error::{Error, Result};
use crate::examples::{normal, pick, stack};
use crate::paths::TrainPaths;
use crate::progress::Progress;
use crate::start::begin_from;
use crate::training::{self, At, Key, Learn, Recipe, Trained, Training};

/// Shares of masked tokens that every recording is validated with.
const DEV_SHARES: [f64; 3] = [0.3, 0.6, 0.9];

/// Figures of a transformer, on the recordings to validate on.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct GenerateFigures {
    /// Mean negative logarithm of the probability of a masked token, in nats.
    pub dev_loss: f64,
}

/// A tokenizer to make grids with.
pub type Tokenizer = Model<SpecVqgan>;

/// Trains a transformer on grids that `tokenizer` makes of `data`, by `recipe`, and writes it, with its
/// card, to `paths.output`.
///
/// After every epoch the averaged weights are measured on the recordings to validate on; the best are
/// kept. A stopped run resumes from its last epoch when it is started with the same recipe.
/// `provenance` goes into the file with the words, in the order of the axes of their embeddings.
///
/// # Errors
/// [`Error::Interrupted`] when `progress` asks to stop; [`Error::Config`] for a recipe that cannot work;
/// what reading and writing files says.
pub fn train(
    data: &(SoundData, Tokenizer),
    recipe: &GenerateRecipe,
    paths: &TrainPaths,
    start: Option<&Model<SpecMaskGit>>,
    mut provenance: Value,
    progress: &dyn Progress,
) -> Result<Trained<GenerateFigures>> {
    recipe.validate()?;
    let (sounds, tokenizer) = data;
    if let Value::Object(known) = &mut provenance {
        known.insert("words".to_owned(), json!(sounds.words));
    }
    let training = Generate::new(sounds, tokenizer, recipe)?;
    let counts = json!([training.train.len(), training.dev.len(), training.card.config]);
    let key = Key { recipe: recipe.clone(), data: counts };
    training::run(&training, key, paths, provenance, progress, begin_from(start))
}

/// Tokens of a recording, `[rows, columns]`, and its word.
struct Grid {
    tokens: Vec<i64>,
    word: usize,
}

struct Generate<'a> {
    recipe: &'a GenerateRecipe,
    card: SpecMaskGitCard,
    /// For each recording its grids.
    train: Vec<Vec<Grid>>,
    draw: WeightedIndex<f64>,
    dev: Vec<Grid>,
}

impl<'a> Generate<'a> {
    fn new(data: &SoundData, tokenizer: &Tokenizer, recipe: &'a GenerateRecipe) -> Result<Self> {
        let plan = FeaturePlan::new(&tokenizer.card.frontend)?;
        let config = &tokenizer.card.config;
        let rows = plan.bins() as i64 / config.factor();
        let card = recipe.card(config.n_embed, rows, data.words.len(), Value::Null);
        let frames = recipe.columns as usize * config.factor() as usize;
        let length = frames * plan.config().hop_length;
        let grid = |sound: &Sound, at: usize, gain: f32| -> Result<Grid> {
            let values = spectrogram(data, &plan, *sound, at, length, gain)?;
            let x = Tensor::from_slice(&values).view([1, 1, -1, plan.bins() as i64]);
            let tokens = tch::no_grad(|| tokenizer.network.encode(&x.transpose(2, 3).contiguous()));
            let tokens = Vec::try_from(tokens.reshape([-1])).expect("integers in a row");
            Ok(Grid { tokens, word: sound.word })
        };
        let mut rng = ChaCha8Rng::seed_from_u64(recipe.seed);
        let hop = config.factor() as usize * plan.config().hop_length;
        let mut variants = |sound: &Sound| -> Result<Vec<Grid>> {
            // Short recordings begin anywhere within a token, long ones anywhere.
            let spare = data.corpus.clip(sound.clip).len().saturating_sub(length).max(hop);
            (0..recipe.variants)
                .map(|_| {
                    let gain = rng.random_range(recipe.gain[0]..=recipe.gain[1]);
                    grid(sound, rng.random_range(0..spare), 10f32.powf(gain / 20.0))
                })
                .collect()
        };
        let train = data.train.iter().map(&mut variants).collect::<Result<_>>()?;
        let dev = data.dev.iter().map(|sound| grid(sound, 0, 1.0)).collect::<Result<_>>()?;
        // Words with many recordings count less than all of these, words with few more than each.
        let mut of_word = vec![0.0f64; data.words.len()];
        data.train.iter().for_each(|sound| of_word[sound.word] += 1.0);
        let weights = data.train.iter().map(|sound| 1.0 / of_word[sound.word].sqrt());
        let draw = WeightedIndex::new(weights).map_err(|e| Error::Data(e.to_string()))?;
        Ok(Self { recipe, card, train, draw, dev })
    }

    /// What is masked of a grid: ones and zeros.
    fn mask(&self, rng: &mut impl Rng, share: f64) -> Vec<f32> {
        let tokens = self.card.config.tokens() as usize;
        let count = ((tokens as f64 * share).ceil() as usize).clamp(1, tokens);
        let mut mask = vec![0.0; tokens];
        for place in rand::seq::index::sample(rng, tokens, count) {
            mask[place] = 1.0;
        }
        mask
    }

    /// Tokens, the mask, and the embedding of the word.
    fn example(&self, rng: &mut ChaCha8Rng) -> [Vec<f32>; 3] {
        let recording = self.draw.sample(rng);
        let grid = pick(rng, &self.train[recording]);
        let [mean, deviation] = self.recipe.masked;
        let share: f64 = loop {
            // Normal draws within 0 and 1.
            let share = mean + deviation * f64::from(normal(rng, 1)[0]);
            if (0.0..=1.0).contains(&share) {
                break share;
            }
        };
        let mask = self.mask(rng, share);
        let is_said = rng.random::<f32>() >= self.recipe.unconditional_share;
        self.parts(grid, mask, is_said)
    }

    fn parts(&self, grid: &Grid, mask: Vec<f32>, is_said: bool) -> [Vec<f32>; 3] {
        let mut word = vec![0.0; self.card.config.cond_dim as usize];
        if is_said {
            word[grid.word] = 1.0;
        }
        [grid.tokens.iter().map(|&token| token as f32).collect(), mask, word]
    }

    fn batch(&self, examples: Vec<Result<[Vec<f32>; 3]>>) -> Result<[Tensor; 3]> {
        let [tokens, mask, words] = stack(examples)?;
        Ok([tokens.to_kind(Kind::Int64), mask.to_kind(Kind::Bool), words])
    }
}

/// Mean negative logarithm of the probability of masked tokens.
fn loss(network: &SpecMaskGit, [tokens, mask, words]: &[Tensor; 3]) -> Tensor {
    let seen = tokens.masked_fill(mask, network.config().mask());
    let is_said = words.sum_dim_intlist([1i64].as_slice(), true, Kind::Float).gt(0.0).unsqueeze(2);
    let conditions = network.condition(words).where_self(&is_said, &network.no_condition());
    let logits = network.forward(&seen, &conditions);
    let codes = logits.size()[2];
    let flat = mask.view([-1]);
    let places = flat.nonzero().view([-1]);
    let logits = logits.reshape([-1, codes]).index_select(0, &places);
    logits.cross_entropy_for_logits(&tokens.view([-1]).index_select(0, &places))
}

impl Training for Generate<'_> {
    type Network = SpecMaskGit;
    type Batch = [Tensor; 3];
    type Arch = SpecMaskGit;
    type Figures = GenerateFigures;
    const KIND: Kind = Kind::Half;

    fn card(&self, provenance: Value) -> Result<SpecMaskGitCard> {
        Ok(SpecMaskGitCard { provenance, ..self.card.clone() })
    }

    fn network(&self, vs: &VarStore) -> Result<SpecMaskGit> {
        Ok(SpecMaskGit::new(&Params::random(&vs.root()), &self.card.config)?)
    }

    fn batches(&self, _: &SpecMaskGit, epoch: usize, learn: Learn<'_, [Tensor; 3]>) -> Result<()> {
        let examples = self.recipe.course().examples(self.recipe.batch);
        let example = |rng: &mut ChaCha8Rng| Ok(self.example(rng));
        examples.run(epoch, example, |examples| self.batch(examples), learn)
    }

    fn loss(&self, network: &SpecMaskGit, batch: &[Tensor; 3], _: At) -> Tensor {
        loss(network, batch)
    }

    /// The loss of every recording, with the same masks each time.
    fn validate(&self, model: &Model<SpecMaskGit>) -> Result<GenerateFigures> {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let mut sum = 0.0;
        for grid in &self.dev {
            let masked = DEV_SHARES.map(|share| self.mask(&mut rng, share));
            let examples = masked.map(|mask| Ok(self.parts(grid, mask, true)));
            let batch = self.batch(examples.into())?;
            sum += tch::no_grad(|| loss(&model.network, &batch)).double_value(&[]);
        }
        Ok(GenerateFigures { dev_loss: sum / self.dev.len().max(1) as f64 })
    }

    fn verdict(&self, figures: &GenerateFigures) -> Verdict {
        let GenerateFigures { dev_loss } = figures;
        Verdict { score: -dev_loss, detail: format!("loss {dev_loss:.3} on dev") }
    }
}
