//! The network: embeddings, layers, and the projection of the first token.

use tch::nn::Init;
use tch::{Kind, Tensor};

use super::config::ClapConfig;
use super::layer::{Layer, Norm};
use crate::error::{Error, Result};
use crate::network::{NetworkInfo, NoTrace, Trace};
use crate::nn::linear::Linear;
use crate::params::{Params, Weight};

/// Deviation of embeddings at the beginning of a training.
const EMBEDDING: Init = Init::Randn { mean: 0.0, stdev: 0.02 };

/// From tokens of a text to an embedding of unit length.
#[derive(Debug, Clone)]
pub struct ClapText {
    word: Weight,     // [vocabulary, hidden]
    position: Weight, // [positions, hidden]
    kind: Weight,     // [kinds, hidden]
    norm: Norm,
    layers: Vec<Layer>,
    pooler: Linear,
    projection: [Linear; 2],
    config: ClapConfig,
    parameters: u64,
}

impl ClapText {
    /// All parameters under `params`.
    ///
    /// # Errors
    /// [`Error::Config`] when a size is impossible; as [`Params::get`].
    pub fn new(params: &Params<'_>, config: &ClapConfig) -> Result<Self> {
        config.validate()?;
        let (before, hidden, joint) = (params.elements(), config.hidden_size, config.joint_embed);
        let text = params.sub("text_branch");
        let embedding = |name: &str, count: i64| {
            let place = text.sub(format!("embeddings.{name}_embeddings"));
            place.get("weight", &[count, hidden], EMBEDDING)
        };
        let layer = |index: i64| Layer::new(&text.sub(format!("encoder.layer.{index}")), config);
        let project = |index: i64, inputs: i64| {
            Linear::new(&(params / "text_projection" / index), inputs, joint)
        };
        Ok(Self {
            word: embedding("word", config.vocab_size)?,
            position: embedding("position", config.max_position_embeddings)?,
            kind: embedding("token_type", config.type_vocab_size)?,
            norm: Norm::new(&text.sub("embeddings.LayerNorm"), config)?,
            layers: (0..config.num_hidden_layers).map(layer).collect::<Result<_>>()?,
            pooler: Linear::new(&text.sub("pooler.dense"), hidden, hidden)?,
            projection: [project(0, hidden)?, project(2, joint)?],
            config: config.clone(),
            parameters: params.elements() - before,
        })
    }

    /// Facts about the network. Its frames are tokens, all of which it sees.
    #[must_use]
    pub fn info(&self) -> NetworkInfo {
        NetworkInfo {
            architecture: "clap".to_owned(),
            parameters: self.parameters,
            lookahead_frames: usize::MAX,
            minimum_frames: 1,
            frames_per_output: usize::MAX,
        }
    }

    /// The embedding `[1, joint_embed]` of one text of unit length.
    ///
    /// # Errors
    /// [`Error::Config`] for no token, too many, or one that is not in the vocabulary.
    pub fn embed(&self, tokens: &[i64]) -> Result<Tensor> {
        let (longest, all) = (self.config.longest_text(), 0..self.config.vocab_size);
        if !(1..=longest).contains(&(tokens.len() as i64))
            || tokens.iter().any(|t| !all.contains(t))
        {
            let reason = format!(
                "{} tokens; 1 to {longest} below {} are needed",
                tokens.len(),
                self.config.vocab_size
            );
            return Err(Error::config("text", reason));
        }
        let tokens = Tensor::from_slice(tokens).to_device(self.word.device()).unsqueeze(0);
        Ok(tch::no_grad(|| self.forward(&tokens, &mut NoTrace)))
    }

    /// Embeddings `[batch, joint_embed]` of texts `[batch, tokens]`, which are padded at their ends.
    /// Intermediate activations go to `trace`.
    pub fn forward(&self, tokens: &Tensor, trace: &mut dyn Trace) -> Tensor {
        let (pad, hidden) = (self.config.pad_token_id, self.config.hidden_size);
        let is_text = tokens.ne(pad);
        // Text counts from behind the position of padding.
        let positions = is_text.cumsum(1, Kind::Int64) * is_text.to_kind(Kind::Int64) + pad;
        let rows = |table: &Tensor, rows: &Tensor| Tensor::embedding(table, rows, -1, false, false);
        let embedded = rows(&self.word, tokens)
            + rows(&self.position, &positions)
            + self.kind.narrow(0, 0, 1).view([1, 1, hidden]);
        let mut x = self.norm.forward(&embedded);
        trace.record("embeddings", &x);
        let is_text = is_text.unsqueeze(1).unsqueeze(1);
        for (index, layer) in self.layers.iter().enumerate() {
            x = layer.forward(&x, &is_text);
            trace.record(&format!("layer{index}"), &x);
        }
        trace.record("last_hidden", &x);
        let pooled = self.pooler.forward(&x.select(1, 0)).tanh();
        trace.record("pooler", &pooled);
        let [first, second] = &self.projection;
        let projected = second.forward(&first.forward(&pooled).relu());
        trace.record("projected", &projected);
        let norm = projected.square().sum_dim_intlist([1i64].as_slice(), true, Kind::Float).sqrt();
        let embedding = projected / norm.clamp_min(1e-12);
        trace.record("text_embed", &embedding);
        embedding
    }
}
