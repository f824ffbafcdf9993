//! The course that all trainings take: epochs of steps, validation of the averaged weights, the
//! best of them kept, and a state after each epoch to go on from.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::error::{Error, Result};
use crate::optim::AdamW;
use crate::progress::{Progress, TrainingEvent};
use crate::resume::{self, Saved};

/// How long a training is and where it keeps its state.
pub(crate) struct Epochs<'a> {
    pub(crate) epochs: usize,
    pub(crate) steps_per_epoch: usize,
    /// Epochs without a higher score after which training ends early.
    pub(crate) patience: Option<usize>,
    pub(crate) state: &'a Path,
    pub(crate) began: Instant,
    pub(crate) progress: &'a dyn Progress,
}

/// What is needed, besides tensors, to go on. `of` says whose state it is.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Record<K> {
    #[serde(flatten)]
    of: K,
    epoch: usize,
    steps: u64,
    best_epoch: usize,
    best_score: f64,
    /// The last epoch with a higher score than all before it; a tie is none.
    #[serde(default)]
    gained_epoch: usize,
}

/// What the weights of an epoch are worth; a higher score is better.
pub(crate) struct Verdict {
    pub(crate) score: f64,
    pub(crate) detail: String,
}

/// The weights that were kept, and their epoch, from 1.
pub(crate) struct Best {
    pub(crate) epoch: usize,
    pub(crate) weights: BTreeMap<String, Tensor>,
}

/// Takes a step: its number in the epoch, and what adds its gradients to those of the variables and
/// returns its loss.
pub(crate) type Take<'a> = &'a mut dyn FnMut(usize, Box<dyn FnOnce() -> f64 + '_>) -> Result<()>;

/// The gradients of `loss`, and its value.
pub(crate) fn backward(loss: &Tensor) -> f64 {
    loss.backward();
    loss.double_value(&[])
}

impl Epochs<'_> {
    /// The state of the training `of` where it was stopped; another training's is left alone.
    pub(crate) fn saved<K>(&self, of: &K) -> Option<Saved<Record<K>>>
    where
        K: DeserializeOwned + PartialEq,
    {
        let saved: Saved<Record<K>> = resume::load(self.state)?;
        if saved.record.of == *of {
            return Some(saved);
        }
        self.not_used();
        None
    }

    fn not_used(&self) {
        let text = format!("{} belongs to another recipe and is not used", self.state.display());
        self.progress.event(&TrainingEvent::Note { text });
    }

    /// Runs all epochs of the training `of`, or those that its `saved` state has left.
    ///
    /// `learn` gives every step of an epoch to what it is handed; `weights` are those to judge, and
    /// `keep` puts the best so far where they can be used.
    ///
    /// # Errors
    /// [`Error::Interrupted`] when the progress asks to stop, and what the closures and writing
    /// the state say.
    pub(crate) fn run<K: Serialize>(
        &self,
        (of, saved): (K, Option<Saved<Record<K>>>),
        optimizer: &mut AdamW,
        mut learn: impl FnMut(usize, Take<'_>) -> Result<()>,
        weights: impl Fn(&AdamW) -> BTreeMap<String, Tensor>,
        judge: impl Fn(&BTreeMap<String, Tensor>) -> Result<Verdict>,
        keep: impl Fn(&BTreeMap<String, Tensor>) -> Result<()>,
    ) -> Result<Best> {
        let mut record = Record {
            of,
            epoch: 0,
            steps: 0,
            best_epoch: 0,
            best_score: f64::NEG_INFINITY,
            gained_epoch: 0,
        };
        let mut best = None;
        if let Some(saved) = saved {
            if optimizer.restore(&saved.optimizer, saved.record.steps) {
                best = (!saved.best.is_empty()).then_some(saved.best);
                record = saved.record;
                let text = format!("going on after epoch {}", record.epoch);
                self.progress.event(&TrainingEvent::Note { text });
            } else {
                self.not_used();
            }
        }
        for epoch in record.epoch..self.epochs {
            let loss = self.epoch(epoch, optimizer, &mut learn)?;
            let averaged = weights(optimizer);
            let Verdict { score, detail } = judge(&averaged)?;
            // Of equal scores the later counts: few clips to validate on are soon all right, and the
            // network still learns.
            let is_best = score >= record.best_score;
            if score > record.best_score {
                record.gained_epoch = epoch + 1;
            }
            if is_best {
                record.best_score = score;
                record.best_epoch = epoch + 1;
                keep(&averaged)?;
                best = Some(averaged);
            }
            record.epoch = epoch + 1;
            record.steps = optimizer.steps();
            resume::save(self.state, &record, optimizer, best.as_ref())?;
            self.progress.event(&TrainingEvent::Epoch {
                epoch: epoch + 1,
                epochs: self.epochs,
                loss,
                score,
                best: is_best,
                seconds: self.began.elapsed().as_secs_f64(),
                detail,
            });
            if self.patience.is_some_and(|most| epoch + 1 - record.gained_epoch >= most) {
                let text =
                    format!("no better for {} epochs: done", epoch + 1 - record.gained_epoch);
                self.progress.event(&TrainingEvent::Note { text });
                break;
            }
        }
        let weights = best.unwrap_or_else(|| weights(optimizer));
        Ok(Best { epoch: record.best_epoch, weights })
    }

    /// The steps of one epoch; their mean loss.
    fn epoch(
        &self,
        epoch: usize,
        optimizer: &mut AdamW,
        learn: &mut impl FnMut(usize, Take<'_>) -> Result<()>,
    ) -> Result<f64> {
        let total = (self.epochs * self.steps_per_epoch) as u64;
        let (mut losses, mut recent) = (0.0, f64::NAN);
        learn(epoch, &mut |step, gradients| {
            if self.progress.cancelled() {
                return Err(Error::Interrupted);
            }
            let value = optimizer.step(total, gradients);
            losses += value;
            recent = if recent.is_nan() { value } else { 0.95 * recent + 0.05 * value };
            self.progress.event(&TrainingEvent::Step {
                epoch: epoch + 1,
                step: step + 1,
                steps: self.steps_per_epoch,
                loss: recent,
            });
            Ok(())
        })?;
        Ok(losses / self.steps_per_epoch as f64)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tch::nn::{self, VarStore};
    use tch::{Device, Kind};

    use super::*;
    use crate::optim::OptimizerConfig;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Key {
        recipe: u32,
    }

    #[derive(Default)]
    struct Notes(Mutex<Vec<String>>);

    impl Progress for Notes {
        fn event(&self, event: &TrainingEvent) {
            if let TrainingEvent::Note { text } = event {
                self.0.lock().expect("not poisoned").push(text.clone());
            }
        }
    }

    #[test]
    fn a_state_is_for_its_own_training_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let (state, notes) = (folder.path().join("x.state"), Notes::default());
        let epochs = Epochs {
            epochs: 3,
            steps_per_epoch: 1,
            patience: None,
            state: &state,
            began: Instant::now(),
            progress: &notes,
        };
        let optimizer = |width| {
            let vs = VarStore::new(Device::Cpu);
            let x = vs.root().var("x", &[width], nn::Init::Const(3.0));
            (AdamW::new(&vs, OptimizerConfig::default()), x)
        };
        let key = |recipe| Key { recipe };
        let run = |recipe, width, stop_at: Option<usize>| {
            let (mut optimizer, x) = optimizer(width);
            let mut seen = Vec::new();
            let best = epochs.run(
                (key(recipe), epochs.saved(&key(recipe))),
                &mut optimizer,
                |epoch, take| {
                    if stop_at == Some(epoch) {
                        return Err(Error::Interrupted);
                    }
                    seen.push(epoch);
                    take(0, Box::new(|| backward(&x.square().sum(Kind::Float))))
                },
                AdamW::averaged,
                |_| Ok(Verdict { score: 0.0, detail: String::new() }),
                |_| Ok(()),
            );
            (seen, best.is_ok())
        };
        assert_eq!(run(1, 2, Some(2)), (vec![0, 1], false));
        // Whoever asks for it knows from the answer whether the training begins anew.
        assert!(epochs.saved(&key(2)).is_none() && epochs.saved(&key(1)).is_some());
        assert!(notes.0.lock().expect("not poisoned").concat().contains("another recipe"));
        assert_eq!(run(1, 2, None), (vec![2], true));
        assert_eq!(run(1, 3, None), (vec![0, 1, 2], true), "a state of another network");
        assert_eq!(run(2, 2, None), (vec![0, 1, 2], true), "a state of another recipe");
    }

    #[test]
    fn ties_go_to_the_later_epoch_and_patience_ends_a_training() {
        let folder = tempfile::tempdir().expect("a folder");
        let state = folder.path().join("x.state");
        let epochs = Epochs {
            epochs: 20,
            steps_per_epoch: 1,
            patience: Some(3),
            state: &state,
            began: Instant::now(),
            progress: &crate::progress::Silent,
        };
        let vs = VarStore::new(Device::Cpu);
        let x = vs.root().var("x", &[2], nn::Init::Const(3.0));
        let scores = [0.1, 0.5, 0.5, 0.4, 0.5, 0.9];
        let (epoch, kept) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
        let best = epochs.run(
            (Key { recipe: 1 }, None),
            &mut AdamW::new(&vs, OptimizerConfig::default()),
            |_, take| take(0, Box::new(|| backward(&x.square().sum(Kind::Float)))),
            AdamW::averaged,
            |_| {
                let score = scores[epoch.replace(epoch.get() + 1)];
                Ok(Verdict { score, detail: String::new() })
            },
            |_| {
                kept.set(kept.get() + 1);
                Ok(())
            },
        );
        // Epoch 2 is the last that gained, epoch 5 the last of its score, and the end.
        assert_eq!((best.expect("runs").epoch, epoch.get(), kept.get()), (5, 5, 4));
    }
}
