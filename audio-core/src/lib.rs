//! The part of formant that knows sound but no neural network.
//!
//! The life of a sound, in the order in which one meets the modules: [`decode`] reads it,
//! [`buffer`] holds its samples and [`layout`] says which channel is which; [`level`] measures how
//! loud it is; [`mix`] makes one channel of several; [`resample`] changes its rate; [`chunk`] says where frames and pieces lie, and
//! [`window`], [`stft`], [`mel`] and [`features`] turn it into what networks read; [`plot`] draws
//! it, and [`encode`] writes it, into a [`draft`] that takes its name when it is complete. [`vad`] finds the speech in it, and [`metrics`] say how good a
//! result is.
//! [`mod@pitch`] finds the notes of a voice, [`griffin_lim`] makes sound of mel spectrograms without a network, and
//! [`mel_correction`] brings a vocoder's sound nearer to them.
//! [`tags`] are the texts that travel with it.
//! [`mod@text`] reads the tables and lists that name recordings.
//! Everything a caller can do wrong or be told about is in [`error`] and [`warning`].

pub mod buffer;
pub mod chunk;
pub mod decode;
pub mod draft;
pub mod encode;
pub mod error;
pub mod features;
mod flac;
pub mod griffin_lim;
pub mod layout;
pub mod level;
pub mod mel;
pub mod mel_correction;
pub mod metrics;
pub mod mix;
pub mod pitch;
pub mod plot;
pub mod random;
pub mod resample;
pub mod sanitise;
pub mod spool;
pub mod stft;
pub mod tags;
pub mod text;
pub mod vad;
pub mod warning;
pub mod window;

pub use buffer::{AudioBuf, AudioSpec, AudioView};
pub use error::{Error, Result};
pub use layout::ChannelLayout;
pub use tags::Tags;
pub use warning::Warning;
