//! The vector field: which way a waveform on its way from noise to speech has to go.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use tch::Tensor;

use super::cond::Latents;
use super::config::{PeriodWaveConfig, STEP};
use super::embedding::Embedding;
use super::layers::{Conv, Pass, ResBlocks, Stored, reach};
use super::path::{PathInputs, PeriodPath, ROWS, path_reach};
use super::sampling::FreeU;
use crate::error::Result;
use crate::network::{NoTrace, Trace};
use crate::params::Params;

/// Taps of the last convolution.
const LAST_KERNEL: i64 = 7;

/// A part of a signal, as the field sees it. Places are samples of the signal.
#[derive(Debug)]
pub struct Stretch<'a> {
    /// The waveform, `[batch, 1, samples]`.
    pub x: &'a Tensor,
    /// Where it begins.
    pub at: i64,
    /// What each path adds at its bottom.
    pub latents: &'a [Latents],
    /// Where the field is wanted: from a place of the grid to another, or to the end.
    pub core: Range<i64>,
    /// Samples of the signal.
    pub end: i64,
}

/// A part of a path. Places are samples of the signal.
#[derive(Debug)]
struct Part {
    path: usize,
    period: i64,
    /// Of the core.
    inside: Range<i64>,
    /// With what is seen beside the core, at its ends.
    wanted: Range<i64>,
}

/// The field.
#[derive(Debug, Clone)]
pub(super) struct VectorField {
    embedding: Embedding,
    path: PeriodPath,
    blocks: ResBlocks,
    last: Conv,
    periods: Vec<i64>,
    /// Samples on each side that layers behind the paths see.
    margin: i64,
    /// Mid frames on each side that a path needs, the margin included.
    around: i64,
}

impl VectorField {
    pub(super) fn new(params: &Params<'_>, config: &PeriodWaveConfig) -> Result<Self> {
        let behind = params.sub("proj_layer");
        let (channels, dilations) = (config.final_dim, config.dilations());
        let (last, pass) = (behind.sub("final_layer"), Pass::same(LAST_KERNEL, 1));
        let margin = reach(dilations) + LAST_KERNEL / 2;
        Ok(Self {
            embedding: Embedding::new(params, config)?,
            path: PeriodPath::new(&params.sub("mpg.mpg"), config)?,
            blocks: ResBlocks::new(&behind, Stored::Line, channels, dilations)?,
            last: Conv::without_bias(&last, Stored::Line, [channels, 1], LAST_KERNEL, pass)?,
            periods: config.periods.clone(),
            margin,
            around: (path_reach(config) + margin + STEP - 1) / STEP,
        })
    }

    /// Samples on each side of a core that the field there depends on.
    pub(super) fn halo(&self) -> i64 {
        self.around * STEP * self.periods.iter().max().copied().unwrap_or(1)
    }

    /// Times `[batch]` to the embeddings of all paths, `[batch, paths, hidden]`.
    pub(super) fn embed(&self, times: &Tensor) -> Tensor {
        self.embedding.forward(times)
    }

    /// The field in the core of a stretch, `[batch, 1, samples]`, at embedded times.
    pub(super) fn forward(
        &self,
        stretch: &Stretch<'_>,
        embedded: &Tensor,
        free_u: FreeU,
        trace: &mut dyn Trace,
    ) -> Tensor {
        let parts = self.parts(stretch);
        let paths = parts.iter().map(|part| self.part(stretch, embedded, free_u, part, trace));
        let v = self.joined(stretch, &parts, paths.collect());
        trace.record("v", &v);
        v
    }

    /// As [`VectorField::forward`] of one waveform without a gradient, with `threads` that each take the
    /// next part of a path. Which takes which changes no byte.
    pub(super) fn forward_on(
        &self,
        stretch: &Stretch<'_>,
        embedded: &Tensor,
        free_u: FreeU,
        threads: usize,
    ) -> Tensor {
        let parts = self.parts(stretch);
        let next = AtomicUsize::new(0);
        let done: Mutex<Vec<(usize, Tensor)>> = Mutex::default();
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads.clamp(1, parts.len()))
                .map(|_| {
                    // Tensors go to threads, but are not shared by them.
                    let own = (self.clone(), stretch.x.shallow_clone(), embedded.shallow_clone());
                    let latents: Vec<Latents> =
                        stretch.latents.iter().map(Latents::shared).collect();
                    let (at, core, end) = (stretch.at, stretch.core.clone(), stretch.end);
                    let (parts, next, done) = (&parts, &next, &done);
                    scope.spawn(move || {
                        let _guard = tch::no_grad_guard();
                        let (field, x, embedded) = own;
                        let stretch = Stretch { x: &x, at, latents: &latents, core, end };
                        loop {
                            let index = next.fetch_add(1, Ordering::Relaxed);
                            let Some(part) = parts.get(index) else { break };
                            let y = field.part(&stretch, &embedded, free_u, part, &mut NoTrace);
                            done.lock().unwrap_or_else(PoisonError::into_inner).push((index, y));
                        }
                    })
                })
                .collect();
            for worker in workers {
                if let Err(panic) = worker.join() {
                    std::panic::resume_unwind(panic);
                }
            }
        });
        let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.sort_by_key(|(index, _)| *index);
        self.joined(stretch, &parts, done.into_iter().map(|(_, y)| y).collect())
    }

    /// Parts of the paths whose columns stay in the processor's caches.
    fn parts(&self, stretch: &Stretch<'_>) -> Vec<Part> {
        let (core, seen) = (&stretch.core, self.seen(stretch));
        let is_one = stretch.x.size()[0] == 1;
        let parts = self.periods.iter().enumerate().flat_map(|(path, &period)| {
            let length = if is_one { period * ROWS } else { core.end - core.start };
            let seen = seen.clone();
            (core.start..core.end).step_by(length.max(STEP) as usize).map(move |start| {
                let stop = (start + length).min(core.end);
                let first = if start == core.start { seen.start } else { start };
                let last = if stop == core.end { seen.end } else { stop };
                Part { path, period, inside: start..stop, wanted: first..last }
            })
        });
        parts.collect()
    }

    /// What the layers behind the paths see.
    fn seen(&self, stretch: &Stretch<'_>) -> Range<i64> {
        let (core, margin) = (&stretch.core, self.margin);
        (core.start - margin).max(0)..(core.end + margin).min(stretch.end)
    }

    /// A part of a path, `[batch, samples, final]`.
    fn part(
        &self,
        stretch: &Stretch<'_>,
        embedded: &Tensor,
        free_u: FreeU,
        part: &Part,
        trace: &mut dyn Trace,
    ) -> Tensor {
        let Part { path, period, inside, wanted } = part;
        let (unit, latents) = (STEP * period, &stretch.latents[*path]);
        let from = (inside.start - self.around * unit).max(0);
        let to = (inside.end + self.around * unit).min(stretch.end);
        let mids = [from / unit - latents.at, (to - from + unit - 1) / unit];
        let inputs = PathInputs {
            period: *period,
            latents: &latents.values.narrow(1, mids[0], mids[1]),
            embedding: &embedded.select(1, *path as i64),
            free_u,
            name: &format!("period{path}"),
        };
        let y =
            self.path.forward(&stretch.x.narrow(2, from - stretch.at, to - from), &inputs, trace);
        y.narrow(1, wanted.start - from, wanted.end - wanted.start)
    }

    /// The layers behind the paths.
    fn joined(&self, stretch: &Stretch<'_>, parts: &[Part], paths: Vec<Tensor>) -> Tensor {
        let (core, seen) = (&stretch.core, self.seen(stretch));
        let mut sum: Option<Tensor> = None;
        for path in 0..self.periods.len() {
            let own = parts.iter().zip(&paths).filter(|(part, _)| part.path == path);
            let y = Tensor::cat(&own.map(|(_, y)| y).collect::<Vec<_>>(), 1);
            sum = Some(match sum {
                Some(sum) => sum + y,
                None => y,
            });
        }
        let sum = sum.expect("a network has a period") / (self.periods.len() as f64).sqrt();
        let v = self.last.forward(&self.blocks.forward(sum).silu());
        v.narrow(1, core.start - seen.start, core.end - core.start).transpose(1, 2)
    }

    /// Makes the products in numbers of `kind`.
    pub(super) fn set_kind(&mut self, kind: tch::Kind) {
        self.path.set_kind(kind);
        self.blocks.set_kind(kind);
        self.last.set_kind(kind);
    }
}
