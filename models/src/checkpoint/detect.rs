//! The table of architectures: each row says by which names a state dict is recognized (and by a
//! shape where names do not suffice), and how it is adopted, where formant can run it. What
//! `models info` recognizes and what `--model` loads is the same row.

use serde::{Deserialize, Serialize};

use super::clean::clean_names;
use super::glob;
use super::state_dict::StateDict;
use crate::arch::{ecapa, hifi_sr, lmuformer, mel_roformer, mossformer, squeezeformer};
use crate::error::Result;
use crate::model::{AnyCard, Foreign, adopt};

/// An architecture that formant knows by its names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Architecture {
    /// LMUFormer keyword spotting.
    Lmuformer,
    /// LMUFormer with spiking neurons.
    LmuformerSpiking,
    /// ECAPA-TDNN speaker embedding.
    EcapaTdnn,
    /// Squeezeformer CTC recogniser.
    Squeezeformer,
    /// MossFormer separation.
    Mossformer,
    /// MossFormer2 separation.
    Mossformer2Ss,
    /// MossFormer2 enhancement at 48 kHz.
    Mossformer2Se,
    /// HiFi-SR super-resolution (released as MossFormer2_SR_48K).
    HifiSr,
    /// Mel-RoFormer stem separation.
    MelRoformer,
    /// Mel-RoFormer with a melody head.
    MelRoformerMelody,
    /// PeriodWave and PeriodWave-Turbo vocoder.
    PeriodwaveTurbo,
    /// SpecMaskGIT transformer.
    Specmaskgit,
    /// SpecVQGAN tokenizer.
    Specvqgan,
    /// CLAP text tower.
    Clap,
    /// MelGAN vocoder.
    Melgan,
    /// HiFi-GAN vocoder.
    HifiGan,
    /// BigVGAN and BigVSAN vocoders.
    Bigvgan,
    /// Audio spectrogram transformer.
    Ast,
}

impl Architecture {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Lmuformer,
        Self::LmuformerSpiking,
        Self::EcapaTdnn,
        Self::Squeezeformer,
        Self::Mossformer,
        Self::Mossformer2Ss,
        Self::Mossformer2Se,
        Self::HifiSr,
        Self::MelRoformer,
        Self::MelRoformerMelody,
        Self::PeriodwaveTurbo,
        Self::Specmaskgit,
        Self::Specvqgan,
        Self::Clap,
        Self::Melgan,
        Self::HifiGan,
        Self::Bigvgan,
        Self::Ast,
    ];

    /// Name as in commands and metadata.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Lmuformer => "lmuformer",
            Self::LmuformerSpiking => "lmuformer-spiking",
            Self::EcapaTdnn => "ecapa-tdnn",
            Self::Squeezeformer => "squeezeformer",
            Self::Mossformer => "mossformer",
            Self::Mossformer2Ss => "mossformer2-ss",
            Self::Mossformer2Se => "mossformer2-se",
            Self::HifiSr => "hifi-sr",
            Self::MelRoformer => "mel-roformer",
            Self::MelRoformerMelody => "mel-roformer-melody",
            Self::PeriodwaveTurbo => "periodwave-turbo",
            Self::Specmaskgit => "specmaskgit",
            Self::Specvqgan => "specvqgan",
            Self::Clap => "clap",
            Self::Melgan => "melgan",
            Self::HifiGan => "hifi-gan",
            Self::Bigvgan => "bigvgan",
            Self::Ast => "ast",
        }
    }
}

impl std::fmt::Display for Architecture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// What a state dict was recognised as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Detection {
    /// The network.
    pub architecture: Architecture,
    /// Whose names it uses, or which part of the network it is.
    pub layout: &'static str,
}

impl std::fmt::Display for Detection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.architecture, self.layout)
    }
}

/// A row of the table.
pub(crate) struct Row {
    /// The network.
    pub(crate) architecture: Architecture,
    /// Whose names, or which part of the network.
    layout: &'static str,
    /// Patterns, each of which has a name.
    patterns: &'static [&'static str],
    /// What shapes have to say.
    shapes: fn(&StateDict) -> bool,
    /// How the checkpoint becomes a card, where formant has the network.
    pub(crate) adopt: Option<Adopt>,
}

type Adopt = fn(&mut Foreign<'_>) -> Result<AnyCard>;

impl Row {
    /// What the row says to users.
    pub(crate) fn detection(&self) -> Detection {
        Detection { architecture: self.architecture, layout: self.layout }
    }
}

/// A row of a network that formant does not have, or of a part of one.
const fn known(
    architecture: Architecture,
    layout: &'static str,
    patterns: &'static [&'static str],
    shapes: fn(&StateDict) -> bool,
) -> Row {
    Row { architecture, layout, patterns, shapes, adopt: None }
}

/// A row of a network that formant runs.
const fn runs(
    architecture: Architecture,
    layout: &'static str,
    patterns: &'static [&'static str],
    shapes: fn(&StateDict) -> bool,
    adopt: Adopt,
) -> Row {
    Row { architecture, layout, patterns, shapes, adopt: Some(adopt) }
}

const ANY: fn(&StateDict) -> bool = |_| true;

/// The first row whose patterns all have a name, and whose shapes fit, is the answer: special
/// cases stand above the general ones.
#[rustfmt::skip]
const TABLE: &[Row] = {
    use Architecture::*;
    &[
        runs(Lmuformer, "reference", &["patch_embed.conv_layers.0.0.weight", "block.*.attn.lmu.W_u.weight"], ANY, adopt::<lmuformer::LmuFormer>),
        runs(LmuformerSpiking, "reference", &["patch_embed.proj_conv.weight", "block.*.attn.lmu.W_u.weight"], ANY, adopt::<lmuformer::LmuFormer>),
        runs(EcapaTdnn, "speechbrain", &["blocks.0.conv.conv.weight", "asp.tdnn.conv.conv.weight", "fc.conv.weight"], ANY, adopt::<ecapa::Ecapa>),
        runs(EcapaTdnn, "wespeaker", &["layer2.se_res2block.*", "pool.linear1.weight"], ANY, adopt::<ecapa::Ecapa>),
        runs(EcapaTdnn, "taoruijie", &["*layer1.se.se.1.weight", "*layer4.weight", "*attention.4.weight", "*fc6.weight"], ANY, adopt::<ecapa::Ecapa>),
        runs(Squeezeformer, "nemo", &["encoder.pre_encode.conv.0.weight", "encoder.layers.*.self_attn_scale.scale"], ANY, adopt::<squeezeformer::Squeezeformer>),
        runs(Squeezeformer, "wenet", &["encoder.embed.pw_conv.weight", "encoder.encoders.*.ffn1.w_1.weight"], ANY, adopt::<squeezeformer::Squeezeformer>),
        runs(HifiSr, "encoder and generator", &["mossformer_ckpt.mossformer.*", "generator_ckpt.*"], ANY, adopt::<hifi_sr::HifiSr>),
        known(HifiSr, "encoder", &["mossformer.mdl.intra_mdl.mossformerM.*"], same_bands_in_and_out),
        known(HifiSr, "generator", &["snakes.0.alpha", "snake_post.alpha", "ups.0.weight*"], ANY),
        runs(Mossformer2Se, "reference", &["*mossformer.mdl.intra_mdl.mossformerM.*", "*mossformer.mdl.*.fsmn.conv1.weight"], ANY, adopt::<mossformer::MossFormer>),
        runs(Mossformer2Ss, "reference", &["enc.conv1d.weight", "mask_net.mdl.intra_mdl.mossformerM.*.fsmn.conv.conv1.weight"], ANY, adopt::<mossformer::MossFormer>),
        runs(Mossformer2Ss, "stand-alone", &["masknet.dual_mdl.0.intra_mdl.mdl.flashT.*"], ANY, adopt::<mossformer::MossFormer>),
        known(Mossformer2Ss, "stand-alone mask network", &["dual_mdl.0.intra_mdl.mdl.flashT.*"], ANY),
        runs(Mossformer, "reference", &["mask_net.mdl.att_mdl.mossformerM.*"], ANY, adopt::<mossformer::MossFormer>),
        known(Mossformer, "mask network", &["mdl.att_mdl.mossformerM.*", "conv1d_encoder.weight"], ANY),
        known(MelRoformerMelody, "formant", &["melody_head.onset.weight", "band_split.to_features.0.*"], ANY),
        runs(MelRoformer, "lucidrains 1.1", &["band_split.to_features.0.*", "layers.*.branch.*"], ANY, adopt::<mel_roformer::MelRoformer>),
        runs(MelRoformer, "reference", &["band_split.to_features.0.*", "mask_estimators.0.to_freqs.*"], ANY, adopt::<mel_roformer::MelRoformer>),
        known(PeriodwaveTurbo, "reference", &["estimator.MelCond.embed.weight", "estimator.mpg.mpg.downs.0.*"], ANY),
        known(Specmaskgit, "formant", &["token_emb.weight", "cond_proj.weight", "null_cond", "blocks.0.attn.qkv.weight"], ANY),
        known(Specvqgan, "inside a transformer", &["first_stage_model.quantize.embedding.weight", "first_stage_model.encoder.conv_in.weight"], ANY),
        known(Specvqgan, "reference", &["quantize.embedding.weight", "encoder.conv_in.weight", "post_quant_conv.weight"], ANY),
        known(Clap, "laion", &["text_branch.embeddings.word_embeddings.weight", "text_projection.0.weight"], ANY),
        known(Bigvgan, "reference", &["conv_pre.*", "resblocks.0.activations.0.act.alpha"], ANY),
        known(HifiGan, "reference", &["conv_pre.*", "ups.0.weight*", "resblocks.0.conv*", "conv_post.*"], ANY),
        known(Melgan, "reference", &["model.1.weight*", "model.*.block.*"], ANY),
        known(Ast, "peft", &["base_model.model.audio_spectrogram_transformer.*.lora_A.weight"], ANY),
        known(Ast, "adapter", &["encoder.layer.*.adapter_module_*"], ANY),
        known(Ast, "original", &["v.patch_embed.proj.weight", "v.dist_token"], ANY),
        known(Ast, "hugging face", &["*embeddings.patch_embeddings.projection.weight", "*embeddings.distillation_token"], one_channel),
    ]
};

/// Super-resolution maps a spectrogram to latents of as many bands; enhancement maps features to
/// a mask.
fn same_bands_in_and_out(state: &StateDict) -> bool {
    let dim = |name: &str, axis: usize| state.get(name).and_then(|t| t.shape().get(axis).copied());
    let bands = dim("mossformer.conv1d_encoder.weight", 1);
    bands.is_some() && bands == dim("mossformer.conv1_decoder.weight", 0)
}

/// Spectrograms have one channel; the image model of the same names has three.
fn one_channel(state: &StateDict) -> bool {
    let projection = |name: &str| name.ends_with("embeddings.patch_embeddings.projection.weight");
    state.iter().any(|(name, tensor)| projection(name) && tensor.shape().get(1) == Some(&1))
}

/// Recognizes a state dict, wrapper prefixes or not.
#[must_use]
pub fn detect(state: &StateDict) -> Option<Detection> {
    detection_row(state).map(Row::detection)
}

/// The row of a state dict.
pub(crate) fn detection_row(state: &StateDict) -> Option<&'static Row> {
    let mut cleaned = state.clone();
    // When copies can't be read, the names alone still tell.
    let _ = clean_names(&mut cleaned);
    let names: Vec<&str> = cleaned.names().collect();
    let has = |pattern: &&str| match pattern.contains('*') {
        true => names.iter().any(|name| glob::matches(pattern, name)),
        false => cleaned.get(pattern).is_some(),
    };
    TABLE.iter().find(|row| row.patterns.iter().all(has) && (row.shapes)(&cleaned))
}
