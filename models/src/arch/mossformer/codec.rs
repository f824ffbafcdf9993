//! The learnt encoder and decoder between waveforms and frames of a separator.

use tch::Tensor;

use super::config::{Family, MossformerConfig};
use super::fourier::fourier_filters;
use crate::error::Result;
use crate::nn::linear::uniform;
use crate::params::{Params, Weight};

/// Filters that make frames of a waveform and a waveform of frames.
#[derive(Debug, Clone)]
pub(super) struct Codec {
    encoder: Weight, // [channels, 1, kernel]
    decoder: Weight, // [channels, 1, kernel]
    bias: Option<Weight>,
    hop: i64,
}

impl Codec {
    pub(super) fn new(params: &Params<'_>, config: &MossformerConfig) -> Result<Self> {
        let (encoder, decoder) = match config.family {
            Family::Mossformer => ("encoder.conv1d", "decoder"),
            Family::Mossformer2Ss | Family::Mossformer2Se => ("enc.conv1d", "dec"),
        };
        let shape = [config.in_channels, 1, config.kernel_size];
        let decoder = params.sub(decoder);
        Ok(Self {
            encoder: params.sub(encoder).get("weight", &shape, uniform(config.kernel_size, 1.0))?,
            decoder: decoder.get("weight", &shape, uniform(config.in_channels, 1.0))?,
            bias: config.bias.then(|| decoder.zeros("bias", &[1])).transpose()?,
            hop: config.hop(),
        })
    }

    /// Makes both a lapped Fourier or cosine transform, where the sizes allow.
    pub(super) fn begin_with_fourier(&self) -> bool {
        let [channels, _, kernel] = self.encoder.size()[..] else { return false };
        let Some(filters) = fourier_filters(channels as usize, kernel as usize) else {
            return false;
        };
        let filters = Tensor::from_slice(&filters).view([channels, 1, kernel]);
        tch::no_grad(|| {
            self.encoder.shallow_clone().copy_(&filters);
            self.decoder.shallow_clone().copy_(&filters);
        });
        true
    }

    pub(super) fn detached(&self) -> Self {
        Self {
            encoder: self.encoder.detach(),
            decoder: self.decoder.detach(),
            bias: self.bias.as_ref().map(Weight::detach),
            hop: self.hop,
        }
    }

    fn kernel(&self) -> i64 {
        self.encoder.size()[2]
    }

    /// `[batch, samples]`, at least a kernel of them, to `[batch, frames, channels]`.
    pub(super) fn encode(&self, waveform: &Tensor) -> Tensor {
        waveform
            .unfold(1, self.kernel(), self.hop) // [batch, frames, kernel]
            .linear::<Tensor>(&self.encoder.squeeze_dim(1), None)
            .relu()
    }

    /// `[batch, frames, channels]` to `[batch, samples]`, with zeros behind the last whole frame.
    pub(super) fn decode(&self, frames: &Tensor, samples: i64) -> Tensor {
        let pieces = frames.matmul(&self.decoder.squeeze_dim(1)); // [batch, frames, kernel]
        let covered = (pieces.size()[1] - 1) * self.hop + self.kernel();
        let sum = pieces
            .transpose(1, 2)
            .col2im([1, covered], [1, self.kernel()], [1, 1], [0, 0], [1, self.hop])
            .flatten(1, 3); // [batch, covered]
        let sum = match &self.bias {
            Some(bias) => sum + &**bias,
            None => sum,
        };
        if covered < samples {
            sum.constant_pad_nd([0, samples - covered])
        } else {
            sum.narrow(1, 0, samples)
        }
    }
}
