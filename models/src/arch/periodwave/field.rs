//! The vector field: which way a waveform on its way from noise to speech has to go.

use std::ops::Range;

use tch::Tensor;

use super::cond::Latents;
use super::config::{PeriodWaveConfig, STEP};
use super::embedding::Embedding;
use super::layers::{Conv, Pass, ResBlocks, Stored, reach};
use super::path::{PathInputs, PeriodPath, ROWS, path_reach};
use super::sampling::FreeU;
use crate::error::Result;
use crate::network::Trace;
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
        let Stretch { x, at, latents, core, end } = stretch;
        // What the layers behind the paths see.
        let seen = (core.start - self.margin).max(0)..(core.end + self.margin).min(*end);
        let mut sum: Option<Tensor> = None;
        for (index, (&period, latents)) in self.periods.iter().zip(*latents).enumerate() {
            let unit = STEP * period;
            // Parts of the core whose columns stay in the processor's caches.
            let part = if x.size()[0] == 1 { period * ROWS } else { core.end - core.start };
            let parts = (core.start..core.end).step_by(part.max(unit) as usize).map(|start| {
                let stop = (start + part).min(core.end);
                let from = (start - self.around * unit).max(0);
                let to = (stop + self.around * unit).min(*end);
                let inputs = PathInputs {
                    period,
                    latents: &latents.values.narrow(
                        1,
                        from / unit - latents.at,
                        (to - from + unit - 1) / unit,
                    ),
                    embedding: &embedded.select(1, index as i64),
                    free_u,
                    name: &format!("period{index}"),
                };
                let y = self.path.forward(&x.narrow(2, from - at, to - from), &inputs, trace);
                let first = if start == core.start { seen.start } else { start };
                let last = if stop == core.end { seen.end } else { stop };
                y.narrow(1, first - from, last - first)
            });
            let y = Tensor::cat(&parts.collect::<Vec<_>>(), 1);
            sum = Some(match sum {
                Some(sum) => sum + y,
                None => y,
            });
        }
        let sum = sum.expect("a network has a period") / (self.periods.len() as f64).sqrt();
        let v = self.last.forward(&self.blocks.forward(sum).silu());
        let v = v.narrow(1, core.start - seen.start, core.end - core.start).transpose(1, 2);
        trace.record("v", &v);
        v
    }

    /// Makes the products in numbers of `kind`.
    pub(super) fn set_kind(&mut self, kind: tch::Kind) {
        self.path.set_kind(kind);
        self.blocks.set_kind(kind);
        self.last.set_kind(kind);
    }
}
