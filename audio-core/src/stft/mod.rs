//! Short-time Fourier transforms that go both ways.
//!
//! One [`StftPlan`] serves any number of signals and threads; [`StftStream`] and [`IstftStream`]
//! work on signals that arrive in pieces. Features that don't go back are [`crate::features`]'.

mod plan;
mod stream;

pub use plan::{Complex32, Scaling, StftConfig, StftPlan};
pub use stream::{IstftStream, StftStream};
