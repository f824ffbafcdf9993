//! formant: an audio and speech toolkit.

pub use formant_audio_core as audio;
