//! Kernels on tensors of libtorch, reading and writing their memory without a copy.
//!
//! A tensor that a kernel cannot take (another device or type, a gradient, strides without
//! neighbours) is not converted here: the functions say so, and the caller uses libtorch.

mod products;

pub use products::{gated_attention, linear};

use tch::{Device, Kind, Tensor};

use crate::channel_norm::Residual;
use crate::depthwise::{DepthwiseConfig, DepthwiseConv1d, filter_gradient};
use crate::error::Result;
use crate::lif::Lif;
use crate::statistics::{self, Signals};
use crate::view::{Shape, Strides, View, ViewMut};

/// What the axes of a tensor mean, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Axes {
    /// `[batch, channels, frames]`.
    ChannelsFirst,
    /// `[batch, frames, channels]`.
    ChannelsLast,
}

/// Convolves `x`, whose axes are `axes`, adds `residual` of the output's shape, and returns a
/// tensor with the same axes and with neighbours along the same axis as `x` has them; see
/// [`DepthwiseConv1d::run`]. `None` when a kernel cannot take one of the tensors.
///
/// # Errors
/// [`crate::Error::Shape`] when the shapes do not fit.
pub fn depthwise_conv1d(
    conv: &DepthwiseConv1d,
    x: &Tensor,
    residual: Option<&Tensor>,
    axes: Axes,
    threads: usize,
) -> Result<Option<Tensor>> {
    let Some((shape, strides)) = geometry(x, axes) else { return Ok(None) };
    let residual = match residual.map(|tensor| (tensor, geometry(tensor, axes))) {
        None => None,
        Some((_, None)) => return Ok(None),
        Some((tensor, Some(geometry))) => Some((tensor, geometry)),
    };
    let out_shape = Shape { frames: conv.output_frames(shape.frames), ..shape };
    let adjacent_channels = shape.channels > 1 && strides.channel == 1;
    let adjacent = |(shape, strides): (Shape, Strides)| {
        if adjacent_channels {
            strides.channel == 1
        } else {
            shape.frames <= 1 || strides.frame == 1
        }
    };
    if !adjacent((shape, strides)) || residual.is_some_and(|(_, geometry)| !adjacent(geometry)) {
        return Ok(None);
    }
    let out_strides =
        if adjacent_channels { out_shape.channels_last() } else { out_shape.channels_first() };
    let out = empty(out_shape, adjacent_channels, axes);
    // SAFETY: `geometry` made sure that these are plain tensors of `f32` on the CPU, whose shape
    // and strides describe memory that they keep alive. Like libtorch's own operations this
    // relies on nobody writing to a tensor while it is read. `out` is new, so that nobody else
    // has its memory, and it has as many elements as the shape says.
    let (x, residual, mut out_view) = unsafe {
        let view = |tensor: &Tensor, (shape, strides): (Shape, Strides)| {
            View::from_raw(tensor.data_ptr().cast(), shape, strides)
        };
        (
            view(x, (shape, strides)),
            residual.map(|(tensor, geometry)| view(tensor, geometry)),
            ViewMut::from_raw(out.data_ptr().cast(), out_shape, out_strides)?,
        )
    };
    conv.run(x, residual, &mut out_view, threads)?;
    Ok(Some(out))
}

/// The gradient of a convolution's filters, `[channels, kernel]`, for `x` and the gradient of what
/// comes out, both `[batch, frames, channels]`; see [`filter_gradient`]. `None` when the kernel
/// cannot take one of the tensors.
///
/// # Errors
/// [`crate::Error::Shape`] when the shapes do not fit.
pub fn depthwise_filter_gradient(
    config: DepthwiseConfig,
    x: &Tensor,
    gradient: &Tensor,
) -> Result<Option<Tensor>> {
    let rows = |tensor: &Tensor| {
        let (shape, strides) = geometry(tensor, Axes::ChannelsLast)?;
        // SAFETY: as in `depthwise_conv1d`.
        (strides.channel == 1)
            .then(|| unsafe { View::from_raw(tensor.data_ptr().cast(), shape, strides) })
    };
    let (Some(x), Some(gradient)) = (rows(x), rows(gradient)) else { return Ok(None) };
    let channels = x.shape().channels as i64;
    let found = filter_gradient(config, x, gradient)?;
    Ok(Some(Tensor::from_slice(&found).view([channels, config.kernel as i64])))
}

/// Spikes of neurons for the currents `x [batch, channels, frames]`, a new dense tensor of the
/// same shape; see [`Lif::run`]. `None` when the kernel cannot take the tensor.
///
/// # Errors
/// [`crate::Error::Length`] when the voltages belong to another number of neurons.
pub fn lif(neurons: &Lif, x: &Tensor, voltages: &mut [f32]) -> Result<Option<Tensor>> {
    let Some((shape, strides)) = geometry(x, Axes::ChannelsFirst) else { return Ok(None) };
    let out = empty(shape, false, Axes::ChannelsFirst);
    // SAFETY: as in `depthwise_conv1d`.
    let (x, mut out_view) = unsafe {
        (
            View::from_raw(x.data_ptr().cast(), shape, strides),
            ViewMut::from_raw(out.data_ptr().cast(), shape, shape.channels_first())?,
        )
    };
    neurons.run(x, voltages, &mut out_view)?;
    Ok(Some(out))
}

/// Means and biased variances over the frames of `x [batch, channels, frames]`, `[batch, channels]`
/// each, weighted by a softmax of `scores` of the same shape, of the first `valid` frames of each
/// signal; see [`statistics::statistics`]. `None` when the kernel cannot take one of the tensors.
///
/// # Errors
/// [`crate::Error::Length`] when scores or valid frames are not those of `x`.
pub fn statistics(
    x: &Tensor,
    scores: Option<&Tensor>,
    valid: Option<&[usize]>,
    threads: usize,
) -> Result<Option<(Tensor, Tensor)>> {
    let dense = |tensor: &Tensor| {
        let (shape, strides) = geometry(tensor, Axes::ChannelsFirst)?;
        let strides = (strides.batch, strides.channel, strides.frame);
        (strides == (shape.channels * shape.frames, shape.frames, 1)).then_some(shape)
    };
    let Some(shape) = dense(x) else { return Ok(None) };
    if scores.is_some_and(|scores| dense(scores).is_none()) {
        return Ok(None);
    }
    let [batch, channels, frames] = shape.to_array();
    // SAFETY: `dense` made sure that these are plain tensors of `f32` on the CPU without gaps, that
    // they keep alive. As in `depthwise_conv1d` nobody writes to them meanwhile.
    let values = |tensor: &Tensor| unsafe {
        std::slice::from_raw_parts(tensor.data_ptr().cast::<f32>().cast_const(), tensor.numel())
    };
    if shape.to_array().contains(&0) {
        return Ok(None);
    }
    let signals = Signals { values: values(x), channels, frames, valid };
    let found = statistics::statistics(signals, scores.map(values), threads)?;
    let tensor = |values: &[f32]| Tensor::from_slice(values).view([batch as i64, channels as i64]);
    Ok(Some((tensor(&found.means), tensor(&found.variances))))
}

/// What is learnt of a normalisation over frames, for [`channel_norm`].
pub use crate::channel_norm::ChannelNorm;

/// `x [batch, frames, channels]` normalised over the frames of each signal, plus `residual` of that
/// shape, whose frames may have gaps between them, behind the PReLU; see [`ChannelNorm::run`].
/// `None` when the kernel cannot take one of the tensors.
///
/// # Errors
/// [`crate::Error::Length`] when the shapes do not fit.
pub fn channel_norm(
    norm: &ChannelNorm<'_>,
    x: &Tensor,
    residual: Option<&Tensor>,
    threads: usize,
) -> Result<Option<Tensor>> {
    let rows = |tensor: &Tensor| {
        let (shape, strides) = geometry(tensor, Axes::ChannelsLast)?;
        let adjacent = strides.channel == 1 && strides.frame >= shape.channels;
        (adjacent && !shape.to_array().contains(&0)).then_some((shape, strides))
    };
    let Some((shape, strides)) = rows(x).filter(|(shape, strides)| strides.frame == shape.channels)
    else {
        return Ok(None);
    };
    let added = match residual.map(|residual| (residual, rows(residual))) {
        None => None,
        Some((residual, Some((other, strides)))) if other.to_array() == shape.to_array() => {
            Some((residual, strides))
        }
        Some(_) => return Ok(None),
    };
    let out = empty(shape, true, Axes::ChannelsLast);
    let signal = shape.channels * shape.frames;
    // SAFETY: `rows` made sure that these are plain tensors of `f32` on the CPU whose shape and
    // strides describe memory that they keep alive, with neighbouring channels, and as in
    // `depthwise_conv1d` nobody writes to them meanwhile.
    let values = |tensor: &Tensor, from: usize, len: usize| unsafe {
        std::slice::from_raw_parts(tensor.data_ptr().cast::<f32>().cast_const().add(from), len)
    };
    // SAFETY: `out` is new, so that nobody else has its memory, and has no gaps.
    let out_values =
        unsafe { std::slice::from_raw_parts_mut(out.data_ptr().cast::<f32>(), out.numel()) };
    for (at, out) in out_values.chunks_mut(signal).enumerate() {
        let residual = added.map(|(tensor, strides)| {
            let len = (shape.frames - 1) * strides.frame + shape.channels;
            Residual { values: values(tensor, at * strides.batch, len), stride: strides.frame }
        });
        norm.run(values(x, at * strides.batch, signal), residual, out, threads)?;
    }
    Ok(Some(out))
}

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

/// A new tensor with uninitialised elements.
fn empty(shape: Shape, adjacent_channels: bool, axes: Axes) -> Tensor {
    let [batch, channels, frames] = shape.to_array().map(|size| size as i64);
    let kind = (Kind::Float, Device::Cpu);
    let (size, wanted) = if adjacent_channels {
        ([batch, frames, channels], Axes::ChannelsLast)
    } else {
        ([batch, channels, frames], Axes::ChannelsFirst)
    };
    let tensor = Tensor::empty(size, kind);
    if axes == wanted { tensor } else { tensor.transpose(1, 2) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::Activation;

    fn conv(channels: i64, config: DepthwiseConfig) -> (Tensor, Tensor, DepthwiseConv1d) {
        let kind = tch::kind::FLOAT_CPU;
        let weight = Tensor::randn([channels, 1, config.kernel as i64], kind);
        let bias = Tensor::randn([channels], kind);
        let values = |tensor: &Tensor| Vec::<f32>::try_from(tensor.view([-1])).expect("floats");
        let conv = DepthwiseConv1d::new(config, &values(&weight), &values(&bias)).expect("fits");
        (weight, bias, conv)
    }

    #[test]
    fn equals_libtorch_for_all_strides() {
        tch::manual_seed(5);
        for (channels, frames, kernel) in [(24, 300, 17), (5, 33, 4), (1, 40, 5), (33, 1, 31)] {
            let config = DepthwiseConfig::same(kernel).activation(Activation::Silu);
            let (weight, bias, conv) = conv(channels, config);
            let base = Tensor::randn([3, channels, frames], tch::kind::FLOAT_CPU);
            let residual = Tensor::randn([3, channels, frames], tch::kind::FLOAT_CPU);
            let wanted = base
                .f_conv1d_padding(&weight, Some(&bias), 1, "same", 1, channels)
                .expect("shapes fit")
                .silu()
                + &residual;
            let last = |x: &Tensor| x.transpose(1, 2).contiguous().transpose(1, 2);
            let sliced = |x: &Tensor| x.constant_pad_nd([2, 1]).slice(2, 2, -1, 1);
            for layout in [Tensor::shallow_clone, last, sliced] as [fn(&Tensor) -> Tensor; 3] {
                let (x, residual) = (layout(&base), layout(&residual));
                for axes in [Axes::ChannelsFirst, Axes::ChannelsLast] {
                    let turn = |x: &Tensor| match axes {
                        Axes::ChannelsFirst => x.shallow_clone(),
                        Axes::ChannelsLast => x.transpose(1, 2),
                    };
                    let found = depthwise_conv1d(&conv, &turn(&x), Some(&turn(&residual)), axes, 2)
                        .expect("shapes fit")
                        .expect("plain tensors");
                    let worst = (turn(&found) - &wanted).abs().max().double_value(&[]);
                    assert!(worst < 2e-5, "{channels} x {frames}, {axes:?}: {worst}");
                }
            }
        }
    }

    #[test]
    fn statistics_equal_those_of_libtorch() {
        tch::manual_seed(6);
        let x = Tensor::randn([2, 5, 77], tch::kind::FLOAT_CPU);
        let scores = Tensor::randn([2, 5, 77], tch::kind::FLOAT_CPU);
        let (mean, variance) =
            statistics(&x, Some(&scores), None, 1).expect("fits").expect("plain tensors");
        let weights = scores.softmax(2, Kind::Float);
        let wanted = (&x * &weights).sum_dim_intlist([2i64].as_slice(), true, Kind::Float);
        let spread = (weights * (&x - &wanted).square()).sum_dim_intlist(
            [2i64].as_slice(),
            false,
            Kind::Float,
        );
        for (found, wanted) in [(mean, wanted.squeeze_dim(2)), (variance, spread)] {
            assert!((found - wanted).abs().max().double_value(&[]) < 1e-6);
        }
        assert!(statistics(&x.transpose(1, 2), None, None, 1).expect("fits").is_none());
        assert!(statistics(&x, Some(&scores.slice(2, 0, 70, 1)), None, 1).expect("fits").is_none());
    }

    #[test]
    fn normalised_channels_equal_those_of_libtorch() {
        tch::manual_seed(7);
        let kind = tch::kind::FLOAT_CPU;
        let wide = Tensor::randn([2, 70, 40], kind);
        let (x, added) = (Tensor::randn([2, 70, 24], kind), wide.narrow(2, 9, 24));
        let learnt: Vec<Tensor> = (0..3).map(|_| Tensor::randn([24], kind)).collect();
        let values: Vec<Vec<f32>> =
            learnt.iter().map(|t| Vec::<f32>::try_from(t).expect("floats")).collect();
        let [weight, bias, slopes] = &values[..] else { panic!("three") };
        let norm = ChannelNorm { weight, bias, slopes, eps: 1e-5 };
        let found = channel_norm(&norm, &x, Some(&added), 1).expect("fits").expect("plain");
        let wanted = x
            .transpose(1, 2)
            .group_norm(24, Some(&learnt[0]), Some(&learnt[1]), 1e-5, false)
            .prelu(&learnt[2])
            .transpose(1, 2)
            + &added;
        assert!((found - wanted).abs().max().double_value(&[]) < 1e-5);
        let turned = x.transpose(0, 1);
        assert!(channel_norm(&norm, &turned, None, 1).expect("fits").is_none());
    }

    #[test]
    fn leaves_other_tensors_to_libtorch() {
        let (_, _, conv) = conv(4, DepthwiseConfig::same(3));
        let plain = Tensor::zeros([2, 4, 9], tch::kind::FLOAT_CPU);
        let run = |x: &Tensor| depthwise_conv1d(&conv, x, None, Axes::ChannelsFirst, 1);
        assert!(run(&plain).expect("fits").is_some());
        let others = [
            plain.to_kind(Kind::Double),
            plain.to_kind(Kind::BFloat16),
            plain.set_requires_grad(true),
            plain.view([8, 9]),
            plain.constant_pad_nd([0, 9]).slice(2, 0, 18, 2),
        ];
        for x in others {
            assert!(run(&x).expect("fits").is_none());
        }
        assert!(run(&Tensor::zeros([2, 5, 9], tch::kind::FLOAT_CPU)).is_err());
        let nothing = run(&Tensor::zeros([0, 4, 9], tch::kind::FLOAT_CPU)).expect("fits");
        assert_eq!(nothing.expect("plain").size(), [0, 4, 9]);
    }
}
