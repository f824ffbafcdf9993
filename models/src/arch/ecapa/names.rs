//! State-dict keys of the three forms of the network: the path of each layer's convolution and of
//! the normalisation behind it. Blocks count from 1, Res2Net layers inside them from 0.

use super::config::Layout;

/// Paths of a convolution and of its normalisation.
pub(super) type Pair = (String, String);

#[derive(Debug, Clone, Copy)]
pub(super) struct Names {
    layout: Layout,
}

impl Names {
    pub(super) fn new(layout: Layout) -> Self {
        Self { layout }
    }

    pub(super) fn first(self) -> Pair {
        match self.layout {
            Layout::Speechbrain => wrapped("blocks.0"),
            Layout::Wespeaker => plain("layer1"),
            Layout::Taoruijie => ("conv1".into(), "bn1".into()),
        }
    }

    pub(super) fn tdnn1(self, block: i64) -> Pair {
        match self.layout {
            Layout::Speechbrain => wrapped(&format!("blocks.{block}.tdnn1")),
            Layout::Wespeaker => plain(&format!("layer{}.se_res2block.0", block + 1)),
            Layout::Taoruijie => (format!("layer{block}.conv1"), format!("layer{block}.bn1")),
        }
    }

    pub(super) fn res2net(self, block: i64, layer: i64) -> Pair {
        match self.layout {
            Layout::Speechbrain => wrapped(&format!("blocks.{block}.res2net_block.blocks.{layer}")),
            Layout::Wespeaker => {
                let base = format!("layer{}.se_res2block.1", block + 1);
                (format!("{base}.convs.{layer}"), format!("{base}.bns.{layer}"))
            }
            Layout::Taoruijie => {
                (format!("layer{block}.convs.{layer}"), format!("layer{block}.bns.{layer}"))
            }
        }
    }

    pub(super) fn tdnn2(self, block: i64) -> Pair {
        match self.layout {
            Layout::Speechbrain => wrapped(&format!("blocks.{block}.tdnn2")),
            Layout::Wespeaker => plain(&format!("layer{}.se_res2block.2", block + 1)),
            Layout::Taoruijie => (format!("layer{block}.conv3"), format!("layer{block}.bn3")),
        }
    }

    pub(super) fn squeeze(self, block: i64) -> String {
        match self.layout {
            Layout::Speechbrain => format!("blocks.{block}.se_block.conv1.conv"),
            Layout::Wespeaker => format!("layer{}.se_res2block.3.linear1", block + 1),
            Layout::Taoruijie => format!("layer{block}.se.se.1"),
        }
    }

    pub(super) fn excite(self, block: i64) -> String {
        match self.layout {
            Layout::Speechbrain => format!("blocks.{block}.se_block.conv2.conv"),
            Layout::Wespeaker => format!("layer{}.se_res2block.3.linear2", block + 1),
            Layout::Taoruijie => format!("layer{block}.se.se.3"),
        }
    }

    /// The aggregation, which SpeechBrain alone normalises.
    pub(super) fn mfa(self) -> (String, Option<String>) {
        match self.layout {
            Layout::Speechbrain => ("mfa.conv.conv".into(), Some("mfa.norm.norm".into())),
            Layout::Wespeaker => ("conv".into(), None),
            Layout::Taoruijie => ("layer4".into(), None),
        }
    }

    /// The hidden layer of the attention, which WeSpeaker does not normalise.
    pub(super) fn attention(self) -> (String, Option<String>) {
        match self.layout {
            Layout::Speechbrain => ("asp.tdnn.conv.conv".into(), Some("asp.tdnn.norm.norm".into())),
            Layout::Wespeaker => ("pool.linear1".into(), None),
            Layout::Taoruijie => ("attention.0".into(), Some("attention.2".into())),
        }
    }

    pub(super) fn attention_out(self) -> String {
        match self.layout {
            Layout::Speechbrain => "asp.conv.conv",
            Layout::Wespeaker => "pool.linear2",
            Layout::Taoruijie => "attention.4",
        }
        .into()
    }

    pub(super) fn pooled_norm(self) -> &'static str {
        match self.layout {
            Layout::Speechbrain => "asp_bn.norm",
            Layout::Wespeaker => "bn",
            Layout::Taoruijie => "bn5",
        }
    }

    pub(super) fn fc(self) -> String {
        match self.layout {
            Layout::Speechbrain => "fc.conv",
            Layout::Wespeaker => "linear",
            Layout::Taoruijie => "fc6",
        }
        .into()
    }

    /// Where the embedding is normalised, in the forms that have it.
    pub(super) fn embedding_norm(self) -> Option<&'static str> {
        match self.layout {
            Layout::Speechbrain => None,
            Layout::Wespeaker => Some("bn2"),
            Layout::Taoruijie => Some("bn6"),
        }
    }

    /// Names under which activations are traced: the reference's modules.
    pub(super) fn traced(self, part: Traced) -> String {
        let block = |i: i64, suffix: &str| match self.layout {
            Layout::Speechbrain => format!("blocks.{i}.{suffix}"),
            Layout::Wespeaker => format!("layer{}.{suffix}", i + 1),
            Layout::Taoruijie => format!("layer{i}.{suffix}"),
        };
        match (self.layout, part) {
            (Layout::Speechbrain, Traced::FirstConv) => "blocks.0.conv".into(),
            (Layout::Speechbrain, Traced::First) => "blocks.0.out".into(),
            (Layout::Wespeaker, Traced::FirstConv) => "layer1.conv".into(),
            (Layout::Wespeaker, Traced::First) => "layer1".into(),
            (Layout::Taoruijie, Traced::FirstConv) => "conv1".into(),
            (Layout::Taoruijie, Traced::First) => "bn1".into(),
            (Layout::Speechbrain, Traced::Block(i)) => format!("blocks.{i}.out"),
            (Layout::Wespeaker, Traced::Block(i)) => format!("layer{}", i + 1),
            (Layout::Taoruijie, Traced::Block(i)) => format!("layer{i}"),
            (_, Traced::Inside(i, suffix)) => block(i, suffix),
            (Layout::Speechbrain, Traced::MfaConv) => "mfa.conv".into(),
            (Layout::Speechbrain, Traced::Mfa) => "mfa".into(),
            (Layout::Wespeaker, Traced::MfaConv) => "conv".into(),
            (Layout::Wespeaker, Traced::Mfa) => "conv.relu".into(),
            (Layout::Taoruijie, Traced::MfaConv) => "layer4".into(),
            (Layout::Taoruijie, Traced::Mfa) => "layer4.relu".into(),
            (Layout::Speechbrain, Traced::Attention) => "asp.tdnn".into(),
            (Layout::Wespeaker, Traced::Attention) => "pool.linear1".into(),
            (Layout::Taoruijie, Traced::Attention) => "attention.2".into(),
            (Layout::Speechbrain, Traced::AttentionOut) => "asp.conv".into(),
            (Layout::Wespeaker, Traced::AttentionOut) => "pool.linear2".into(),
            (Layout::Taoruijie, Traced::AttentionOut) => "attention.4".into(),
            (Layout::Speechbrain, Traced::Pooled) => "asp".into(),
            (Layout::Wespeaker, Traced::Pooled) => "pool".into(),
            (Layout::Taoruijie, Traced::Pooled) => "pool".into(),
            (Layout::Speechbrain, Traced::PooledNorm) => "asp_bn".into(),
            (Layout::Wespeaker, Traced::PooledNorm) => "bn".into(),
            (Layout::Taoruijie, Traced::PooledNorm) => "bn5".into(),
        }
    }
}

/// An activation that parity tests may look at.
#[derive(Debug, Clone, Copy)]
pub(super) enum Traced {
    FirstConv,
    First,
    Inside(i64, &'static str),
    Block(i64),
    MfaConv,
    Mfa,
    Attention,
    AttentionOut,
    Pooled,
    PooledNorm,
}

/// SpeechBrain wraps every layer in a module of its own.
fn wrapped(base: &str) -> Pair {
    (format!("{base}.conv.conv"), format!("{base}.norm.norm"))
}

fn plain(base: &str) -> Pair {
    (format!("{base}.conv"), format!("{base}.bn"))
}
