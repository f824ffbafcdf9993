//! SE-Res2Net block: a convolution in groups that see further and further, then a gate a channel.

use tch::Tensor;

use super::config::{EcapaConfig, Layout};
use super::layers::{Dense, FrameMask, Reach, Stored, Tdnn, mean_over_time};
use super::names::{Names, Traced};
use crate::error::Result;
use crate::network::Trace;
use crate::params::Params;

/// One block; its input is added to its output.
#[derive(Debug, Clone)]
pub(super) struct Block {
    index: i64,
    names: Names,
    tdnn1: Tdnn,
    res2net: Res2Net,
    tdnn2: Tdnn,
    se: SqueezeExcite,
}

impl Block {
    pub(super) fn new(params: &Params<'_>, index: i64, config: &EcapaConfig) -> Result<Self> {
        let names = Names::new(config.layout);
        let (inputs, outputs) =
            (config.channels[index as usize - 1], config.channels[index as usize]);
        let point = |names: &(String, String), inputs| {
            Tdnn::new(params, names, inputs, outputs, Reach::POINT, config.layout)
        };
        Ok(Self {
            index,
            names,
            tdnn1: point(&names.tdnn1(index), inputs)?,
            res2net: Res2Net::new(params, index, config)?,
            tdnn2: point(&names.tdnn2(index), outputs)?,
            se: SqueezeExcite::new(params, index, config)?,
        })
    }

    /// `[batch, channels, frames]` to the same shape.
    pub(super) fn forward_t(
        &self,
        x: &Tensor,
        mask: Option<&FrameMask>,
        train: bool,
        trace: &mut dyn Trace,
    ) -> Tensor {
        let mut record = |part, activation: &Tensor| {
            trace.record(&self.names.traced(part), activation);
        };
        let y = self.tdnn1.forward_t(x, train);
        record(Traced::Inside(self.index, "tdnn1"), &y);
        let y = self.res2net.forward_t(&y, train);
        record(Traced::Inside(self.index, "res2net_block"), &y);
        let y = self.tdnn2.forward_t(&y, train);
        record(Traced::Inside(self.index, "tdnn2"), &y);
        let y = self.se.forward(&y, mask);
        record(Traced::Inside(self.index, "se_block"), &y);
        let y = x + y;
        record(Traced::Block(self.index), &y);
        y
    }
}

/// Groups of channels; each goes through a convolution together with what came out of the group
/// before it, except one that passes unchanged: the first (SpeechBrain) or the last (the others).
#[derive(Debug, Clone)]
struct Res2Net {
    layers: Vec<Tdnn>,
    width: i64,
    first_passes: bool,
}

impl Res2Net {
    fn new(params: &Params<'_>, index: i64, config: &EcapaConfig) -> Result<Self> {
        let at = index as usize;
        let width = config.channels[at] / config.res2net_scale;
        let reach = Reach { kernel: config.kernel_sizes[at], dilation: config.dilations[at] };
        let names = Names::new(config.layout);
        let layer =
            |j| Tdnn::new(params, &names.res2net(index, j), width, width, reach, config.layout);
        Ok(Self {
            layers: (0..config.res2net_scale - 1).map(layer).collect::<Result<_>>()?,
            width,
            first_passes: config.layout == Layout::Speechbrain,
        })
    }

    fn forward_t(&self, x: &Tensor, train: bool) -> Tensor {
        let groups = x.split(self.width, 1);
        let (passing, convolved) = match self.first_passes {
            true => (&groups[0], &groups[1..]),
            false => (&groups[groups.len() - 1], &groups[..groups.len() - 1]),
        };
        let mut parts: Vec<Tensor> = Vec::with_capacity(groups.len());
        for (layer, group) in self.layers.iter().zip(convolved) {
            let y = match parts.last() {
                Some(previous) => layer.forward_t(&(group + previous), train),
                None => layer.forward_t(group, train),
            };
            parts.push(y);
        }
        let at = if self.first_passes { 0 } else { parts.len() };
        parts.insert(at, passing.shallow_clone());
        Tensor::cat(&parts, 1)
    }
}

/// A gate for every channel, from the channels' means over time.
#[derive(Debug, Clone)]
struct SqueezeExcite {
    squeeze: Dense,
    excite: Dense,
}

impl SqueezeExcite {
    fn new(params: &Params<'_>, index: i64, config: &EcapaConfig) -> Result<Self> {
        let names = Names::new(config.layout);
        let (channels, inside) = (config.channels[index as usize], config.se_channels);
        let stored = match config.layout {
            Layout::Wespeaker => Stored::Matrix,
            Layout::Speechbrain | Layout::Taoruijie => Stored::Convolution,
        };
        Ok(Self {
            squeeze: Dense::new(params, &names.squeeze(index), channels, inside, stored)?,
            excite: Dense::new(params, &names.excite(index), inside, channels, stored)?,
        })
    }

    fn forward(&self, x: &Tensor, mask: Option<&FrameMask>) -> Tensor {
        let mean = mean_over_time(x, mask).squeeze_dim(2); // [batch, channels]
        let gate = self.excite.forward(&self.squeeze.forward(&mean).relu()).sigmoid();
        x * gate.unsqueeze(2)
    }
}
