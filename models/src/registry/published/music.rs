//! Published checkpoints for music.

use super::{BASE, Direct, Pin, Place, Published, Want, hub};
use crate::checkpoint::Architecture;

const MEL_ROFORMER: &str = "Wang et al., Mel-Band RoFormer, ISMIR 2023 (late), arXiv 2310.01809";
const UVR: &str = "https://github.com/TRvlvr/model_repo/releases";
const MSST: &str = "https://github.com/ZFTurbo/Music-Source-Separation-Training/blob/main/docs/pretrained_models.md";

/// A file of a release, or another, of the repository of Music-Source-Separation-Training.
macro_rules! msst {
    ($version:literal, $file:literal) => {
        Direct {
            file: $file,
            url: concat!(
                "https://github.com/ZFTurbo/Music-Source-Separation-Training/releases/download/",
                $version,
                "/",
                $file
            ),
        }
    };
}

const STEMS: Published = Published {
    task: "stems",
    architecture: Architecture::MelRoformer,
    rate: 44_100,
    citation: MEL_ROFORMER,
    ..BASE
};

pub(super) const ROWS: &[Published] = &[
    Published {
        name: "mel-roformer-vocals",
        summary: "vocals of stereo music",
        place: hub("KimberleyJSN/melbandroformer"),
        files: &[Want::File("MelBandRoformer.ckpt")],
        licence: "never settled: first unknown, MIT in later copies; see the page",
        bytes: Some(913_000_000),
        parameters: Some(228_000_000),
        quality: "SDR of vocals 10.98 dB (Multisong)",
        ..STEMS
    },
    Published {
        name: "mel-roformer-vocals-f16",
        summary: "the same as half floats",
        place: hub("Kijai/MelBandRoFormer_comfy"),
        files: &[Want::File("MelBandRoformer_fp16.safetensors")],
        licence: "as mel-roformer-vocals",
        bytes: Some(456_000_000),
        parameters: Some(228_000_000),
        ..STEMS
    },
    Published {
        name: "mel-roformer-vocals-f32",
        summary: "the same as a safetensors file",
        place: hub("Kijai/MelBandRoFormer_comfy"),
        files: &[Want::File("MelBandRoformer_fp32.safetensors")],
        licence: "as mel-roformer-vocals",
        bytes: Some(913_000_000),
        parameters: Some(228_000_000),
        ..STEMS
    },
    Published {
        name: "mel-roformer-4-stems",
        summary: "vocals, drums, bass, other; large",
        place: hub("SYH99999/MelBandRoformer4StemFTLarge"),
        files: &[Want::Ending(".ckpt"), Want::Ending(".yaml")],
        bytes: Some(3_000_000_000),
        ..STEMS
    },
    Published {
        name: "mel-roformer-vocals-viperx",
        summary: "vocals, depth 12",
        place: Place::Url {
            page: UVR,
            files: &[
                Direct {
                    file: "model_mel_band_roformer_ep_3005_sdr_11.4360.ckpt",
                    url: "https://github.com/TRvlvr/model_repo/releases/download/all_public_uvr_models/model_mel_band_roformer_ep_3005_sdr_11.4360.ckpt",
                },
                Direct {
                    file: "model_mel_band_roformer_ep_3005_sdr_11.4360.yaml",
                    url: "https://raw.githubusercontent.com/ZFTurbo/Music-Source-Separation-Training/d9672dac1160ebe9c39aec3d3f3320190e49a5c0/configs/viperx/model_mel_band_roformer_ep_3005_sdr_11.4360.yaml",
                },
            ],
        },
        quality: "SDR of vocals 9.67 dB (Multisong)",
        ..STEMS
    },
    Published {
        name: "mel-roformer-karaoke",
        summary: "lead vocals",
        place: Place::HuggingFace {
            id: "jarredou/aufr33-viperx-karaoke-melroformer-model",
            revision: None,
        },
        files: &[
            Want::File("mel_band_roformer_karaoke_aufr33_viperx_sdr_10.1956.ckpt"),
            Want::File("config_mel_band_roformer_karaoke.yaml"),
        ],
        pins: &[Pin {
            file: "mel_band_roformer_karaoke_aufr33_viperx_sdr_10.1956.ckpt",
            bytes: 913_096_801,
            sha256: Some("1de20d459332fe8869aeb01327a31df0032262706e1365114e852dc271779813"),
        }],
        bytes: Some(913_000_000),
        parameters: Some(228_000_000),
        ..STEMS
    },
    Published {
        name: "mel-roformer-crowd",
        summary: "the crowd of live recordings",
        place: Place::Url {
            page: MSST,
            files: &[
                msst!("v.1.0.4", "mel_band_roformer_crowd_aufr33_viperx_sdr_8.7144.ckpt"),
                msst!("v.1.0.4", "model_mel_band_roformer_crowd.yaml"),
            ],
        },
        quality: "SDR of the crowd 5.99 dB (Multisong)",
        ..STEMS
    },
    Published {
        name: "mel-roformer-denoise",
        summary: "music or speech without noise",
        place: Place::Url {
            page: MSST,
            files: &[
                msst!("v.1.0.7", "denoise_mel_band_roformer_aufr33_sdr_27.9959.ckpt"),
                msst!("v.1.0.7", "model_mel_band_roformer_denoise.yaml"),
            ],
        },
        bytes: Some(913_000_000),
        parameters: Some(228_000_000),
        ..STEMS
    },
];
