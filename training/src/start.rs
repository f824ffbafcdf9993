//! Beginning with the weights of a trained model.

use formant_models::model::{Arch, Model};
use tch::Tensor;
use tch::nn::VarStore;

use crate::error::{Error, Result};

/// What copies all weights of a model to begin with, where there is one; its errors are those of
/// [`copy_weights`].
pub(crate) fn begin_from<A: Arch, N>(
    start: Option<&Model<A>>,
) -> impl FnOnce(&VarStore, &N) -> Result<()> {
    move |store, _| {
        let Some(start) = start else { return Ok(()) };
        let given = start.weights();
        copy_weights(store, |_| true, |name| given.get(name))
    }
}

/// Copies the weights that `given` finds by name into the variables of a new network of the same
/// sizes; variables that are not `wanted` stay as they are.
///
/// # Errors
/// [`Error::Config`] when one is missing or has another shape.
pub(crate) fn copy_weights<'a>(
    store: &VarStore,
    wanted: impl Fn(&str) -> bool,
    given: impl Fn(&str) -> Option<&'a Tensor>,
) -> Result<()> {
    for (name, mut variable) in store.variables() {
        if !wanted(&name) {
            continue;
        }
        match given(&name) {
            Some(weight) if weight.size() == variable.size() => {
                tch::no_grad(|| variable.copy_(weight));
            }
            _ => {
                let reason = "the model to start from has other sizes than the recipe".to_owned();
                return Err(Error::Config { setting: "network", reason });
            }
        }
    }
    Ok(())
}
