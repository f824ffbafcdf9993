//! The heads of published folders: which known speaker, or which language, an embedding is.
//!
//! Keys as in SpeechBrain: a matrix of directions (`spkrec-ecapa-voxceleb`), or a small network
//! whose answers are log-probabilities (`lang-id-voxlingua107-ecapa`).

use tch::{Kind, Tensor};

use crate::checkpoint::{RawTensor, StateDict};
use crate::error::{Error, Result};
use crate::params::Weight;

/// Slope of the leaky ReLU below zero, libtorch's default.
const LEAK: f64 = 0.01;
const EPSILON: f64 = 1e-5;

/// What the numbers of a [`Classifier`] are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    /// Cosines between -1 and 1.
    Cosines,
    /// Logarithms of probabilities that sum to one.
    LogProbabilities,
}

/// A head that turns embeddings `[batch, values]` into one number a class, `[batch, classes]`.
#[derive(Debug, Clone)]
pub struct Classifier(Head);

#[derive(Debug, Clone)]
enum Head {
    Cosine { weight: Weight },
    Network { norm: Norm, blocks: Vec<(Affine, Norm)>, out: Affine },
}

#[derive(Debug, Clone)]
struct Affine {
    weight: Weight, // [out, in]
    bias: Weight,
}

#[derive(Debug, Clone)]
struct Norm {
    weight: Weight,
    bias: Weight,
    mean: Weight,
    variance: Weight,
}

impl Classifier {
    /// Reads a head from the weights of `classifier.ckpt`.
    ///
    /// # Errors
    /// [`Error::Missing`] when the weights are those of no known head, and errors of reading.
    pub fn of_weights(state: &StateDict) -> Result<Self> {
        let float = |raw: &RawTensor| Ok(Weight::from(raw.to_tensor()?.to_kind(Kind::Float)));
        if let Some(weight) = state.get("weight") {
            return Ok(Self(Head::Cosine { weight: float(weight)? }));
        }
        let tensor = |name: String| -> Result<Weight> {
            let raw = state.get(&name).ok_or_else(|| Error::Missing {
                path: state.path.clone(),
                what: format!("weight `{name}` of a classifier"),
            })?;
            float(raw)
        };
        let affine = |base: &str| -> Result<Affine> {
            Ok(Affine {
                weight: tensor(format!("{base}.weight"))?,
                bias: tensor(format!("{base}.bias"))?,
            })
        };
        let norm = |base: &str| -> Result<Norm> {
            Ok(Norm {
                weight: tensor(format!("{base}.weight"))?,
                bias: tensor(format!("{base}.bias"))?,
                mean: tensor(format!("{base}.running_mean"))?,
                variance: tensor(format!("{base}.running_var"))?,
            })
        };
        let blocks = (0..)
            .map(|i| format!("DNN.block_{i}"))
            .take_while(|base| state.get(&format!("{base}.linear.w.weight")).is_some())
            .map(|base| {
                Ok((affine(&format!("{base}.linear.w"))?, norm(&format!("{base}.norm.norm"))?))
            })
            .collect::<Result<_>>()?;
        Ok(Self(Head::Network { norm: norm("norm.norm")?, blocks, out: affine("out.w")? }))
    }

    /// What the numbers are.
    #[must_use]
    pub fn answers(&self) -> Answers {
        match self.0 {
            Head::Cosine { .. } => Answers::Cosines,
            Head::Network { .. } => Answers::LogProbabilities,
        }
    }

    /// `[batch, values]` to `[batch, classes]`.
    pub fn forward(&self, embeddings: &Tensor) -> Tensor {
        match &self.0 {
            Head::Cosine { weight } => {
                unit_rows(embeddings).matmul(&unit_rows(weight).transpose(0, 1))
            }
            Head::Network { norm, blocks, out } => {
                let mut x = norm.forward(&leaky(embeddings));
                for (linear, norm) in blocks {
                    x = norm.forward(&leaky(&linear.forward(&x)));
                }
                out.forward(&x).log_softmax(-1, Kind::Float)
            }
        }
    }
}

impl Affine {
    fn forward(&self, x: &Tensor) -> Tensor {
        x.linear(&self.weight, Some(&self.bias))
    }
}

impl Norm {
    fn forward(&self, x: &Tensor) -> Tensor {
        (x - &*self.mean) / (&*self.variance + EPSILON).sqrt() * &*self.weight + &*self.bias
    }
}

fn leaky(x: &Tensor) -> Tensor {
    x.maximum(&(x * LEAK))
}

/// Rows of unit length; rows near zero stay as they are, as in the reference.
fn unit_rows(x: &Tensor) -> Tensor {
    x / x.norm_scalaropt_dim(2, [-1i64].as_slice(), true).clamp_min(1e-12)
}
