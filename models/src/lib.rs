//! Networks, checkpoints and tasks.

pub mod arch;
pub mod error;
pub mod network;
pub mod nn;

pub use error::{Error, Result};
