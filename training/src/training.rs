//! What a training of any task consists of, and the driver that runs all of them: start weights,
//! replicas, epochs, resume, best epoch, and the finished file.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use formant_models::model::{Arch, Model};
use formant_models::nn::tape;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

use crate::asr::AsrRecipe;
use crate::checks::counts;
use crate::epochs::{Epochs, Verdict, backward};
use crate::error::Result;
use crate::examples::Examples;
use crate::generate::{GenerateRecipe, TokenizerRecipe};
use crate::optim::{AdamW, OptimizerConfig, by_name};
use crate::paths::TrainPaths;
use crate::progress::Progress;
use crate::replicas::{Learner, Replicas, variables};
use crate::resume;
use crate::separation::SeparationRecipe;
use crate::speaker::SpeakerRecipe;
use crate::spot::SpotRecipe;
use crate::stems::StemsRecipe;
use crate::superres::SuperresRecipe;
use crate::vocode::VocodeRecipe;

/// Length, seed and optimizer of a training.
#[derive(Debug)]
pub struct Course<'a> {
    /// Passes.
    pub epochs: usize,
    /// Batches in an epoch.
    pub steps_per_epoch: usize,
    /// Start of all random draws.
    pub seed: u64,
    /// Optimizer and schedule.
    pub optimizer: &'a OptimizerConfig,
}

/// Numbers that every recipe has, each where another one than the recipe's is wanted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Changes {
    /// Passes.
    pub epochs: Option<usize>,
    /// Batches in an epoch.
    pub steps_per_epoch: Option<usize>,
    /// Size of a batch: examples, or seconds of speech for a recognizer.
    pub batch: Option<usize>,
    /// Start of all random draws.
    pub seed: Option<u64>,
}

impl Course<'_> {
    /// The random examples of a training whose batches hold `batch` of them.
    pub(crate) fn examples(&self, batch: usize) -> Examples {
        Examples { seed: self.seed, steps_per_epoch: self.steps_per_epoch, batch }
    }

    /// Refuses a length of nothing, and `others` of the recipe's counts that are nothing.
    pub(crate) fn validate(&self, others: &[(&'static str, usize)]) -> Result<()> {
        counts(&[("epochs", self.epochs), ("steps_per_epoch", self.steps_per_epoch)])?;
        counts(others)
    }
}

/// Every number of a training, stored with the weights.
pub trait Recipe: Clone + Default + PartialEq + Serialize + DeserializeOwned {
    /// Length, seed and optimizer.
    fn course(&self) -> Course<'_>;

    /// Puts other numbers into it.
    fn change(&mut self, changes: &Changes);

    /// Refuses numbers that cannot work.
    ///
    /// # Errors
    /// [`crate::Error::Config`] naming the setting.
    fn validate(&self) -> Result<()>;

    /// What must match when a training resumes: all but the number of epochs.
    #[must_use]
    fn key(&self) -> Self {
        self.clone()
    }
}

macro_rules! recipes {
    ($($recipe:ty: $batch:ident),* $(,)?) => {$(
        impl Recipe for $recipe {
            fn course(&self) -> Course<'_> {
                let Self { epochs, steps_per_epoch, seed, ref optimizer, .. } = *self;
                Course { epochs, steps_per_epoch, seed, optimizer }
            }

            fn change(&mut self, changes: &Changes) {
                let Changes { epochs, steps_per_epoch, batch, seed } = *changes;
                self.epochs = epochs.unwrap_or(self.epochs);
                self.steps_per_epoch = steps_per_epoch.unwrap_or(self.steps_per_epoch);
                self.$batch = batch.map_or(self.$batch, |batch| batch as _);
                self.seed = seed.unwrap_or(self.seed);
            }

            fn validate(&self) -> Result<()> {
                <$recipe>::validate(self)
            }

            fn key(&self) -> Self {
                Self { epochs: 0, ..self.clone() }
            }
        }
    )*};
}

recipes!(
    AsrRecipe: batch_seconds,
    GenerateRecipe: batch,
    SeparationRecipe: batch,
    SpeakerRecipe: batch,
    SpotRecipe: batch,
    StemsRecipe: batch,
    SuperresRecipe: batch,
    TokenizerRecipe: batch,
    VocodeRecipe: batch,
);

/// What must match when training resumes.
#[derive(Serialize, Deserialize)]
pub(crate) struct Key<R> {
    pub(crate) recipe: R,
    /// Names or numbers of the data.
    pub(crate) data: Value,
}

impl<R: Recipe> PartialEq for Key<R> {
    fn eq(&self, other: &Self) -> bool {
        self.recipe.key() == other.recipe.key() && self.data == other.data
    }
}

/// Number of an epoch and of a step in it, from 0.
pub(crate) type At = (usize, usize);

/// Takes the batches of an epoch, each with the number of its step, and may stop early.
pub(crate) type Learn<'a, B> = &'a mut dyn FnMut(usize, B) -> Result<()>;

/// One training: data, batches, loss, validation and the finished model of a task.
pub(crate) trait Training: Sync {
    /// The network and whatever its loss computes with.
    type Network;
    /// Examples of one step.
    type Batch: Send + 'static;
    /// What the finished model is.
    type Arch: Arch;
    /// Measured quality of the finished model. Numbers among them go into its file.
    type Figures: Serialize;
    /// Floats of the finished file.
    const KIND: Kind = Kind::Float;
    /// Whether layers of the network carry their gradients on a [`tape`].
    const TAPED: bool = false;

    /// The card of the finished model.
    fn card(&self, provenance: Value) -> Result<<Self::Arch as Arch>::Card>;

    /// Constructs the network with random weights; replicas are constructed by the same call.
    fn network(&self, vs: &VarStore) -> Result<Self::Network>;

    /// Composes the batches of one epoch in order and hands each to `learn`.
    fn batches(
        &self,
        network: &Self::Network,
        epoch: usize,
        learn: Learn<'_, Self::Batch>,
    ) -> Result<()>;

    fn loss(&self, network: &Self::Network, batch: &Self::Batch, at: At) -> Tensor;

    /// Epochs without a higher score after which training ends early.
    fn patience(&self) -> Option<usize> {
        None
    }

    /// Adds the gradients of `share` of the loss to the variables; returns that share.
    fn learn(&self, network: &Self::Network, batch: &Self::Batch, at: At, share: f64) -> f64 {
        let loss = || self.loss(network, batch, at) * share;
        if !Self::TAPED {
            return backward(&loss());
        }
        let (loss, tape) = tape::record(loss);
        tape.backward(&loss);
        loss.double_value(&[])
    }

    /// Most parts that a batch can be split into. Only a loss that is a mean over examples, of a
    /// network without batch statistics, can be computed in parts.
    fn most_parts(&self) -> usize {
        1
    }

    /// At most `count` parts of a batch, each with its share of the examples.
    fn split(&self, batch: Self::Batch, _count: usize) -> Vec<(f64, Self::Batch)> {
        vec![(1.0, batch)]
    }

    /// The weights of the finished model.
    fn weights(optimizer: &AdamW) -> BTreeMap<String, Tensor> {
        optimizer.averaged()
    }

    /// Figures on what is validated on.
    fn validate(&self, model: &Model<Self::Arch>) -> Result<Self::Figures>;

    fn verdict(&self, figures: &Self::Figures) -> Verdict;

    fn model(
        &self,
        weights: &BTreeMap<String, Tensor>,
        provenance: Value,
    ) -> Result<Model<Self::Arch>> {
        Ok(Model::from_tensors(self.card(provenance)?, weights, Device::Cpu)?)
    }

    /// Measures the model of the best weights and writes it, with its card, to `output`.
    fn finish(
        &self,
        weights: &BTreeMap<String, Tensor>,
        mut provenance: Value,
        output: &Path,
    ) -> Result<Self::Figures> {
        let figures = self.validate(&self.model(weights, Value::Null)?)?;
        let plain = serde_json::to_value(&figures).expect("figures are plain data");
        if let (Value::Object(known), Value::Object(figures)) = (&mut provenance, plain) {
            known.extend(figures.into_iter().filter(|(_, figure)| figure.is_number()));
        }
        self.model(weights, provenance)?.save(output, Self::KIND)?;
        Ok(figures)
    }
}

/// What a finished training came to.
#[derive(Debug, Clone, Serialize)]
pub struct Trained<F> {
    /// Epoch whose weights were kept, from 1.
    pub best_epoch: usize,
    /// Figures of the finished model.
    #[serde(flatten)]
    pub figures: F,
    /// Trainable parameters.
    pub parameters: u64,
    /// Seconds of this run.
    pub seconds: f64,
}

/// Figures on the `dev` split alone.
#[derive(Debug, Clone, Serialize)]
pub struct Dev<R> {
    /// The report.
    pub dev: R,
}

/// Runs `training` from its beginning, or from its saved state, to the finished file.
///
/// `begin` copies the weights of a start model. It is called for a new training only: a resumed
/// one has its own weights in the state.
///
/// # Errors
/// [`crate::Error::Interrupted`] when `progress` asks to stop, and what the parts of the training
/// and writing files say.
pub(crate) fn run<T: Training, R: Recipe>(
    training: &T,
    key: Key<R>,
    paths: &TrainPaths,
    mut provenance: Value,
    progress: &dyn Progress,
    begin: impl FnOnce(&VarStore, &T::Network) -> Result<()>,
) -> Result<Trained<T::Figures>> {
    let began = Instant::now();
    let Course { epochs, steps_per_epoch, seed, optimizer } = key.recipe.course();
    tch::manual_seed(seed as i64);
    let vs = VarStore::new(Device::Cpu);
    let network = training.network(&vs)?;
    let optimizer = optimizer.clone();
    let epochs = Epochs {
        epochs,
        steps_per_epoch,
        patience: training.patience(),
        state: &paths.state,
        began,
        progress,
    };
    if let Value::Object(provenance) = &mut provenance {
        let recipe = serde_json::to_value(&key.recipe).expect("a recipe is plain data");
        provenance.insert("recipe".to_owned(), recipe);
    }
    let saved = epochs.saved(&key);
    if saved.is_none() {
        begin(&vs, &network)?;
    }
    let mut optimizer = AdamW::new(&vs, optimizer);
    let variables = variables(&vs);
    let threads = tch::get_num_threads();
    let copies = usize::try_from(threads).unwrap_or(1).min(training.most_parts()).max(1) - 1;
    let best = std::thread::scope(|scope| {
        let mut replicas = Replicas::start(scope, copies, || learner(training));
        epochs.run(
            (key, saved),
            &mut optimizer,
            |epoch, take| {
                // Dropout draws the same masks when an epoch is the first after an interruption.
                tch::manual_seed(seed.wrapping_add(epoch as u64) as i64);
                tch::set_num_threads((threads / replicas.parts() as i32).max(1));
                let done = training.batches(&network, epoch, &mut |step, batch| {
                    let at = (epoch, step);
                    let mut parts = training.split(batch, replicas.parts()).into_iter();
                    let Some((share, own)) = parts.next() else { return Ok(()) };
                    let others = parts.map(|(share, part)| (at, share, part)).collect();
                    let learn = || training.learn(&network, &own, at, share);
                    take(step, Box::new(|| replicas.learn(&variables, others, learn)))
                });
                tch::set_num_threads(threads);
                done
            },
            T::weights,
            |weights| {
                let model = training.model(weights, Value::Null)?;
                Ok(training.verdict(&training.validate(&model)?))
            },
            |weights| {
                let model = training.model(weights, provenance.clone())?;
                Ok(model.save(&paths.partial, T::KIND)?)
            },
        )
    })?;
    if let Value::Object(provenance) = &mut provenance {
        provenance.insert("best_epoch".to_owned(), best.epoch.into());
    }
    let figures = training.finish(&best.weights, provenance, &paths.output)?;
    let of_model = |(name, variable): &(&String, &Tensor)| {
        variable.requires_grad() && best.weights.contains_key(*name)
    };
    let parameters = by_name(&vs).iter().filter(of_model).map(|(_, x)| x.numel() as u64).sum();
    resume::remove(&paths.state)?;
    resume::remove(&paths.partial)?;
    Ok(Trained {
        best_epoch: best.epoch,
        figures,
        parameters,
        seconds: began.elapsed().as_secs_f64(),
    })
}

/// A replica of the network, whose weights arrive with every part of a batch.
fn learner<T: Training>(training: &T) -> Learner<'_, (At, f64, T::Batch)> {
    let vs = VarStore::new(Device::Cpu);
    let network = training.network(&vs).expect("the same network was constructed before");
    Learner {
        variables: variables(&vs),
        learn: Box::new(move |(at, share, part)| training.learn(&network, part, *at, *share)),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use formant_models::checkpoint::Architecture;
    use formant_models::model::Foreign;
    use formant_models::params::{Params, Weight};
    use tch::nn::Init;

    use super::*;
    use crate::error::Error;
    use crate::progress::TrainingEvent;

    /// One variable, which training moves towards zero.
    #[derive(Debug)]
    pub(crate) struct Line;

    impl Arch for Line {
        const NAME: &'static str = "line";
        const ARCHITECTURES: &'static [Architecture] = &[];
        const CARD_KEY: &'static str = "line";
        const WANTED: &'static str = "a line";
        type Card = Value;
        type Network = Weight;

        fn validate(_: &Value) -> formant_models::Result<()> {
            Ok(())
        }
        fn adopt(_: &mut Foreign<'_>) -> formant_models::Result<Value> {
            Ok(Value::Null)
        }
        fn build(params: &Params<'_>, _: &Value) -> formant_models::Result<Weight> {
            params.get("x", &[2], Init::Const(3.0))
        }
    }

    impl Recipe for OptimizerConfig {
        fn course(&self) -> Course<'_> {
            Course { epochs: 3, steps_per_epoch: 2, seed: 1, optimizer: self }
        }
        fn change(&mut self, _: &Changes) {}
        fn validate(&self) -> Result<()> {
            Ok(())
        }
    }

    impl Training for OptimizerConfig {
        type Network = Weight;
        type Batch = Tensor;
        type Arch = Line;
        type Figures = Vec<f32>;

        fn card(&self, provenance: Value) -> Result<Value> {
            Ok(provenance)
        }
        fn network(&self, vs: &VarStore) -> Result<Weight> {
            Ok(Line::build(&Params::random(&vs.root()), &Value::Null)?)
        }
        fn batches(&self, _: &Weight, _: usize, learn: Learn<'_, Tensor>) -> Result<()> {
            (0..2).try_for_each(|step| learn(step, Tensor::ones([2], tch::kind::FLOAT_CPU)))
        }
        fn loss(&self, x: &Weight, batch: &Tensor, _: At) -> Tensor {
            (&**x * batch).square().sum(Kind::Float)
        }
        fn validate(&self, model: &Model<Line>) -> Result<Vec<f32>> {
            Ok(Vec::try_from(&model.weights()["x"]).expect("flat"))
        }
        fn verdict(&self, figures: &Vec<f32>) -> Verdict {
            let score = -f64::from(figures.iter().map(|x| x.abs()).sum::<f32>());
            Verdict { score, detail: String::new() }
        }
    }

    /// Asks to stop after the first epoch.
    #[derive(Default)]
    struct StopsOnce(std::sync::atomic::AtomicBool);

    impl Progress for StopsOnce {
        fn event(&self, event: &TrainingEvent) {
            if matches!(event, TrainingEvent::Epoch { .. }) {
                self.0.store(true, std::sync::atomic::Ordering::Relaxed);
            }
        }
        fn cancelled(&self) -> bool {
            self.0.load(std::sync::atomic::Ordering::Relaxed)
        }
    }

    #[test]
    fn a_resumed_training_does_not_copy_the_start_weights_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let training = OptimizerConfig::default();
        let copied = Cell::new(0);
        let go = |name: &str, progress: &dyn Progress| {
            let paths = TrainPaths::of(folder.path().join(name));
            let key = Key { recipe: training.clone(), data: Value::Null };
            run(&training, key, &paths, serde_json::json!({}), progress, |_, x| {
                copied.set(copied.get() + 1);
                let _ = tch::no_grad(|| (**x).shallow_clone().fill_(5.0));
                Ok(())
            })
        };
        let straight = go("straight", &crate::progress::Silent).expect("runs").figures;
        assert_eq!(copied.replace(0), 1);
        assert!(matches!(go("resumed", &StopsOnce::default()), Err(Error::Interrupted)));
        assert_eq!(copied.replace(0), 1);
        assert!(folder.path().join("resumed.partial").is_file());
        let resumed = go("resumed", &crate::progress::Silent).expect("resumes").figures;
        assert_eq!((copied.get(), resumed), (0, straight));
        assert!(!folder.path().join("resumed.partial").exists());
    }
}
