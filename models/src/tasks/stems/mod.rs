//! Music into stems: vocals and what accompanies them, or what else a model was trained for.
//!
//! [`StemSeparator`] loads one model or several that are averaged, and separates whole mixes or
//! streams; how long mixes are cut is the reference's rule, in [`Demixer`].

mod demix;
mod model;
mod separator;

use crate::checkpoint::Architecture;

pub use crate::arch::mel_roformer::{DemixConfig, EndRule, StemsCard};
pub use demix::Demixer;
pub use model::{Augment, StemsModel};
pub use separator::{StemSeparator, StemsBlock, StemsOptions, StemsSession};

/// The architectures whose checkpoints [`StemSeparator`] runs.
pub const ARCHITECTURES: &[Architecture] = &[Architecture::MelRoformer];
