//! Layers of matrix products on tensors.

use tch::Tensor;

use super::Axes;
use super::memory::{Fresh, dense, elements};
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
    let Some((shape, strides, values)) = elements(x, Axes::ChannelsLast) else { return Ok(None) };
    let one_after_the_other = shape.batch <= 1 || strides.batch == shape.frames * strides.frame;
    if !one_after_the_other && !shape.is_empty() {
        return Ok(None);
    }
    let mut out = Fresh::new(Shape { channels: layer.outputs(), ..shape }, Axes::ChannelsLast);
    let rows = [shape.batch * shape.frames, shape.channels];
    let matrix = Matrix::new(values, rows, [strides.frame, strides.channel])?;
    layer.run_rows(matrix, out.values(), threads)?;
    Ok(Some(out.written()))
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
    tables: [&Tensor; 2],
    scratch: &mut Scratch,
    threads: usize,
) -> Result<Option<Tensor>> {
    let [cos, sin] = tables.map(|table| table.unsqueeze(0));
    let found = [x, &cos, &sin].map(|tensor| dense(tensor, Axes::ChannelsLast));
    let [Some((shape, x)), Some((table, cos)), Some((_, sin))] = found else { return Ok(None) };
    let mut out = Fresh::new(shape, Axes::ChannelsLast);
    let rotation = Rotation { cos, sin, dim: table.channels };
    // A signal without elements is no chunk.
    let signal = (shape.channels * shape.frames).max(1);
    for (x, out) in x.chunks_exact(signal).zip(out.values().chunks_exact_mut(signal)) {
        block.run(x, rotation, out, scratch, threads)?;
    }
    Ok(Some(out.written()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::Activation;
    use crate::gemm::{Gemm, Precision};
    use tch::kind::FLOAT_CPU;

    fn layer(outputs: i64, inputs: i64) -> (Tensor, Linear) {
        let weight = Tensor::randn([outputs, inputs], FLOAT_CPU);
        let values = Vec::<f32>::try_from(weight.view([-1])).expect("floats");
        let gemm = Gemm::new(Precision::Single).expect("32 bits are always there");
        let matrix = Matrix::dense(&values, [outputs as usize, inputs as usize]).expect("fits");
        (weight, Linear::new(gemm, matrix, &[], Activation::Identity).expect("fits"))
    }

    #[test]
    fn layers_equal_those_of_libtorch_for_all_strides() {
        tch::manual_seed(8);
        let (weight, layer) = layer(7, 24);
        let x = Tensor::randn([3, 50, 24], FLOAT_CPU);
        let wanted = x.matmul(&weight.tr());
        let sliced = x.constant_pad_nd([2, 1]).narrow(2, 2, 24);
        for x in [&x, &sliced] {
            let found = linear(&layer, x, 2).expect("fits").expect("plain");
            assert!((found - &wanted).abs().max().double_value(&[]) < 1e-4);
        }
        // Signals that do not follow each other.
        let turned = x.transpose(0, 1).contiguous().transpose(0, 1);
        assert!(linear(&layer, &turned, 1).expect("fits").is_none());
        assert!(linear(&layer, &x.narrow(2, 0, 23), 1).is_err());
    }

    #[test]
    fn tensors_without_elements_stay_empty() {
        let (_, layer) = layer(7, 24);
        for size in [[0, 50, 24], [2, 0, 24]] {
            let x = Tensor::zeros(size, FLOAT_CPU);
            let found = linear(&layer, &x, 2).expect("fits").expect("plain");
            assert_eq!(found.size(), [size[0], size[1], 7]);
        }
    }
}
