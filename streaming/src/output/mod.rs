//! Where a task's audio goes to be heard: an output device behind a ring, and what counts when it
//! has nothing to play. Files are written by `record`.

#[cfg(feature = "microphone")]
mod device;
mod drift;
pub mod feed;
mod player;
mod varispeed;

use std::any::Any;

#[cfg(feature = "microphone")]
pub use device::Outputs;
pub use player::Player;

/// An output device that plays until this is dropped.
pub struct OpenedOutput {
    /// A name that opens the same device again.
    pub name: String,
    /// The rate at which it plays, in Hz.
    pub rate: u32,
    /// Where its audio goes in.
    pub feed: feed::Feed,
    /// What keeps it going.
    pub stream: Box<dyn Any + Send>,
}
