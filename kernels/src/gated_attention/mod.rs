//! Gated attention with one head, exact inside of groups of frames and linear over all of them, as a
//! single operation: what a few groups of frames become on the way stays in the caches, and
//! threads share the groups instead of every product.
//!
//! Source: Hua et al., "Transformer Quality in Linear Time" (ICML 2022), section 3, with the triple
//! gate and the convolutions of Zhao and Ma, "MossFormer" (arXiv 2302.11824), section 2.2.

mod rows;
#[cfg(test)]
mod tests;

use std::mem::MaybeUninit;

use crate::activation::Activation;
use crate::depthwise::DepthwiseConv1d;
use crate::error::{Error, Result, check_length};
use crate::gemm::{Gemm, Matrix, MatrixMut, PackedMatrix, Right, Start, Workspace};
use crate::linear::Linear;
use crate::threads::try_in_threads;
use crate::view::{Shape, View, ViewMut};

/// Frames that are computed together, where groups are smaller.
const BLOCK: usize = 256;

/// Quadratic query, linear query, quadratic key, linear key.
const HEADS: usize = 4;
const QUADRATIC_QUERY: usize = 0;
const LINEAR_QUERY: usize = 1;
const QUADRATIC_KEY: usize = 2;
const LINEAR_KEY: usize = 3;

/// The layers of a [`GatedAttention`]; what is learnt of norms is folded into the weights.
#[derive(Debug, Clone, Copy)]
pub struct Layers<'a> {
    /// From a normalised frame to values, gates and the common projection of queries and keys, side
    /// by side, with its activation.
    pub projection: &'a Linear,
    /// Over the frames of the projection, without zeros at the ends, which are added here: as many
    /// to either side.
    pub conv: &'a DepthwiseConv1d,
    /// Scales of the four heads, `[4, query_key]`: quadratic query (already divided by the frames of
    /// a group), linear query, quadratic key, linear key.
    pub gamma: &'a [f32],
    /// Offsets of the four heads, `[4, query_key]`.
    pub beta: &'a [f32],
    /// From a normalised gated frame back to channels, with its activation.
    pub to_out: &'a Linear,
    /// Over the frames of the result; as many frames out as in.
    pub out_conv: &'a DepthwiseConv1d,
    /// Frames that see each other exactly.
    pub group: usize,
}

/// Cosines and sines of the angles by which queries and keys are turned, `[frames, dim]` each, the
/// same for both channels of a pair.
#[derive(Debug, Clone, Copy)]
pub struct Rotation<'a> {
    /// Cosines.
    pub cos: &'a [f32],
    /// Sines.
    pub sin: &'a [f32],
    /// Leading channels of queries and keys that are turned, even.
    pub dim: usize,
}

/// The block, `[frames, channels]` to the same shape, ready to run.
#[derive(Debug, Clone, Copy)]
pub struct GatedAttention<'a> {
    gemm: Gemm,
    layers: Layers<'a>,
    /// Frames that the projection's convolution sees to either side.
    reach: usize,
    half: usize,
    query_key: usize,
}

/// Memory that a block works in, kept from one block to the next.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Projections of all frames.
    projected: Vec<f32>,
    /// Queries and keys of all frames.
    heads: Vec<f32>,
    /// Results of all frames before the last convolution.
    left: Vec<f32>,
    threads: Vec<ThreadScratch>,
}

/// Memory of a thread.
#[derive(Debug, Default)]
struct ThreadScratch {
    workspace: Workspace,
    /// Projections that a block's convolution sees: from its reach before to its reach behind it.
    seen: Vec<f32>,
    normed: Vec<f32>,
    /// Keys times values.
    sum: Vec<f32>,
    attended: Vec<f32>,
    gated: Vec<f32>,
    scores: Vec<f32>,
}

/// The first `len` elements of memory that grows when it must, of any value.
fn some(memory: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if memory.len() < len {
        memory.resize(len, 0.0);
    }
    &mut memory[..len]
}

impl<'a> GatedAttention<'a> {
    /// The block of `layers`.
    ///
    /// # Errors
    /// When their sizes do not fit each other.
    pub fn new(layers: Layers<'a>) -> Result<Self> {
        let Layers { projection, conv, gamma, beta, to_out, out_conv, group } = layers;
        let query_key = gamma.len() / HEADS;
        let half = to_out.inputs();
        check_length("the scales", gamma.len(), HEADS * query_key)?;
        check_length("the offsets", beta.len(), gamma.len())?;
        check_length("the projection", projection.outputs(), 2 * half + query_key)?;
        check_length("the convolution", conv.channels(), projection.outputs())?;
        check_length("the way out", to_out.outputs(), projection.inputs())?;
        check_length("the convolution at the end", out_conv.channels(), to_out.outputs())?;
        let seen = |conv: &DepthwiseConv1d| (conv.config().kernel - 1) * conv.config().dilation;
        let reach = seen(conv) / 2;
        let padding = [(0, 0), (seen(out_conv) / 2, seen(out_conv) / 2)];
        let fits = [conv, out_conv].map(|conv| conv.config().padding) == padding;
        if !fits || [conv, out_conv].iter().any(|conv| !seen(conv).is_multiple_of(2)) {
            let reason = "filters see as far to either side, one without padding and one with it";
            return Err(Error::Setting { setting: "convolution", reason });
        }
        if [group, query_key, half, projection.inputs()].contains(&0) {
            let reason = "a group has frames, and frames have channels, values and queries";
            return Err(Error::Setting { setting: "sizes", reason });
        }
        if projection.gemm() != to_out.gemm() {
            let reason = "is the same for both products";
            return Err(Error::Setting { setting: "precision", reason });
        }
        Ok(Self { gemm: projection.gemm(), reach, half, query_key, layers })
    }

    /// Channels of a frame.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.layers.projection.inputs()
    }

    /// Writes the block of `x [frames, channels]`, a whole signal, to every element of `out` of that
    /// shape.
    ///
    /// # Errors
    /// When the lengths do not fit.
    pub fn run(
        &self,
        x: &[f32],
        rotation: Rotation<'_>,
        out: &mut [MaybeUninit<f32>],
        scratch: &mut Scratch,
        threads: usize,
    ) -> Result<()> {
        let channels = self.channels();
        let frames = x.len().checked_div(channels).unwrap_or(0);
        check_length("the signal", x.len(), frames * channels)?;
        check_length("the output", out.len(), x.len())?;
        check_length("the cosines", rotation.cos.len(), frames * rotation.dim)?;
        check_length("the sines", rotation.sin.len(), frames * rotation.dim)?;
        if rotation.dim > self.query_key || !rotation.dim.is_multiple_of(2) {
            let reason = "are even in number, and no more than queries have";
            return Err(Error::Setting { setting: "channels that are turned", reason });
        }
        if frames == 0 {
            return Ok(());
        }
        let size = self.layers.group * (BLOCK / self.layers.group).max(1);
        let blocks = frames.div_ceil(size);
        let share = blocks.div_ceil(threads.clamp(1, blocks)); // blocks a thread
        let pass = Pass { block: self, x, rotation, frames, size };
        let width = self.layers.projection.outputs();
        let heads_width = HEADS * self.query_key;
        scratch.threads.resize_with(blocks.div_ceil(share), ThreadScratch::default);
        let projected = some(&mut scratch.projected, frames * width);
        let heads = some(&mut scratch.heads, frames * heads_width);
        let left = some(&mut scratch.left, x.len());
        let parts = projected
            .chunks_mut(share * size * width)
            .zip(heads.chunks_mut(share * size * heads_width))
            .zip(&mut scratch.threads)
            .enumerate();
        try_in_threads(threads, parts, |(part, ((projected, heads), scratch))| {
            pass.enter(part * share * size, projected, heads, scratch)
        })?;
        let summary = self.summary(&mut scratch.threads, frames)?;
        let parts = left
            .chunks_mut(share * size * channels)
            .zip(projected.chunks(share * size * width))
            .zip(heads.chunks(share * size * heads_width))
            .zip(&mut scratch.threads);
        try_in_threads(threads, parts, |(((left, projected), heads), scratch)| {
            pass.leave(projected, heads, &summary, left, scratch)
        })?;
        let shape = Shape::new(1, channels, frames);
        let view = |values| View::new(values, shape, shape.channels_last());
        let mut out = ViewMut::uninit(out, shape, shape.channels_last())?;
        self.layers.out_conv.run(view(left)?, Some(view(x)?), &mut out, threads)
    }

    /// Head `head` of `heads [frames, 4, query_key]`, `[frames, query_key]`.
    fn head<'b>(&self, heads: &'b [f32], head: usize) -> Result<Matrix<'b>> {
        let width = HEADS * self.query_key;
        let size = [heads.len() / width, self.query_key];
        Matrix::new(&heads[head * self.query_key..], size, [width, 1])
    }

    /// Values and gates of `projected` frames, `[frames, 2 half]`.
    fn values<'b>(&self, projected: &'b [f32]) -> Result<Right<'b>> {
        let width = self.layers.projection.outputs();
        let size = [projected.len() / width, 2 * self.half];
        Ok(Right::Plain(Matrix::new(projected, size, [width, 1])?))
    }

    /// What linear queries meet: the mean over all frames of the products of keys and values.
    fn summary(&self, threads: &mut [ThreadScratch], frames: usize) -> Result<PackedMatrix> {
        let (first, others) = threads.split_at_mut(threads.len().min(1));
        let total = first.first_mut().map(|first| first.sum.as_mut_slice()).unwrap_or_default();
        for other in others {
            total.iter_mut().zip(&other.sum).for_each(|(total, part)| *total += part);
        }
        total.iter_mut().for_each(|x| *x /= frames as f32);
        Ok(self.gemm.pack(Matrix::dense(total, [self.query_key, 2 * self.half])?))
    }
}

/// One signal on its way through a block.
struct Pass<'a> {
    block: &'a GatedAttention<'a>,
    x: &'a [f32],
    rotation: Rotation<'a>,
    frames: usize,
    /// Frames that are computed together.
    size: usize,
}

impl Pass<'_> {
    /// Values, gates and heads of some frames from frame `first` on, as many as there is room for,
    /// and the sum over them of keys times values.
    fn enter(
        &self,
        first: usize,
        projected: &mut [f32],
        heads: &mut [f32],
        scratch: &mut ThreadScratch,
    ) -> Result<()> {
        let &GatedAttention { gemm, layers, reach, half, query_key } = self.block;
        let width = layers.projection.outputs();
        let ThreadScratch { workspace, seen, normed, sum, .. } = scratch;
        let rows = self.size + 2 * reach;
        let seen = some(seen, rows * width);
        let normed = some(normed, rows * layers.projection.inputs());
        sum.clear();
        sum.resize(query_key * 2 * half, 0.0);
        let parts = projected
            .chunks_mut(self.size * width)
            .zip(heads.chunks_mut(self.size * HEADS * query_key));
        for (at, (projected, heads)) in parts.enumerate() {
            let count = projected.len() / width;
            let from = first + at * self.size;
            // Frames `reach` to either side of its beginning are those of the block before.
            let mut known = 0;
            if at > 0 {
                known = 2 * reach;
                seen.copy_within(self.size * width..(self.size + known) * width, 0);
            }
            let seen = &mut seen[..(count + 2 * reach) * width];
            self.project(from + known, &mut seen[known * width..], normed, workspace)?;
            let shape = Shape::new(1, width, count);
            let sees = Shape { frames: count + 2 * reach, ..shape };
            let mut out = ViewMut::new(projected, shape, shape.channels_last())?;
            layers.conv.run(View::new(seen, sees, sees.channels_last())?, None, &mut out, 1)?;
            self.turn(from, projected, heads);
            let keys = self.block.head(heads, LINEAR_KEY)?;
            let values = self.block.values(projected)?;
            let out = &mut MatrixMut::dense(sum, [query_key, 2 * half])?;
            let (start, identity) = (Start::Output, Activation::Identity);
            gemm.multiply(keys.transposed(), values, start, identity, out, workspace)?;
        }
        Ok(())
    }

    /// The projection of frames from `reach` before frame `from` on, as many as there is room for;
    /// zeros before the first frame and behind the last.
    fn project(
        &self,
        from: usize,
        out: &mut [f32],
        normed: &mut [f32],
        workspace: &mut Workspace,
    ) -> Result<()> {
        let &GatedAttention { gemm, layers, reach, .. } = self.block;
        let (width, channels) = (layers.projection.outputs(), layers.projection.inputs());
        let before = reach.saturating_sub(from).min(out.len() / width);
        let (zeros, out) = out.split_at_mut(before * width);
        zeros.fill(0.0);
        let first = from + before - reach;
        let count = self.frames.saturating_sub(first).min(out.len() / width);
        let (out, zeros) = out.split_at_mut(count * width);
        zeros.fill(0.0);
        let normed = &mut normed[..count * channels];
        let late = channels / 2;
        for (frame, normed) in (first..).zip(normed.chunks_exact_mut(channels)) {
            let at = |frame: usize| &self.x[frame * channels..][..channels];
            match frame.checked_sub(1) {
                Some(last) => normed[..late].copy_from_slice(&at(last)[..late]),
                None => normed[..late].fill(0.0),
            }
            normed[late..].copy_from_slice(&at(frame)[late..]);
        }
        rows::normalise(gemm.level(), normed, channels);
        let out = &mut MatrixMut::dense(out, [count, width])?;
        layers.projection.run(Matrix::dense(normed, [count, channels])?, out, workspace)
    }

    /// The heads of frames from `from` on, `[frames, 4, query_key]`, of the last channels of their
    /// projection.
    fn turn(&self, from: usize, projected: &[f32], heads: &mut [f32]) {
        let &GatedAttention { layers, query_key, .. } = self.block;
        let Rotation { cos, sin, dim } = self.rotation;
        let width = layers.projection.outputs();
        let frames = projected.chunks_exact(width).zip(heads.chunks_exact_mut(HEADS * query_key));
        for (frame, (projected, heads)) in (from..).zip(frames) {
            let qk = &projected[width - query_key..];
            let [cos, sin] = [cos, sin].map(|table| &table[frame * dim..][..dim]);
            let learnt = layers.gamma.chunks_exact(query_key);
            let learnt = learnt.zip(layers.beta.chunks_exact(query_key));
            for ((gamma, beta), head) in learnt.zip(heads.chunks_exact_mut(query_key)) {
                for (((y, &x), &gamma), &beta) in head.iter_mut().zip(qk).zip(gamma).zip(beta) {
                    *y = x * gamma + beta;
                }
                let angles = cos.chunks_exact(2).zip(sin.chunks_exact(2));
                for (pair, (cos, sin)) in head.chunks_exact_mut(2).zip(angles) {
                    let [a, b] = [pair[0], pair[1]];
                    pair[0] = a * cos[0] - b * sin[0];
                    pair[1] = b * cos[1] + a * sin[1];
                }
            }
        }
    }

    /// From values and heads of some frames to what they give, before the last convolution.
    fn leave(
        &self,
        projected: &[f32],
        heads: &[f32],
        summary: &PackedMatrix,
        left: &mut [f32],
        scratch: &mut ThreadScratch,
    ) -> Result<()> {
        let &GatedAttention { gemm, layers, half, query_key, .. } = self.block;
        let (width, channels) = (layers.projection.outputs(), layers.projection.inputs());
        let ThreadScratch { workspace, attended, gated, scores, .. } = scratch;
        let attended = some(attended, self.size * 2 * half);
        let gated = some(gated, self.size * half);
        let scores = some(scores, layers.group * layers.group);
        let parts = projected
            .chunks(self.size * width)
            .zip(heads.chunks(self.size * HEADS * query_key))
            .zip(left.chunks_mut(self.size * channels));
        for ((projected, heads), left) in parts {
            let count = projected.len() / width;
            let attended = &mut attended[..count * 2 * half];
            let queries = self.block.head(heads, LINEAR_QUERY)?;
            let out = &mut MatrixMut::dense(attended, [count, 2 * half])?;
            let (zero, identity) = (Start::Zero, Activation::Identity);
            let right = Right::Packed(summary);
            gemm.multiply(queries, right, zero, identity, out, workspace)?;
            let groups = projected
                .chunks(layers.group * width)
                .zip(heads.chunks(layers.group * HEADS * query_key))
                .zip(attended.chunks_mut(layers.group * 2 * half));
            for ((projected, heads), attended) in groups {
                let size = projected.len() / width;
                let keys = Right::Plain(self.block.head(heads, QUADRATIC_KEY)?.transposed());
                let scores = &mut scores[..size * size];
                let out = &mut MatrixMut::dense(scores, [size, size])?;
                let squared = Activation::SquaredRelu;
                let queries = self.block.head(heads, QUADRATIC_QUERY)?;
                gemm.multiply(queries, keys, zero, squared, out, workspace)?;
                let scores = Matrix::dense(scores, [size, size])?;
                let values = self.block.values(projected)?;
                let out = &mut MatrixMut::dense(attended, [size, 2 * half])?;
                gemm.multiply(scores, values, Start::Output, identity, out, workspace)?;
            }
            let gated = &mut gated[..count * half];
            rows::gate(gemm.level(), [projected, attended], width, gated, half);
            let out = &mut MatrixMut::dense(left, [count, channels])?;
            layers.to_out.run(Matrix::dense(gated, [count, half])?, out, workspace)?;
        }
        Ok(())
    }
}
