//! Networks, checkpoints and tasks.

pub mod arch;
pub mod checkpoint;
pub mod compute;
pub mod decoding;
pub mod error;
pub mod model;
pub mod network;
pub mod nn;
pub mod params;
pub mod registry;
pub mod source;
mod task_info;
pub mod tasks;
pub mod text;

pub use error::{Error, Result};
pub use model::{Arch, Model};
pub use source::{DeviceChoice, LoadOptions, ModelSource, Precision};
