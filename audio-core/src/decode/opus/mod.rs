//! Opus: headers and packets of every container.
//!
//! Opus always decodes at 48 kHz, whatever rate the header names for the encoder's input; callers
//! resample.

mod head;
mod packets;

pub(super) use head::OpusHead;
pub(super) use packets::OpusPackets;

/// The rate at which Opus decodes, in Hz.
pub(super) const RATE: u32 = 48_000;
