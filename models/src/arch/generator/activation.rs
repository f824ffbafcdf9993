//! What is between the convolutions of a generator: leaky rectifiers, or periodic functions.

use formant_kernels::anti_aliased::AntiAliased as AntiAliasedRows;
use formant_kernels::row_activation::{self, RowActivation};
use tch::Tensor;

use super::layers::numbers;
use crate::error::Result;
use crate::params::{Params, Weight};

/// Keeps the quotient of periodic functions finite.
const PERIODIC_EPS: f64 = 1e-9;
/// What is left of negative numbers, and of those in front of the last convolution.
const SLOPE: f64 = 0.1;
const LAST_SLOPE: f64 = 0.01;
/// Taps of the filters around a periodic function.
const TAPS: i64 = 12;

/// The activations of a network, and their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::arch) enum Style {
    /// HiFi-SR: [`Snake`] in front of every convolution but the first.
    Snake,
    /// HiFi-GAN: leaky rectifiers there.
    Leaky,
    /// BigVGAN and BigVSAN: [`AntiAliased`] in front of all but the first and the upsamplings.
    AntiAliased(Periodic),
}

/// The periodic function of BigVGAN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::arch) struct Periodic {
    /// Whether its frequency and its height are weights apart.
    pub(in crate::arch) has_beta: bool,
    /// Whether logarithms of both are stored.
    pub(in crate::arch) is_log: bool,
}

impl Style {
    /// In front of the upsampling of a stage.
    pub(super) fn of_stage(
        self,
        params: &Params<'_>,
        stage: usize,
        channels: i64,
    ) -> Result<Activation> {
        match self {
            Self::Snake => Activation::snake(&(params / "snakes" / stage), channels),
            Self::Leaky => Ok(Activation::Leaky(SLOPE)),
            Self::AntiAliased(_) => Ok(Activation::None),
        }
    }

    /// In front of the last convolution.
    pub(super) fn last(self, params: &Params<'_>, channels: i64) -> Result<Activation> {
        match self {
            Self::Snake => Activation::snake(&params.sub("snake_post"), channels),
            Self::Leaky => Ok(Activation::Leaky(LAST_SLOPE)),
            Self::AntiAliased(function) => {
                Activation::anti_aliased(&params.sub("activation_post"), function, channels)
            }
        }
    }

    /// In front of convolution `index` of `list` in a residual block, the `order`-th of the block; with
    /// its name.
    pub(super) fn of_block(
        self,
        block: &Params<'_>,
        (list, index, order): (&str, usize, usize),
        channels: i64,
    ) -> Result<(Option<String>, Activation)> {
        match self {
            Self::Snake => {
                let name = format!("{list}_activates.{index}");
                let snake = Activation::snake(&block.sub(&name), channels)?;
                Ok((Some(name), snake))
            }
            Self::Leaky => Ok((None, Activation::Leaky(SLOPE))),
            Self::AntiAliased(function) => {
                let name = format!("activations.{order}");
                let periodic = Activation::anti_aliased(&block.sub(&name), function, channels)?;
                Ok((Some(name), periodic))
            }
        }
    }

    /// Name of the upsampling of a stage; BigVGAN's stages are lists of one.
    pub(super) fn upsampling(self, stage: usize) -> String {
        match self {
            Self::Snake | Self::Leaky => format!("ups.{stage}"),
            Self::AntiAliased(_) => format!("ups.{stage}.0"),
        }
    }
}

/// An activation.
#[derive(Debug, Clone)]
pub(super) enum Activation {
    None,
    Leaky(f64),
    Snake(Snake),
    AntiAliased(Box<AntiAliased>),
}

impl Activation {
    fn snake(params: &Params<'_>, channels: i64) -> Result<Self> {
        Snake::new(params, channels).map(Self::Snake)
    }

    fn anti_aliased(params: &Params<'_>, function: Periodic, channels: i64) -> Result<Self> {
        Ok(Self::AntiAliased(Box::new(AntiAliased::new(params, function, channels)?)))
    }

    /// `[batch, channels, time]` to the same shape.
    pub(super) fn forward(&self, x: &Tensor) -> Tensor {
        match self {
            Self::None => x.shallow_clone(),
            // The library's has a fixed slope.
            Self::Leaky(slope) => x.maximum(&(x * *slope)),
            Self::Snake(snake) => snake.forward(x),
            Self::AntiAliased(periodic) => periodic.forward(x),
        }
    }

    /// Samples on each side that an output depends on.
    pub(super) fn reach(&self) -> i64 {
        if matches!(self, Self::AntiAliased(_)) { TAPS / 2 + 1 } else { 0 }
    }

    /// The kernels of rows of channels: what sees other rows, and the function of each element behind
    /// that.
    pub(super) fn into_kernels(self) -> (Option<AntiAliasedRows>, RowActivation) {
        match self {
            Self::None => (None, RowActivation::Identity),
            Self::Leaky(slope) => (None, RowActivation::LeakyRelu(slope as f32)),
            Self::Snake(snake) => (None, snake.into_kernel()),
            Self::AntiAliased(periodic) => (Some(periodic.into_kernel()), RowActivation::Identity),
        }
    }
}

/// `x + sin(alpha x)^2 / alpha`, an `alpha` a channel. Always in f32: in 16 bits a large `alpha x`
/// has no phase.
///
/// Source: Ziyin et al., "Neural Networks Fail to Learn Periodic Functions" (arXiv 2006.08195).
#[derive(Debug, Clone)]
pub(super) struct Snake {
    alpha: Weight, // [1, channels, 1]
}

impl Snake {
    fn new(params: &Params<'_>, channels: i64) -> Result<Self> {
        Ok(Self { alpha: params.ones("alpha", &[1, channels, 1])? })
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        periodic(x, &self.alpha, &self.alpha)
    }

    fn into_kernel(self) -> RowActivation {
        let alpha = self.alpha.detach();
        let inverse = (&*alpha + PERIODIC_EPS).reciprocal();
        let snake = row_activation::Snake::new(&numbers(&alpha), &numbers(&inverse));
        RowActivation::Snake(snake.expect("lists of one length"))
    }
}

/// `x + sin(alpha x)^2 / beta`.
fn periodic(x: &Tensor, alpha: &Tensor, beta: &Tensor) -> Tensor {
    let inverse = (beta + PERIODIC_EPS).reciprocal();
    (x * alpha).sin_().square_().g_mul_(&inverse).g_add_(x)
}

/// A periodic function at twice the rate, so that the overtones it makes do not fold back.
#[derive(Debug, Clone)]
pub(super) struct AntiAliased {
    alpha: Weight, // [channels]
    beta: Option<Weight>,
    is_log: bool,
    up: Weight,   // [1, 1, taps]
    down: Weight, // [1, 1, taps]
}

impl AntiAliased {
    fn new(params: &Params<'_>, function: Periodic, channels: i64) -> Result<Self> {
        let act = params.sub("act");
        // Frequency and height are 1 at first.
        let weight = |name: &str| match function.is_log {
            true => act.zeros(name, &[channels]),
            false => act.ones(name, &[channels]),
        };
        let filter = |name: &str| params.sub(name).buffer("filter", &[1, 1, TAPS], half_band);
        Ok(Self {
            alpha: weight("alpha")?,
            beta: function.has_beta.then(|| weight("beta")).transpose()?,
            is_log: function.is_log,
            up: filter("upsample")?,
            down: filter("downsample.lowpass")?,
        })
    }

    /// A weight as the function takes it, `[1, channels, 1]`.
    fn factor(&self, weight: &Weight) -> Tensor {
        let factor = weight.view([1, -1, 1]);
        if self.is_log { factor.exp() } else { factor }
    }

    fn into_kernel(self) -> AntiAliasedRows {
        let alpha = self.factor(&self.alpha);
        let beta = self.factor(self.beta.as_ref().unwrap_or(&self.alpha));
        let inverse = (beta + PERIODIC_EPS).reciprocal();
        let [up, down] = [&self.up, &self.down].map(|filter| numbers(filter));
        AntiAliasedRows::new(&numbers(&alpha), &numbers(&inverse), &up, &down)
            .expect("lists of one length")
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        let (batch, channels, time) = x.size3().expect("three axes");
        let alpha = self.factor(&self.alpha);
        let beta = self.beta.as_ref().map(|beta| self.factor(beta));
        let (none, margin) = (None::<&Tensor>, TAPS / 2 - 1);
        // All channels have the same filter.
        let rows = x.reshape([batch * channels, 1, time]).replication_pad1d([margin, margin]);
        let doubled = rows.conv_transpose1d(&self.up, none, [2], [0], [0], 1, [1]) * 2.0;
        let doubled = doubled.narrow(2, 3 * margin, 2 * time).reshape([batch, channels, 2 * time]);
        let y = periodic(&doubled, &alpha, beta.as_ref().unwrap_or(&alpha));
        let rows =
            y.reshape([batch * channels, 1, 2 * time]).replication_pad1d([margin, margin + 1]);
        rows.conv1d(&self.down, none, [2], [0], [1], 1).reshape([batch, channels, time])
    }
}

/// A low pass at half of the band: a sinc in a Kaiser window, whose sum is 1.
fn half_band() -> Tensor {
    const CUTOFF: f64 = 0.25;
    // For a transition of 0.3 of the rate, after Kaiser's formulas.
    let attenuation = 2.285 * (TAPS as f64 / 2.0 - 1.0) * std::f64::consts::PI * 1.2 + 7.95;
    let beta = 0.1102 * (attenuation - 8.7);
    let bessel = |x: f64| {
        let term = |(sum, term): (f64, f64), k: i32| {
            let term = term * (x / (2.0 * f64::from(k))).powi(2);
            (sum + term, term)
        };
        (1..40).fold((1.0, 1.0), term).0
    };
    let half = (TAPS - 1) as f64 / 2.0;
    let tap = |index: i64| {
        let time = index as f64 - half;
        let window = bessel(beta * (1.0 - (time / half).powi(2)).max(0.0).sqrt()) / bessel(beta);
        let angle = std::f64::consts::PI * 2.0 * CUTOFF * time;
        2.0 * CUTOFF * window * angle.sin() / angle
    };
    let taps: Vec<f64> = (0..TAPS).map(tap).collect();
    let sum: f64 = taps.iter().sum();
    let taps: Vec<f32> = taps.iter().map(|tap| (tap / sum) as f32).collect();
    Tensor::from_slice(&taps).view([1, 1, TAPS])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As NumPy's `kaiser` and `sinc` make it.
    #[test]
    fn the_filter_is_that_of_the_formula() {
        const HALF: [f32; 6] =
            [0.002_028_97, 0.009_389_46, -0.025_543_46, -0.057_657_38, 0.128_572_61, 0.443_209_8];
        let taps = Vec::<f32>::try_from(half_band().reshape([-1])).expect("numbers");
        let wanted = HALF.iter().chain(HALF.iter().rev());
        assert!(taps.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-7), "{taps:?}");
    }

    #[test]
    fn a_constant_goes_through_the_filters() {
        let vs = tch::nn::VarStore::new(tch::Device::Cpu);
        let function = Periodic { has_beta: true, is_log: true };
        let params = Params::random(&vs.root());
        let activation = AntiAliased::new(&params, function, 3).expect("made");
        let x = Tensor::full([2, 3, 9], 0.3, tch::kind::FLOAT_CPU);
        let y = activation.forward(&x);
        let wanted = 0.3 + 0.3f64.sin().powi(2);
        assert!((y - wanted).abs().max().double_value(&[]) < 1e-5);
    }
}
