//! What can be wrong with the arguments of a kernel.
//!
//! Kernels have no other failures: they allocate little, and read nothing but their arguments.

use crate::view::Shape;

/// Result of this crate's kernels.
pub type Result<T> = std::result::Result<T, Error>;

/// A kernel was called with arguments that do not fit each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A list has another length than the shape says.
    #[error("{what} has {found} values where {wanted} belong")]
    Length {
        /// Which argument.
        what: &'static str,
        /// Its length.
        found: usize,
        /// The length that the shape asks for.
        wanted: usize,
    },
    /// A tensor has another shape than the operation gives or takes.
    #[error("{what} has shape {found:?} where {wanted:?} belongs")]
    Shape {
        /// Which argument.
        what: &'static str,
        /// Its shape, `[batch, channels, frames]`.
        found: [usize; 3],
        /// The shape that belongs there.
        wanted: [usize; 3],
    },
    /// The strides of a view lead outside its memory.
    #[error("a view of shape {shape:?} with strides {strides:?} does not fit into {len} values")]
    OutOfBounds {
        /// `[batch, channels, frames]`.
        shape: [usize; 3],
        /// Distance of neighbours along each axis.
        strides: [usize; 3],
        /// Number of values in the memory.
        len: usize,
    },
    /// Two elements of a view that is written to share one place.
    #[error("a view of shape {shape:?} with strides {strides:?} overlaps itself; write to another")]
    Overlap {
        /// `[batch, channels, frames]`.
        shape: [usize; 3],
        /// Distance of neighbours along each axis.
        strides: [usize; 3],
    },
    /// A setting is outside its range.
    #[error("{setting}: {reason}")]
    Setting {
        /// The setting's name.
        setting: &'static str,
        /// What is wrong, and what is accepted.
        reason: &'static str,
    },
}

pub(crate) fn check_length(what: &'static str, found: usize, wanted: usize) -> Result<()> {
    if found == wanted { Ok(()) } else { Err(Error::Length { what, found, wanted }) }
}

pub(crate) fn check_shape(what: &'static str, found: Shape, wanted: Shape) -> Result<()> {
    let (found, wanted) = (found.to_array(), wanted.to_array());
    if found == wanted { Ok(()) } else { Err(Error::Shape { what, found, wanted }) }
}
