//! formant: an audio and speech toolkit.

pub use formant_audio_core as audio;
pub use formant_models as models;
pub use formant_streaming as streaming;
pub use formant_training as training;
