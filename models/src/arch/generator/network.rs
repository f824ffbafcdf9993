//! The generator: from latents to samples, by stages of upsampling.

use formant_kernels::gemm::Gemm;
use formant_kernels::row_activation::RowActivation;
use tch::{Kind, Tensor};

use super::activation::{Activation, Style};
use super::config::GeneratorConfig;
use super::frozen;
use super::layers::{Conv, ResBlock};
use crate::error::Result;
use crate::network::{NoTrace, Trace};
use crate::params::Params;

/// Kernel of the first and of the last convolution.
const OUTER_KERNEL: i64 = 7;
/// Frames that are computed at once. What the last stage holds grows with it: 34 MB for each of
/// its tensors at the published size.
pub(super) const STRETCH: i64 = 512;

/// Latents `[batch, channels, frames]` to samples `[batch, 1, frames * hop]` within -1 and 1.
#[derive(Debug, Clone)]
pub struct Generator {
    conv_pre: Conv,
    stages: Vec<Stage>,
    last: Activation,
    conv_post: Conv,
    ending: Ending,
    hop: i64,
}

/// How a generator ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::arch) struct Ending {
    /// Whether the last convolution has a bias.
    pub(in crate::arch) has_bias: bool,
    /// Whether a hyperbolic tangent bounds the samples, or what exceeds 1 is cut.
    pub(in crate::arch) is_tanh: bool,
}

impl Default for Ending {
    fn default() -> Self {
        Self { has_bias: true, is_tanh: true }
    }
}

impl Ending {
    /// One sample.
    pub(super) fn of(self, x: f32) -> f32 {
        if self.is_tanh { x.tanh() } else { x.clamp(-1.0, 1.0) }
    }
}

/// An upsampling, and residual blocks side by side whose mean goes on.
#[derive(Debug, Clone)]
struct Stage {
    activation: Activation,
    up: Conv,
    blocks: Vec<ResBlock>,
    factor: i64,
}

impl Generator {
    /// All parameters of HiFi-SR's generator under `params`, for `latents` channels.
    ///
    /// # Errors
    /// [`crate::Error::Config`] when a size is impossible; as [`Params::get`].
    pub fn new(params: &Params<'_>, config: &GeneratorConfig, latents: i64) -> Result<Self> {
        Self::styled(params, config, latents, (Style::Snake, Ending::default()))
    }

    /// As [`Generator::new`] for any network's generator.
    pub(in crate::arch) fn styled(
        params: &Params<'_>,
        config: &GeneratorConfig,
        latents: i64,
        (style, ending): (Style, Ending),
    ) -> Result<Self> {
        config.validate()?;
        let mut channels = config.upsample_initial_channel;
        let conv_pre = Conv::new(&params.sub("conv_pre"), [latents, channels], OUTER_KERNEL, 1)?;
        let each = config.resblock_kernel_sizes.len();
        let mut stages = Vec::with_capacity(config.upsample_rates.len());
        let rates = config.upsample_rates.iter().zip(&config.upsample_kernel_sizes);
        for (index, (&rate, &kernel)) in rates.enumerate() {
            let (outer, inner) = (channels, channels / 2);
            let block = |(j, (&kernel, dilations)): (usize, (&i64, &Vec<i64>))| {
                let place = params / "resblocks" / (index * each + j);
                ResBlock::new(&place, config.resblock, style, inner, kernel, dilations)
            };
            let sizes = config.resblock_kernel_sizes.iter().zip(&config.resblock_dilation_sizes);
            stages.push(Stage {
                activation: style.of_stage(params, index, outer)?,
                up: Conv::upsampling(
                    &params.sub(style.upsampling(index)),
                    [outer, inner],
                    kernel,
                    rate,
                )?,
                blocks: sizes.enumerate().map(block).collect::<Result<_>>()?,
                factor: rate,
            });
            channels = inner;
        }
        let post = params.sub("conv_post");
        Ok(Self {
            conv_pre,
            stages,
            last: style.last(params, channels)?,
            conv_post: match ending.has_bias {
                true => Conv::new(&post, [channels, 1], OUTER_KERNEL, 1)?,
                false => Conv::without_bias(&post, [channels, 1], OUTER_KERNEL)?,
            },
            ending,
            hop: config.hop(),
        })
    }

    /// The samples, a stretch of frames at a time, so that memory does not grow with the latents.
    pub fn forward(&self, latents: &Tensor) -> Tensor {
        let (frames, reach) = (latents.size()[2], self.reach());
        let stretches = (0..frames).step_by(STRETCH as usize).map(|from| {
            let to = frames.min(from + STRETCH);
            let (first, last) = ((from - reach).max(0), frames.min(to + reach));
            let around = latents.narrow(2, first, last - first);
            let y = self.forward_traced(&around, &mut NoTrace);
            y.narrow(2, (from - first) * self.hop, (to - from) * self.hop)
        });
        Tensor::cat(&stretches.collect::<Vec<_>>(), 2)
    }

    /// The samples in one piece; intermediate activations go to `trace`.
    pub fn forward_traced(&self, latents: &Tensor, trace: &mut dyn Trace) -> Tensor {
        let mut x = self.conv_pre.forward(latents);
        trace.record("generator.conv_pre", &x);
        let mut names = (0..).map(|block: usize| format!("generator.resblocks.{block}"));
        for (index, stage) in self.stages.iter().enumerate() {
            x = stage.activation.forward(&x);
            trace.record(&format!("generator.snakes.{index}"), &x);
            let up = stage.up.forward(&x);
            trace.record(&format!("generator.ups.{index}"), &up);
            let sum: Option<Tensor> = stage
                .blocks
                .iter()
                .zip(names.by_ref())
                .map(|(block, name)| block.forward(&up, &name, trace))
                .reduce(|sum, y| sum + y);
            x = sum.unwrap_or(up) / stage.blocks.len().max(1) as f64;
        }
        let x = self.last.forward(&x);
        trace.record("generator.snake_post", &x);
        let x = self.conv_post.forward(&x);
        trace.record("generator.conv_post", &x);
        let x = if self.ending.is_tanh { x.tanh() } else { x.clamp(-1.0, 1.0) };
        trace.record("generator.output", &x);
        x
    }

    /// Makes the convolutions in numbers of `kind`; activations and sums stay as they are.
    pub fn set_kind(&mut self, kind: Kind) {
        self.conv_pre.set_kind(kind);
        self.conv_post.set_kind(kind);
        for stage in &mut self.stages {
            stage.up.set_kind(kind);
            stage.blocks.iter_mut().for_each(|block| block.set_kind(kind));
        }
    }

    /// `None` where kernels do not take the layers.
    pub(super) fn has_kernels(&self) -> Option<()> {
        let has = self.stages.iter().flat_map(|stage| &stage.blocks).all(ResBlock::has_kernels);
        (has && [&self.conv_pre, &self.conv_post].into_iter().all(Conv::has_kernel)).then_some(())
    }

    /// The layers as kernels take them; each is packed and given back in turn.
    pub(super) fn into_layers(self, gemm: Gemm) -> frozen::Layers {
        let reach = usize::try_from(self.reach()).unwrap_or_default();
        let stage = |stage: Stage| frozen::Stage {
            // Functions in front of upsamplings are of elements.
            up: stage.up.into_upsampling(gemm, stage.activation.into_kernels().1),
            blocks: stage.blocks.into_iter().map(|block| block.into_kernels(gemm)).collect(),
        };
        frozen::Layers {
            pre: self.conv_pre.into_convolution(gemm, RowActivation::Identity),
            stages: self.stages.into_iter().map(stage).collect(),
            post_activation: self.last.into_kernels(),
            ending: self.ending,
            post: self.conv_post.into_convolution(gemm, RowActivation::Identity),
            reach,
        }
    }

    /// Frames on each side on which the samples of a frame depend.
    fn reach(&self) -> i64 {
        let (mut frames, mut rate) = (self.conv_pre.reach() as f64, 1.0);
        for stage in &self.stages {
            frames += stage.up.reach() as f64 / rate;
            rate *= stage.factor as f64;
            let widest = stage.blocks.iter().map(ResBlock::reach).max();
            frames += widest.unwrap_or(0) as f64 / rate;
        }
        let last = self.last.reach() + self.conv_post.reach();
        (frames + last as f64 / rate).ceil() as i64 + 1
    }
}

#[cfg(test)]
mod tests {
    use tch::nn::VarStore;
    use tch::{Device, kind::FLOAT_CPU};

    use super::super::activation::Periodic;
    use super::super::config::ResBlockKind;
    use super::*;

    /// A stretch sees as many frames around it as its samples depend on.
    #[test]
    fn stretches_equal_one_piece() {
        let tiny = GeneratorConfig::tiny();
        let other = GeneratorConfig {
            resblock: ResBlockKind::Singles,
            upsample_rates: vec![3, 2],
            upsample_kernel_sizes: vec![7, 2],
            resblock_kernel_sizes: vec![3, 11],
            resblock_dilation_sizes: vec![vec![1, 3], vec![2, 5, 7]],
            ..tiny.clone()
        };
        let periodic = Style::AntiAliased(Periodic { has_beta: true, is_log: true });
        for (config, style) in
            [(tiny, Style::Snake), (other.clone(), Style::Leaky), (other, periodic)]
        {
            let vs = VarStore::new(Device::Cpu);
            let ends = (style, Ending::default());
            let generator = Generator::styled(&Params::random(&vs.root()), &config, 5, ends);
            let generator = generator.expect("sound sizes");
            for frames in [1, STRETCH, 2 * STRETCH + 40] {
                let latents = Tensor::randn([1, 5, frames], FLOAT_CPU);
                let (whole, found) = tch::no_grad(|| {
                    let whole = generator.forward_traced(&latents, &mut NoTrace);
                    (whole, generator.forward(&latents))
                });
                assert_eq!(found.size(), [1, 1, frames * config.hop()]);
                let worst = (found - whole).abs().max().double_value(&[]);
                assert!(worst < 1e-6, "{frames} frames: {worst}");
            }
        }
    }
}
