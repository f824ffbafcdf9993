//! Kernels on tensors of libtorch, reading and writing their memory without a copy.
//!
//! A tensor that a kernel cannot take (another device or type, a gradient, strides without
//! neighbours) is not converted here: the functions say so, and the caller uses libtorch.

mod memory;
mod products;

pub use products::{gated_attention, linear};

use tch::Tensor;

use crate::channel_norm::Residual;
use crate::depthwise::{DepthwiseConfig, DepthwiseConv1d, filter_gradient};
use crate::error::Result;
use crate::lif::Lif;
use crate::statistics::{self, Signals};
use crate::view::{Shape, View, ViewMut};
use memory::{Fresh, dense, elements, view};

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
    let Some(x) = view(x, axes) else { return Ok(None) };
    let residual = match residual.map(|tensor| view(tensor, axes)) {
        Some(None) => return Ok(None),
        other => other.flatten(),
    };
    let (shape, adjacent_channels) = (x.shape, x.shape.channels > 1 && x.strides.channel == 1);
    let adjacent = |View { shape, strides, .. }: View<'_>| match adjacent_channels {
        true => strides.channel == 1,
        false => shape.frames <= 1 || strides.frame == 1,
    };
    if !adjacent(x) || residual.is_some_and(|residual| !adjacent(residual)) {
        return Ok(None);
    }
    let out_shape = Shape { frames: conv.output_frames(shape.frames), ..shape };
    let (order, strides) = match adjacent_channels {
        true => (Axes::ChannelsLast, out_shape.channels_last()),
        false => (Axes::ChannelsFirst, out_shape.channels_first()),
    };
    let mut out = Fresh::new(out_shape, order);
    let mut out_view = ViewMut::uninit(out.values(), out_shape, strides)?;
    conv.run(x, residual, &mut out_view, threads)?;
    let out = out.written();
    Ok(Some(if axes == order { out } else { out.transpose(1, 2) }))
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
    let rows = |tensor| view(tensor, Axes::ChannelsLast).filter(|view| view.strides.channel == 1);
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
    let Some(x) = view(x, Axes::ChannelsFirst) else { return Ok(None) };
    let mut out = Fresh::new(x.shape, Axes::ChannelsFirst);
    let mut out_view = ViewMut::uninit(out.values(), x.shape, x.shape.channels_first())?;
    neurons.run(x, voltages, &mut out_view)?;
    Ok(Some(out.written()))
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
    let Some((shape, values)) = dense(x, Axes::ChannelsFirst) else { return Ok(None) };
    let scores = match scores.map(|scores| dense(scores, Axes::ChannelsFirst)) {
        Some(None) => return Ok(None),
        other => other.flatten().map(|(_, values)| values),
    };
    if shape.is_empty() {
        return Ok(None);
    }
    let [batch, channels, frames] = shape.to_array();
    let signals = Signals { values, channels, frames, valid };
    let found = statistics::statistics(signals, scores, threads)?;
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
    let rows = |tensor| {
        elements(tensor, Axes::ChannelsLast).filter(|(shape, strides, _)| {
            strides.channel == 1 && strides.frame >= shape.channels && !shape.is_empty()
        })
    };
    let Some((shape, strides, values)) =
        rows(x).filter(|(s, strides, _)| strides.frame == s.channels)
    else {
        return Ok(None);
    };
    let added = match residual.map(rows) {
        None => None,
        Some(Some((other, strides, values))) if other == shape => Some((strides, values)),
        Some(_) => return Ok(None),
    };
    let mut out = Fresh::new(shape, Axes::ChannelsLast);
    let signal = shape.channels * shape.frames;
    for (at, out) in out.values().chunks_mut(signal).enumerate() {
        let residual = added.map(|(strides, values)| {
            let len = (shape.frames - 1) * strides.frame + shape.channels;
            Residual { values: &values[at * strides.batch..][..len], stride: strides.frame }
        });
        norm.run(&values[at * strides.batch..][..signal], residual, out, threads)?;
    }
    Ok(Some(out.written()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::Activation;
    use tch::Kind;

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

    #[test]
    fn padding_of_no_frames_gives_the_bias() {
        for axes in [Axes::ChannelsFirst, Axes::ChannelsLast] {
            let config = DepthwiseConfig { padding: (3, 2), ..DepthwiseConfig::same(3) };
            let (_, bias, conv) = conv(4, config);
            let size = if axes == Axes::ChannelsFirst { [2, 4, 0] } else { [2, 0, 4] };
            let x = Tensor::zeros(size, tch::kind::FLOAT_CPU);
            let found = depthwise_conv1d(&conv, &x, None, axes, 1).expect("fits").expect("plain");
            let found = if axes == Axes::ChannelsFirst { found } else { found.transpose(1, 2) };
            assert_eq!(found.size(), [2, 4, 3]);
            assert!(found.equal(&bias.view([1, 4, 1]).expand([2, 4, 3], false)));
        }
    }
}
