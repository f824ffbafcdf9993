//! Published checkpoints for music.

use super::{Place, Published, Want};
use crate::checkpoint::Architecture;

const MEL_ROFORMER: &str = "Wang et al., Mel-Band RoFormer, ISMIR 2023 (late), arXiv 2310.01809";
const UVR: &str = "https://github.com/TRvlvr/model_repo/releases";
const MSST: &str = "https://github.com/ZFTurbo/Music-Source-Separation-Training";

const STEMS: Published = Published {
    name: "",
    task: "stems",
    architecture: Architecture::MelRoformer,
    summary: "",
    place: Place::HuggingFace { id: "", revision: None },
    files: &[],
    pins: &[],
    licence: "not stated; see the page",
    rate: 44_100,
    bytes: None,
    citation: MEL_ROFORMER,
};

pub(super) const ROWS: &[Published] = &[
    Published {
        name: "mel-roformer-vocals",
        summary: "vocals of stereo music",
        place: Place::HuggingFace { id: "KimberleyJSN/melbandroformer", revision: None },
        files: &[Want::File("MelBandRoformer.ckpt")],
        licence: "never settled: first unknown, MIT in later copies; see the page",
        bytes: Some(913_000_000),
        ..STEMS
    },
    Published {
        name: "mel-roformer-vocals-f16",
        summary: "the same as half floats",
        place: Place::HuggingFace { id: "Kijai/MelBandRoFormer_comfy", revision: None },
        files: &[Want::File("MelBandRoformer_fp16.safetensors")],
        licence: "as mel-roformer-vocals",
        bytes: Some(456_000_000),
        ..STEMS
    },
    Published {
        name: "mel-roformer-vocals-f32",
        summary: "the same as a safetensors file",
        place: Place::HuggingFace { id: "Kijai/MelBandRoFormer_comfy", revision: None },
        files: &[Want::File("MelBandRoformer_fp32.safetensors")],
        licence: "as mel-roformer-vocals",
        bytes: Some(913_000_000),
        ..STEMS
    },
    Published {
        name: "mel-roformer-4-stems",
        summary: "vocals, drums, bass, other; large",
        place: Place::HuggingFace { id: "SYH99999/MelBandRoformer4StemFTLarge", revision: None },
        files: &[Want::Ending(".ckpt"), Want::Ending(".yaml")],
        bytes: Some(3_000_000_000),
        ..STEMS
    },
    Published {
        name: "mel-roformer-vocals-viperx",
        summary: "vocals, depth 12",
        place: Place::Page {
            url: UVR,
            item: "all_public_uvr_models: model_mel_band_roformer_ep_3005_sdr_11.4360.ckpt",
        },
        ..STEMS
    },
    Published {
        name: "mel-roformer-karaoke",
        summary: "lead vocals",
        place: Place::Page {
            url: MSST,
            item: "mel_band_roformer_karaoke_aufr33_viperx_sdr_10.1956.ckpt and its yaml",
        },
        ..STEMS
    },
    Published {
        name: "mel-roformer-crowd",
        summary: "the crowd of live recordings",
        place: Place::Page {
            url: MSST,
            item: "mel_band_roformer_crowd_aufr33_viperx_sdr_8.7144.ckpt and its yaml",
        },
        ..STEMS
    },
    Published {
        name: "mel-roformer-denoise",
        summary: "music or speech without noise",
        place: Place::Page {
            url: MSST,
            item: "denoise_mel_band_roformer_aufr33_sdr_27.9959.ckpt and its yaml",
        },
        ..STEMS
    },
];
