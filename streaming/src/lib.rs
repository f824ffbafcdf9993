//! Live audio: microphones and other sources, tasks that listen to them, and what they tell.
//!
//! A [`Session`] joins a [`source::Source`] with any number of [`task::LiveTask`]s; while it runs, a
//! [`Listening`] gives its [`Event`]s. Between a device's callback and the session lies a
//! lock-free [`ring`], between a task and a device that plays an [`output`]. Audio that could not be
//! heard is always reported as a gap, so that times stay true. Delays are measured from capture to event ([`Stats`]).

mod clock;
pub mod error;
pub mod event;
mod intake;
mod latency;
mod level;
pub mod output;
mod queue;
mod record;
pub mod ring;
mod session;
mod shared;
pub mod source;
mod state;
mod stats;
#[cfg(feature = "microphone")]
mod system;
pub mod task;
mod worker;

pub use error::{Error, Result};
pub use event::Event;
pub use latency::{Latency, Percentiles};
pub use session::{Listening, Session, SessionOptions};
pub use state::State;
pub use stats::{StageStats, Stats};
#[cfg(feature = "microphone")]
pub use system::{DeviceInfo, Direction};
