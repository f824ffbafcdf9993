//! Changes that make a training clip into another clip of the same word, on waveforms and on
//! features. Every draw comes from the caller's generator, so that a seed repeats a run.

mod formants;
mod noise;
mod response;
mod room;
mod spec;
mod spectrum;
mod speed;
mod tone;

pub use formants::move_formants;
pub(crate) use noise::some_noise;
pub use noise::{add_at_snr, colored_noise, power};
pub use room::Room;
pub(crate) use room::put_in_room;
pub use spec::{SpecMasks, mask};
pub(crate) use spectrum::limit_band;
pub use spectrum::low_pass;
pub use speed::change_speed;
pub use tone::change_tone;
