//! The field without a gradient: rows of channels that kernels convolve. Columns of the paths are worked
//! on one by one, and threads share them.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use formant_kernels::Result;
use formant_kernels::convolution::{Convolution, Onto};
use formant_kernels::gemm::{Gemm, Precision};
use tch::{Kind, Tensor};

use super::config::STEP;
use super::field::Part;
use super::path::FACTOR;
use super::sampling::FreeU;
use crate::nn::linear::Linear;

/// Samples of a piece of the layers behind the paths.
const PIECE: usize = 1 << 12;

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
    pub(super) last: Convolution,
}

/// A change of the rate, and residual blocks.
#[derive(Debug, Clone)]
pub(super) struct Stage {
    pub(super) rate: Option<Convolution>,
    pub(super) blocks: Vec<Block>,
}

/// Two convolutions, each behind an activation, around which the input goes.
pub(super) type Block = [Convolution; 2];

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
    x: Vec<f32>,
    /// Where the next layer writes.
    next: Vec<f32>,
}

impl Level {
    fn new(channels: usize) -> Self {
        Self { channels, x: Vec::new(), next: Vec::new() }
    }

    fn resize(&mut self, rows: usize) {
        self.x.resize(rows * self.channels, 0.0);
        self.next.resize(rows * self.channels, 0.0);
    }

    fn through(&mut self, blocks: &[Block]) -> Result<()> {
        for [first, second] in blocks {
            let onto = Onto { residual: Some(&self.x), output: false };
            second.run_behind(first, &self.x, 0, onto, &mut self.next, 1)?;
            std::mem::swap(&mut self.x, &mut self.next);
        }
        Ok(())
    }

    /// Adds to every row.
    fn add(&mut self, term: &[f32]) {
        for row in self.x.chunks_exact_mut(self.channels) {
            row.iter_mut().zip(term).for_each(|(x, term)| *x += term);
        }
    }

    fn scale(&mut self, factor: f32) {
        if factor != 1.0 {
            self.x.iter_mut().for_each(|x| *x *= factor);
        }
    }
}

impl FrozenField {
    /// Makes the products in numbers of `kind`, where kernels have them.
    pub(super) fn set_kind(&mut self, kind: Kind) {
        let precision = match kind {
            Kind::BFloat16 => Precision::Bf16,
            _ => Precision::Single,
        };
        if let Some(gemm) = Gemm::new(precision).filter(|gemm| *gemm != self.layers.last.gemm()) {
            let layers = Arc::make_mut(&mut self.layers);
            layers.convolutions().for_each(|layer| layer.set_gemm(gemm));
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
    fn convolutions(&mut self) -> impl Iterator<Item = &mut Convolution> {
        let Self { downs, ups, behind, last, .. } = self;
        let stages = downs.iter_mut().chain(ups);
        stages
            .flat_map(|Stage { rate, blocks }| rate.iter_mut().chain(blocks.iter_mut().flatten()))
            .chain(behind.iter_mut().flatten())
            .chain([last])
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
        let levels = || self.widths().map(Level::new).collect();
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
        let level = || Level::new(self.first.len());
        let pieces = on_threads(threads, samples.div_ceil(PIECE), level, |level, at| {
            let from = at * PIECE;
            self.joined(waveform, &paths, from..samples.min(from + PIECE), level)
        })?;
        Ok(pieces.concat())
    }

    fn widths(&self) -> impl Iterator<Item = usize> {
        self.downs.iter().map(|stage| stage.blocks[0][0].config().inputs)
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
        level.x.fill(0.0);
        let (range, channels) = (first..last, level.channels);
        paths.iter().for_each(|(part, columns)| part.add(columns, &range, channels, &mut level.x));
        level.scale(1.0 / (latents.len() as f32).sqrt());
        level.through(&self.behind)?;
        let mut out = vec![0.0; samples.len()];
        let skipped = (place(samples.start) - first) as usize;
        self.last.run(&level.x, skipped, Onto::default(), &mut out, 1)?;
        Ok(out)
    }

    /// Samples on each side that the layers behind the paths see.
    fn margin(&self) -> i64 {
        let layers = self.behind.iter().flatten().chain([&self.last]);
        layers.map(|layer| layer.config().reach()).sum::<usize>() as i64
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
        let onto = Onto { residual: None, output: true };
        for (at, stage) in layers.downs.iter().enumerate() {
            let (above, below) = levels.split_at_mut(at);
            let level = &mut below[0];
            let channels = level.channels;
            if at == bottom {
                let latents = &waveform.latents[self.path].0[self.skipped * channels..];
                let count = level.x.len();
                level.x.copy_from_slice(&latents[..count]);
            } else {
                let rows = level.x.chunks_exact_mut(channels);
                rows.for_each(|row| row.copy_from_slice(&terms[at]));
            }
            match &stage.rate {
                Some(conv) => conv.run(&above[at - 1].x, 0, onto, &mut level.x, 1)?,
                None => {
                    for (row, x) in level.x.chunks_exact_mut(channels).enumerate() {
                        let sample = self.sample(row * self.period + column);
                        let products = layers.first.iter().map(|weight| sample * weight);
                        x.iter_mut().zip(products).for_each(|(x, product)| *x += product);
                    }
                }
            }
            level.through(&stage.blocks)?;
        }
        let FreeU { skip, backbone } = waveform.free_u;
        for (at, stage) in layers.ups.iter().enumerate() {
            let (above, below) = levels.split_at_mut(bottom - at);
            let (level, below) = (&mut above[bottom - at - 1], &below[0]);
            // What comes from below is `backbone` times what the convolution makes.
            level.scale((skip / backbone) as f32);
            if let Some(conv) = &stage.rate {
                conv.run(&below.x, 0, onto, &mut level.x, 1)?;
            }
            level.scale(backbone as f32);
            level.add(&terms[bottom + at]);
            level.through(&stage.blocks)?;
        }
        Ok(levels[0].x.clone())
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
    memory: impl Fn() -> M + Sync,
    work: impl Fn(&mut M, usize) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, T)>> = Mutex::default();
    let run = || -> Result<()> {
        let mut memory = memory();
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
