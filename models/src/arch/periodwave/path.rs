//! The path of a period: a U-Net over the waveform folded to rows of that many samples. Its columns
//! never see each other, so that each is a signal of its own. All paths share the weights.

use formant_kernels::gemm::Gemm;
use tch::{Device, Kind, Tensor};

use super::config::{PeriodWaveConfig, STEP};
use super::frozen;
use super::layers::{Conv, Pass, ResBlocks, Stored, reach};
use super::sampling::FreeU;
use crate::error::Result;
use crate::network::Trace;
use crate::nn::linear::Linear;
use crate::params::Params;

/// Factor of each downsampling but the first, and of each upsampling.
pub(super) const FACTOR: i64 = 4;
/// Rows of a signal that are worked on at a time, about: 2 MB at the published width, with a tenth
/// more for what is seen around them.
pub(super) const ROWS: i64 = 1 << 14;
/// Dilations of the residual blocks above the bottom.
const DILATIONS: [i64; 2] = [1, 2];

/// A stage: a change of the rate, the term of the time, and residual blocks.
#[derive(Debug, Clone)]
struct Stage {
    conv: Conv,
    /// Of all stages but the one at the bottom.
    time: Option<Linear>,
    blocks: ResBlocks,
}

/// The U-Net.
#[derive(Debug, Clone)]
pub(super) struct PeriodPath {
    downs: Vec<Stage>,
    mid: Stage,
    ups: Vec<Stage>,
}

/// What a path sees beside the waveform.
#[derive(Debug)]
pub(super) struct PathInputs<'a> {
    /// Samples of a row.
    pub(super) period: i64,
    /// Added at the bottom, `[batch, mid frames, hidden]`, as long as the waveform needs or longer.
    pub(super) latents: &'a Tensor,
    /// Embedding of time and period, `[batch, hidden]`.
    pub(super) embedding: &'a Tensor,
    /// Weights of the ways up.
    pub(super) free_u: FreeU,
    /// Name in the trace.
    pub(super) name: &'a str,
}

impl PeriodPath {
    pub(super) fn new(params: &Params<'_>, config: &PeriodWaveConfig) -> Result<Self> {
        let hidden = config.hidden_dim;
        let [first, second, third] = [16, 8, 4].map(|part| hidden / part);
        let time =
            |place: &Params<'_>, channels| Linear::new(&place.sub("mlp.1"), hidden, channels);
        let longer = Pass::Down { stride: FACTOR, dilation: 1, padding: 4 };
        let down = |name: &str, channels: [i64; 2], kernel, pass| {
            let place = params.sub(name).sub("down");
            Conv::without_bias(&place, Stored::Plane, channels, kernel, pass)
        };
        let downs = [[1, first], [first, second], [second, third]].into_iter().enumerate();
        let downs = downs.map(|(index, channels)| {
            let name = format!("downs.{index}");
            let (kernel, pass) = if index == 0 { (1, Pass::same(1, 1)) } else { (9, longer) };
            let place = params.sub(&name);
            Ok(Stage {
                conv: down(&name, channels, kernel, pass)?,
                time: Some(time(&place, channels[1])?),
                blocks: ResBlocks::new(&place, Stored::Plane, channels[1], &DILATIONS)?,
            })
        });
        let ups = [[hidden, third], [third, second], [second, first]].into_iter().enumerate();
        let ups = ups.map(|(index, channels)| {
            let (place, shorter) =
                (params / "ups" / index, Pass::Up { factor: FACTOR, padding: 2 });
            let up = place.sub("up");
            Ok(Stage {
                conv: Conv::without_bias(&up, Stored::Plane, channels, 8, shorter)?,
                time: Some(time(&place, channels[1])?),
                blocks: ResBlocks::new(&place, Stored::Plane, channels[1], &DILATIONS)?,
            })
        });
        let bottom = params.sub("mids.0");
        Ok(Self {
            downs: downs.collect::<Result<_>>()?,
            mid: Stage {
                conv: down("mids.0", [third, hidden], 9, longer)?,
                time: None,
                blocks: ResBlocks::new(&bottom, Stored::Plane, hidden, config.dilations())?,
            },
            ups: ups.collect::<Result<_>>()?,
        })
    }

    /// Waveforms `[batch, 1, samples]` to `[batch, samples, final]`. The end is reflected up to whole
    /// mid frames.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        inputs: &PathInputs<'_>,
        trace: &mut dyn Trace,
    ) -> Tensor {
        let (batch, samples, period) = (x.size()[0], x.size()[2], inputs.period);
        let unit = STEP * period;
        let padded = (samples + unit - 1) / unit * unit;
        let x = match padded - samples {
            0 => x.shallow_clone(),
            missing => x.reflection_pad1d([0, missing]),
        };
        let rows = padded / period;
        let columns =
            x.reshape([batch, rows, period]).transpose(1, 2).reshape([batch * period, rows, 1]);
        // A few signals at a time stay in the processor's caches.
        let most = match batch == 1 && x.device() == Device::Cpu {
            true => (2 * ROWS / rows).clamp(1, period),
            false => batch * period,
        };
        let parts: Vec<Tensor> = (0..batch * period)
            .step_by(most as usize)
            .map(|first| columns.narrow(0, first, most.min(batch * period - first)))
            .map(|columns| self.columns(columns, batch, inputs, trace))
            .collect();
        let x = Tensor::cat(&parts, 0);
        let x = x
            .view([batch, period, rows, -1])
            .transpose(1, 2)
            .reshape([batch, padded, -1])
            .narrow(1, 0, samples);
        trace.record(inputs.name, &x.transpose(1, 2));
        x
    }

    /// Columns `[signals, rows, 1]`, as many of each of `batch` waveforms, to `[signals, rows, final]`.
    fn columns(
        &self,
        mut x: Tensor,
        batch: i64,
        inputs: &PathInputs<'_>,
        trace: &mut dyn Trace,
    ) -> Tensor {
        let tau = inputs.embedding.silu();
        let term = |stage: &Stage| stage.time.as_ref().map(|time| time.forward(&tau).unsqueeze(1));
        let mut record = |name: &str, x: &Tensor| {
            trace.record(&format!("{}.{name}", inputs.name), &x.transpose(1, 2));
        };
        let mut skips = Vec::with_capacity(self.downs.len());
        for (index, stage) in self.downs.iter().enumerate() {
            // The first sees the samples as they are.
            let y = if index == 0 { stage.conv.spread(&x) } else { stage.conv.forward(&x.silu()) };
            x = stage.blocks.forward(plus(y, term(stage).as_ref(), batch));
            record(&format!("down{index}"), &x);
            skips.push(x.shallow_clone());
        }
        let y = self.mid.conv.forward(&x.silu());
        let latents = inputs.latents.narrow(1, 0, y.size()[1]);
        x = self.mid.blocks.forward(plus(y, Some(&latents), batch));
        record("mid", &x);
        for (stage, skip) in self.ups.iter().zip(skips.iter().rev()) {
            let FreeU { skip: s, backbone: b } = inputs.free_u;
            let y = stage.conv.forward(&x.silu());
            let y = if b == 1.0 { y } else { y * b };
            let y = if s == 1.0 { y + skip } else { y + skip * s };
            x = stage.blocks.forward(plus(y, term(stage).as_ref(), batch));
        }
        x
    }

    /// The factors of the first stage, and the stages as kernels take them, downward with the bottom and
    /// upward; `None` where kernels do not take them.
    pub(super) fn kernels(&self, gemm: Gemm) -> Option<(Vec<f32>, [Vec<frozen::Stage>; 2])> {
        let stage = |stage: &Stage| {
            let rate = Some(stage.conv.kernel(gemm)?);
            Some(frozen::Stage { rate, blocks: stage.blocks.kernels(gemm)? })
        };
        let (first, others) = self.downs.split_first()?;
        let start = frozen::Stage { rate: None, blocks: first.blocks.kernels(gemm)? };
        let downs = others.iter().chain([&self.mid]).map(stage);
        let downs = std::iter::once(Some(start)).chain(downs).collect::<Option<_>>()?;
        let ups = self.ups.iter().map(stage).collect::<Option<_>>()?;
        Some((first.conv.numbers(), [downs, ups]))
    }

    /// The terms of the time, in the order in which signals meet them.
    pub(super) fn time(&self) -> Vec<Linear> {
        self.downs.iter().chain(&self.ups).filter_map(|stage| stage.time.clone()).collect()
    }

    /// Makes the products in numbers of `kind`.
    pub(super) fn set_kind(&mut self, kind: Kind) {
        for stage in self.downs.iter_mut().chain([&mut self.mid]).chain(&mut self.ups) {
            stage.conv.set_kind(kind);
            stage.blocks.set_kind(kind);
        }
    }
}

/// `y [signals, time, channels]`, as many of each of `batch` waveforms, plus a term `[batch, time or 1, channels]` of each signal.
fn plus(y: Tensor, term: Option<&Tensor>, batch: i64) -> Tensor {
    let Some(term) = term else { return y };
    let size = y.size();
    let sum = y.view([batch, size[0] / batch, size[1], size[2]]) + term.unsqueeze(1);
    sum.view(size.as_slice())
}

/// Rows on each side that a row of the result sees.
pub(super) fn path_reach(config: &PeriodWaveConfig) -> i64 {
    let blocks = reach(&DILATIONS);
    // Down: a kernel of 9 at the finer rate, blocks at the coarser; up: a frame of the coarser rate.
    let down = blocks + (4 + FACTOR * blocks) + FACTOR * (4 + FACTOR * blocks);
    let mid = FACTOR * FACTOR * 4 + STEP * reach(config.dilations());
    let up = [STEP, STEP / FACTOR, FACTOR].iter().map(|rate| rate + rate / FACTOR * blocks);
    down + mid + up.sum::<i64>()
}
