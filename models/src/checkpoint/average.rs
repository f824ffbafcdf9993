//! Means of the weights of several checkpoints of one network.
//!
//! Source: Wortsman et al., "Model soups" (ICML 2022), section 2: fine-tuned weights that began at
//! the same ones are averaged, at no cost when the network runs.

use std::path::{Path, PathBuf};

use super::clean::{WeightNorm, clean};
use super::container::Container;
use super::state_dict::StateDict;
use super::tensor::RawTensor;
use crate::error::{Error, Result};

/// A checkpoint that goes into a mean.
#[derive(Debug, Clone, PartialEq)]
pub struct Share {
    /// The checkpoint's file or folder.
    pub path: PathBuf,
    /// How much of the mean is its, between 0 and 1.
    pub share: f64,
}

/// Makes the float tensors of `state`, read from `input`, means with those of `others`, all cleaned
/// alike; what the shares of the others leave is its own. Other tensors stay.
///
/// # Errors
/// [`Error::Config`] for shares that are not between 0 and 1, or not less than 1 in all;
/// [`Error::Unsupported`] for a checkpoint of other tensors; what reading one says.
pub(super) fn average(
    state: &mut StateDict,
    input: &Path,
    others: &[Share],
    weight_norm: WeightNorm,
) -> Result<()> {
    let total: f64 = others.iter().map(|other| other.share).sum();
    let own = 1.0 - total;
    if others.iter().any(|other| !(other.share > 0.0 && other.share < 1.0)) || own < 1e-9 {
        let reason = "shares lie between 0 and 1, and leave something to the input";
        return Err(Error::config("average", reason));
    }
    let unlike = |path: &Path, what: String| Error::Unsupported {
        path: path.to_path_buf(),
        reason: format!("{what}; only checkpoints of one network have a mean"),
    };
    let mut cleaned = Vec::new();
    for Share { path, share } in others {
        let mut other = Container::open(path)?.state_dict()?.clone();
        clean(&mut other, weight_norm)?;
        if other.len() != state.len() {
            let what = format!("{} tensors, not {}", other.len(), state.len());
            return Err(unlike(path, what));
        }
        cleaned.push((path, share, other));
    }
    for (name, tensor) in state.tensors.iter_mut().filter(|(_, tensor)| tensor.dtype().is_float()) {
        let values = tensor.to_f32_vec().map_err(|fault| fault.at(input))?;
        let mut sum: Vec<f64> = values.into_iter().map(|x| own * f64::from(x)).collect();
        for (path, share, other) in &cleaned {
            let no_tensor = || unlike(path, format!("no tensor `{name}`"));
            let found = other.get(name).ok_or_else(no_tensor)?;
            if found.shape() != tensor.shape() || !found.dtype().is_float() {
                return Err(unlike(path, format!("another size or type of `{name}`")));
            }
            let values = found.to_f32_vec().map_err(|fault| fault.at(path))?;
            sum.iter_mut().zip(values).for_each(|(sum, x)| *sum += *share * f64::from(x));
        }
        let mean: Vec<f32> = sum.into_iter().map(|x| x as f32).collect();
        *tensor = RawTensor::from_f32(tensor.shape().to_vec(), &mean)
            .and_then(|mean| mean.to_float(tensor.dtype()))
            .map_err(|fault| fault.at(input))?;
    }
    Ok(())
}
