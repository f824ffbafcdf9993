//! Music into stems: vocals and what accompanies them, or what else a model was trained for.
//!
//! [`StemSeparator`] loads one model or several that are averaged, and separates whole mixes or
//! streams; how long mixes are cut is the reference's rule, in [`Demixer`].

mod demix;
mod model;
mod separator;
mod session;

pub use crate::arch::mel_roformer::{DemixConfig, EndRule, StemsCard};
pub use demix::Demixer;
pub use model::{Augment, StemsModel};
pub use separator::{StemSeparator, StemsOptions};
pub use session::{StemsBlock, StemsSession};
