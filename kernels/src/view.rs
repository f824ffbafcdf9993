//! Views of three axes, `[batch, channels, frames]`, with any strides into memory of `f32`.
//!
//! A view is checked once, when it is made: its strides stay inside the memory, and no two
//! elements of one that is written to share a place. Kernels rely on that.

use std::marker::PhantomData;
use std::mem::MaybeUninit;

use crate::error::{Error, Result};
use crate::uninit::as_uninit;

/// Sizes of the three axes, whatever their order in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Independent signals.
    pub batch: usize,
    /// Channels of each signal.
    pub channels: usize,
    /// Steps in time.
    pub frames: usize,
}

/// Distance in elements between neighbours along each axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Strides {
    /// From signal to signal.
    pub batch: usize,
    /// From channel to channel.
    pub channel: usize,
    /// From frame to frame.
    pub frame: usize,
}

impl Shape {
    /// The shape `[batch, channels, frames]`.
    #[must_use]
    pub fn new(batch: usize, channels: usize, frames: usize) -> Self {
        Self { batch, channels, frames }
    }

    /// Number of elements, where it can be told.
    fn elements(self) -> Option<usize> {
        self.batch.checked_mul(self.channels)?.checked_mul(self.frames)
    }

    /// Strides of a dense `[batch, channels, frames]`.
    #[must_use]
    pub fn channels_first(self) -> Strides {
        let batch = self.channels.saturating_mul(self.frames);
        Strides { batch, channel: self.frames, frame: 1 }
    }

    /// Strides of a dense `[batch, frames, channels]`.
    #[must_use]
    pub fn channels_last(self) -> Strides {
        let batch = self.channels.saturating_mul(self.frames);
        Strides { batch, channel: 1, frame: self.channels }
    }

    pub(crate) fn to_array(self) -> [usize; 3] {
        [self.batch, self.channels, self.frames]
    }

    pub(crate) fn is_empty(self) -> bool {
        self.to_array().contains(&0)
    }

    /// Number of places from the first element to behind the last; `None` beyond what can be
    /// addressed.
    pub(crate) fn span(self, strides: Strides) -> Option<usize> {
        if self.is_empty() {
            return Some(0);
        }
        self.elements()?;
        let mut last = 0usize;
        for (size, stride) in self.to_array().into_iter().zip(strides.to_array()) {
            last = last.checked_add((size - 1).checked_mul(stride)?)?;
        }
        let span = last.checked_add(1)?;
        (span <= isize::MAX as usize / size_of::<f32>()).then_some(span)
    }

    /// Whether all elements have places of their own. Sufficient, and necessary for any strides
    /// that permuting and slicing a dense tensor can give.
    pub(crate) fn is_injective(self, strides: Strides) -> bool {
        if self.is_empty() {
            return true;
        }
        let mut axes: Vec<(usize, usize)> = strides
            .to_array()
            .into_iter()
            .zip(self.to_array())
            .filter(|&(_, size)| size > 1)
            .collect();
        axes.sort_unstable();
        let mut span = 1;
        for (stride, size) in axes {
            if stride < span {
                return false;
            }
            span += (size - 1) * stride;
        }
        true
    }
}

impl Strides {
    pub(crate) fn to_array(self) -> [usize; 3] {
        [self.batch, self.channel, self.frame]
    }

    /// Offset of an element.
    #[inline(always)]
    pub(crate) fn at(self, batch: usize, channel: usize, frame: usize) -> usize {
        batch * self.batch + channel * self.channel + frame * self.frame
    }
}

/// A borrowed tensor that is read.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    pub(crate) ptr: *const f32,
    pub(crate) shape: Shape,
    pub(crate) strides: Strides,
    memory: PhantomData<&'a [f32]>,
}

/// A borrowed tensor that is written to.
#[derive(Debug)]
pub struct ViewMut<'a> {
    pub(crate) ptr: *mut f32,
    pub(crate) shape: Shape,
    pub(crate) strides: Strides,
    memory: PhantomData<&'a mut [f32]>,
}

// SAFETY: a `View` gives no more than `&[f32]` does, which can be sent and shared.
unsafe impl Send for View<'_> {}
// SAFETY: as above.
unsafe impl Sync for View<'_> {}
// SAFETY: a `ViewMut` gives no more than `&mut [f32]` does, which can be sent.
unsafe impl Send for ViewMut<'_> {}

fn check_bounds(shape: Shape, strides: Strides, len: usize) -> Result<()> {
    match shape.span(strides) {
        Some(span) if span <= len => Ok(()),
        _ => Err(Error::OutOfBounds { shape: shape.to_array(), strides: strides.to_array(), len }),
    }
}

fn check_injective(shape: Shape, strides: Strides) -> Result<()> {
    if shape.is_injective(strides) {
        Ok(())
    } else {
        Err(Error::Overlap { shape: shape.to_array(), strides: strides.to_array() })
    }
}

impl<'a> View<'a> {
    /// A view of `memory`.
    ///
    /// # Errors
    /// [`Error::OutOfBounds`] when the strides lead outside the memory.
    pub fn new(memory: &'a [f32], shape: Shape, strides: Strides) -> Result<Self> {
        check_bounds(shape, strides, memory.len())?;
        Ok(Self { ptr: memory.as_ptr(), shape, strides, memory: PhantomData })
    }

    /// A view of memory that is not a slice.
    ///
    /// # Safety
    /// As long as the view lives, every element must be readable and initialised, and nobody may
    /// write to it.
    #[cfg(feature = "tch")]
    pub(crate) unsafe fn from_raw(ptr: *const f32, shape: Shape, strides: Strides) -> Self {
        Self { ptr, shape, strides, memory: PhantomData }
    }

    /// Sizes of the axes.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }
}

impl<'a> ViewMut<'a> {
    /// A view of `memory` to write to.
    ///
    /// # Errors
    /// [`Error::OutOfBounds`] when the strides lead outside the memory, [`Error::Overlap`] when
    /// elements share a place.
    pub fn new(memory: &'a mut [f32], shape: Shape, strides: Strides) -> Result<Self> {
        // SAFETY: kernels write numbers to a view, and nothing else.
        Self::uninit(unsafe { as_uninit(memory) }, shape, strides)
    }

    /// A view of memory that need not be initialized: a kernel writes every element of a view and
    /// reads none.
    ///
    /// # Errors
    /// As [`ViewMut::new`].
    pub fn uninit(
        memory: &'a mut [MaybeUninit<f32>],
        shape: Shape,
        strides: Strides,
    ) -> Result<Self> {
        check_bounds(shape, strides, memory.len())?;
        check_injective(shape, strides)?;
        Ok(Self { ptr: memory.as_mut_ptr().cast(), shape, strides, memory: PhantomData })
    }

    /// Sizes of the axes.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strides_stay_inside_the_memory() {
        let memory = [0.0; 24];
        let shape = Shape::new(2, 3, 4);
        assert!(View::new(&memory, shape, shape.channels_first()).is_ok());
        assert!(View::new(&memory, shape, shape.channels_last()).is_ok());
        assert!(View::new(&memory[..23], shape, shape.channels_first()).is_err());
        let huge = Strides { batch: usize::MAX, channel: 1, frame: 1 };
        assert!(View::new(&memory, shape, huge).is_err());
        assert!(View::new(&memory, Shape::new(2, 0, 4), huge).is_ok());
        let endless = Shape::new(usize::MAX, 2, 1);
        let zero = Strides { batch: 0, channel: 0, frame: 0 };
        assert!(View::new(&memory, endless, zero).is_err());
    }

    #[test]
    fn written_elements_have_places_of_their_own() {
        let mut memory = [0.0; 64];
        let shape = Shape::new(2, 3, 4);
        let overlapping = [
            Strides { batch: 12, channel: 0, frame: 1 },
            Strides { batch: 12, channel: 3, frame: 1 },
            Strides { batch: 2, channel: 1, frame: 3 },
        ];
        for strides in overlapping {
            assert!(View::new(&memory, shape, strides).is_ok());
            let found = ViewMut::new(&mut memory, shape, strides).err();
            assert!(matches!(found, Some(Error::Overlap { .. })), "{strides:?}");
        }
        let sliced = Strides { batch: 30, channel: 5, frame: 1 };
        assert!(ViewMut::new(&mut memory, shape, sliced).is_ok());
        let flat = Strides { batch: 0, channel: 0, frame: 1 };
        assert!(ViewMut::new(&mut memory, Shape::new(1, 1, 64), flat).is_ok());
    }
}
