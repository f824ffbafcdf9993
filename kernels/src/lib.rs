//! The parts of formant that need unsafe code, behind safe functions.
//!
//! - [`cuda`] opens the CUDA half of a full libtorch at run time: programs are linked to libtorch's
//!   CPU libraries alone, so that one binary serves both.
//! - [`allocator`] spares networks the zeroing of the same pages over and over, and [`process`] ends a
//!   program whose networks still compute.
//! - [`depthwise`] is a convolution that libtorch computes far below the processor's speed, and
//!   [`lif`] a recurrence for which it has nothing; [`statistics`] and
//!   [`channel_norm`] do in one or two goes what takes it eight to ten.
//! - [`convolution`] sees all channels, by a matrix unit or in a fraction of the products of the direct
//!   sum, behind a [`row_activation`] that may differ from channel to channel; [`anti_aliased`] is an
//!   activation at twice the rate, which never is in memory.
//! - [`gemm`] multiplies by matrices that are packed once, [`linear`] is a layer of it, and
//!   [`gated_attention`] the whole block of that name, which stays in the caches.
//!
//! Every kernel has a plain definition in Rust, some of them in their tests, and vectorised versions,
//! chosen at run time, that are tested against it.

pub mod activation;
mod aligned;
pub mod allocator;
pub mod anti_aliased;
pub mod channel_norm;
pub mod convolution;
pub mod cuda;
pub mod depthwise;
mod error;
pub mod gated_attention;
pub mod gemm;
pub mod lif;
pub mod linear;
pub mod process;
pub mod row_activation;
pub mod simd;
pub mod statistics;
#[cfg(feature = "tch")]
pub mod tensor;
mod threads;
mod uninit;
pub mod view;

pub use error::{Error, Result};
