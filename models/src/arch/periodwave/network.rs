//! The network: conditioning encoder and vector field.

use std::ops::Range;

use tch::{Kind, Tensor};

use super::cond::{CondEncoder, CondNorms, Latents};
use super::config::PeriodWaveConfig;
use super::field::{Stretch, VectorField};
use super::sampling::{Base, FreeU, Sampling};
use crate::error::Result;
use crate::network::{NetworkInfo, NoTrace, Trace};
use crate::params::Params;

/// From noise and frames to samples.
#[derive(Debug, Clone)]
pub struct PeriodWave {
    cond: CondEncoder,
    field: VectorField,
    config: PeriodWaveConfig,
    parameters: u64,
}

impl PeriodWave {
    /// All parameters under `params`, below `estimator`.
    ///
    /// # Errors
    /// [`crate::Error::Config`] when a size is impossible; as [`Params::get`].
    pub fn new(params: &Params<'_>, config: &PeriodWaveConfig) -> Result<Self> {
        config.validate()?;
        let before = params.elements();
        let params = params.sub("estimator");
        Ok(Self {
            cond: CondEncoder::new(&params.sub("MelCond"), config)?,
            field: VectorField::new(&params, config)?,
            config: config.clone(),
            parameters: params.elements() - before,
        })
    }

    /// The same without a gradient, which computes the same faster on processors.
    #[must_use]
    pub fn freeze(mut self) -> Self {
        self.field.freeze();
        self.cond.freeze();
        self
    }

    /// Has the conditioning use so many threads where kernels compute it. Their number changes no byte.
    pub fn set_threads(&mut self, threads: usize) {
        self.cond.set_threads(threads);
    }

    /// Facts about the network. It sees all frames.
    #[must_use]
    pub fn info(&self) -> NetworkInfo {
        NetworkInfo {
            architecture: "periodwave-turbo".to_owned(),
            parameters: self.parameters,
            lookahead_frames: usize::MAX,
            minimum_frames: self.config.minimum_frames() as usize,
            frames_per_output: 1,
        }
    }

    /// Sizes of the network.
    #[must_use]
    pub fn config(&self) -> &PeriodWaveConfig {
        &self.config
    }

    /// Frames on each side on which a step of the conditioning depends, where norms are known.
    #[must_use]
    pub fn frame_halo(&self) -> i64 {
        self.cond.reach(&self.config)
    }

    /// Samples on each side on which the field depends.
    #[must_use]
    pub fn sample_halo(&self) -> i64 {
        self.field.halo()
    }

    /// Norms of the conditioning encoder over frames `[batch, inputs, frames]`.
    pub fn norms(&self, frames: &Tensor) -> CondNorms {
        self.measure(frames).1
    }

    /// As [`PeriodWave::norms`] of `frames` frames, of which `inputs` gives any range as
    /// `[1, inputs, frames]`, in memory that does not grow with their number.
    pub fn norms_in_parts(&self, frames: i64, inputs: impl Fn(Range<i64>) -> Tensor) -> CondNorms {
        self.cond.norms_in_parts(frames, self.frame_halo(), &inputs)
    }

    /// Steps of the conditioning for all frames `[batch, inputs, frames]` of a signal, and their norms.
    pub fn measure(&self, frames: &Tensor) -> (Tensor, CondNorms) {
        self.cond.steps(frames, None, &mut NoTrace)
    }

    /// Steps of the conditioning for frames `[batch, inputs, frames]`, with norms measured before; next to
    /// ends that are not those of the signal, [`PeriodWave::frame_halo`] frames are spoilt.
    pub fn steps(&self, frames: &Tensor, norms: &CondNorms) -> Tensor {
        self.cond.steps(frames, Some(norms), &mut NoTrace).0
    }

    /// What the path `index` adds at its bottom in a range of its mid frames, from steps that begin at
    /// `at`, where the signal has `end` steps.
    pub fn latents(
        &self,
        index: usize,
        steps: &Tensor,
        at: i64,
        range: Range<i64>,
        end: i64,
    ) -> Latents {
        self.cond.latents(index, steps, at, range, end)
    }

    /// What all paths add at their bottoms for a whole signal of frames `[batch, inputs, frames]`.
    pub fn condition(&self, frames: &Tensor, trace: &mut dyn Trace) -> Vec<Latents> {
        let (steps, _) = self.cond.steps(frames, None, trace);
        let end = CondEncoder::whole_steps(frames.size()[2] * self.config.hop());
        let path = |index: usize| {
            let range = 0..self.cond.mid_frames(index, end);
            let latents = self.cond.latents(index, &steps, 0, range, end);
            trace.record(&format!("cond.period{index}"), &latents.values.transpose(1, 2));
            latents
        };
        (0..self.config.periods.len()).map(path).collect()
    }

    /// The field in the core of a stretch, at times `[batch]` from 0 to 1.
    pub fn velocity(&self, stretch: &Stretch<'_>, times: &Tensor, free_u: FreeU) -> Tensor {
        self.velocity_traced(stretch, times, free_u, &mut NoTrace)
    }

    /// As [`PeriodWave::velocity`] of one waveform without a gradient, with `threads` of its own beside
    /// those that libtorch gives each operation. Their number changes no byte.
    pub fn velocity_on(
        &self,
        stretch: &Stretch<'_>,
        times: &Tensor,
        free_u: FreeU,
        threads: usize,
    ) -> Tensor {
        self.field.forward_on(stretch, &self.field.embed(times), free_u, threads)
    }

    /// As [`PeriodWave::velocity`]; intermediate activations go to `trace`.
    pub fn velocity_traced(
        &self,
        stretch: &Stretch<'_>,
        times: &Tensor,
        free_u: FreeU,
        trace: &mut dyn Trace,
    ) -> Tensor {
        let embedded = self.field.embed(times);
        trace.record("time_period_emb", &embedded);
        self.field.forward(stretch, &embedded, free_u, trace)
    }

    /// A whole waveform from scaled noise `z [batch, 1, frames * hop]`.
    pub fn sample(&self, z: &Tensor, latents: &[Latents], sampling: &Sampling) -> Tensor {
        let (batch, end) = (z.size()[0], z.size()[2]);
        let [mut before, mut x] = [z.shallow_clone(), z.shallow_clone()];
        for call in sampling.calls() {
            let times = Tensor::full([batch], f64::from(call.time), (Kind::Float, z.device()));
            let stretch = Stretch { x: &x, at: 0, latents, core: 0..end, end };
            let change = self.velocity(&stretch, &times, sampling.free_u) * f64::from(call.scale);
            let next = match call.base {
                Base::Seen => &x + change,
                Base::Before => &before + change,
            };
            (before, x) = (x, next);
        }
        x
    }

    /// Makes the convolutions of the field in numbers of `kind`; activations and sums stay as they
    /// are.
    pub fn set_kind(&mut self, kind: Kind) {
        self.field.set_kind(kind);
    }
}
