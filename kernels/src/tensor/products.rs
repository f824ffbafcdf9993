//! Layers of matrix products on tensors.

use tch::Tensor;

use super::{Axes, empty, geometry};
use crate::error::Result;
use crate::gated_attention::{GatedAttention, Rotation, Scratch};
use crate::gemm::Matrix;
use crate::linear::Linear;
use crate::view::Shape;

/// `x [batch, frames, inputs]` through a layer, `[batch, frames, outputs]`; see
/// [`Linear::run_rows`]. `None` when the kernel cannot take the tensor.
///
/// # Errors
/// [`crate::Error::Shape`] when frames have another number of elements than the layer takes.
pub fn linear(layer: &Linear, x: &Tensor, threads: usize) -> Result<Option<Tensor>> {
    let Some((shape, strides)) = geometry(x, Axes::ChannelsLast) else { return Ok(None) };
    let one_row_of_signals = shape.batch <= 1 || strides.batch == shape.frames * strides.frame;
    let Some(len) = shape.span(strides).filter(|_| one_row_of_signals) else { return Ok(None) };
    let out = empty(Shape { channels: layer.outputs(), ..shape }, true, Axes::ChannelsLast);
    // SAFETY: `geometry` made sure that `x` is a plain tensor of `f32` on the CPU, whose shape and
    // strides describe memory that it keeps alive; nobody writes to it meanwhile. `out` is new, so
    // that nobody else has its memory, and has no gaps.
    let (values, out_values) = unsafe {
        (
            std::slice::from_raw_parts(x.data_ptr().cast::<f32>().cast_const(), len),
            std::slice::from_raw_parts_mut(out.data_ptr().cast::<f32>(), out.numel()),
        )
    };
    let rows = [shape.batch * shape.frames, shape.channels];
    let matrix = Matrix::new(values, rows, [strides.frame, strides.channel])?;
    layer.run_rows(matrix, out_values, threads)?;
    Ok(Some(out))
}

/// `x [batch, frames, channels]` through the block, a new tensor of the same shape, with the cosines
/// and sines `[frames, dim]` of the rotation; see [`GatedAttention::run`]. `None` when the kernel
/// cannot take one of the tensors.
///
/// # Errors
/// When the sizes do not fit.
pub fn gated_attention(
    block: &GatedAttention<'_>,
    x: &Tensor,
    [cos, sin]: [&Tensor; 2],
    scratch: &mut Scratch,
    threads: usize,
) -> Result<Option<Tensor>> {
    let dense = |tensor: &Tensor| {
        let (shape, strides) = geometry(tensor, Axes::ChannelsLast)?;
        (shape.is_empty() || strides == shape.channels_last()).then_some(shape)
    };
    let [cos, sin] = [cos, sin].map(|table| table.unsqueeze(0));
    let shapes = [x, &cos, &sin].map(dense);
    let [Some(shape), Some(table), Some(_)] = shapes else { return Ok(None) };
    let out = empty(shape, true, Axes::ChannelsLast);
    if shape.is_empty() {
        return Ok(Some(out));
    }
    // SAFETY: as in `linear`, where `dense` made sure that there are no gaps.
    let values = |tensor: &Tensor| unsafe {
        std::slice::from_raw_parts(tensor.data_ptr().cast::<f32>().cast_const(), tensor.numel())
    };
    // SAFETY: `out` is new, so that nobody else has its memory, and has no gaps.
    let out_values =
        unsafe { std::slice::from_raw_parts_mut(out.data_ptr().cast::<f32>(), out.numel()) };
    let rotation = Rotation { cos: values(&cos), sin: values(&sin), dim: table.channels };
    let signal = shape.channels * shape.frames;
    for (x, out) in values(x).chunks_exact(signal).zip(out_values.chunks_exact_mut(signal)) {
        block.run(x, rotation, out, scratch, threads)?;
    }
    Ok(Some(out))
}
