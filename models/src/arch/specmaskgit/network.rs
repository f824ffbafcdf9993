//! The network: embeddings of tokens and of a description, blocks, and logits of codes.

use tch::nn::Init;
use tch::{Kind, Tensor};

use super::block::{Block, Layer, Norm};
use super::config::SpecMaskGitConfig;
use crate::error::Result;
use crate::network::NetworkInfo;
use crate::nn::linear::Linear;
use crate::params::{Params, Weight};

/// Deviation of embeddings at the beginning of a training.
const EMBEDDING: Init = Init::Randn { mean: 0.0, stdev: 0.02 };

/// From a grid of tokens, some of which are masked, to logits of the codes of every place.
#[derive(Debug, Clone)]
pub struct SpecMaskGit {
    token_emb: Weight, // [codes + 1, dim]
    cond_proj: Linear,
    null_cond: Weight, // [1, 1, dim]
    pos_emb: Weight,   // [1, 1 + tokens, dim]
    blocks: Vec<Block>,
    norm: Norm,
    head: Layer,
    config: SpecMaskGitConfig,
    parameters: u64,
}

impl SpecMaskGit {
    /// All parameters under `params`.
    ///
    /// # Errors
    /// [`crate::Error::Config`] when a size is impossible; as [`Params::get`].
    pub fn new(params: &Params<'_>, config: &SpecMaskGitConfig) -> Result<Self> {
        config.validate()?;
        let (dim, before) = (config.dim, params.elements());
        let token_emb = [config.codebook_size + 1, dim];
        let block = |index: i64| Block::new(&(params / "blocks" / index), config);
        Ok(Self {
            token_emb: params.sub("token_emb").get("weight", &token_emb, EMBEDDING)?,
            cond_proj: Linear::new(&params.sub("cond_proj"), config.cond_dim, dim)?,
            null_cond: params.get("null_cond", &[1, 1, dim], EMBEDDING)?,
            pos_emb: params.get("pos_emb", &[1, 1 + config.tokens(), dim], EMBEDDING)?,
            blocks: (0..config.depth).map(block).collect::<Result<_>>()?,
            norm: Norm::new(&params.sub("norm"), dim)?,
            head: Layer::new(&params.sub("head"), dim, config.codebook_size)?,
            config: config.clone(),
            parameters: params.elements() - before,
        })
    }

    /// Facts about the network. It sees the whole grid.
    #[must_use]
    pub fn info(&self) -> NetworkInfo {
        let columns = self.config.grid_w as usize;
        NetworkInfo {
            architecture: "specmaskgit".to_owned(),
            parameters: self.parameters,
            lookahead_frames: usize::MAX,
            minimum_frames: columns,
            frames_per_output: columns,
        }
    }

    /// Sizes of the network.
    #[must_use]
    pub fn config(&self) -> &SpecMaskGitConfig {
        &self.config
    }

    /// What the network sees of descriptions, `[batch, 1, dim]`: embeddings `[batch, cond_dim]` of unit
    /// length.
    pub fn condition(&self, embeddings: &Tensor) -> Tensor {
        self.cond_proj.forward(embeddings).unsqueeze(1)
    }

    /// What the network sees where there is no description, `[1, 1, dim]`.
    pub fn no_condition(&self) -> Tensor {
        self.null_cond.shallow_clone()
    }

    /// Logits `[batch, tokens, codes]` of tokens `[batch, tokens]` and conditions `[batch, 1, dim]`.
    pub fn forward(&self, tokens: &Tensor, conditions: &Tensor) -> Tensor {
        let embedded = Tensor::embedding(&self.token_emb, tokens, -1, false, false);
        let x = Tensor::cat(&[conditions, &embedded], 1) + &*self.pos_emb;
        let x = self.blocks.iter().fold(x, |x, block| block.forward(&x));
        // The place of the condition has no code.
        let x = self.norm.forward(&x).narrow(1, 1, self.config.tokens());
        self.head.forward(&x.contiguous())
    }

    fn layers(&mut self) -> impl Iterator<Item = &mut Layer> {
        self.blocks.iter_mut().flat_map(Block::layers).chain([&mut self.head])
    }

    /// The same without a gradient, whose products have the same bytes for any number of threads where
    /// kernels make them.
    #[must_use]
    pub fn freeze(mut self) -> Self {
        self.layers().for_each(Layer::freeze);
        self
    }

    /// Makes the products in numbers of `kind`, without a gradient.
    pub fn set_kind(&mut self, kind: Kind) {
        self.layers().for_each(|layer| layer.set_kind(kind));
    }
}
