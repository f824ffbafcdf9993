//! The table of architectures: each row says by which names a state dict is recognized (and by a
//! shape where names do not suffice), and how it is adopted, where formant can run it. What
//! `models info` recognizes and what `--model` loads is the same row.

use super::architecture::{Architecture, Recognition};
use super::glob;
use super::state_dict::StateDict;
use crate::arch::{
    clap, ecapa, gan_vocoder, hifi_sr, lmuformer, mel_roformer, mossformer, periodwave,
    specmaskgit, specvqgan, squeezeformer,
};
use crate::error::Result;
use crate::model::{AnyCard, Foreign, adopt};

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
    /// Whether names and shapes of a cleaned state dict are those of the row.
    fn accepts(&self, cleaned: &StateDict) -> bool {
        let has = |pattern: &&str| match pattern.contains('*') {
            true => cleaned.names().any(|name| glob::matches(pattern, name)),
            false => cleaned.get(pattern).is_some(),
        };
        self.patterns.iter().all(has) && (self.shapes)(cleaned)
    }

    /// The pattern that tells most, for names that have a prefix.
    pub(crate) fn landmark(&self) -> &'static str {
        let plain = |pattern: &&&str| pattern.bytes().filter(|byte| *byte == b'*').count();
        self.patterns.iter().min_by_key(plain).copied().unwrap_or_default()
    }

    /// What the row says to users.
    pub(crate) fn detection(&self) -> Recognition {
        Recognition { architecture: self.architecture, layout: self.layout }
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
pub(crate) const TABLE: &[Row] = {
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
        runs(PeriodwaveTurbo, "reference", &["estimator.MelCond.embed.weight", "estimator.mpg.mpg.downs.0.*"], ANY, adopt::<periodwave::PeriodWave>),
        runs(Specmaskgit, "formant", &["token_emb.weight", "cond_proj.weight", "null_cond", "blocks.0.attn.qkv.weight"], ANY, adopt::<specmaskgit::SpecMaskGit>),
        runs(Specvqgan, "inside a transformer", &["first_stage_model.quantize.embedding.weight", "first_stage_model.encoder.conv_in.weight"], ANY, adopt::<specvqgan::SpecVqgan>),
        runs(Specvqgan, "reference", &["quantize.embedding.weight", "encoder.conv_in.weight", "post_quant_conv.weight"], ANY, adopt::<specvqgan::SpecVqgan>),
        runs(Clap, "laion", &["text_branch.embeddings.word_embeddings.weight", "text_projection.0.weight"], ANY, adopt::<clap::ClapText>),
        runs(Bigvgan, "reference", &["conv_pre.*", "resblocks.0.activations.0.act.alpha"], ANY, adopt::<gan_vocoder::GanVocoder>),
        runs(HifiGan, "reference", &["conv_pre.*", "ups.0.weight*", "resblocks.0.conv*", "conv_post.*"], ANY, adopt::<gan_vocoder::GanVocoder>),
        runs(Melgan, "reference", &["model.1.weight*", "model.*.block.*"], ANY, adopt::<gan_vocoder::GanVocoder>),
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

/// The row of a cleaned state dict.
pub(crate) fn row_of(cleaned: &StateDict) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.accepts(cleaned))
}
