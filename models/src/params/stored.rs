//! The tensors of a checkpoint, given out one by one to the constructors of a network.

use std::cell::RefCell;
use std::collections::HashSet;

use tch::{Device, Tensor};

use crate::checkpoint::{
    Fault, LoadOptions, LoadReport, RawTensor, StateDict, WrongShape, clean_names, glob,
    weight_norm,
};
use crate::error::{Error, Result};

/// Whether the tensors of a network are trained further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Gradients {
    /// They are used as they are.
    #[default]
    None,
    /// Parameters track gradients.
    Tracked,
}

/// A checkpoint whose tensors a network takes. Wrapper prefixes are tried with and without; weight
/// normalisation is folded where the network has a plain weight.
#[derive(Debug)]
pub struct Stored {
    /// The names as they are, without wrappers, and with `model.` in front of each.
    candidates: [StateDict; 3],
    ignore: Vec<String>,
    gradients: Gradients,
    progress: RefCell<Progress>,
}

#[derive(Debug, Default)]
struct Progress {
    /// Which candidate has the network's names; known from the first tensor on.
    chosen: Option<usize>,
    taken: HashSet<String>,
    report: LoadReport,
}

impl Stored {
    /// A checkpoint to take tensors from.
    ///
    /// # Errors
    /// When tensors that have to be compared can't be read.
    pub fn new(state: &StateDict, options: &LoadOptions, gradients: Gradients) -> Result<Self> {
        let mut plain = state.clone();
        weight_norm::use_old_names(&mut plain);
        let mut cleaned = state.clone();
        clean_names(&mut cleaned).map_err(|fault| fault.at(&state.path))?;
        weight_norm::use_old_names(&mut cleaned);
        let wrapped = cleaned.prefixed("model.");
        Ok(Self {
            candidates: [cleaned, plain, wrapped],
            ignore: options.ignore.clone(),
            gradients,
            progress: RefCell::default(),
        })
    }

    pub(super) fn gradients(&self) -> Gradients {
        self.gradients
    }

    /// The names of the checkpoint in the form in which the network has them.
    fn state(&self, progress: &mut Progress, name: &str) -> &StateDict {
        let has = |state: &&StateDict| find(state, name).is_some();
        let chosen = *progress.chosen.get_or_insert_with(|| {
            self.candidates.iter().position(|state| has(&state)).unwrap_or(0)
        });
        &self.candidates[chosen]
    }

    /// The parameter `name`, 32-bit.
    pub(super) fn take(&self, name: &str, shape: &[i64], device: Device) -> Result<Tensor> {
        match self.look_up(name, shape, device)? {
            Some(tensor) => Ok(tensor),
            None => {
                let mut report = self.progress.borrow().report.clone();
                report.missing.push(name.to_owned());
                Err(Error::Mismatch(Box::new(report)))
            }
        }
    }

    /// The buffer `name`, 32-bit; `None` where the checkpoint may lack it and does.
    pub(super) fn take_buffer(
        &self,
        name: &str,
        shape: &[i64],
        device: Device,
    ) -> Result<Option<Tensor>> {
        if self.is_ignored(name) {
            self.look_up(name, shape, device)
        } else {
            self.take(name, shape, device).map(Some)
        }
    }

    fn look_up(&self, name: &str, shape: &[i64], device: Device) -> Result<Option<Tensor>> {
        let progress = &mut *self.progress.borrow_mut();
        let state = self.state(progress, name);
        let at = |fault: Fault| fault.at(&state.path);
        let Some(found) = find(state, name) else { return Ok(None) };
        let (Found::Plain(shaped) | Found::Normalized { direction: shaped, .. }) = found;
        if !has_shape(shaped, shape) {
            return Err(wrong_shape(&progress.report, name, shape, shaped));
        }
        let raw = match found {
            Found::Plain(raw) => {
                progress.taken.insert(name.to_owned());
                raw.clone()
            }
            Found::Normalized { gain, direction } => {
                progress.taken.extend(["g", "v"].map(|part| format!("{name}_{part}")));
                weight_norm::fold_pair(name, gain, direction).map_err(at)?
            }
        };
        progress.report.matched += 1;
        let raw = raw.complex_as_pairs().map_err(at)?;
        raw.to_float_tensor(device, &state.path).map(Some)
    }

    fn is_ignored(&self, name: &str) -> bool {
        self.ignore.iter().any(|pattern| glob::matches(pattern, name))
    }

    /// Ends the loading.
    ///
    /// # Errors
    /// [`Error::Mismatch`] when the checkpoint has tensors that the network did not take.
    pub fn finish(self) -> Result<LoadReport> {
        let progress = self.progress.borrow();
        let mut report = progress.report.clone();
        let state = &self.candidates[progress.chosen.unwrap_or(0)];
        report.steps.clone_from(&state.steps);
        for name in state.names().filter(|&name| !progress.taken.contains(name)) {
            match self.is_ignored(name) {
                true => report.ignored.push(name.to_owned()),
                false => report.unexpected.push(name.to_owned()),
            }
        }
        match report.is_clean() {
            true => Ok(report),
            false => Err(Error::Mismatch(Box::new(report))),
        }
    }
}

#[derive(Clone, Copy)]
enum Found<'s> {
    Plain(&'s RawTensor),
    /// The two factors of a weight-normalised tensor.
    Normalized {
        gain: &'s RawTensor,
        direction: &'s RawTensor,
    },
}

fn find<'s>(state: &'s StateDict, name: &str) -> Option<Found<'s>> {
    if let Some(raw) = state.get(name) {
        return Some(Found::Plain(raw));
    }
    let [gain, direction] = ["g", "v"].map(|part| state.get(&format!("{name}_{part}")));
    Some(Found::Normalized { gain: gain?, direction: direction? })
}

/// Equal shapes; a complex tensor also fits as pairs of floats.
fn has_shape(raw: &RawTensor, shape: &[i64]) -> bool {
    let equal = |found: &[usize], wanted: &[i64]| {
        found.len() == wanted.len() && found.iter().zip(wanted).all(|(f, w)| *f as i64 == *w)
    };
    equal(raw.shape(), shape)
        || raw.dtype().is_complex()
            && shape.split_last().is_some_and(|(pair, rest)| *pair == 2 && equal(raw.shape(), rest))
}

fn wrong_shape(report: &LoadReport, name: &str, shape: &[i64], found: &RawTensor) -> Error {
    let mut report = report.clone();
    report.wrong_shape.push(WrongShape {
        name: name.to_owned(),
        expected: shape.iter().map(|&size| size as usize).collect(),
        found: found.shape().to_vec(),
    });
    Error::Mismatch(Box::new(report))
}
