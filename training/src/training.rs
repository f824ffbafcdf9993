//! What a training of any task consists of, and the driver that runs all of them: start weights,
//! replicas, epochs, resume, best epoch, and the finished file.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tch::Tensor;
use tch::nn::VarStore;

use crate::epochs::{Epochs, Verdict, backward};
use crate::error::Result;
use crate::examples::Examples;
use crate::optim::{AdamW, OptimizerConfig};
use crate::paths::TrainPaths;
use crate::progress::Progress;
use crate::replicas::{Learner, Replicas, variables};
use crate::resume;

/// Length, seed and optimizer of a training.
pub(crate) struct Course<'a> {
    pub(crate) epochs: usize,
    pub(crate) steps_per_epoch: usize,
    pub(crate) seed: u64,
    pub(crate) optimizer: &'a OptimizerConfig,
}

impl Course<'_> {
    /// The random examples of a training whose batches hold `batch` of them.
    pub(crate) fn examples(&self, batch: usize) -> Examples {
        Examples { seed: self.seed, steps_per_epoch: self.steps_per_epoch, batch }
    }
}

/// Number of an epoch and of a step in it, from 0.
pub(crate) type At = (usize, usize);

/// One training: data, batches, loss, validation and the finished model of a task.
pub(crate) trait Training: Sync {
    /// The network and whatever its loss computes with.
    type Network;
    /// Examples of one step.
    type Batch: Send + 'static;
    /// Settings and sizes that must match when training resumes.
    type Key: Serialize + DeserializeOwned + PartialEq;
    /// Every number of the training, stored with the weights.
    type Recipe: Serialize;
    /// Measured quality of the finished model.
    type Figures;

    fn course(&self) -> Course<'_>;

    fn recipe(&self) -> &Self::Recipe;

    fn key(&self) -> Self::Key;

    /// Constructs the network with random weights; replicas are constructed by the same call.
    fn network(&self) -> Result<(VarStore, Self::Network)>;

    /// Trainable parameters of the finished network.
    fn parameters(network: &Self::Network) -> u64;

    /// Composes the batches of one epoch in order and hands each to `learn`, which may stop early.
    fn batches(
        &self,
        network: &Self::Network,
        epoch: usize,
        learn: &mut dyn FnMut(usize, Self::Batch) -> Result<()>,
    ) -> Result<()>;

    fn loss(&self, network: &Self::Network, batch: &Self::Batch, at: At) -> Tensor;

    /// Adds the gradients of `share` of the loss to the variables; returns that share.
    fn learn(&self, network: &Self::Network, batch: &Self::Batch, at: At, share: f64) -> f64 {
        backward(&(self.loss(network, batch, at) * share))
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

    fn judge(&self, weights: &BTreeMap<String, Tensor>) -> Result<Verdict>;

    /// Measures the model of the best weights and writes it, with its card, to `output`.
    fn finish(
        &self,
        weights: &BTreeMap<String, Tensor>,
        provenance: serde_json::Value,
        output: &Path,
    ) -> Result<Self::Figures>;
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
pub(crate) fn run<T: Training>(
    training: &T,
    paths: &TrainPaths,
    mut provenance: serde_json::Value,
    progress: &dyn Progress,
    begin: impl FnOnce(&VarStore, &T::Network) -> Result<()>,
) -> Result<Trained<T::Figures>> {
    let began = Instant::now();
    let course = training.course();
    tch::manual_seed(course.seed as i64);
    let (vs, network) = training.network()?;
    let epochs = Epochs {
        epochs: course.epochs,
        steps_per_epoch: course.steps_per_epoch,
        state: &paths.state,
        began,
        progress,
    };
    let key = training.key();
    let saved = epochs.saved(&key);
    if saved.is_none() {
        begin(&vs, &network)?;
    }
    let mut optimizer = AdamW::new(&vs, course.optimizer.clone());
    let variables = variables(&vs);
    let threads = tch::get_num_threads();
    let copies = usize::try_from(threads).unwrap_or(1).min(training.most_parts()).max(1) - 1;
    let best = std::thread::scope(|scope| {
        let mut replicas = Replicas::start(scope, copies, || learner(training));
        epochs.run(
            key,
            saved,
            &mut optimizer,
            |epoch, take| {
                // Dropout draws the same masks when an epoch is the first after an interruption.
                tch::manual_seed(course.seed.wrapping_add(epoch as u64) as i64);
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
            |weights| training.judge(weights),
        )
    })?;
    if let serde_json::Value::Object(provenance) = &mut provenance {
        let recipe = serde_json::to_value(training.recipe()).expect("a recipe is plain data");
        provenance.insert("recipe".to_owned(), recipe);
        provenance.insert("best_epoch".to_owned(), best.epoch.into());
    }
    let figures = training.finish(&best.weights, provenance, &paths.output)?;
    resume::remove(&paths.state)?;
    Ok(Trained {
        best_epoch: best.epoch,
        figures,
        parameters: T::parameters(&network),
        seconds: began.elapsed().as_secs_f64(),
    })
}

/// A replica of the network, whose weights arrive with every part of a batch.
fn learner<T: Training>(training: &T) -> Learner<'_, (At, f64, T::Batch)> {
    let (vs, network) = training.network().expect("the same network was constructed before");
    Learner {
        variables: variables(&vs),
        learn: Box::new(move |(at, share, part)| training.learn(&network, part, *at, *share)),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use serde::Deserialize;
    use tch::{Device, Kind, nn};

    use super::*;
    use crate::error::Error;
    use crate::progress::TrainingEvent;

    /// Moves one variable towards zero.
    struct Line(OptimizerConfig);

    #[derive(PartialEq, Serialize, Deserialize)]
    struct Key {
        width: i64,
    }

    impl Training for Line {
        type Network = Tensor;
        type Batch = Tensor;
        type Key = Key;
        type Recipe = OptimizerConfig;
        type Figures = Vec<f32>;

        fn course(&self) -> Course<'_> {
            Course { epochs: 3, steps_per_epoch: 2, seed: 1, optimizer: &self.0 }
        }
        fn recipe(&self) -> &OptimizerConfig {
            &self.0
        }
        fn key(&self) -> Key {
            Key { width: 2 }
        }
        fn network(&self) -> Result<(VarStore, Tensor)> {
            let vs = VarStore::new(Device::Cpu);
            let x = vs.root().var("x", &[2], nn::Init::Const(3.0));
            Ok((vs, x))
        }
        fn parameters(network: &Tensor) -> u64 {
            network.numel() as u64
        }
        fn batches(
            &self,
            _: &Tensor,
            _: usize,
            learn: &mut dyn FnMut(usize, Tensor) -> Result<()>,
        ) -> Result<()> {
            (0..2).try_for_each(|step| learn(step, Tensor::ones([2], tch::kind::FLOAT_CPU)))
        }
        fn loss(&self, x: &Tensor, batch: &Tensor, _: At) -> Tensor {
            (x * batch).square().sum(Kind::Float)
        }
        fn judge(&self, weights: &BTreeMap<String, Tensor>) -> Result<Verdict> {
            let score = -weights["x"].abs().sum(Kind::Float).double_value(&[]);
            Ok(Verdict { score, detail: String::new() })
        }
        fn finish(
            &self,
            weights: &BTreeMap<String, Tensor>,
            _: serde_json::Value,
            _: &Path,
        ) -> Result<Vec<f32>> {
            Ok(Vec::try_from(&weights["x"]).expect("flat"))
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
        let training = Line(OptimizerConfig::default());
        let copied = Cell::new(0);
        let go = |name: &str, progress: &dyn Progress| {
            let paths = TrainPaths::of(folder.path().join(name));
            run(&training, &paths, serde_json::json!({}), progress, |_, x| {
                copied.set(copied.get() + 1);
                let _ = tch::no_grad(|| x.shallow_clone().fill_(5.0));
                Ok(())
            })
        };
        let straight = go("straight", &crate::progress::Silent).expect("runs").figures;
        assert_eq!(copied.replace(0), 1);
        assert!(matches!(go("resumed", &StopsOnce::default()), Err(Error::Interrupted)));
        assert_eq!(copied.replace(0), 1);
        let resumed = go("resumed", &crate::progress::Silent).expect("resumes").figures;
        assert_eq!((copied.get(), resumed), (0, straight));
    }
}
