//! The generator without a gradient: rows of channels through kernels where these take its sizes,
//! else libtorch's convolutions.

use std::ops::Range;
use std::sync::Arc;

use formant_kernels::Result;
use formant_kernels::anti_aliased::AntiAliased;
use formant_kernels::convolution::{Convolution, ConvolutionConfig, Onto, Upsampling};
use formant_kernels::gemm::{Gemm, Precision};
use formant_kernels::row_activation::RowActivation;
use tch::{Kind, Tensor};

use super::network::{Ending, Generator, STRETCH};
use crate::nn::threads::threads;

/// Numbers of a layer's rows that residual blocks go through together, so that these stay in a cache.
const TILE: usize = 1 << 19;
/// Fewest rows of a tile, which sees about a hundred of its neighbors' besides.
const FEWEST_ROWS: usize = 1 << 12;

/// A [`Generator`] without a gradient.
#[derive(Debug, Clone)]
pub(in crate::arch) struct FrozenGenerator {
    form: Form,
}

#[derive(Debug, Clone)]
enum Form {
    Kernels(Arc<Layers>),
    Library(Box<Generator>),
}

/// The layers as kernels take them.
#[derive(Debug, Clone)]
pub(super) struct Layers {
    pub(super) pre: Convolution,
    pub(super) stages: Vec<Stage>,
    pub(super) post_activation: (Option<AntiAliased>, RowActivation),
    pub(super) post: Convolution,
    pub(super) ending: Ending,
    /// Frames on each side on which the samples of a frame depend.
    pub(super) reach: usize,
}

/// An upsampling, and residual blocks side by side whose mean goes on.
#[derive(Debug, Clone)]
pub(super) struct Stage {
    pub(super) up: Upsampling,
    pub(super) blocks: Vec<Block>,
}

/// Steps of one convolution or two, around each of which the input goes.
#[derive(Debug, Clone)]
pub(super) struct Block {
    pub(super) steps: Vec<Vec<Half>>,
}

/// A convolution, and what is in front of it where that sees other rows.
#[derive(Debug, Clone)]
pub(super) struct Half {
    pub(super) anti_aliased: Option<AntiAliased>,
    pub(super) conv: Convolution,
}

impl Half {
    /// Rows on each side that a row depends on.
    fn reach(&self) -> usize {
        self.conv.config().reach() + self.anti_aliased.as_ref().map_or(0, |_| AntiAliased::REACH)
    }
}

/// Rows on their way through blocks, in memory that is kept from one to the next.
#[derive(Default)]
struct Buffers {
    /// Behind a step, and behind the next.
    state: Vec<f32>,
    next: Vec<f32>,
    /// Inside of a step, in front of a convolution and behind it.
    bent: Vec<f32>,
    inner: Vec<f32>,
}

impl FrozenGenerator {
    pub(in crate::arch) fn new(generator: Generator) -> Self {
        let form = match generator.has_kernels().and_then(|()| Gemm::preferred(Precision::Single)) {
            Some(gemm) => Form::Kernels(Arc::new(generator.into_layers(gemm))),
            None => Form::Library(Box::new(generator)),
        };
        Self { form }
    }

    /// Makes the products in numbers of `kind`, where kernels or the library have them.
    pub(in crate::arch) fn set_kind(&mut self, kind: Kind) {
        match &mut self.form {
            Form::Library(generator) => generator.set_kind(kind),
            Form::Kernels(layers) => {
                let precision = match kind {
                    Kind::BFloat16 => Precision::Bf16,
                    _ => Precision::Single,
                };
                let gemm = Gemm::new(precision).filter(|gemm| *gemm != layers.post.gemm());
                if let Some(gemm) = gemm {
                    Arc::make_mut(layers).set_gemm(gemm);
                }
            }
        }
    }

    /// `[batch, channels, frames]` to `[batch, 1, frames * hop]`, a stretch of frames at a time, so
    /// that memory does not grow with the latents.
    pub(in crate::arch) fn forward(&self, latents: &Tensor) -> Tensor {
        let layers = match &self.form {
            Form::Library(generator) => return generator.forward(latents),
            Form::Kernels(layers) => layers,
        };
        let signals = latents.size()[0];
        let samples = (0..signals).map(|at| {
            let rows = latents.get(at).transpose(0, 1).contiguous();
            let rows = Vec::<f32>::try_from(rows.view([-1])).expect("32-bit numbers");
            Tensor::from_slice(&layers.samples(&rows).expect("as many channels as layers have"))
        });
        Tensor::stack(&samples.collect::<Vec<_>>(), 0).unsqueeze(1)
    }
}

impl Layers {
    fn set_gemm(&mut self, gemm: Gemm) {
        let Self { pre, stages, post, .. } = self;
        let blocks = stages.iter_mut().flat_map(|stage| {
            stage.up.set_gemm(gemm);
            &mut stage.blocks
        });
        let inner = blocks.flat_map(|block| &mut block.steps).flatten();
        let inner = inner.map(|half| &mut half.conv);
        inner.chain([pre, post]).for_each(|conv| conv.set_gemm(gemm));
    }

    /// The samples of rows of latents.
    fn samples(&self, latents: &[f32]) -> Result<Vec<f32>> {
        let width = self.pre.config().inputs;
        let (frames, stretch) = (latents.len() / width, STRETCH as usize);
        let mut samples = Vec::new();
        for from in (0..frames).step_by(stretch) {
            let to = frames.min(from + stretch);
            let first = from.saturating_sub(self.reach);
            let last = frames.min(to + self.reach);
            let around = self.stretch(&latents[first * width..last * width])?;
            let hop = around.len() / (last - first);
            samples.extend_from_slice(&around[(from - first) * hop..(to - first) * hop]);
        }
        Ok(samples)
    }

    fn stretch(&self, latents: &[f32]) -> Result<Vec<f32>> {
        let threads = threads();
        let mut x = rows_of(&self.pre, latents, threads)?;
        let (mut buffer, mut scale) = (Vec::new(), 1.0);
        for stage in &self.stages {
            let up = stage.up.run(&x, scale, &mut buffer, threads)?;
            x.resize(up.len(), 0.0);
            stage.residual(up, &mut x, threads)?;
            scale = 1.0 / stage.blocks.len() as f32;
        }
        let mut y = vec![0.0; x.len()];
        match &self.post_activation {
            (Some(periodic), _) => periodic.run(&x, scale, 0, &mut y, threads)?,
            (None, function) => function.run(&x, scale, self.post.config().inputs, &mut y)?,
        }
        let mut samples = rows_of(&self.post, &y, threads)?;
        samples.iter_mut().for_each(|x| *x = self.ending.of(*x));
        Ok(samples)
    }
}

/// The rows of a convolution that sees no others.
fn rows_of(layer: &Convolution, x: &[f32], threads: usize) -> Result<Vec<f32>> {
    let ConvolutionConfig { inputs, outputs, .. } = layer.config();
    let mut out = vec![0.0; x.len() / inputs * outputs];
    layer.run(x, 0, Onto::default(), &mut out, threads)?;
    Ok(out)
}

impl Stage {
    /// Writes the sum of the blocks' rows to `out`, tile by tile.
    fn residual(&self, up: &[f32], out: &mut [f32], threads: usize) -> Result<()> {
        let channels = self.up.config().outputs;
        let rows = up.len() / channels;
        let tiles = rows.div_ceil((TILE / channels).max(FEWEST_ROWS)).max(1);
        let tile = rows.div_ceil(tiles).max(1);
        let mut buffers = Buffers::default();
        for (part, out) in out.chunks_mut(tile * channels).enumerate() {
            for (at, block) in self.blocks.iter().enumerate() {
                let onto = Onto { output: at > 0, ..Onto::default() };
                block.run(up, part * tile, onto, out, &mut buffers, threads)?;
            }
        }
        Ok(())
    }
}

impl Block {
    /// Writes the block's rows to `out`, of which the first is that of row `first` of `x`; to the
    /// others that these depend on it applies fewer and fewer of its steps.
    fn run(
        &self,
        x: &[f32],
        first: usize,
        onto: Onto<'_>,
        out: &mut [f32],
        buffers: &mut Buffers,
        threads: usize,
    ) -> Result<()> {
        let Buffers { state, next, bent, inner } = buffers;
        let all = || self.steps.iter().flatten();
        let Some(channels) = all().map(|half| half.conv.config().outputs).next() else {
            return Ok(());
        };
        let (rows, wanted) = (x.len() / channels, first..first + out.len() / channels);
        let mut margin: usize = all().map(Half::reach).sum();
        // The rows that are there: all of `x`, then those of `state`.
        let mut there = 0..rows;
        for (at, step) in self.steps.iter().enumerate() {
            let source: &[f32] = if at == 0 { x } else { state };
            margin -= step.iter().map(Half::reach).sum::<usize>();
            let after = wanted.start.saturating_sub(margin)..rows.min(wanted.end + margin);
            let skipped = after.start - there.start;
            let residual = Some(&source[skipped * channels..][..after.len() * channels]);
            let is_last = at + 1 == self.steps.len();
            let (onto, to) = if is_last {
                (Onto { residual, ..onto }, &mut *out)
            } else {
                next.resize(after.len() * channels, 0.0);
                (Onto { residual, output: false }, next.as_mut_slice())
            };
            let plain = |half: &Half| half.anti_aliased.is_none();
            match step.as_slice() {
                [half] if plain(half) => half.conv.run(source, skipped, onto, to, threads)?,
                [first, half] if plain(first) && plain(half) => {
                    half.conv.run_behind(&first.conv, source, skipped, onto, to, threads)?;
                }
                halves => {
                    let signal = Signal { rows, channels, threads };
                    let source = (source, there.clone());
                    signal.through(halves, source, after.clone(), onto, to, [bent, inner])?;
                }
            }
            there = after;
            if !is_last {
                std::mem::swap(state, next);
            }
        }
        Ok(())
    }
}

/// A signal of which a part is at hand.
struct Signal {
    rows: usize,
    channels: usize,
    threads: usize,
}

impl Signal {
    /// Writes the rows `wanted` behind one half after the other to `out`, from the rows of `source`.
    fn through(
        &self,
        halves: &[Half],
        source: (&[f32], Range<usize>),
        wanted: Range<usize>,
        onto: Onto<'_>,
        out: &mut [f32],
        [bent, inner]: [&mut Vec<f32>; 2],
    ) -> Result<()> {
        let Self { rows, channels, threads } = *self;
        let wider = |range: &Range<usize>, by: usize| {
            range.start.saturating_sub(by)..rows.min(range.end + by)
        };
        // What comes out of each half, from the last to the first.
        let mut ranges = vec![wanted];
        for half in halves[1..].iter().rev() {
            ranges.push(wider(&ranges[ranges.len() - 1], half.reach()));
        }
        for (at, half) in halves.iter().enumerate() {
            let (range, is_last) = (ranges[halves.len() - 1 - at].clone(), at + 1 == halves.len());
            let (from, there) = match at {
                0 => (source.0, source.1.clone()),
                _ => (inner.as_slice(), ranges[halves.len() - at].clone()),
            };
            let seen = wider(&range, half.conv.config().reach());
            bent.resize(seen.len() * channels, 0.0);
            let first = seen.start - there.start;
            match &half.anti_aliased {
                Some(periodic) => periodic.run(from, 1.0, first, bent, threads)?,
                None => bent.copy_from_slice(&from[first * channels..][..seen.len() * channels]),
            }
            let first = range.start - seen.start;
            match is_last {
                true => half.conv.run(bent, first, onto, out, threads)?,
                false => {
                    inner.resize(range.len() * channels, 0.0);
                    half.conv.run(bent, first, Onto::default(), inner, threads)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tch::nn::VarStore;
    use tch::{Device, kind::FLOAT_CPU};

    use super::super::activation::{Periodic, Style};
    use super::super::config::{GeneratorConfig, ResBlockKind};
    use super::*;
    use crate::network::NoTrace;
    use crate::params::Params;

    /// Tiles, stretches and both forms give the samples of one piece.
    #[test]
    fn kernels_equal_the_library() {
        tch::manual_seed(11);
        let tiny = GeneratorConfig::tiny();
        let other = GeneratorConfig {
            resblock: ResBlockKind::Singles,
            upsample_rates: vec![3, 2],
            upsample_kernel_sizes: vec![7, 2],
            resblock_kernel_sizes: vec![3, 11],
            resblock_dilation_sizes: vec![vec![1, 3], vec![2, 5, 7]],
            ..tiny.clone()
        };
        let long = GeneratorConfig { resblock_kernel_sizes: vec![33, 11], ..other.clone() };
        let periodic = Style::AntiAliased(Periodic { has_beta: false, is_log: false });
        for (config, style, has_kernels) in [
            (tiny.clone(), Style::Snake, true),
            (other.clone(), Style::Snake, true),
            (long, Style::Snake, false),
            (other.clone(), Style::Leaky, true),
            (tiny, periodic, true),
            (other, periodic, true),
        ] {
            let vs = VarStore::new(Device::Cpu);
            let params = Params::random(&vs.root());
            let ending = Ending { has_bias: style == Style::Snake, is_tanh: style == Style::Snake };
            let generator = Generator::styled(&params, &config, 5, (style, ending));
            let generator = generator.expect("sound sizes");
            for frames in [1, 40, STRETCH + 30] {
                let latents = Tensor::randn([2, 5, frames], FLOAT_CPU);
                let _guard = tch::no_grad_guard();
                let wanted = generator.forward_traced(&latents, &mut NoTrace);
                let mut frozen = FrozenGenerator::new(generator.clone());
                let is_kernel = matches!(frozen.form, Form::Kernels(_));
                let preferred = Gemm::preferred(Precision::Single).is_some();
                assert_eq!(is_kernel, has_kernels && preferred);
                let worst = |found: Tensor| {
                    assert_eq!(found.size(), wanted.size());
                    ((found - &wanted).abs().max() / wanted.abs().max()).double_value(&[])
                };
                let error = worst(frozen.forward(&latents));
                assert!(error < 5e-6, "{frames} frames: {error}");
                frozen.set_kind(Kind::BFloat16);
                let error = worst(frozen.forward(&latents));
                assert!(error < 3e-2, "{frames} frames in bf16: {error}");
            }
        }
    }
}
