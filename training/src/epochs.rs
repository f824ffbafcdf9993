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
use crate::progress::{Event, Progress};
use crate::resume::{self, Saved};

/// How long a training is and where it keeps its state.
pub(crate) struct Epochs<'a> {
    pub(crate) epochs: usize,
    pub(crate) steps_per_epoch: usize,
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
    /// The state of a run that was stopped, whosever it is.
    pub(crate) fn saved<K: DeserializeOwned>(&self) -> Option<Saved<Record<K>>> {
        resume::load(self.state)
    }

    /// Runs all epochs, or those that `saved` has left where it belongs to the training `of`.
    ///
    /// `learn` gives every step of an epoch to what it is handed; `weights` are those to judge.
    ///
    /// # Errors
    /// [`Error::Interrupted`] when the progress asks to stop, and what the closures and writing
    /// the state say.
    pub(crate) fn run<K: Serialize + PartialEq>(
        &self,
        of: K,
        saved: Option<Saved<Record<K>>>,
        optimizer: &mut AdamW,
        mut learn: impl FnMut(usize, Take<'_>) -> Result<()>,
        weights: impl Fn(&AdamW) -> BTreeMap<String, Tensor>,
        judge: impl Fn(&BTreeMap<String, Tensor>) -> Result<Verdict>,
    ) -> Result<Best> {
        let mut record =
            Record { of, epoch: 0, steps: 0, best_epoch: 0, best_score: f64::NEG_INFINITY };
        let mut best = None;
        if let Some(saved) = saved {
            let found = saved.record;
            let own = found.of == record.of && optimizer.restore(&saved.optimizer, found.steps);
            let text = if own {
                best = (!saved.best.is_empty()).then_some(saved.best);
                record = found;
                format!("going on after epoch {}", record.epoch)
            } else {
                format!("{} belongs to another recipe and is not used", self.state.display())
            };
            self.progress.event(&Event::Note { text });
        }
        for epoch in record.epoch..self.epochs {
            let loss = self.epoch(epoch, optimizer, &mut learn)?;
            let averaged = weights(optimizer);
            let Verdict { score, detail } = judge(&averaged)?;
            let is_best = score > record.best_score;
            if is_best {
                record.best_score = score;
                record.best_epoch = epoch + 1;
                best = Some(averaged);
            }
            record.epoch = epoch + 1;
            record.steps = optimizer.steps();
            resume::save(self.state, &record, optimizer, best.as_ref())?;
            self.progress.event(&Event::Epoch {
                epoch: epoch + 1,
                epochs: self.epochs,
                loss,
                score,
                best: is_best,
                seconds: self.began.elapsed().as_secs_f64(),
                detail,
            });
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
            self.progress.event(&Event::Step {
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
