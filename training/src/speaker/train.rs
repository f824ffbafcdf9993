//! A training of voices: its loss, its validation, and what the finished model needs for scores.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;

use formant_audio_core::AudioView;
use formant_audio_core::features::FeaturePlan;
use formant_models::Model;
use formant_models::arch::ecapa::Ecapa;
use formant_models::network::NoTrace;
use formant_models::params::Params;
use formant_models::tasks::Task;
use formant_models::tasks::speaker::{
    Cohort, Decision, EmbedOptions, Scorer, SpeakerCard, SpeakerEmbedder, SpeechOnly,
};
use serde::Serialize;
use serde_json::{Value, json};
use tch::nn::VarStore;
use tch::{Reduction, Tensor};

use super::compose::compose;
use super::data::SpeakerData;
use super::evaluate::{Figures, fit_calibration};
use super::head::{Head, margin_logits};
use super::recipe::SpeakerRecipe;
use crate::augment::change_speed;
use crate::epochs::Verdict;
use crate::error::{Error, Result};
use crate::examples::Labelled;
use crate::optim::AdamW;
use crate::paths::TrainPaths;
use crate::progress::Progress;
use crate::start::copy_weights;
use crate::training::{self, At, Key, Learn, Recipe, Trained, Training};
use crate::voices::{Drawing, Speaker};

/// Variables of the loss, which are no part of the model.
const HEAD: &str = "head";
/// Recordings of a speaker that go into the mean of its voice.
const VOICE_CLIPS: usize = 8;
/// Recordings of a speaker that its direction begins with, when training begins with a model.
const START_CLIPS: usize = 3;

/// Figures of a speaker model.
#[derive(Debug, Clone, Serialize)]
pub struct SpeakerFigures {
    /// On the pairs to validate on.
    pub dev: Figures,
    /// Speakers that it learned from.
    pub speakers: usize,
}

/// Trains a network on `data` by `recipe` and writes it, with its card, mean voice and cohort, to
/// `paths.output`.
///
/// After every epoch the averaged weights are validated on the pairs of `data.dev`; the best are
/// kept. In the end threshold and calibration are fitted on the same pairs. A run that was stopped
/// goes on from its last epoch when it is started with the same recipe. With `start`, training
/// begins with the weights of that model instead of random ones. `provenance` goes into the file
/// as it is.
///
/// # Errors
/// [`Error::Interrupted`] when `progress` asks to stop; [`Error::Config`] for a recipe that cannot
/// work; what reading and writing files says.
pub fn train(
    data: &SpeakerData,
    recipe: &SpeakerRecipe,
    paths: &TrainPaths,
    start: Option<&SpeakerEmbedder>,
    provenance: Value,
    progress: &dyn Progress,
) -> Result<Trained<SpeakerFigures>> {
    let mut recipe = recipe.clone();
    recipe.validate()?;
    let plan = FeaturePlan::new(&recipe.frontend)?;
    recipe.network.input_size = plan.bins() as i64;
    if cohort_speakers(data, &recipe).count() < 2 {
        let reason = format!(
            "fewer than two speakers have {} seconds of speech; lower it or add recordings",
            recipe.cohort_seconds
        );
        return Err(Error::Config { setting: "cohort_seconds", reason });
    }
    let training = Voices { data, recipe: &recipe, plan: &plan };
    let key = Key { recipe: recipe.clone(), data: json!(data.voices.speakers.len()) };
    training::run(&training, key, paths, provenance, progress, |vs, (_, head)| {
        start.map_or(Ok(()), |start| begin_with(start, vs, head, data, &recipe))
    })
}

struct Voices<'a> {
    data: &'a SpeakerData,
    recipe: &'a SpeakerRecipe,
    plan: &'a FeaturePlan,
}

impl Training for Voices<'_> {
    type Network = (Ecapa, Head);
    type Batch = Labelled;
    type Arch = Ecapa;
    type Figures = SpeakerFigures;

    fn card(&self, provenance: Value) -> Result<SpeakerCard> {
        let recipe = self.recipe;
        Ok(SpeakerCard {
            config: recipe.network.clone(),
            frontend: recipe.frontend.clone(),
            minimum_seconds: recipe.minimum_seconds,
            window_seconds: recipe.window_seconds,
            decision: Decision::default(),
            provenance,
        })
    }

    fn network(&self, vs: &VarStore) -> Result<(Ecapa, Head)> {
        let network = Ecapa::new(&Params::random(&vs.root()), &self.recipe.network)?;
        let classes = (self.data.voices.speakers.len() * self.recipe.speeds.len()) as i64;
        let head = Head::new(&(vs.root() / HEAD), classes, self.recipe.network.lin_neurons);
        Ok((network, head))
    }

    fn batches(&self, _: &Self::Network, epoch: usize, learn: Learn<'_, Labelled>) -> Result<()> {
        let Self { data: SpeakerData { voices, .. }, recipe, plan } = *self;
        let drawing = Drawing::new(&voices.speakers, recipe.speaker_balance);
        let length = recipe.samples(epoch);
        recipe.course().examples(recipe.batch).run_labelled(
            epoch,
            (plan, &recipe.augmentation.masks),
            |rng| compose(rng, voices, recipe, &drawing, length),
            learn,
        )
    }

    fn loss(&self, (network, head): &(Ecapa, Head), batch: &Labelled, (epoch, step): At) -> Tensor {
        loss(network, head, self.recipe, batch, self.recipe.margin_at(epoch, step))
    }

    fn weights(optimizer: &AdamW) -> BTreeMap<String, Tensor> {
        let mut weights = optimizer.averaged();
        weights.retain(|name, _| !name.starts_with(&format!("{HEAD}.")));
        weights
    }

    fn validate(&self, model: &Model<Ecapa>) -> Result<SpeakerFigures> {
        let embedder = SpeakerEmbedder::of_model(model.clone())?;
        let (targets, others) = dev_scores(&embedder, &embedder.scorer(), self.data)?;
        let dev = Figures::new(&targets, &others, embedder.scorer().threshold())?;
        Ok(SpeakerFigures { dev, speakers: self.data.voices.speakers.len() })
    }

    fn verdict(&self, SpeakerFigures { dev, .. }: &SpeakerFigures) -> Verdict {
        Verdict { score: selection_score(dev), detail: dev.one_line() }
    }

    /// The way of deciding is fitted before.
    fn finish(
        &self,
        weights: &BTreeMap<String, Tensor>,
        provenance: Value,
        output: &Path,
    ) -> Result<SpeakerFigures> {
        let mut embedder = SpeakerEmbedder::of_model(self.model(weights, provenance)?)?;
        let dev = finish(&mut embedder, self.data, self.recipe)?;
        embedder.save(output, Self::KIND)?;
        Ok(SpeakerFigures { dev, speakers: self.data.voices.speakers.len() })
    }
}

/// Cross-entropy over the speakers, with the margin.
fn loss(
    network: &Ecapa,
    head: &Head,
    recipe: &SpeakerRecipe,
    batch: &Labelled,
    margin: f64,
) -> Tensor {
    let embeddings = network.forward_t(&batch.features, None, true, &mut NoTrace);
    let cosines = head.cosines(&embeddings); // [batch, speakers]
    let logits = margin_logits(&cosines, &batch.classes, margin, recipe.scale);
    logits.cross_entropy_loss::<Tensor>(&batch.classes, None, Reduction::Mean, -100, 0.0)
}

/// One figure for choosing between epochs, higher is better: errors at two operating points, since
/// the equal error rate alone jumps from epoch to epoch.
fn selection_score(figures: &Figures) -> f64 {
    -(100.0 * figures.eer + 5.0 * figures.min_dcf_05)
}

/// Scores of the pairs to validate on: of one speaker, and of two.
fn dev_scores(
    embedder: &SpeakerEmbedder,
    scorer: &Scorer,
    data: &SpeakerData,
) -> Result<(Vec<f64>, Vec<f64>)> {
    let mut voices: BTreeMap<usize, Option<Vec<f32>>> = BTreeMap::new();
    for &(a, b, _) in &data.dev {
        for clip in [a, b] {
            if let Entry::Vacant(place) = voices.entry(clip) {
                place.insert(embed_clip(embedder, data, clip)?);
            }
        }
    }
    let (mut targets, mut others) = (Vec::new(), Vec::new());
    for &(a, b, target) in &data.dev {
        if let (Some(Some(a)), Some(Some(b))) = (voices.get(&a), voices.get(&b)) {
            let scores = if target { &mut targets } else { &mut others };
            scores.push(scorer.score(a, b));
        }
    }
    Ok((targets, others))
}

fn embed_clip(
    embedder: &SpeakerEmbedder,
    data: &SpeakerData,
    clip: usize,
) -> Result<Option<Vec<f32>>> {
    embed_samples(embedder, data.voices.corpus.rate(), &data.voices.corpus.clip_f32(clip))
}

fn embed_samples(
    embedder: &SpeakerEmbedder,
    rate: u32,
    samples: &[f32],
) -> Result<Option<Vec<f32>>> {
    // Training clips are speech from end to end.
    let options = EmbedOptions { speech_only: SpeechOnly::No };
    let (heard, _) = embedder.process(&AudioView::from_mono(rate, samples), &options)?;
    Ok(heard.ok().map(|embedding| embedding.values))
}

/// Speakers whose mean voices scores are normalised with.
fn cohort_speakers<'a>(
    data: &'a SpeakerData,
    recipe: &SpeakerRecipe,
) -> impl Iterator<Item = &'a Speaker> {
    let least = recipe.cohort_seconds;
    data.voices.speakers.iter().filter(move |speaker| speaker.seconds >= least)
}

/// Gives a trained model its mean voice and cohort, chooses the way of scoring that is best on the
/// pairs to validate on, and fits threshold and calibration there.
fn finish(
    embedder: &mut SpeakerEmbedder,
    data: &SpeakerData,
    recipe: &SpeakerRecipe,
) -> Result<Figures> {
    let width = recipe.network.lin_neurons as usize;
    let mut voices: Vec<f32> = Vec::new();
    for speaker in cohort_speakers(data, recipe) {
        let clips = speaker.clips.iter().take(VOICE_CLIPS);
        let clips = clips.map(|&clip| embed_clip(embedder, data, clip));
        voices.extend(mean_voice(clips, width)?);
    }
    let count = voices.len() / width;
    let centre: Vec<f32> = (0..width)
        .map(|i| voices.iter().skip(i).step_by(width).sum::<f32>() / count as f32)
        .collect();
    let cohort = Cohort::new(voices, width)?;
    embedder.set_companions(Some(centre.clone()), Some(cohort.clone()));
    let tops = [None, Some(recipe.cohort_top)];
    let kinds = [false, true].into_iter().flat_map(|centre| tops.map(|norm| (centre, norm)));
    let mut best: Option<(f64, Decision, Vec<f64>, Vec<f64>)> = None;
    for (centre, norm) in kinds.filter(|(_, norm)| *norm != Some(0)) {
        let decision = Decision { centre, norm, ..Decision::default() };
        embedder.card_mut().decision = decision.clone();
        let (targets, others) = dev_scores(embedder, &embedder.scorer(), data)?;
        let score = selection_score(&Figures::new(&targets, &others, 0.0)?);
        if best.as_ref().is_none_or(|(found, ..)| score > *found) {
            best = Some((score, decision, targets, others));
        }
    }
    let Some((_, mut decision, targets, others)) = best else {
        return Err(Error::Data("nothing to validate on".to_owned()));
    };
    decision.calibration = fit_calibration(&targets, &others);
    let equal = Figures::new(&targets, &others, 0.0)?.eer_threshold;
    decision.threshold = decision.calibration.map_or(equal, |c| c.even_score());
    let centre = decision.centre.then_some(centre);
    let cohort = decision.norm.map(|_| cohort);
    embedder.set_companions(centre, cohort);
    let figures = Figures::new(&targets, &others, decision.threshold)?;
    embedder.card_mut().decision = decision;
    Ok(figures)
}

/// The mean of embeddings of unit length, of unit length; zeros where there are none.
fn mean_voice(
    embeddings: impl Iterator<Item = Result<Option<Vec<f32>>>>,
    width: usize,
) -> Result<Vec<f32>> {
    let mut sum = vec![0.0f32; width];
    for values in embeddings {
        let Some(values) = values? else { continue };
        let length = norm(&values);
        sum.iter_mut().zip(&values).for_each(|(s, v)| *s += v / length);
    }
    let length = norm(&sum);
    Ok(sum.iter().map(|x| x / length).collect())
}

/// Begins with the weights of `start`, and with the voices that it hears as the directions of the
/// speakers.
fn begin_with(
    start: &SpeakerEmbedder,
    vs: &VarStore,
    head: &Head,
    data: &SpeakerData,
    recipe: &SpeakerRecipe,
) -> Result<()> {
    let given = start.weights();
    let of_the_loss = format!("{HEAD}.");
    copy_weights(vs, |name| !name.starts_with(&of_the_loss), |name| given.get(name))?;
    let rate = data.voices.corpus.rate();
    let longest = recipe.longest() * 2;
    let mut directions: Vec<f32> = Vec::new();
    for &speed in &recipe.speeds {
        for speaker in &data.voices.speakers {
            let clips = speaker.clips.iter().take(START_CLIPS).map(|&clip| {
                let samples = data.voices.corpus.clip(clip);
                let samples = &samples[..samples.len().min(longest)];
                let samples: Vec<f32> = samples.iter().map(|&x| f32::from(x) / 32768.0).collect();
                embed_samples(start, rate, &change_speed(&samples, speed))
            });
            directions.extend(mean_voice(clips, recipe.network.lin_neurons as usize)?);
        }
    }
    head.set(&Tensor::from_slice(&directions));
    Ok(())
}

fn norm(values: &[f32]) -> f32 {
    values.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE)
}
