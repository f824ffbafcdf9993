//! The parts of formant that need unsafe code, behind safe functions.
//!
//! So far this is the edge to CUDA: programs are linked to libtorch's CPU libraries alone, and
//! [`cuda`] opens the CUDA half of a full libtorch at run time, so that one binary serves both.

pub mod cuda;
