//! Names of models: weights that are part of the program.

mod bundled;

pub use bundled::{BUNDLED, Bundled, bundled};

use crate::checkpoint::{self, StateDict};
use crate::error::{Error, Result};
use crate::source::ModelSource;

/// Reads the weights that a source names.
///
/// # Errors
/// [`Error::Config`] for a name that does not exist, and what reading says.
pub fn read_weights(source: &ModelSource) -> Result<StateDict> {
    match source {
        ModelSource::Path(path) => checkpoint::read_state_dict(path),
        ModelSource::Bundled(name) => {
            let model = bundled(name)?;
            checkpoint::read_bytes(model.bytes()?, &format!("bundled model {name}"))
        }
        ModelSource::Published(name) => Err(Error::config(
            "model",
            format!("`{name}` is not in the cache; give the path of a checkpoint file instead"),
        )),
    }
}
