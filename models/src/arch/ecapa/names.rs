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

    /// The form's own of three: SpeechBrain's, WeSpeaker's, Tao Ruijie's.
    fn pick<T>(self, [speechbrain, wespeaker, taoruijie]: [T; 3]) -> T {
        match self.layout {
            Layout::Speechbrain => speechbrain,
            Layout::Wespeaker => wespeaker,
            Layout::Taoruijie => taoruijie,
        }
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
        self.pick([
            format!("blocks.{block}.se_block.conv1.conv"),
            format!("layer{}.se_res2block.3.linear1", block + 1),
            format!("layer{block}.se.se.1"),
        ])
    }

    pub(super) fn excite(self, block: i64) -> String {
        self.pick([
            format!("blocks.{block}.se_block.conv2.conv"),
            format!("layer{}.se_res2block.3.linear2", block + 1),
            format!("layer{block}.se.se.3"),
        ])
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
        self.pick(["asp.conv.conv", "pool.linear2", "attention.4"]).into()
    }

    pub(super) fn pooled_norm(self) -> &'static str {
        self.pick(["asp_bn.norm", "bn", "bn5"])
    }

    pub(super) fn fc(self) -> String {
        self.pick(["fc.conv", "linear", "fc6"]).into()
    }

    /// Where the embedding is normalised, in the forms that have it.
    pub(super) fn embedding_norm(self) -> Option<&'static str> {
        self.pick([None, Some("bn2"), Some("bn6")])
    }

    /// Names under which activations are traced: the reference's modules.
    pub(super) fn traced(self, part: Traced) -> String {
        let block = |i: i64| {
            self.pick([format!("blocks.{i}"), format!("layer{}", i + 1), format!("layer{i}")])
        };
        let names = match part {
            Traced::Inside(i, suffix) => return format!("{}.{suffix}", block(i)),
            Traced::Block(i) => return block(i) + self.pick([".out", "", ""]),
            Traced::FirstConv => ["blocks.0.conv", "layer1.conv", "conv1"],
            Traced::First => ["blocks.0.out", "layer1", "bn1"],
            Traced::MfaConv => ["mfa.conv", "conv", "layer4"],
            Traced::Mfa => ["mfa", "conv.relu", "layer4.relu"],
            Traced::Attention => ["asp.tdnn", "pool.linear1", "attention.2"],
            Traced::AttentionOut => ["asp.conv", "pool.linear2", "attention.4"],
            Traced::Pooled => ["asp", "pool", "pool"],
            Traced::PooledNorm => ["asp_bn", "bn", "bn5"],
        };
        self.pick(names).into()
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
