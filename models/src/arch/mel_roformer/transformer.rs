//! A stack of attention and feed-forward blocks over one axis, and the groups of sequences that it
//! takes at a time.

use tch::nn::Module;
use tch::{Kind, Tensor};

use super::attention::{Attending, Attention};
use super::config::{Layout, MelRoformerConfig};
use crate::error::Result;
use crate::network::Trace;
use crate::nn::l2_norm::L2Norm;
use crate::nn::linear::Linear;
use crate::params::Params;

/// Widening of the feed-forward blocks, a constant in the reference.
const WIDENING: i64 = 4;

/// Positions that are computed at a time where no gradient is wanted: activations stay in the
/// processor's caches, and memory does not grow with the number of sequences.
const GROUP: i64 = 1024;

/// How a stack goes through its sequences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passing {
    /// All at once.
    Whole,
    /// A group at a time; for inference.
    Groups,
}

/// Normalisation and two linear layers with GELU between them.
#[derive(Debug, Clone)]
struct FeedForward {
    norm: L2Norm,
    widen: Linear,
    narrow: Linear,
}

impl FeedForward {
    fn new(params: &Params<'_>, dim: i64) -> Result<Self> {
        let net = params / "net";
        Ok(Self {
            norm: L2Norm::new(&(&net / "0"), dim)?,
            widen: Linear::new(&(&net / "1"), dim, dim * WIDENING)?,
            narrow: Linear::new(&(&net / "4"), dim * WIDENING, dim)?,
        })
    }

    fn set_kind(&mut self, kind: Kind) {
        self.widen.set_kind(kind);
        self.narrow.set_kind(kind);
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        let u = self.norm.forward(x).to_kind(self.widen.weight.kind());
        self.narrow.forward(&self.widen.forward(&u).gelu("none")).to_kind(x.kind())
    }
}

/// The stack.
#[derive(Debug, Clone)]
pub(super) struct Transformer {
    blocks: Vec<(Attention, FeedForward)>,
    norm: L2Norm,
}

impl Transformer {
    /// `layer` counts from 0; from the second on, values may be mixed with those of the first.
    pub(super) fn new(
        params: &Params<'_>,
        config: &MelRoformerConfig,
        depth: i64,
        kind: Attending,
        layer: i64,
    ) -> Result<Self> {
        let mixes = config.add_value_residual && layer > 0;
        let place = |block: i64, member: i64| {
            let params = params / "layers" / block / member;
            match config.layout {
                Layout::Reference => params,
                Layout::Lucidrains => params / "branch",
            }
        };
        let block = |i: i64| -> Result<(Attention, FeedForward)> {
            Ok((
                Attention::new(&place(i, 0), config, kind, mixes)?,
                FeedForward::new(&place(i, 1), config.dim)?,
            ))
        };
        Ok(Self {
            blocks: (0..depth).map(block).collect::<Result<_>>()?,
            norm: L2Norm::new(&(params / "norm"), config.dim)?,
        })
    }

    /// Makes the matrix products in numbers of `kind`.
    pub(super) fn set_kind(&mut self, kind: Kind) {
        for (attention, feed_forward) in &mut self.blocks {
            attention.set_kind(kind);
            feed_forward.set_kind(kind);
        }
    }

    /// `x [sequences, positions, dim]`, in any order in memory, to the same shape. `first` are the
    /// values of the first layer, if there was one; those of the first block come back.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        first: Option<&Tensor>,
        passing: Passing,
        (trace, name): (&mut dyn Trace, &str),
    ) -> (Tensor, Option<Tensor>) {
        let size = x.size();
        // One table a block: rates are stored in every block, even where all are the same.
        let turns: Vec<_> = self.blocks.iter().map(|(a, _)| a.turns(size[1])).collect();
        let step = (GROUP / size[1].max(1)).max(1);
        if passing == Passing::Whole || step >= size[0] {
            return self.group(&x.contiguous(), &turns, first, (trace, name));
        }
        let groups: Vec<Tensor> = (0..size[0])
            .step_by(step as usize)
            .map(|at| {
                let rows = x.narrow(0, at, step.min(size[0] - at)).contiguous();
                self.group(&rows, &turns, None, (&mut crate::network::NoTrace, name)).0
            })
            .collect();
        (Tensor::cat(&groups, 0), None)
    }

    fn group(
        &self,
        x: &Tensor,
        turns: &[Option<Tensor>],
        first: Option<&Tensor>,
        (trace, name): (&mut dyn Trace, &str),
    ) -> (Tensor, Option<Tensor>) {
        let (mut x, mut kept) = (x.shallow_clone(), None);
        for (i, ((attention, feed_forward), turns)) in self.blocks.iter().zip(turns).enumerate() {
            let (y, values) = attention.forward(&x, turns.as_ref(), first);
            trace.record(&format!("{name}.attn{i}.out"), &y);
            kept.get_or_insert(values);
            x = y.g_add(&x);
            x = feed_forward.forward(&x).g_add(&x);
        }
        (self.norm.forward(&x), kept)
    }
}
