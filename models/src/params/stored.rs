//! The tensors of a checkpoint, given out one by one to the constructors of a network.

use std::cell::RefCell;
use std::collections::HashSet;
use std::path::Path;

use tch::{Device, Kind, Tensor};

use crate::checkpoint::{
    FitOptions, LoadReport, Outcome, RawTensor, StateDict, WrongShape, clean_names, glob,
    weight_norm,
};
use crate::error::{Error, Result};

/// Most problems that a survey lists: a config of another network, or one that asks for a million
/// layers, is told from a few of them.
const MOST_PROBLEMS: usize = 1000;

/// A checkpoint whose tensors a network takes. Wrapper prefixes are tried with and without; weight
/// normalisation is folded where the network has a plain weight.
#[derive(Debug)]
pub struct Stored {
    /// The names without wrappers, as they are, and with `model.` in front of each.
    candidates: [StateDict; 3],
    ignore: Vec<String>,
    task: Task,
    progress: RefCell<Progress>,
}

/// What a network takes tensors for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Task {
    /// To compute with them; the first that does not fit ends it.
    Compute,
    /// To list all that does not fit; nothing is read, and tensors occupy no memory.
    Survey,
}

#[derive(Debug, Default)]
struct Progress {
    /// Which candidate has the network's names; known from the first tensor that is found.
    chosen: Option<usize>,
    taken: HashSet<String>,
    report: LoadReport,
}

impl Progress {
    fn of(path: &Path) -> Self {
        let report = LoadReport { path: path.to_owned(), ..LoadReport::default() };
        Self { report, ..Self::default() }
    }

    fn problems(&self) -> usize {
        self.report.missing.len() + self.report.wrong_shape.len()
    }
}

impl Stored {
    /// A checkpoint to take tensors from.
    ///
    /// # Errors
    /// When tensors that have to be compared can't be read.
    pub fn new(state: &StateDict, options: &FitOptions) -> Result<Self> {
        let mut plain = state.clone();
        weight_norm::use_old_names(&mut plain);
        let mut cleaned = state.clone();
        clean_names(&mut cleaned).map_err(|fault| fault.at(&state.path))?;
        weight_norm::use_old_names(&mut cleaned);
        let wrapped = cleaned.prefixed("model.");
        Ok(Self {
            candidates: [cleaned, plain, wrapped],
            ignore: options.ignore.clone(),
            task: Task::Compute,
            progress: RefCell::new(Progress::of(&state.path)),
        })
    }

    /// The same checkpoint from the beginning, to list all that does not fit: what is taken from it
    /// has the right shapes, no values and no memory, and [`Stored::finish`] has the list.
    #[must_use]
    pub fn into_survey(self) -> Self {
        let path = self.candidates[0].path.clone();
        Self { task: Task::Survey, progress: RefCell::new(Progress::of(&path)), ..self }
    }

    /// The names of the checkpoint in the form in which the network has them.
    fn state(&self, progress: &mut Progress, name: &str) -> &StateDict {
        if progress.chosen.is_none() {
            progress.chosen = self.candidates.iter().position(|state| find(state, name).is_some());
        }
        &self.candidates[progress.chosen.unwrap_or(0)]
    }

    /// The parameter `name`, 32-bit.
    pub(crate) fn take(&self, name: &str, shape: &[i64], device: Device) -> Result<Tensor> {
        let progress = &mut *self.progress.borrow_mut();
        let state = self.state(progress, name);
        match fit(state, name, shape) {
            Fit::Fits(found) => {
                progress.report.matched += 1;
                progress.taken.extend(found.names(name));
                if self.task == Task::Survey {
                    return without_memory(shape, device);
                }
                let raw = found.read(name).and_then(|raw| raw.complex_as_pairs());
                raw.map_err(|fault| fault.at(&state.path))?.to_float_tensor(device, &state.path)
            }
            Fit::Missing => {
                progress.report.missing.push(name.to_owned());
                self.misfit(progress, shape, device)
            }
            Fit::WrongShape(found) => {
                progress.taken.insert(name.to_owned());
                let expected = shape.iter().map(|&size| size as usize).collect();
                let found = found.shape().to_vec();
                let wrong = WrongShape { name: name.to_owned(), expected, found };
                progress.report.wrong_shape.push(wrong);
                self.misfit(progress, shape, device)
            }
        }
    }

    /// The tensor `name`, 32-bit; `None` where it may be missing and does not fit.
    pub(crate) fn take_optional(
        &self,
        name: &str,
        shape: &[i64],
        device: Device,
    ) -> Result<Option<Tensor>> {
        if self.is_ignored(name) {
            let progress = &mut *self.progress.borrow_mut();
            let state = self.state(progress, name);
            if !matches!(fit(state, name, shape), Fit::Fits(_)) {
                progress.taken.insert(name.to_owned());
                progress.report.ignored.push(name.to_owned());
                return Ok(None);
            }
        }
        self.take(name, shape, device).map(Some)
    }

    /// The tensor `name` as it is stored; `None` where none of this shape is there.
    pub(crate) fn raw(&self, name: &str, shape: &[i64]) -> Result<Option<RawTensor>> {
        let state = self.state(&mut self.progress.borrow_mut(), name);
        match fit(state, name, shape) {
            Fit::Fits(found) => found.read(name).map(Some).map_err(|fault| fault.at(&state.path)),
            Fit::Missing | Fit::WrongShape(_) => Ok(None),
        }
    }

    /// What a network gets where a tensor does not fit.
    fn misfit(&self, progress: &Progress, shape: &[i64], device: Device) -> Result<Tensor> {
        match self.task {
            Task::Survey if progress.problems() < MOST_PROBLEMS => without_memory(shape, device),
            Task::Survey | Task::Compute => Err(Error::Mismatch(Box::new(progress.report.clone()))),
        }
    }

    fn is_ignored(&self, name: &str) -> bool {
        self.ignore.iter().any(|pattern| glob::matches(pattern, name))
    }

    /// Ends the loading.
    ///
    /// # Errors
    /// [`Error::Mismatch`] when tensors did not fit, or the checkpoint has some that the network did
    /// not take.
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

/// A tensor of this shape that is one number.
fn without_memory(shape: &[i64], device: Device) -> Result<Tensor> {
    let one = Tensor::f_zeros(vec![1; shape.len()], (Kind::Float, device))?;
    Ok(one.f_expand(shape, false)?)
}

/// How a checkpoint has a tensor.
enum Fit<'s> {
    Fits(Found<'s>),
    Missing,
    WrongShape(&'s RawTensor),
}

fn fit<'s>(state: &'s StateDict, name: &str, shape: &[i64]) -> Fit<'s> {
    let Some(found) = find(state, name) else { return Fit::Missing };
    let (Found::Plain(shaped) | Found::Normalized { direction: shaped, .. }) = found;
    match has_shape(shaped, shape) {
        true => Fit::Fits(found),
        false => Fit::WrongShape(shaped),
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

impl Found<'_> {
    /// What it is called in the checkpoint, for a network that calls it `name`.
    fn names(&self, name: &str) -> Vec<String> {
        match self {
            Self::Plain(_) => vec![name.to_owned()],
            Self::Normalized { .. } => ["g", "v"].map(|part| format!("{name}_{part}")).to_vec(),
        }
    }

    fn read(&self, name: &str) -> Outcome<RawTensor> {
        match self {
            Self::Plain(raw) => Ok((*raw).clone()),
            Self::Normalized { gain, direction } => weight_norm::fold_pair(name, gain, direction),
        }
    }
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
