//! The field without a gradient: rows of channels that go from one convolution to the next as
//! products read them. Columns of the paths are worked on one by one, and threads share them.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use formant_kernels::Result;
use formant_kernels::activation::Activation;
use formant_kernels::gemm::Precision;
use formant_kernels::row_convolution::{AROUND, Operand, Products, RowConvolution, Sink};
use tch::{Kind, Tensor};

use super::config::STEP;
use super::field::Part;
use super::path::FACTOR;
use super::sampling::FreeU;
use crate::nn::linear::Linear;

/// Samples of a piece of the layers behind the paths.
const PIECE: usize = 1 << 14;
/// Fewest rows of a piece of a stage, whole tiles of all kinds, and numbers of a larger one: what three
/// layers read and write of it stays in a second cache.
const FEWEST_ROWS: usize = 448;
const TILE: usize = 224;
const NUMBERS: usize = 1 << 15;

/// The layers of the field as kernels take them.
#[derive(Debug, Clone)]
pub(super) struct FrozenField {
    /// Of the time, for each stage but the one at the bottom.
    pub(super) time: Vec<Linear>,
    pub(super) layers: Arc<Layers>,
}

/// What threads share.
#[derive(Debug, Clone)]
pub(super) struct Layers {
    /// The factor of a sample for each channel.
    pub(super) first: Vec<f32>,
    /// Down to the bottom, the first of them without a convolution.
    pub(super) downs: Vec<Stage>,
    pub(super) ups: Vec<Stage>,
    /// Behind the paths.
    pub(super) behind: Vec<Block>,
    pub(super) last: RowConvolution,
}

/// A change of the rate, and residual blocks.
#[derive(Debug, Clone)]
pub(super) struct Stage {
    pub(super) rate: Option<RowConvolution>,
    pub(super) blocks: Vec<Block>,
}

/// Two convolutions with their biases, around which the input goes.
pub(super) type Block = [(RowConvolution, Vec<f32>); 2];

/// One waveform, or a part of one; places are samples of the signal.
pub(super) struct Waveform {
    pub(super) x: Vec<f32>,
    pub(super) at: i64,
    pub(super) core: Range<i64>,
    /// What layers behind the paths see.
    pub(super) seen: Range<i64>,
    pub(super) end: i64,
    /// For each path: what it adds at the bottom from a mid frame on, and that frame.
    pub(super) latents: Vec<(Vec<f32>, i64)>,
    /// For each path, the term of the time in every stage.
    pub(super) terms: Vec<Vec<Vec<f32>>>,
    pub(super) free_u: FreeU,
}

/// A rate of a path, in memory of a thread.
struct Level {
    channels: usize,
    rows: usize,
    /// Rows of sums, as many rows around them as the operands have.
    x: Vec<f32>,
    /// Behind the activation, and between the convolutions of a block.
    operands: [Operand; 2],
}

impl Level {
    fn new(products: Products, channels: usize) -> Result<Self> {
        let operand = || Operand::new(products, channels);
        Ok(Self { channels, rows: 0, x: Vec::new(), operands: [operand()?, operand()?] })
    }

    fn resize(&mut self, rows: usize) {
        self.rows = rows;
        self.x.resize((rows + 2 * AROUND) * self.channels, 0.0);
        self.operands.iter_mut().for_each(|operand| operand.resize(rows));
    }

    fn inside(&mut self) -> &mut [f32] {
        &mut self.x[AROUND * self.channels..][..self.rows * self.channels]
    }

    /// Residual blocks, a piece of the rows at a time: every layer follows the one before as closely as
    /// it can without reading what is not there yet, or writing what is still read. `enter` makes the
    /// rows of a piece, and those behind the activation.
    fn through(
        &mut self,
        blocks: &[Block],
        goes_on: bool,
        mut enter: impl FnMut(&mut Self, Range<usize>) -> Result<()>,
    ) -> Result<()> {
        let piece = (NUMBERS / self.channels / TILE * TILE).max(FEWEST_ROWS);
        let mut done = vec![0; 2 * blocks.len()];
        for from in (0..self.rows).step_by(piece) {
            let mut there = self.rows.min(from + piece);
            let is_last = there == self.rows;
            enter(self, from..there)?;
            for (at, [first, second]) in blocks.iter().enumerate() {
                let lag = if is_last { 0 } else { first.0.config().dilation };
                there = there.saturating_sub(lag).max(done[2 * at]);
                let operand = Some((AROUND, Activation::Silu));
                self.layer(first, [0, 1], done[2 * at]..there, false, operand)?;
                done[2 * at] = there;
                there = there.saturating_sub(lag).max(done[2 * at + 1]);
                let operand = operand.filter(|_| goes_on || at + 1 < blocks.len());
                self.layer(second, [1, 0], done[2 * at + 1]..there, true, operand)?;
                done[2 * at + 1] = there;
            }
        }
        Ok(())
    }

    /// A layer of a block from an operand to the other.
    fn layer(
        &mut self,
        (conv, bias): &(RowConvolution, Vec<f32>),
        [from, to]: [usize; 2],
        rows: Range<usize>,
        adds: bool,
        result: Option<(usize, Activation)>,
    ) -> Result<()> {
        let x = &mut self.x[AROUND * self.channels..];
        let [first, second] = &mut self.operands;
        let (from, to) = if from < to { (first, second) } else { (second, first) };
        let operand = result.map(|(first, activation)| (to, first, activation));
        let sink = Sink { bias, scale: 1.0, rows: adds.then_some((x, 1.0)), operand };
        conv.run(from, rows, sink)
    }
}

impl FrozenField {
    /// Makes the products in numbers of `kind`, where kernels have them for these sizes.
    pub(super) fn set_kind(&mut self, kind: Kind) {
        let precision = match kind {
            Kind::BFloat16 => Precision::Bf16,
            _ => Precision::Single,
        };
        let others =
            Products::new(precision).filter(|products| *products != self.layers.last.products());
        if let Some(Ok(layers)) = others.map(|products| self.layers.with_products(products)) {
            self.layers = Arc::new(layers);
        }
    }

    /// The terms of the time for embeddings `[paths, hidden]`, stage by stage for each path.
    pub(super) fn terms(&self, embedded: &Tensor) -> Vec<Vec<Vec<f32>>> {
        let tau = embedded.silu();
        let numbers = |x: Tensor| Vec::<f32>::try_from(x.detach().contiguous().view([-1]));
        let path = |path: i64| {
            let term = |time: &Linear| numbers(time.forward(&tau.get(path)));
            self.time.iter().map(|time| term(time).expect("32-bit numbers")).collect()
        };
        (0..embedded.size()[0]).map(path).collect()
    }
}

impl Layers {
    fn with_products(&self, products: Products) -> Result<Self> {
        let block = |block: &Block| -> Result<Block> {
            let [first, second] = block;
            Ok([
                (first.0.with_products(products)?, first.1.clone()),
                (second.0.with_products(products)?, second.1.clone()),
            ])
        };
        let blocks = |blocks: &[Block]| blocks.iter().map(block).collect::<Result<Vec<_>>>();
        let stage = |stage: &Stage| -> Result<Stage> {
            let rate = stage.rate.as_ref().map(|conv| conv.with_products(products)).transpose()?;
            Ok(Stage { rate, blocks: blocks(&stage.blocks)? })
        };
        Ok(Self {
            first: self.first.clone(),
            downs: self.downs.iter().map(stage).collect::<Result<_>>()?,
            ups: self.ups.iter().map(stage).collect::<Result<_>>()?,
            behind: blocks(&self.behind)?,
            last: self.last.with_products(products)?,
        })
    }

    /// The field in the core. `around` are the mid frames that a part of a path sees on each side.
    pub(super) fn forward(
        &self,
        waveform: &Waveform,
        parts: &[Part],
        around: i64,
        threads: usize,
    ) -> Result<Vec<f32>> {
        let parts: Vec<Columns<'_>> =
            parts.iter().map(|part| Columns::new(part, waveform, around)).collect();
        let each = parts.iter().enumerate();
        let each = each.flat_map(|(at, part)| (0..part.period).map(move |column| (at, column)));
        let each: Vec<(usize, usize)> = each.collect();
        let products = self.last.products();
        let levels = || self.widths().map(|width| Level::new(products, width)).collect();
        let columns = on_threads(threads, each.len(), levels, |levels: &mut Vec<Level>, at| {
            let (part, column) = each[at];
            parts[part].column(self, waveform, column, levels)
        })?;
        let mut columns = columns.into_iter();
        let paths: Vec<(Columns<'_>, Vec<Vec<f32>>)> = parts
            .into_iter()
            .map(|part| {
                let own = columns.by_ref().take(part.period).collect();
                (part, own)
            })
            .collect();
        let samples = (waveform.core.end - waveform.core.start) as usize;
        let level = || Level::new(products, self.first.len());
        let pieces = on_threads(threads, samples.div_ceil(PIECE), level, |level, at| {
            let from = at * PIECE;
            self.joined(waveform, &paths, from..samples.min(from + PIECE), level)
        })?;
        Ok(pieces.concat())
    }

    fn widths(&self) -> impl Iterator<Item = usize> {
        self.downs.iter().map(|stage| stage.blocks[0][0].0.config().inputs)
    }

    /// The layers behind the paths for samples of the core.
    fn joined(
        &self,
        waveform: &Waveform,
        paths: &[(Columns<'_>, Vec<Vec<f32>>)],
        samples: Range<usize>,
        level: &mut Level,
    ) -> Result<Vec<f32>> {
        let Waveform { core, seen, latents, .. } = waveform;
        let margin = core.start - seen.start;
        let margin = margin.max(seen.end - core.end).max(self.margin());
        let place = |sample: usize| core.start + sample as i64;
        let first = (place(samples.start) - margin).max(seen.start);
        let last = (place(samples.end) + margin).min(seen.end);
        level.resize((last - first) as usize);
        let scale = 1.0 / (latents.len() as f32).sqrt();
        level.through(&self.behind, true, |level, rows| {
            let channels = level.channels;
            let range = first + rows.start as i64..first + rows.end as i64;
            let x = &mut level.inside()[rows.start * channels..rows.end * channels];
            x.fill(0.0);
            paths.iter().for_each(|(part, columns)| part.add(columns, &range, channels, x));
            x.iter_mut().for_each(|x| *x *= scale);
            let Level { x, operands: [operand, _], .. } = level;
            let x = &x[AROUND * channels..x.len() - AROUND * channels];
            operand.activate(x, rows, Activation::Silu)
        })?;
        let skipped = (place(samples.start) - first) as usize;
        let rows = skipped..skipped + samples.len();
        let mut out = vec![0.0; rows.end];
        let sink = Sink { bias: &[0.0], scale: 1.0, rows: Some((&mut out, 0.0)), operand: None };
        self.last.run(&level.operands[0], rows, sink)?;
        out.drain(..skipped);
        Ok(out)
    }

    /// Samples on each side that the layers behind the paths see.
    fn margin(&self) -> i64 {
        let blocks = self.behind.iter().map(|[first, _]| first.0.config().dilation + 1);
        (blocks.sum::<usize>() + self.last.config().padding) as i64
    }
}

/// A part of a path as columns.
struct Columns<'a> {
    path: usize,
    period: usize,
    /// What is seen, from `from` on, and reflected up to whole mid frames.
    from: i64,
    x: &'a [f32],
    rows: usize,
    /// Mid frames of the latents in front.
    skipped: usize,
    wanted: Range<i64>,
}

impl<'a> Columns<'a> {
    fn new(part: &Part, waveform: &'a Waveform, around: i64) -> Self {
        let Part { path, period, inside, wanted } = part;
        let unit = STEP * period;
        let from = (inside.start - around * unit).max(0);
        let to = (inside.end + around * unit).min(waveform.end);
        let mids = (to - from + unit - 1) / unit;
        let (at, first) = (waveform.at, waveform.latents[*path].1);
        Self {
            path: *path,
            period: *period as usize,
            from,
            x: &waveform.x[(from - at) as usize..(to - at) as usize],
            rows: (mids * STEP) as usize,
            skipped: (from / unit - first) as usize,
            wanted: wanted.clone(),
        }
    }

    /// Rows of a column.
    fn column(
        &self,
        layers: &Layers,
        waveform: &Waveform,
        column: usize,
        levels: &mut [Level],
    ) -> Result<Vec<f32>> {
        let (terms, factor) = (&waveform.terms[self.path], FACTOR as usize);
        let mut rows = self.rows;
        for level in levels.iter_mut() {
            level.resize(rows);
            rows /= factor;
        }
        let bottom = levels.len() - 1;
        for (at, stage) in layers.downs.iter().enumerate() {
            let (above, below) = levels.split_at_mut(at);
            let level = &mut below[0];
            let channels = level.channels;
            if at == bottom {
                let latents = &waveform.latents[self.path].0[self.skipped * channels..];
                let x = level.inside();
                x.copy_from_slice(&latents[..x.len()]);
            }
            let none = vec![0.0; channels];
            let (bias, kept) = if at == bottom { (&none, 1.0) } else { (&terms[at], 0.0) };
            level.through(&stage.blocks, true, |level, rows| match &stage.rate {
                Some(conv) => {
                    let Level { x, operands: [operand, _], .. } = level;
                    let sink = Sink {
                        bias,
                        scale: 1.0,
                        rows: Some((&mut x[AROUND * channels..], kept)),
                        operand: Some((operand, AROUND, Activation::Silu)),
                    };
                    conv.run(&above[at - 1].operands[0], rows, sink)
                }
                None => {
                    let inside = level.inside().chunks_exact_mut(channels);
                    for (row, x) in inside.enumerate().skip(rows.start).take(rows.len()) {
                        let sample = self.sample(row * self.period + column);
                        for ((x, weight), term) in x.iter_mut().zip(&layers.first).zip(bias) {
                            *x = sample * weight + term;
                        }
                    }
                    let Level { x, operands: [operand, _], .. } = level;
                    let x = &x[AROUND * channels..x.len() - AROUND * channels];
                    operand.activate(x, rows, Activation::Silu)
                }
            })?;
        }
        for (at, stage) in layers.ups.iter().enumerate() {
            let (above, below) = levels.split_at_mut(bottom - at);
            let (level, below) = (&mut above[bottom - at - 1], &below[0]);
            // A product makes rows that begin and end in the middle of those of a frame.
            let first = AROUND - factor / 2;
            if let Some(conv) = &stage.rate {
                let FreeU { skip, backbone } = waveform.free_u;
                let Level { x, operands: [operand, _], channels, .. } = &mut *level;
                let sink = Sink {
                    bias: &terms[bottom + at].repeat(factor),
                    scale: backbone as f32,
                    rows: Some((&mut x[first * *channels..], skip as f32)),
                    operand: Some((operand, first, Activation::Silu)),
                };
                conv.run(&below.operands[0], 0..below.rows + 1, sink)?;
                operand.clear_around();
            }
            let goes_on = at + 1 < layers.ups.len();
            level.through(&stage.blocks, goes_on, |_, _| Ok(()))?;
        }
        Ok(levels[0].inside().to_vec())
    }

    /// A sample of the signal, which is reflected at its end.
    fn sample(&self, at: usize) -> f32 {
        let last = self.x.len() - 1;
        self.x[if at <= last { at } else { (2 * last).saturating_sub(at) }]
    }

    /// Adds the rows of those samples in `range` that are the part's own.
    fn add(&self, columns: &[Vec<f32>], range: &Range<i64>, channels: usize, to: &mut [f32]) {
        let [from, end] = [self.wanted.start.max(range.start), self.wanted.end.min(range.end)];
        for at in from..end {
            let place = (at - self.from) as usize;
            let row = &columns[place % self.period][place / self.period * channels..];
            let to = &mut to[(at - range.start) as usize * channels..][..channels];
            to.iter_mut().zip(row).for_each(|(to, x)| *to += x);
        }
    }
}

/// What `work` makes of `0..count`, in that order, by `threads` that each take the next and have memory
/// of their own.
fn on_threads<M, T: Send>(
    threads: usize,
    count: usize,
    memory: impl Fn() -> Result<M> + Sync,
    work: impl Fn(&mut M, usize) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, T)>> = Mutex::default();
    let run = || -> Result<()> {
        let mut memory = memory()?;
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= count {
                return Ok(());
            }
            let made = work(&mut memory, at)?;
            done.lock().unwrap_or_else(PoisonError::into_inner).push((at, made));
        }
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads.min(count)).map(|_| scope.spawn(run)).collect();
        let own = run();
        let joined = others.into_iter().map(|other| match other.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        joined.fold(own, Result::and)
    })?;
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(at, _)| *at);
    Ok(done.into_iter().map(|(_, made)| made).collect())
}
