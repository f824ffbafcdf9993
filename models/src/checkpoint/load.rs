//! The only part of this module that needs libtorch: raw tensors to and from `tch`, and strict
//! loading into a variable store.

use std::collections::BTreeMap;
use std::path::Path;

use tch::nn::VarStore;
use tch::{Device, Kind, TchError, Tensor};

use super::dtype::DType;
use super::report::{FitOptions, LoadReport};
use super::state_dict::StateDict;
use super::tensor::RawTensor;
use crate::error::{Error, Result};
use crate::params::Stored;

impl From<TchError> for Error {
    fn from(error: TchError) -> Self {
        // libtorch appends its C++ stack; the first line says what happened.
        Self::Torch(error.to_string().lines().next().unwrap_or_default().to_owned())
    }
}

impl DType {
    /// The element type in libtorch.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self {
            Self::F64 => Kind::Double,
            Self::F32 => Kind::Float,
            Self::F16 => Kind::Half,
            Self::BF16 => Kind::BFloat16,
            Self::I64 => Kind::Int64,
            Self::I32 => Kind::Int,
            Self::I16 => Kind::Int16,
            Self::I8 => Kind::Int8,
            Self::U8 => Kind::Uint8,
            Self::Bool => Kind::Bool,
            Self::Complex64 => Kind::ComplexFloat,
        }
    }

    /// From the element type in libtorch; `None` for quantised and other rare types.
    #[must_use]
    pub fn from_kind(kind: Kind) -> Option<Self> {
        Self::all().into_iter().find(|own| own.kind() == kind)
    }
}

/// Elements that are converted at a time. Few, as the gaps that larger temporary blocks leave between
/// the weights cost a third of their size, and as libtorch copies 32,768 and more by all threads.
const STRETCH: usize = 1 << 14;

impl RawTensor {
    /// The tensor in libtorch, on the CPU, with its stored type.
    ///
    /// # Errors
    /// When the file can't be read, or libtorch has no memory for it.
    pub fn to_tensor(&self) -> Result<Tensor> {
        let bytes = self.bytes().map_err(|fault| fault.at(Path::new("tensor")))?;
        let shape: Vec<i64> = self.shape().iter().map(|dim| *dim as i64).collect();
        Ok(Tensor::f_from_data_size(&bytes, &shape, self.dtype().kind())?)
    }

    /// The tensor as 32-bit floats on `device`. A large one is read in stretches, so that beside
    /// the result there is never a second copy of it. `path` names the checkpoint in errors.
    ///
    /// # Errors
    /// When the file can't be read, or libtorch has no memory for it.
    pub fn to_float_tensor(&self, device: Device, path: &Path) -> Result<Tensor> {
        let shape: Vec<i64> = self.shape().iter().map(|dim| *dim as i64).collect();
        let tensor = Tensor::f_empty(&shape, (Kind::Float, Device::Cpu))?;
        let flat = tensor.f_view([-1])?;
        let mut at = 0;
        self.each_stretch(|bytes| {
            let count = (bytes.len() / self.dtype().size()) as i64;
            let stretch = Tensor::f_from_data_size(bytes, &[count], self.dtype().kind())?;
            tch::no_grad(|| {
                flat.f_narrow(0, at, count).and_then(|mut part| part.f_copy_(&stretch))
            })?;
            at += count;
            Ok(())
        })
        .map_err(|error| match error {
            Error::Damaged { reason, .. } => Error::Damaged { path: path.to_owned(), reason },
            Error::Io { source, .. } => Error::Io { path: path.to_owned(), source },
            other => other,
        })?;
        Ok(tensor.f_to_device(device)?)
    }

    /// Gives the contiguous bytes to `each`, whole elements at a time.
    fn each_stretch(&self, mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let fault = |fault: super::fault::Fault| fault.at(Path::new("tensor"));
        let stretch = STRETCH * self.dtype().size();
        match self.in_one_file() {
            Some(source) => {
                let mut from = 0;
                while from < self.byte_len() {
                    let size = stretch.min(self.byte_len() - from);
                    each(&source.read_at(from as u64, size).map_err(|e| fault(e.into()))?)?;
                    from += size;
                }
                Ok(())
            }
            None => self.bytes().map_err(fault)?.chunks(stretch).try_for_each(each),
        }
    }

    /// Copies a tensor out of libtorch.
    ///
    /// # Errors
    /// When its type is none that can be stored, or libtorch fails.
    pub fn from_tensor(tensor: &Tensor) -> Result<Self> {
        let dtype = DType::from_kind(tensor.f_kind()?).ok_or_else(|| {
            Error::config("tensor", format!("{:?} elements can't be stored", tensor.kind()))
        })?;
        let tensor = tensor.f_to_device(Device::Cpu)?.f_contiguous()?;
        let shape = tensor.size().iter().map(|dim| usize::try_from(*dim).unwrap_or(0)).collect();
        let mut bytes = vec![0; tensor.numel() * dtype.size()];
        tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
        Self::from_bytes(dtype, shape, bytes).map_err(|fault| fault.at(Path::new("tensor")))
    }
}

impl StateDict {
    /// All variables of a store, in the order of their names.
    ///
    /// # Errors
    /// When a variable has a type that can't be stored, or libtorch fails.
    pub fn from_var_store(store: &VarStore) -> Result<Self> {
        let variables: BTreeMap<_, _> = store.variables().into_iter().collect();
        let mut state = Self::default();
        for (name, tensor) in variables {
            state.insert(name, RawTensor::from_tensor(&tensor)?);
        }
        Ok(state)
    }
}

/// Copies the tensors of `state` into the variables of `store`, which must be the same names and
/// shapes after the usual wrappers are removed. Types are converted to those of the variables.
/// Nothing is copied unless everything fits.
///
/// # Errors
/// [`Error::Mismatch`] with the whole report when names or shapes differ; errors of reading.
pub fn load_into(
    store: &mut VarStore,
    state: &StateDict,
    options: &FitOptions,
) -> Result<LoadReport> {
    let variables: BTreeMap<_, _> = store.variables().into_iter().collect();
    let survey = Stored::new(state, options)?.into_survey();
    for (name, variable) in &variables {
        survey.take_optional(name, &variable.size(), Device::Cpu)?;
    }
    let report = survey.finish()?;
    let stored = Stored::new(state, options)?;
    for (name, mut variable) in variables {
        let Some(raw) = stored.raw(&name, &variable.size())? else { continue };
        let real = variable.kind() != Kind::ComplexFloat;
        let raw = if real { raw.complex_as_pairs() } else { Ok(raw) };
        let raw = raw.map_err(|fault| fault.at(&state.path))?;
        let tensor = raw.to_tensor().map_err(|error| match error {
            Error::Damaged { reason, .. } => Error::Damaged { path: state.path.clone(), reason },
            other => other,
        })?;
        tch::no_grad(|| variable.f_copy_(&tensor))?;
    }
    Ok(report)
}
