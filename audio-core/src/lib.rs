//! The part of formant that knows sound but no neural network.
//!
//! The life of a sound, in the order in which one meets the modules: [`buffer`] holds samples and
//! [`layout`] says which channel is which; everything a caller can do wrong or be told about is in
//! [`error`] and [`warning`]. [`decode`] reads files and streams, [`encode`] writes files.

pub mod buffer;
pub mod decode;
pub mod encode;
pub mod error;
pub mod layout;
pub mod level;
pub mod metrics;
pub mod plot;
pub mod warning;

pub use buffer::{AudioBuf, AudioSpec, AudioView};
pub use error::{Error, Result};
pub use layout::ChannelLayout;
pub use warning::Warning;
