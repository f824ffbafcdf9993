//! Names of the architectures that formant knows.

use serde::{Deserialize, Serialize};

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
