//! A recogniser's training: its loss, its validation, and the card of the finished model.

use formant_audio_core::features::FeaturePlan;
use formant_models::arch::squeezeformer::{CtcCard, CtcModel, Squeezeformer, Vocabulary};
use formant_models::model::Arch;
use formant_models::network::NoTrace;
use formant_models::params::Params;
use serde_json::{Value, json};
use tch::Tensor;
use tch::nn::VarStore;

use super::batches::{Batch, Batches};
use super::data::{AsrData, Utterance};
use super::evaluate::{AsrReport, score_utterances};
use super::pieces::{Pieces, learn_pieces};
use super::recipe::AsrRecipe;
use crate::epochs::Verdict;
use crate::error::Result;
use crate::paths::TrainPaths;
use crate::progress::Progress;
use crate::start::begin_from;
use crate::training::{self, At, Dev, Key, Learn, Trained, Training};

/// Trains a recogniser on `data` and writes it to `paths.output`.
///
/// After every epoch the averaged weights are validated on the `dev` utterances; the best are
/// kept. A run that was stopped goes on from its last epoch when it is started with the same
/// recipe. With `start`, training begins with the weights and the vocabulary of that model; the
/// recipe has to have its sizes, see [`AsrRecipe::going_on_from`]. `provenance`, an object, goes into
/// the file, and with it the recipe and the tables that the data came from.
///
/// # Errors
/// [`crate::Error::Interrupted`] when `progress` asks to stop; [`crate::Error::Config`] for a
/// recipe that cannot work; [`crate::Error::Data`] for texts that the vocabulary of `start` can't
/// spell; what reading and writing files says.
pub fn train(
    data: &AsrData,
    recipe: &AsrRecipe,
    paths: &TrainPaths,
    start: Option<&CtcModel>,
    mut provenance: Value,
    progress: &dyn Progress,
) -> Result<Trained<Dev<AsrReport>>> {
    recipe.validate()?;
    let plan = FeaturePlan::new(&recipe.frontend)?;
    let pieces = match start {
        Some(start) => Pieces::new(start.card.vocabulary.pieces.clone()),
        None => learn_pieces(data.texts(recipe), recipe.pieces),
    };
    data.check_letters(&pieces)?;
    let card = CtcCard {
        config: recipe.network_for(pieces.list().len(), plan.bins()),
        frontend: recipe.frontend.clone(),
        vocabulary: Vocabulary { pieces: pieces.list().to_vec(), ..Vocabulary::default() },
        provenance: Value::Null,
    };
    if let Value::Object(provenance) = &mut provenance {
        provenance.insert("data".to_owned(), json!(data.tables));
    }
    let training = Recognition { data, recipe, plan: &plan, pieces: &pieces, card: &card };
    let key = Key { recipe: recipe.clone(), data: json!(pieces.list()) };
    training::run(&training, key, paths, provenance, progress, begin_from(start))
}

struct Recognition<'a> {
    data: &'a AsrData,
    recipe: &'a AsrRecipe,
    plan: &'a FeaturePlan,
    pieces: &'a Pieces,
    card: &'a CtcCard,
}

impl Training for Recognition<'_> {
    type Network = Squeezeformer;
    type Batch = Batch;
    type Arch = Squeezeformer;
    type Figures = Dev<AsrReport>;

    fn card(&self, provenance: Value) -> Result<CtcCard> {
        Ok(CtcCard { provenance, ..self.card.clone() })
    }

    fn network(&self, vs: &VarStore) -> Result<Squeezeformer> {
        Squeezeformer::validate(self.card)?;
        Ok(Squeezeformer::build(&Params::random(&vs.root()), self.card)?)
    }

    fn batches(&self, _: &Squeezeformer, epoch: usize, learn: Learn<'_, Batch>) -> Result<()> {
        let Self { data, recipe, plan, pieces, .. } = *self;
        Batches { data, recipe, plan, pieces }.run(epoch, learn)
    }

    fn loss(&self, network: &Squeezeformer, batch: &Batch, _: At) -> Tensor {
        loss(network, batch, self.card.blank())
    }

    fn validate(&self, model: &CtcModel) -> Result<Dev<AsrReport>> {
        let AsrData { dev, corpus, .. } = self.data;
        let utterances = dev.iter().map(|Utterance { clip, text, source, .. }| {
            (corpus.clip_f32(*clip), text.clone(), source.clone())
        });
        Ok(Dev { dev: score_utterances(model, utterances)? })
    }

    fn verdict(&self, Dev { dev }: &Dev<AsrReport>) -> Verdict {
        let score = dev.selection_score(|source| self.recipe.weight(source));
        Verdict { score, detail: dev.one_line() }
    }
}

/// Connectionist temporal classification, a number an answer; an utterance with more answers than
/// frames counts nothing.
fn loss(network: &Squeezeformer, batch: &Batch, blank: i64) -> Tensor {
    let (log_probs, lengths) =
        network.forward_t(&batch.features, &batch.lengths, true, &mut NoTrace);
    let log_probs = log_probs.transpose(0, 1); // [frames, batch, vocabulary]
    let answers: i64 = batch.counts.iter().sum();
    let reduction = tch::Reduction::Sum;
    let (answered, counts) = (&batch.answers, &batch.counts);
    let sum = Tensor::ctc_loss(&log_probs, answered, lengths, counts, blank, reduction, true);
    sum / answers.max(1) as f64
}
