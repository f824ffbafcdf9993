//! How kernels reach the memory of tensors: all unsafe code on tensors is here.

use std::mem::MaybeUninit;

use tch::{Device, Kind, Tensor};

use super::Axes;
use crate::view::{Shape, Strides, View};

/// Shape and strides of a tensor that kernels can read.
fn geometry(tensor: &Tensor, axes: Axes) -> Option<(Shape, Strides)> {
    let readable = tensor.defined()
        && tensor.device() == Device::Cpu
        && tensor.kind() == Kind::Float
        && tensor.dim() == 3
        && !tensor.is_sparse()
        && !tensor.is_mkldnn()
        && !tensor.is_neg()
        && !tensor.requires_grad();
    if !readable {
        return None;
    }
    let three = |values: Vec<i64>| -> Option<[usize; 3]> {
        let values: Vec<usize> = values.into_iter().flat_map(usize::try_from).collect();
        let [a, b, c] = values.try_into().ok()?;
        Some(match axes {
            Axes::ChannelsFirst => [a, b, c],
            Axes::ChannelsLast => [a, c, b],
        })
    };
    let [batch, channels, frames] = three(tensor.size())?;
    let shape = Shape::new(batch, channels, frames);
    let [batch, channel, frame] = three(tensor.stride())?;
    let strides = Strides { batch, channel, frame };
    shape.span(strides).map(|_| (shape, strides))
}

/// A tensor that kernels can read, with any strides. What lies between its elements is not touched.
pub(super) fn view(tensor: &Tensor, axes: Axes) -> Option<View<'_>> {
    let (shape, strides) = geometry(tensor, axes)?;
    if shape.is_empty() {
        // Such a tensor has no memory, and its pointer is null.
        return View::new(&[], shape, strides).ok();
    }
    // SAFETY: `geometry` made sure that this is a plain tensor of `f32` on the CPU, whose shape and
    // strides describe memory that it keeps alive. Like libtorch's own operations this relies on
    // nobody writing to a tensor while it is read.
    Some(unsafe { View::from_raw(tensor.data_ptr().cast(), shape, strides) })
}

/// The memory of a tensor that kernels can read, from its first element to its last, with shape and
/// strides. There may be gaps between elements, which nobody may write to either.
pub(super) fn elements(tensor: &Tensor, axes: Axes) -> Option<(Shape, Strides, &[f32])> {
    let (shape, strides) = geometry(tensor, axes)?;
    let values = match shape.span(strides)? {
        // As in `view`.
        0 => &[],
        // SAFETY: as in `view`; the memory spans that many elements.
        len => unsafe { std::slice::from_raw_parts(tensor.data_ptr().cast(), len) },
    };
    Some((shape, strides, values))
}

/// As [`elements`] for a tensor without gaps whose axes lie in memory in their order.
pub(super) fn dense(tensor: &Tensor, axes: Axes) -> Option<(Shape, &[f32])> {
    let (shape, strides, values) = elements(tensor, axes)?;
    let wanted = match axes {
        Axes::ChannelsFirst => shape.channels_first(),
        Axes::ChannelsLast => shape.channels_last(),
    };
    (shape.is_empty() || strides == wanted).then_some((shape, values))
}

/// A new tensor, which a kernel writes before anybody else has it.
pub(super) struct Fresh(Tensor);

impl Fresh {
    /// A tensor whose axes lie in memory as `axes` say.
    pub(super) fn new(shape: Shape, axes: Axes) -> Self {
        let [batch, channels, frames] = shape.to_array().map(|size| size as i64);
        let size = match axes {
            Axes::ChannelsFirst => [batch, channels, frames],
            Axes::ChannelsLast => [batch, frames, channels],
        };
        Self(Tensor::empty(size, (Kind::Float, Device::Cpu)))
    }

    /// Its memory.
    pub(super) fn values(&mut self) -> &mut [MaybeUninit<f32>] {
        match self.0.numel() {
            // As in `view`.
            0 => &mut [],
            // SAFETY: the tensor is new, so that nobody else has its memory, and it has as many
            // elements without gaps.
            len => unsafe { std::slice::from_raw_parts_mut(self.0.data_ptr().cast(), len) },
        }
    }

    /// The tensor, whose every element was written.
    pub(super) fn written(self) -> Tensor {
        self.0
    }
}
