//! The vector field: which way a waveform on its way from noise to speech has to go.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use formant_kernels::convolution::Convolution;
use formant_kernels::gemm::{Gemm, Precision};
use tch::{Device, Tensor};

use super::cond::Latents;
use super::config::{PeriodWaveConfig, STEP};
use super::embedding::Embedding;
use super::frozen::{FrozenField, Layers, Waveform};
use super::layers::{Conv, Pass, ResBlocks, Stored, reach};
use super::path::{PathInputs, PeriodPath, ROWS, path_reach};
use super::sampling::FreeU;
use crate::error::Result;
use crate::network::{NoTrace, Trace};
use crate::params::Params;

/// Taps of the last convolution.
const LAST_KERNEL: i64 = 7;
/// Rows of a part of a path for kernels, whose layers follow each other closely enough for the caches: the
/// thousand rows that are seen on each side count less.
const FROZEN_ROWS: i64 = 1 << 15;

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
pub(super) struct Part {
    pub(super) path: usize,
    pub(super) period: i64,
    /// Of the core.
    pub(super) inside: Range<i64>,
    /// With what is seen beside the core, at its ends.
    pub(super) wanted: Range<i64>,
}

/// The field.
#[derive(Debug, Clone)]
pub(super) struct VectorField {
    embedding: Embedding,
    form: Form,
    periods: Vec<i64>,
    /// Samples on each side that layers behind the paths see.
    margin: i64,
    /// Mid frames on each side that a path needs, the margin included.
    around: i64,
}

/// The layers behind the embedding.
#[derive(Debug, Clone)]
enum Form {
    Library { path: PeriodPath, blocks: ResBlocks, last: Conv },
    Kernels(FrozenField),
}

impl VectorField {
    pub(super) fn new(params: &Params<'_>, config: &PeriodWaveConfig) -> Result<Self> {
        let behind = params.sub("proj_layer");
        let (channels, dilations) = (config.final_dim, config.dilations());
        let (last, pass) = (behind.sub("final_layer"), Pass::same(LAST_KERNEL, 1));
        let margin = reach(dilations) + LAST_KERNEL / 2;
        Ok(Self {
            embedding: Embedding::new(params, config)?,
            form: Form::Library {
                path: PeriodPath::new(&params.sub("mpg.mpg"), config)?,
                blocks: ResBlocks::new(&behind, Stored::Line, channels, dilations)?,
                last: Conv::without_bias(&last, Stored::Line, [channels, 1], LAST_KERNEL, pass)?,
            },
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
        let v = match &self.form {
            Form::Library { path, blocks, last } => {
                let parts = self.parts(stretch, ROWS);
                let paths = parts
                    .iter()
                    .map(|part| self.part(path, stretch, embedded, free_u, part, trace))
                    .collect();
                self.joined(blocks, last, stretch, &parts, paths)
            }
            Form::Kernels(frozen) => self.by_kernels(frozen, stretch, embedded, free_u, 1),
        };
        trace.record("v", &v);
        v
    }

    /// The same without a gradient, which computes the same faster. It stays as it is on other devices
    /// than processors, and on those without a matrix unit, where the library's convolutions of three
    /// taps are faster than kernels.
    pub(super) fn freeze(&mut self) {
        let Form::Library { path, blocks, last } = &self.form else { return };
        if last.device() != Device::Cpu {
            return;
        }
        let layers = |gemm: Gemm| {
            // First, so that nothing is packed in vain.
            let last = last.kernel(gemm).filter(Convolution::is_direct)?;
            let (first, [downs, ups]) = path.kernels(gemm)?;
            let behind = blocks.kernels(gemm)?;
            Some(Arc::new(Layers { first, downs, ups, behind, last }))
        };
        if let Some(layers) = Gemm::new(Precision::Single).and_then(layers) {
            self.form = Form::Kernels(FrozenField { time: path.time(), layers });
        }
    }

    fn by_kernels(
        &self,
        frozen: &FrozenField,
        stretch: &Stretch<'_>,
        embedded: &Tensor,
        free_u: FreeU,
        threads: usize,
    ) -> Tensor {
        let numbers = |x: &Tensor| {
            Vec::<f32>::try_from(x.detach().contiguous().view([-1])).expect("32-bit numbers")
        };
        let (parts, core) = (self.parts(stretch, FROZEN_ROWS), &stretch.core);
        let waveform = |at: i64| {
            let latents = |latents: &Latents| (numbers(&latents.values.get(at)), latents.at);
            let waveform = Waveform {
                x: numbers(&stretch.x.get(at)),
                at: stretch.at,
                core: core.clone(),
                seen: self.seen(stretch),
                end: stretch.end,
                latents: stretch.latents.iter().map(latents).collect(),
                terms: frozen.terms(&embedded.get(at)),
                free_u,
            };
            let v = frozen.layers.forward(&waveform, &parts, self.around, threads);
            Tensor::from_slice(&v.expect("sizes of one network")).view([1, -1])
        };
        let signals = 0..stretch.x.size()[0];
        Tensor::stack(&signals.map(waveform).collect::<Vec<_>>(), 0)
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
        let (path, blocks, last) = match &self.form {
            Form::Library { path, blocks, last } => (path, blocks, last),
            Form::Kernels(frozen) => {
                return self.by_kernels(frozen, stretch, embedded, free_u, threads);
            }
        };
        let parts = self.parts(stretch, ROWS);
        let next = AtomicUsize::new(0);
        let done: Mutex<Vec<(usize, Tensor)>> = Mutex::default();
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads.clamp(1, parts.len()))
                .map(|_| {
                    // Tensors go to threads, but are not shared by them.
                    let own = (self.clone(), path.clone());
                    let seen = (stretch.x.shallow_clone(), embedded.shallow_clone());
                    let latents: Vec<Latents> =
                        stretch.latents.iter().map(Latents::shared).collect();
                    let (at, core, end) = (stretch.at, stretch.core.clone(), stretch.end);
                    let (parts, next, done) = (&parts, &next, &done);
                    scope.spawn(move || {
                        let _guard = tch::no_grad_guard();
                        let ((field, path), (x, embedded)) = (own, seen);
                        let stretch = Stretch { x: &x, at, latents: &latents, core, end };
                        loop {
                            let index = next.fetch_add(1, Ordering::Relaxed);
                            let Some(part) = parts.get(index) else { break };
                            let trace = &mut NoTrace;
                            let y = field.part(&path, &stretch, &embedded, free_u, part, trace);
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
        let paths = done.into_iter().map(|(_, y)| y).collect();
        self.joined(blocks, last, stretch, &parts, paths)
    }

    /// Parts of the paths of one waveform, with columns of so many rows.
    fn parts(&self, stretch: &Stretch<'_>, rows: i64) -> Vec<Part> {
        let (core, seen) = (&stretch.core, self.seen(stretch));
        let is_one = stretch.x.size()[0] == 1 || matches!(self.form, Form::Kernels(_));
        let parts = self.periods.iter().enumerate().flat_map(|(path, &period)| {
            let length = if is_one { period * rows } else { core.end - core.start };
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
        layers: &PeriodPath,
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
        let y = layers.forward(&stretch.x.narrow(2, from - stretch.at, to - from), &inputs, trace);
        y.narrow(1, wanted.start - from, wanted.end - wanted.start)
    }

    /// The layers behind the paths.
    fn joined(
        &self,
        blocks: &ResBlocks,
        last: &Conv,
        stretch: &Stretch<'_>,
        parts: &[Part],
        paths: Vec<Tensor>,
    ) -> Tensor {
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
        let v = last.forward(&blocks.forward(sum).silu());
        v.narrow(1, core.start - seen.start, core.end - core.start).transpose(1, 2)
    }

    /// Makes the products in numbers of `kind`.
    pub(super) fn set_kind(&mut self, kind: tch::Kind) {
        match &mut self.form {
            Form::Library { path, blocks, last } => {
                path.set_kind(kind);
                blocks.set_kind(kind);
                last.set_kind(kind);
            }
            Form::Kernels(frozen) => frozen.set_kind(kind),
        }
    }
}
