//! The network: encoder, codebook and decoder.

use tch::nn::Init;
use tch::{Kind, Tensor};

use super::blocks::same;
use super::config::SpecVqganConfig;
use super::decoder::Decoder;
use super::encoder::Encoder;
use super::frozen::FrozenDecoder;
use crate::error::Result;
use crate::network::{NetworkInfo, NoTrace, Trace};
use crate::nn::conv2d::Conv2d;
use crate::params::{Params, Weight};

/// Between spectrograms `[batch, 1, bands, frames]` within -1 and 1, and tokens
/// `[batch, bands / factor, frames / factor]`, whose first row is of the lowest bands.
#[derive(Debug, Clone)]
pub struct SpecVqgan {
    encoder: Encoder,
    quant_conv: Conv2d,
    codes: Weight, // [codes, dimensions]
    post_quant_conv: Conv2d,
    decoder: Decoder,
    /// The decoder without a gradient, where it is faster.
    frozen: Option<FrozenDecoder>,
    factor: i64,
    parameters: u64,
}

impl SpecVqgan {
    /// All parameters under `params`.
    ///
    /// # Errors
    /// [`crate::Error::Config`] when a size is impossible; as [`Params::get`].
    pub fn new(params: &Params<'_>, config: &SpecVqganConfig) -> Result<Self> {
        config.validate()?;
        let (before, z, dims) = (params.elements(), config.z_channels, config.embed_dim);
        let bound = 1.0 / config.n_embed as f64;
        let begin = Init::Uniform { lo: -bound, up: bound };
        Ok(Self {
            encoder: Encoder::new(&params.sub("encoder"), config)?,
            quant_conv: same(&params.sub("quant_conv"), [z, dims], 1)?,
            codes: params.sub("quantize.embedding").get(
                "weight",
                &[config.n_embed, dims],
                begin,
            )?,
            post_quant_conv: same(&params.sub("post_quant_conv"), [dims, z], 1)?,
            decoder: Decoder::new(&params.sub("decoder"), config)?,
            frozen: None,
            factor: config.factor(),
            parameters: params.elements() - before,
        })
    }

    /// Facts about the network. It sees all frames.
    #[must_use]
    pub fn info(&self) -> NetworkInfo {
        NetworkInfo {
            architecture: "specvqgan".to_owned(),
            parameters: self.parameters,
            lookahead_frames: usize::MAX,
            minimum_frames: self.factor as usize,
            frames_per_output: self.factor as usize,
        }
    }

    /// The same, whose [`SpecVqgan::decode`] computes the same without a gradient and faster on processors
    /// with a matrix unit.
    #[must_use]
    pub fn freeze(mut self) -> Self {
        self.frozen = FrozenDecoder::new(&self.decoder);
        self
    }

    /// Latents `[batch, dimensions, height, width]` of spectrograms, before they are replaced by codes.
    pub fn latents(&self, spectrograms: &Tensor, trace: &mut dyn Trace) -> Tensor {
        let latents = self.quant_conv.forward(&self.encoder.forward(spectrograms, trace));
        trace.record("pre_quant", &latents);
        latents
    }

    /// The nearest codes `[batch, height, width]` of latents, the first of equally near ones.
    pub fn nearest(&self, latents: &Tensor) -> Tensor {
        let (size, codes) = (latents.size(), self.codes.detach());
        let z = latents.detach().permute([0, 2, 3, 1]).reshape([-1, size[1]]).to_kind(Kind::Float);
        let norm = |x: &Tensor| x.square().sum_dim_intlist([1i64].as_slice(), true, Kind::Float);
        // Always of 32-bit numbers: rounding takes another code.
        let distances =
            norm(&z) + norm(&codes).transpose(0, 1) - z.matmul(&codes.transpose(0, 1)) * 2.0;
        distances.argmin(1, false).view([size[0], size[2], size[3]])
    }

    /// The codes `[batch, dimensions, height, width]` of tokens.
    pub fn lookup(&self, tokens: &Tensor) -> Tensor {
        Tensor::embedding(&self.codes, tokens, -1, false, false).permute([0, 3, 1, 2])
    }

    /// Spectrograms of codes, or of latents.
    pub fn decode_codes(&self, codes: &Tensor, trace: &mut dyn Trace) -> Tensor {
        let latents = self.post_quant_conv.forward(codes);
        trace.record("post_quant", &latents);
        self.decoder.forward(&latents, trace)
    }

    /// Tokens of spectrograms, whose bands and frames are multiples of the factor.
    pub fn encode(&self, spectrograms: &Tensor) -> Tensor {
        self.nearest(&self.latents(spectrograms, &mut NoTrace))
    }

    /// Spectrograms of tokens.
    pub fn decode(&self, tokens: &Tensor) -> Tensor {
        let codes = self.lookup(tokens);
        match &self.frozen {
            Some(decoder) => decoder.forward(&self.post_quant_conv.forward(&codes)),
            None => self.decode_codes(&codes, &mut NoTrace),
        }
    }
}
