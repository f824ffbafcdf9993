//! Where audio comes from: one trait, and a file for each kind of source.

mod file;
mod live;
#[cfg(feature = "microphone")]
mod microphone;
pub mod mock;
mod push;
mod stream;

use std::time::{Duration, Instant};

use formant_audio_core::{AudioBuf, AudioSpec, Warning};
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::event::GapCause;

pub use file::{FilePace, FileSource};
pub use live::{Backend, LiveSource, OnLoss, Opened, Wanted};
#[cfg(feature = "microphone")]
pub use microphone::Microphones;
pub use push::{PushSource, Pusher, push_source};
pub use stream::StreamSource;

/// Whether a source waits for who listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pace {
    /// It goes on, heard or not: who is too slow loses audio.
    Live,
    /// It waits: nothing is ever lost.
    Elastic,
}

/// What a source says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamInfo {
    /// The device, file or stream.
    pub name: String,
    /// Rate and layout of the audio to come.
    pub spec: AudioSpec,
    /// Whether it waits.
    pub pace: Pace,
}

/// What a source gives.
#[derive(Debug, Clone)]
pub enum Reading {
    /// Audio, and when its last frame was captured.
    Audio {
        /// The frames; rate and layout may differ from those of the block before.
        block: AudioBuf,
        /// When the last of them was captured.
        captured: Instant,
    },
    /// Frames at the current rate that were not heard.
    Missing {
        /// Their number.
        frames: u64,
        /// Why.
        cause: GapCause,
    },
    /// Nothing yet.
    Waiting,
    /// The device is gone. The source looks for one, and says when there is one, or ends.
    Lost {
        /// What was seen.
        reason: String,
    },
    /// There is a device again, described by [`Source::info`].
    Resumed {
        /// Time without one.
        away: Duration,
    },
    /// The device is gone for good.
    Gone,
    /// There is no more audio.
    End,
}

/// A source of audio.
pub trait Source: Send {
    /// What it is, now.
    fn info(&self) -> StreamInfo;

    /// What comes next, waiting for it no longer than about `patience`.
    ///
    /// # Errors
    /// When the source can't go on.
    fn read(&mut self, patience: Duration) -> Result<Reading>;

    /// What was odd about it so far.
    fn warnings(&mut self) -> &[Warning] {
        &[]
    }
}
