//! Published checkpoints for speech.

use super::{BASE, Direct, Pin, Place, Published, Want, hub, page};
use crate::checkpoint::Architecture;

const LMUFORMER: &str = "Liu et al., LMUFormer, ICLR 2024, arXiv 2402.04882";
const SQUEEZEFORMER: &str = "Kim et al., Squeezeformer, NeurIPS 2022, arXiv 2206.00888";
const ECAPA: &str = "Desplanques et al., ECAPA-TDNN, Interspeech 2020, arXiv 2005.07143";
const MOSSFORMER: &str = "Zhao and Ma, MossFormer, ICASSP 2023, arXiv 2302.11824";
const MOSSFORMER2: &str = "Zhao et al., MossFormer2, ICASSP 2024, arXiv 2312.11825";
const HIFI_SR: &str = "Zhao et al., HiFi-SR, ICASSP 2025, arXiv 2501.10045";

const SPEECHBRAIN: &[Want] = &[
    Want::File("hyperparams.yaml"),
    Want::File("embedding_model.ckpt"),
    Want::IfThere("mean_var_norm_emb.ckpt"),
    Want::IfThere("classifier.ckpt"),
    Want::IfThere("label_encoder.txt"),
];
const WESPEAKER: &[Want] = &[Want::File("avg_model.pt"), Want::File("config.yaml")];
const CLEARER_VOICE: &[Want] =
    &[Want::File("last_best_checkpoint"), Want::File("last_best_checkpoint.pt")];
const STAND_ALONE: &[Want] = &[Want::File("config.json"), Want::File("model.safetensors")];

/// The one file of a model in NVIDIA's catalogue, at the address that NeMo's own list of pretrained
/// models has.
macro_rules! ngc {
    ($name:literal) => {
        Place::Url {
            page: concat!("https://catalog.ngc.nvidia.com/orgs/nvidia/teams/nemo/models/", $name),
            files: &[Direct {
                file: concat!($name, ".nemo"),
                url: concat!(
                    "https://api.ngc.nvidia.com/v2/models/nvidia/nemo/",
                    $name,
                    "/versions/1.13.0/files/",
                    $name,
                    ".nemo"
                ),
            }],
        }
    };
}

/// Files of a repository of ModelScope at a revision.
macro_rules! modelscope {
    ($id:literal, $revision:literal, $($file:literal),+) => {
        Place::Url {
            page: concat!("https://modelscope.cn/models/", $id),
            files: &[$(Direct {
                file: $file,
                url: concat!(
                    "https://modelscope.cn/api/v1/models/", $id, "/repo?Revision=", $revision,
                    "&FilePath=", $file
                ),
            }),+],
        }
    };
}

const SPOT: Published = Published {
    task: "spot",
    licence: "see LICENSE in the repository",
    citation: LMUFORMER,
    ..BASE
};
const TRANSCRIBE: Published = Published {
    task: "transcribe",
    architecture: Architecture::Squeezeformer,
    citation: SQUEEZEFORMER,
    ..BASE
};
const ENGLISH: Published =
    Published { licence: "CC-BY-4.0, as far as is known; see the page", ..TRANSCRIBE };
const UKRAINIAN: Published = Published { files: &[Want::Ending(".nemo")], ..TRANSCRIBE };
const SPEAKER: Published = Published { task: "speaker", citation: ECAPA, ..BASE };
const WE_SPEAKER: Published = Published { files: WESPEAKER, licence: "CC-BY-4.0", ..SPEAKER };
const SEPARATE: Published = Published {
    task: "separate",
    architecture: Architecture::Mossformer2Ss,
    licence: "Apache-2.0",
    rate: 8_000,
    citation: MOSSFORMER2,
    ..BASE
};
const STAND_ALONE_ROW: Published =
    Published { files: STAND_ALONE, licence: "not stated (code MIT); see the page", ..SEPARATE };

pub(super) const ROWS: &[Published] = &[
    Published {
        name: "lmuformer-speech-commands",
        architecture: Architecture::Lmuformer,
        summary: "35 English command words",
        place: page("https://github.com/zeyuliu1037/LMUFormer", "LMUFormer, best_model.pth"),
        bytes: Some(7_200_000),
        parameters: Some(1_620_000),
        quality: "96.5 % right on Speech Commands v2",
        ..SPOT
    },
    Published {
        name: "lmuformer-spiking-speech-commands",
        architecture: Architecture::LmuformerSpiking,
        summary: "the same with spiking neurons",
        place: page(
            "https://github.com/zeyuliu1037/LMUFormer",
            "Spiking LMUFormer, best_model.pth",
        ),
        bytes: Some(8_600_000),
        parameters: Some(1_690_000),
        quality: "96.1 % right on Speech Commands v2",
        ..SPOT
    },
    Published {
        name: "squeezeformer-xsmall-en",
        summary: "English, LibriSpeech, smallest of six sizes",
        place: ngc!("stt_en_squeezeformer_ctc_xsmall_ls"),
        bytes: Some(34 << 20),
        parameters: Some(9_030_000),
        quality: "WER 3.8 / 9.4 % (LibriSpeech test-clean / test-other)",
        ..ENGLISH
    },
    Published {
        name: "squeezeformer-small-en",
        summary: "English, LibriSpeech",
        place: ngc!("stt_en_squeezeformer_ctc_small_ls"),
        bytes: Some(71 << 20),
        parameters: Some(18_600_000),
        quality: "WER 3.1 / 7.4 % (LibriSpeech test-clean / test-other)",
        ..ENGLISH
    },
    Published {
        name: "squeezeformer-small-medium-en",
        summary: "English, LibriSpeech",
        place: ngc!("stt_en_squeezeformer_ctc_small_medium_ls"),
        bytes: Some(108 << 20),
        parameters: Some(28_200_000),
        quality: "WER 2.8 / 7.1 % (LibriSpeech test-clean / test-other)",
        ..ENGLISH
    },
    Published {
        name: "squeezeformer-medium-en",
        summary: "English, LibriSpeech",
        place: ngc!("stt_en_squeezeformer_ctc_medium_ls"),
        bytes: Some(212 << 20),
        parameters: Some(55_600_000),
        quality: "WER 2.6 / 6.3 % (LibriSpeech test-clean / test-other)",
        ..ENGLISH
    },
    Published {
        name: "squeezeformer-medium-large-en",
        summary: "English, LibriSpeech",
        place: ngc!("stt_en_squeezeformer_ctc_medium_large_ls"),
        bytes: Some(477 << 20),
        parameters: Some(125_000_000),
        quality: "WER 2.5 / 5.9 % (LibriSpeech test-clean / test-other)",
        ..ENGLISH
    },
    Published {
        name: "squeezeformer-large-en",
        summary: "English, LibriSpeech, largest of six sizes",
        place: ngc!("stt_en_squeezeformer_ctc_large_ls"),
        bytes: Some(901 << 20),
        parameters: Some(236_000_000),
        quality: "WER 2.4 / 5.7 % (LibriSpeech test-clean / test-other)",
        ..ENGLISH
    },
    Published {
        name: "squeezeformer-xs-uk",
        summary: "Ukrainian, smallest",
        place: hub("theodotus/stt_uk_squeezeformer_ctc_xs"),
        bytes: Some(34 << 20),
        parameters: Some(9_030_000),
        quality: "WER 10.8 %",
        ..UKRAINIAN
    },
    Published {
        name: "squeezeformer-sm-uk",
        summary: "Ukrainian",
        place: hub("theodotus/stt_uk_squeezeformer_ctc_sm"),
        bytes: Some(108 << 20),
        parameters: Some(28_200_000),
        quality: "WER 8.2 %",
        ..UKRAINIAN
    },
    Published {
        name: "squeezeformer-ml-uk",
        summary: "Ukrainian, largest",
        place: hub("theodotus/stt_uk_squeezeformer_ctc_ml"),
        bytes: Some(477 << 20),
        parameters: Some(125_000_000),
        quality: "WER 5.9 %",
        ..UKRAINIAN
    },
    Published {
        name: "ecapa-voxceleb",
        summary: "voices, VoxCeleb 1 and 2, by SpeechBrain",
        place: hub("speechbrain/spkrec-ecapa-voxceleb"),
        files: SPEECHBRAIN,
        licence: "Apache-2.0",
        bytes: Some(88_700_000),
        ..SPEAKER
    },
    Published {
        name: "ecapa-voxlingua107",
        summary: "languages, 107 of them, by SpeechBrain",
        place: hub("speechbrain/lang-id-voxlingua107-ecapa"),
        files: SPEECHBRAIN,
        licence: "Apache-2.0, as far as is known; see the page",
        ..SPEAKER
    },
    Published {
        name: "wespeaker-ecapa512",
        summary: "voices, VoxCeleb 2, 512 channels, by WeSpeaker",
        place: hub("Wespeaker/wespeaker-voxceleb-ecapa-tdnn512"),
        parameters: Some(6_190_000),
        ..WE_SPEAKER
    },
    Published {
        name: "wespeaker-ecapa512-lm",
        summary: "the same, large-margin fine-tuned",
        place: hub("Wespeaker/wespeaker-ecapa-tdnn512-LM"),
        parameters: Some(6_190_000),
        ..WE_SPEAKER
    },
    Published {
        name: "wespeaker-ecapa1024",
        summary: "voices, VoxCeleb 2, 1024 channels, by WeSpeaker",
        place: hub("Wespeaker/wespeaker-voxceleb-ecapa-tdnn1024"),
        parameters: Some(14_700_000),
        ..WE_SPEAKER
    },
    Published {
        name: "wespeaker-ecapa1024-lm",
        summary: "the same, large-margin fine-tuned",
        place: hub("Wespeaker/wespeaker-voxceleb-ecapa-tdnn1024-LM"),
        parameters: Some(14_700_000),
        ..WE_SPEAKER
    },
    Published {
        name: "3d-speaker-ecapa-voxceleb",
        summary: "voices, VoxCeleb 2, by 3D-Speaker",
        place: modelscope!(
            "iic/speech_ecapa-tdnn_sv_en_voxceleb_16k",
            "v1.0.1",
            "configuration.json",
            "ecapa_tdnn.bin"
        ),
        bytes: Some(83_200_000),
        parameters: Some(20_800_000),
        quality: "EER 0.86 % (VoxCeleb1-O)",
        ..SPEAKER
    },
    Published {
        name: "mossformer-wsj0-2mix",
        architecture: Architecture::Mossformer,
        summary: "two voices, WSJ0-2mix",
        place: modelscope!(
            "iic/speech_mossformer_separation_temporal_8k",
            "master",
            "configuration.json",
            "encoder.bin",
            "decoder.bin",
            "masknet.bin"
        ),
        bytes: Some(168_000_000),
        citation: MOSSFORMER,
        parameters: Some(42_100_000),
        quality: "SI-SDRi 22.8 dB (WSJ0-2mix)",
        ..SEPARATE
    },
    Published {
        name: "mossformer2-wsj0-2mix",
        summary: "two voices, WSJ0-2mix",
        place: modelscope!(
            "iic/speech_mossformer2_separation_temporal_8k",
            "master",
            "configuration.json",
            "pytorch_model.pt"
        ),
        parameters: Some(55_700_000),
        quality: "SI-SDRi 24.1 dB (WSJ0-2mix)",
        ..SEPARATE
    },
    Published {
        name: "mossformer2-ss-16k",
        summary: "two voices, many corpora, by ClearerVoice",
        place: hub("alibabasglab/MossFormer2_SS_16K"),
        files: CLEARER_VOICE,
        pins: &[Pin {
            file: "last_best_checkpoint.pt",
            bytes: 670_353_271,
            sha256: Some("00a3a48bda492db1e829b85dd443f8f43a43039a3e90f1a24962ea9caf14a11a"),
        }],
        rate: 16_000,
        bytes: Some(670_400_000),
        parameters: Some(55_700_000),
        ..SEPARATE
    },
    Published {
        name: "mossformer2-librimix-2spk",
        summary: "two voices, LibriMix",
        place: hub("alibabasglab/mossformer2-librimix-2spk"),
        ..STAND_ALONE_ROW
    },
    Published {
        name: "mossformer2-wsj0mix-3spk",
        summary: "three voices, WSJ0-3mix",
        place: hub("alibabasglab/mossformer2-wsj0mix-3spk"),
        ..STAND_ALONE_ROW
    },
    Published {
        name: "mossformer2-whamr-2spk",
        summary: "two voices with noise and echo, WHAMR",
        place: hub("alibabasglab/mossformer2-whamr-2spk"),
        ..STAND_ALONE_ROW
    },
    Published {
        name: "mossformer2-se-48k",
        task: "enhance",
        architecture: Architecture::Mossformer2Se,
        summary: "speech without noise, full band, by ClearerVoice",
        place: hub("alibabasglab/MossFormer2_SE_48K"),
        files: CLEARER_VOICE,
        licence: "Apache-2.0",
        rate: 48_000,
        bytes: Some(221_000_000),
        citation: MOSSFORMER2,
        parameters: Some(55_300_000),
        ..BASE
    },
    Published {
        name: "mossformer2-sr-48k",
        task: "superres",
        architecture: Architecture::HifiSr,
        summary: "speech from 16 kHz and up to 48 kHz, by ClearerVoice",
        place: Place::HuggingFace {
            id: "alibabasglab/MossFormer2_SR_48K",
            revision: Some("39eb1f25ea84f5e0315ade9ac0070fff216fc690"),
        },
        files: &[
            Want::File("last_best_checkpoint"),
            Want::File("last_best_checkpoint_m.pt"),
            Want::File("last_best_checkpoint_g.pt"),
        ],
        pins: &[
            Pin { file: "last_best_checkpoint", bytes: 52, sha256: None },
            Pin {
                file: "last_best_checkpoint_m.pt",
                bytes: 218_471_889,
                sha256: Some("6cbadb2b6b839e444bb65223c69eea162c8ad08f36e9d0a64144672c4095ab36"),
            },
            Pin {
                file: "last_best_checkpoint_g.pt",
                bytes: 220_712_702,
                sha256: Some("0bdd13c21466f5963d9d1f86a9d84fc6196868318fe22c6b0a750f041805adda"),
            },
        ],
        licence: "Apache-2.0",
        rate: 48_000,
        bytes: Some(439_184_643),
        parameters: None,
        quality: "",
        citation: HIFI_SR,
    },
];
