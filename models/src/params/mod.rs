//! Where the tensors of a network come from: random variables (training), or the tensors of a
//! checkpoint, handed over by name and shape (inference). What a network does with them is in
//! `arch`; which file they were in is the business of `checkpoint`.

mod store;
mod stored;
mod weight;

use std::cell::Cell;
use std::ops::Div;
use std::rc::Rc;

use tch::nn::{self, Init};
use tch::{Device, Kind, Tensor};

pub use store::SharedStore;
pub use stored::Stored;
pub use weight::Weight;

use crate::error::{Error, Result};

/// A place in the tree of a network's parameters. The constructor of a layer asks its place for
/// each tensor by name and shape:
///
/// ```
/// use formant_models::params::{Params, Weight};
/// use tch::nn::Init;
///
/// struct Gain {
///     weight: Weight, // [channels]
/// }
///
/// impl Gain {
///     fn new(params: &Params<'_>, channels: i64) -> formant_models::Result<Self> {
///         Ok(Self { weight: params.get("weight", &[channels], Init::Const(1.0))? })
///     }
/// }
///
/// # fn main() -> formant_models::Result<()> {
/// let store = tch::nn::VarStore::new(tch::Device::Cpu);
/// let gain = Gain::new(&Params::random(&store.root()).sub("blocks.0"), 4)?;
/// assert_eq!(gain.weight.size(), [4]);
/// assert!(store.variables().contains_key("blocks.0.weight"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Params<'a> {
    path: nn::Path<'a>,
    stored: Option<&'a Stored>,
    /// Elements of the parameters that were handed out, shared by all places of the tree.
    elements: Rc<Cell<u64>>,
}

impl<'a> Params<'a> {
    /// Trainable variables with random values, registered under `path`.
    #[must_use]
    pub fn random(path: &nn::Path<'a>) -> Self {
        Self { path: path.clone(), stored: None, elements: Rc::default() }
    }

    /// Tensors of a checkpoint, registered under `path`.
    #[must_use]
    pub fn stored(path: &nn::Path<'a>, stored: &'a Stored) -> Self {
        Self { path: path.clone(), stored: Some(stored), elements: Rc::default() }
    }

    /// The place `name` below this one; dots separate levels.
    #[must_use]
    pub fn sub(&self, name: impl ToString) -> Self {
        let name = name.to_string();
        let path = name.split('.').fold(self.path.clone(), |path, segment| path / segment);
        Self { path, stored: self.stored, elements: Rc::clone(&self.elements) }
    }

    /// Elements of all parameters so far, here and elsewhere in the tree; buffers do not count.
    #[must_use]
    pub fn elements(&self) -> u64 {
        self.elements.get()
    }

    /// The device on which the tensors are.
    #[must_use]
    pub fn device(&self) -> Device {
        self.path.device()
    }

    /// The parameter `name` of this shape. `init` fills a random one.
    ///
    /// # Errors
    /// [`Error::Mismatch`] when the checkpoint lacks it or has another shape, before any memory is
    /// asked for; [`Error::Config`] for an impossible shape; errors of reading.
    pub fn get(&self, name: &str, shape: &[i64], init: Init) -> Result<Weight> {
        let full_name = self.path.path(name);
        check_shape(&full_name, shape)?;
        let tensor = match self.stored {
            Some(stored) => {
                self.path.add(name, stored.take(&full_name, shape, self.device())?, false)
            }
            None => self.path.f_var(name, shape, init)?,
        };
        self.elements.set(self.elements.get() + tensor.numel() as u64);
        Ok(tensor.into())
    }

    /// [`Params::get`] that begins with ones.
    ///
    /// # Errors
    /// As [`Params::get`].
    pub fn ones(&self, name: &str, shape: &[i64]) -> Result<Weight> {
        self.get(name, shape, Init::Const(1.0))
    }

    /// [`Params::get`] that begins with zeros.
    ///
    /// # Errors
    /// As [`Params::get`].
    pub fn zeros(&self, name: &str, shape: &[i64]) -> Result<Weight> {
        self.get(name, shape, Init::Const(0.0))
    }

    /// A tensor that is stored with the weights and not trained. `values` makes it for a random
    /// network, and for a checkpoint that may lack it (its name is among the ignored ones).
    ///
    /// # Errors
    /// As [`Params::get`].
    pub fn buffer(
        &self,
        name: &str,
        shape: &[i64],
        values: impl FnOnce() -> Tensor,
    ) -> Result<Weight> {
        let full_name = self.path.path(name);
        check_shape(&full_name, shape)?;
        let from_file = match self.stored {
            Some(stored) => stored.take_optional(&full_name, shape, self.device())?,
            None => None,
        };
        let tensor = match from_file {
            Some(tensor) => tensor,
            None => values().f_to_device(self.device())?.f_to_kind(Kind::Float)?,
        };
        debug_assert_eq!(tensor.size(), shape, "{full_name}");
        Ok(self.path.add(name, tensor, false).into())
    }
}

impl<'a, S: ToString> Div<S> for &Params<'a> {
    type Output = Params<'a>;

    fn div(self, name: S) -> Params<'a> {
        self.sub(name)
    }
}

impl<'a, S: ToString> Div<S> for Params<'a> {
    type Output = Params<'a>;

    fn div(self, name: S) -> Params<'a> {
        self.sub(name)
    }
}

/// Refuses sizes below one, and more elements than fit the address space.
fn check_shape(name: &str, shape: &[i64]) -> Result<()> {
    let elements = shape.iter().try_fold(4i64, |n, &size| n.checked_mul(size.max(0)));
    if elements.is_none() || shape.iter().any(|&size| size < 1) {
        let reason =
            format!("no tensor has the shape {shape:?}; the sizes of the config are wrong");
        return Err(Error::config(name, reason));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::{FitOptions, RawTensor, StateDict};
    use tch::nn::VarStore;

    fn state(entries: &[(&str, &[usize])]) -> StateDict {
        let mut state = StateDict::default();
        for (name, shape) in entries {
            let values: Vec<f32> = (0..shape.iter().product()).map(|i| i as f32).collect();
            state.insert(*name, RawTensor::from_f32(shape.to_vec(), &values).expect("fits"));
        }
        state
    }

    fn stored(state: &StateDict) -> Stored {
        Stored::new(state, &FitOptions::default()).expect("readable")
    }

    #[test]
    fn tensors_are_handed_over_by_name_and_shape() {
        let stored = stored(&state(&[("a.0.weight", &[2, 3])]));
        let store = VarStore::new(Device::Cpu);
        let params = Params::stored(&store.root(), &stored);
        let weight = (&params / "a" / 0).zeros("weight", &[2, 3]).expect("there");
        assert_eq!(weight.double_value(&[1, 2]), 5.0);
        assert!(!weight.requires_grad());
        assert!(stored.finish().expect("all taken").is_clean());
    }

    #[test]
    fn other_shapes_and_missing_tensors_are_refused_before_memory_is_asked_for() {
        let stored = stored(&state(&[("weight", &[2])]));
        let store = VarStore::new(Device::Cpu);
        let params = Params::stored(&store.root(), &stored);
        for (name, shape) in [("weight", 1i64 << 40), ("bias", 2)] {
            let error = params.zeros(name, &[shape]).expect_err("not there");
            assert!(matches!(&error, Error::Mismatch(_)), "{error}");
            assert!(error.to_string().contains(name), "{error}");
        }
        for shape in [&[0][..], &[-1], &[1 << 31, 1 << 31, 4]] {
            assert!(matches!(params.zeros("weight", shape), Err(Error::Config { .. })));
        }
        assert!(matches!(stored.finish(), Err(Error::Mismatch(_))), "`weight` was not taken");
    }

    #[test]
    fn weight_norm_is_folded_where_the_network_has_a_plain_weight() {
        let stored = stored(&state(&[("up.weight_g", &[2, 1]), ("up.weight_v", &[2, 2])]));
        let store = VarStore::new(Device::Cpu);
        let params = Params::stored(&store.root(), &stored).sub("up");
        let weight = params.zeros("weight", &[2, 2]).expect("folded");
        // g = [0, 1], v = [[0, 1], [2, 3]]
        assert_eq!(weight.double_value(&[0, 1]), 0.0);
        assert!((weight.double_value(&[1, 0]) - 2.0 / 13f64.sqrt()).abs() < 1e-6);
        assert!(stored.finish().expect("all taken").is_clean());
    }

    #[test]
    fn wrappers_may_be_there_or_not() {
        for (file, network) in [
            ("module.a.weight", "a.weight"),
            ("a.weight", "model.a.weight"),
            ("model.1.weight", "model.1.weight"),
        ] {
            let stored = stored(&state(&[(file, &[2])]));
            let store = VarStore::new(Device::Cpu);
            let place = network.trim_end_matches(".weight");
            let params = Params::stored(&store.root(), &stored).sub(place);
            params.zeros("weight", &[2]).expect("found");
            assert!(stored.finish().expect("all taken").is_clean(), "{file}");
        }
    }

    #[test]
    fn a_buffer_that_may_be_missing_is_made() {
        let options = FitOptions::default().ignoring(&["*freqs"]);
        let stored = Stored::new(&state(&[]), &options).expect("readable");
        let store = VarStore::new(Device::Cpu);
        let params = Params::stored(&store.root(), &stored);
        let made = || Tensor::from_slice(&[1.0f32, 2.0]);
        assert_eq!(params.buffer("freqs", &[2], made).expect("made").double_value(&[1]), 2.0);
        assert!(params.buffer("table", &[2], made).is_err());
    }
}
