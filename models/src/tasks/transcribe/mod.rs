//! Speech recognition: audio of any length in, words with times out, in bounded memory.
//!
//! [`Transcriber`] cuts at pauses, runs a CTC network on what is spoken, joins what had to be cut
//! inside of speech, and decodes. Search and language models are in [`crate::decoding`].

mod aligned;
mod batch;
mod cutter;
mod decoder;
mod joiner;
mod network;
mod quality;
mod session;
mod squeezeformer;
mod transcriber;
mod transcript;

pub use aligned::Aligned;
pub use network::{BatchPadding, CtcNetwork};
pub use quality::{Decoding, ErrorRates, MeasuredQuality};
pub use session::{TranscribeSession, TranscriptEvent};
pub use transcriber::{Segmentation, TranscribeOptions, Transcriber};
pub use transcript::{Alternative, Segment, Transcript, Word};
