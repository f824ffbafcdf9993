//! The decoder without a gradient, where a matrix unit makes the sums: a convolution over two axes is
//! three over one, for the row above, the row itself and the row below.

use std::sync::Arc;

use formant_kernels::Result;
use formant_kernels::convolution::{Convolution, ConvolutionConfig, Onto};
use formant_kernels::gemm::{Gemm, Precision};
use formant_kernels::row_activation::RowActivation;
use tch::{Device, Kind, Tensor};

use super::blocks::{Attention, GROUPS, GroupNorm, Middle, NORM_EPS, ResBlock};
use super::decoder::Decoder;
use crate::nn::conv2d::Conv2d;
use crate::nn::threads::threads;

/// Rows of a picture that a thread takes together.
const SHARE: usize = 4;

/// Places of one picture, row by row, with the channels of each side by side. Behind each row is a
/// place more, which is zero where a convolution reads it: what is beside the picture.
struct Plane {
    height: usize,
    width: usize,
    channels: usize,
    x: Vec<f32>,
}

impl Plane {
    fn of(x: &Tensor) -> Self {
        let [channels, height, width] =
            [1, 2, 3].map(|axis| usize::try_from(x.size()[axis]).unwrap_or_default());
        let rows = x.permute([0, 2, 3, 1]).constant_pad_nd([0, 0, 0, 1]).contiguous();
        let x = Vec::try_from(rows.view([-1])).expect("32-bit numbers");
        Self { height, width, channels, x }
    }

    /// `[1, channels, height, width]`
    fn tensor(&self) -> Tensor {
        let [height, width, channels] =
            [self.height, self.width + 1, self.channels].map(|size| size as i64);
        let rows = Tensor::from_slice(&self.x).view([1, height, width, channels]);
        rows.narrow(2, 0, width - 1).permute([0, 3, 1, 2]).contiguous()
    }

    /// The same places with other channels.
    fn like(&self, channels: usize) -> Self {
        let x = vec![0.0; self.height * (self.width + 1) * channels];
        Self { channels, x, ..*self }
    }

    /// Elements of a row.
    fn row(&self) -> usize {
        (self.width + 1) * self.channels
    }

    /// The places of each row that are of the picture.
    fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.x.chunks_exact(self.row()).map(|row| &row[..self.width * self.channels])
    }

    /// Every place four times.
    fn doubled(&self) -> Self {
        let mut out = Self { height: 2 * self.height, width: 2 * self.width, ..self.like(0) };
        out.channels = self.channels;
        out.x.reserve(out.height * out.row());
        for row in self.rows() {
            let mut double: Vec<f32> = Vec::with_capacity(out.row());
            for place in row.chunks_exact(self.channels) {
                double.extend(place);
                double.extend(place);
            }
            double.resize(out.row(), 0.0);
            out.x.extend(&double);
            out.x.extend(&double);
        }
        out
    }
}

/// A convolution, of three rows or of one.
#[derive(Debug, Clone)]
struct Conv {
    rows: Arc<[Convolution]>,
}

impl Conv {
    /// Behind `before`; nothing where no matrix unit makes its sums.
    fn new(conv: &Conv2d, before: &RowActivation) -> Option<Self> {
        let weight = conv.weight.detach();
        let bias = numbers(&conv.bias);
        let [outputs, inputs, height, kernel] = <[i64; 4]>::try_from(weight.size())
            .ok()?
            .map(|x| usize::try_from(x).unwrap_or_default());
        let gemm = Gemm::new(Precision::Single)?;
        let row = |at: usize| {
            let taps = numbers(&weight.select(2, at as i64).permute([2, 1, 0]));
            let own = if at == height / 2 { bias.clone() } else { vec![0.0; outputs] };
            let config = ConvolutionConfig { inputs, outputs, kernel, dilation: 1 };
            let row = Convolution::new(gemm, config, before.clone(), &taps, &own);
            row.ok().filter(Convolution::is_direct)
        };
        let is_plain = weight.device() == Device::Cpu && height % 2 == 1;
        is_plain.then_some(())?;
        Some(Self { rows: (0..height).map(row).collect::<Option<_>>()? })
    }

    /// The picture, added to one of the same size where one is given.
    fn run(&self, x: &Plane, residual: Option<&Plane>) -> Result<Plane> {
        let middle = self.rows.len() / 2;
        let config = self.rows[middle].config();
        let (mut out, threads) = (x.like(config.outputs), threads());
        let (places, row) = (x.width + 1, (x.width + 1) * config.outputs);
        let residual = residual.map(|residual| residual.x.as_slice());
        let onto = Onto { residual, output: false };
        self.rows[middle].run(&x.x, 0, onto, &mut out.x, threads)?;
        let onto = Onto { residual: None, output: true };
        for (at, conv) in self.rows.iter().enumerate() {
            let (above, below) = (middle.saturating_sub(at), at.saturating_sub(middle));
            if above + below == 0 || above + below >= x.height {
                continue;
            }
            let end = out.x.len() - below * row;
            conv.run(&x.x, below * places, onto, &mut out.x[above * row..end], threads)?;
        }
        Ok(out)
    }
}

/// The elements of a tensor, in order.
fn numbers(tensor: &Tensor) -> Vec<f32> {
    let flat = tensor.detach().to_kind(Kind::Float).contiguous().view([-1]);
    Vec::try_from(flat).expect("32-bit numbers")
}

/// A norm over groups of channels.
#[derive(Debug, Clone)]
struct Norm {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl Norm {
    fn new(norm: &GroupNorm) -> Self {
        Self { weight: numbers(&norm.weight), bias: numbers(&norm.bias) }
    }

    /// The picture with zeros beside it.
    fn run(&self, x: &Plane) -> Plane {
        let (channels, size) = (x.channels, x.channels / GROUPS as usize);
        let rows: Vec<&[f32]> = x.rows().collect();
        // A row's sums are of 32 bits, and those of rows of 64.
        let own = shared(rows.chunks(SHARE), |rows| {
            let each = rows.iter().map(|row| {
                let mut sums = [vec![0.0f32; channels], vec![0.0f32; channels]];
                let [first, second] = &mut sums;
                for place in row.chunks_exact(channels) {
                    for ((first, second), x) in first.iter_mut().zip(&mut *second).zip(place) {
                        *first += x;
                        *second += x * x;
                    }
                }
                sums
            });
            each.collect::<Vec<_>>()
        });
        let mean = |which: usize| -> Vec<f64> {
            let mut sums = vec![0.0f64; channels];
            for row in own.iter().flatten() {
                sums.iter_mut().zip(&row[which]).for_each(|(sum, x)| *sum += f64::from(*x));
            }
            let places = (x.height * x.width * size) as f64;
            sums.chunks_exact(size).map(|group| group.iter().sum::<f64>() / places).collect()
        };
        let (means, squares) = (mean(0), mean(1));
        let factor = |(mean, square): (&f64, f64)| 1.0 / (square - mean * mean + NORM_EPS).sqrt();
        let factors: Vec<f64> = means.iter().zip(squares).map(factor).collect();
        let scales: Vec<f32> = each(&factors, size)
            .zip(&self.weight)
            .map(|(factor, weight)| weight * factor)
            .collect();
        let offsets = each(&means, size).zip(&scales).zip(&self.bias);
        let offsets: Vec<f32> = offsets.map(|((mean, scale), bias)| bias - mean * scale).collect();
        let mut out = x.like(channels);
        let (row, inside) = (x.row(), x.width * channels);
        shared(out.x.chunks_mut(SHARE * row).zip(rows.chunks(SHARE)), |(out, rows)| {
            for (out, x) in out.chunks_exact_mut(row).zip(rows) {
                let places = out[..inside].chunks_exact_mut(channels);
                for (out, x) in places.zip(x.chunks_exact(channels)) {
                    let terms = scales.iter().zip(&offsets).zip(x);
                    let each = out.iter_mut().zip(terms);
                    each.for_each(|(out, ((scale, offset), x))| *out = x * scale + offset);
                }
            }
        });
        out
    }
}

/// What `work` makes of each part, in their order, on as many threads as libtorch has.
fn shared<P: Send, T: Send>(
    parts: impl Iterator<Item = P>,
    work: impl Fn(P) -> T + Sync,
) -> Vec<T> {
    let parts: Vec<P> = parts.collect();
    let share = parts.len().div_ceil(threads()).max(1);
    let mut shares: Vec<Vec<P>> = Vec::new();
    for (at, part) in parts.into_iter().enumerate() {
        if at % share == 0 {
            shares.push(Vec::with_capacity(share));
        }
        shares.last_mut().expect("one was pushed").push(part);
    }
    let work = &work;
    let of_share = |share: Vec<P>| share.into_iter().map(work).collect::<Vec<T>>();
    std::thread::scope(|scope| {
        let own = shares.pop();
        let others: Vec<_> =
            shares.into_iter().map(|share| scope.spawn(move || of_share(share))).collect();
        let last = own.map(of_share).unwrap_or_default();
        let mut made = Vec::new();
        for other in others {
            match other.join() {
                Ok(share) => made.extend(share),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        made.extend(last);
        made
    })
}

/// The number of each group for each of its channels.
fn each(groups: &[f64], size: usize) -> impl Iterator<Item = f32> {
    groups.iter().flat_map(move |x| std::iter::repeat_n(*x as f32, size))
}

/// Two convolutions, each behind a norm, around which the input goes.
#[derive(Debug, Clone)]
struct Block {
    norms: [Norm; 2],
    convs: [Conv; 2],
    shortcut: Option<Conv>,
}

impl Block {
    fn new(block: &ResBlock) -> Option<Self> {
        let shortcut = block.shortcut.as_ref();
        Some(Self {
            norms: [Norm::new(&block.norm1), Norm::new(&block.norm2)],
            convs: [
                Conv::new(&block.conv1, &RowActivation::Silu)?,
                Conv::new(&block.conv2, &RowActivation::Silu)?,
            ],
            shortcut: match shortcut {
                Some(conv) => Some(Conv::new(conv, &RowActivation::Identity)?),
                None => None,
            },
        })
    }

    fn run(&self, x: Plane) -> Result<Plane> {
        let inner = self.convs[0].run(&self.norms[0].run(&x), None)?;
        let around = match &self.shortcut {
            Some(conv) => conv.run(&x, None)?,
            None => x,
        };
        self.convs[1].run(&self.norms[1].run(&inner), Some(&around))
    }
}

/// A residual block, and the attention behind it.
#[derive(Debug, Clone)]
struct Step(Block, Option<Attention>);

impl Step {
    fn run(&self, x: Plane) -> Result<Plane> {
        let x = self.0.run(x)?;
        Ok(match &self.1 {
            Some(attention) => Plane::of(&attention.forward(&x.tensor())),
            None => x,
        })
    }
}

/// The decoder.
#[derive(Debug, Clone)]
pub(super) struct FrozenDecoder {
    conv_in: Conv,
    before: Block,
    attention: Attention,
    after: Block,
    /// The coarsest first; with the convolution behind the doubling of a level.
    levels: Vec<(Vec<Step>, Option<Conv>)>,
    norm_out: Norm,
    conv_out: Conv,
}

impl FrozenDecoder {
    /// Nothing where no matrix unit makes its sums.
    pub(super) fn new(decoder: &Decoder) -> Option<Self> {
        let Decoder { conv_in, middle: Middle { before, attention, after }, .. } = decoder;
        let plain = &RowActivation::Identity;
        let level = |level: &super::decoder::Level| {
            let step = |step: &super::blocks::Step| {
                Some(Step(Block::new(&step.block)?, step.attention.clone()))
            };
            let up = match &level.up {
                Some(conv) => Some(Conv::new(conv, plain)?),
                None => None,
            };
            Some((level.steps.iter().map(step).collect::<Option<_>>()?, up))
        };
        Some(Self {
            // First, so that nothing is packed in vain.
            conv_in: Conv::new(conv_in, plain)?,
            before: Block::new(before)?,
            attention: attention.clone(),
            after: Block::new(after)?,
            levels: decoder.levels.iter().map(level).collect::<Option<_>>()?,
            norm_out: Norm::new(&decoder.norm_out),
            conv_out: Conv::new(&decoder.conv_out, &RowActivation::Silu)?,
        })
    }

    /// As [`Decoder::forward`].
    pub(super) fn forward(&self, latents: &Tensor) -> Tensor {
        let _guard = tch::no_grad_guard();
        let pictures = (0..latents.size()[0]).map(|at| {
            let picture = self.picture(Plane::of(&latents.narrow(0, at, 1)));
            picture.expect("sizes of one network").tensor()
        });
        Tensor::cat(&pictures.collect::<Vec<_>>(), 0)
    }

    fn picture(&self, latents: Plane) -> Result<Plane> {
        let x = self.before.run(self.conv_in.run(&latents, None)?)?;
        let seen = self.attention.forward(&x.tensor());
        let mut x = self.after.run(Plane::of(&seen))?;
        for (steps, up) in &self.levels {
            for step in steps {
                x = step.run(x)?;
            }
            if let Some(up) = up {
                x = up.run(&x.doubled(), None)?;
            }
        }
        self.conv_out.run(&self.norm_out.run(&x), None)
    }
}

#[cfg(test)]
mod tests {
    use tch::nn::VarStore;

    use super::super::config::SpecVqganConfig;
    use super::*;
    use crate::network::NoTrace;
    use crate::params::Params;

    /// Pictures of one place and of several rows, with attention and shortcuts; whatever the threads.
    #[test]
    fn kernels_equal_the_library() {
        tch::manual_seed(3);
        let vs = VarStore::new(Device::Cpu);
        let config = SpecVqganConfig {
            ch: 32,
            ch_mult: vec![1, 2, 2],
            num_res_blocks: 1,
            resolution: 32,
            attn_resolutions: vec![8],
            z_channels: 32,
            ..SpecVqganConfig::default()
        };
        let decoder = Decoder::new(&Params::random(&vs.root()), &config).expect("sound sizes");
        let Some(frozen) = FrozenDecoder::new(&decoder) else { return };
        let sizes = [[1, 1], [1, 7], [5, 1], [5, 13]];
        let latents = sizes
            .map(|[height, width]| Tensor::randn([2, 32, height, width], tch::kind::FLOAT_CPU));
        let found = latents.each_ref().map(|latents| frozen.forward(latents));
        // Against sums of 64 bits: groups of a single place magnify what the library's 32 round.
        let mut vs = vs;
        vs.double();
        for (latents, found) in latents.iter().zip(found) {
            let latents = latents.to_kind(Kind::Double);
            let wanted = tch::no_grad(|| decoder.forward(&latents, &mut NoTrace));
            assert_eq!(found.size(), wanted.size());
            let worst = ((found - &wanted).abs().max() / wanted.abs().max()).double_value(&[]);
            assert!(worst < 2e-5, "{:?}: {worst}", latents.size());
        }
    }
}
