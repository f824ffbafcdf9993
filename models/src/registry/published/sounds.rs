//! Published checkpoints for sounds of all kinds: vocoders, generation, tags.

use super::{BASE, Direct, Place, Published, Want, hub, page};
use crate::checkpoint::Architecture;

const PERIODWAVE: &str = "Lee et al., PeriodWave, ICLR 2025, arXiv 2408.07547";
const PERIODWAVE_TURBO: &str = "Lee et al., PeriodWave-Turbo, arXiv 2408.08019";
const HIFI_GAN: &str = "Kong et al., HiFi-GAN, NeurIPS 2020, arXiv 2010.05646";
const BIGVGAN: &str = "Lee et al., BigVGAN, ICLR 2023, arXiv 2206.04658";
const BIGVSAN: &str = "Shibuya et al., BigVSAN, ICASSP 2024, arXiv 2309.02836";
const MELGAN: &str = "Kumar et al., MelGAN, NeurIPS 2019, arXiv 1910.06711";
const SPECVQGAN: &str = "Iashin and Rahtu, SpecVQGAN, BMVC 2021, arXiv 2110.08791";
const CLAP: &str = "Wu et al., LAION-CLAP, ICASSP 2023, arXiv 2211.06687";
const AST: &str = "Gong et al., AST, Interspeech 2021, arXiv 2104.01778";

const PERIODWAVE_PAGE: &str = "https://github.com/sh-lee-prml/PeriodWave";
const SPECVQGAN_PAGE: &str = "https://github.com/v-iashin/SpecVQGAN";

const VOCODE: Published = Published {
    task: "vocode",
    architecture: Architecture::PeriodwaveTurbo,
    licence: "MIT",
    rate: 24_000,
    citation: PERIODWAVE_TURBO,
    ..BASE
};
const BIGVGAN_ROW: Published = Published {
    architecture: Architecture::Bigvgan,
    files: &[Want::File("config.json"), Want::File("bigvgan_generator.pt")],
    licence: "MIT, as far as is known; see the page",
    citation: BIGVGAN,
    ..VOCODE
};
const BIGVGAN_1: Published = Published {
    files: &[Want::File("config.json"), Want::FirstOf(&["bigvgan_generator.pt", "g_05000000"])],
    ..BIGVGAN_ROW
};
const GENERATE: Published = Published { task: "generate", rate: 22_050, ..VOCODE };
const TAG: Published = Published {
    task: "tag",
    architecture: Architecture::Ast,
    files: &[
        Want::File("config.json"),
        Want::File("preprocessor_config.json"),
        Want::FirstOf(&["model.safetensors", "pytorch_model.bin"]),
    ],
    licence: "BSD-3-Clause",
    rate: 16_000,
    citation: AST,
    ..VOCODE
};

pub(super) const ROWS: &[Published] = &[
    Published {
        name: "periodwave-turbo-large",
        summary: "100 mel bands to speech in four steps, large network",
        place: page(PERIODWAVE_PAGE, "periodwave_turbo_large, G_379000.pth and config.json"),
        bytes: Some(843_000_000),
        parameters: Some(70_200_000),
        ..VOCODE
    },
    Published {
        name: "periodwave-turbo-base",
        summary: "100 mel bands to speech in four steps",
        place: page(PERIODWAVE_PAGE, "periodwave_turbo_base, G_274000.pth and config.json"),
        bytes: Some(358_000_000),
        parameters: Some(29_800_000),
        ..VOCODE
    },
    Published {
        name: "periodwave-turbo-lj",
        summary: "80 mel bands to one reader's speech in four steps",
        place: page(PERIODWAVE_PAGE, "periodwave_lj_turbo_4, G_*.pth and config.json"),
        rate: 22_050,
        bytes: Some(357_000_000),
        ..VOCODE
    },
    Published {
        name: "periodwave-libritts",
        summary: "100 mel bands to speech, 16 midpoint steps",
        place: page(PERIODWAVE_PAGE, "periodwave_libritts_24000hz, G_1000000.pth and config.json"),
        bytes: Some(358_000_000),
        citation: PERIODWAVE,
        parameters: Some(29_800_000),
        ..VOCODE
    },
    Published {
        name: "periodwave-lj",
        summary: "80 mel bands to one reader's speech, 16 midpoint steps",
        place: page(PERIODWAVE_PAGE, "periodwave_lj_22050hz, G_1000000.pth and config.json"),
        rate: 22_050,
        bytes: Some(357_000_000),
        citation: PERIODWAVE,
        ..VOCODE
    },
    Published {
        name: "periodwave-encodec",
        summary: "EnCodec codes to speech",
        place: page(PERIODWAVE_PAGE, "periodwave_encodec, G_950000.pth and config.json"),
        bytes: Some(376_000_000),
        citation: PERIODWAVE,
        ..VOCODE
    },
    Published {
        name: "periodwave-encodec-turbo",
        summary: "EnCodec codes to sounds in two or four steps",
        place: page(PERIODWAVE_PAGE, "periodwave_encodec_turbo*, G_*.pth and config.json"),
        bytes: Some(376_000_000),
        ..VOCODE
    },
    Published {
        name: "bigvgan-v2-22khz-80band-fmax8k",
        summary: "80 mel bands to 8 kHz",
        place: hub("nvidia/bigvgan_v2_22khz_80band_fmax8k_256x"),
        rate: 22_050,
        ..BIGVGAN_ROW
    },
    Published {
        name: "bigvgan-v2-22khz-80band",
        summary: "80 mel bands to 11 kHz",
        place: hub("nvidia/bigvgan_v2_22khz_80band_256x"),
        rate: 22_050,
        ..BIGVGAN_ROW
    },
    Published {
        name: "bigvgan-v2-24khz-100band",
        summary: "100 mel bands",
        place: hub("nvidia/bigvgan_v2_24khz_100band_256x"),
        ..BIGVGAN_ROW
    },
    Published {
        name: "bigvgan-v2-44khz-128band",
        summary: "128 mel bands, hop 512",
        place: hub("nvidia/bigvgan_v2_44khz_128band_512x"),
        rate: 44_100,
        ..BIGVGAN_ROW
    },
    Published {
        name: "bigvgan-22khz-80band",
        summary: "80 mel bands to 8 kHz, first version",
        place: hub("nvidia/bigvgan_22khz_80band"),
        rate: 22_050,
        ..BIGVGAN_1
    },
    Published {
        name: "bigvgan-base-22khz-80band",
        summary: "the same, small",
        place: hub("nvidia/bigvgan_base_22khz_80band"),
        rate: 22_050,
        ..BIGVGAN_1
    },
    Published {
        name: "bigvgan-24khz-100band",
        summary: "100 mel bands, first version",
        place: hub("nvidia/bigvgan_24khz_100band"),
        ..BIGVGAN_1
    },
    Published {
        name: "bigvsan",
        architecture: Architecture::Bigvgan,
        summary: "100 mel bands, trained by slicing; ten million steps",
        place: page(
            "https://zenodo.org/records/10037439",
            "bigvsan_10mstep (a zip file), g_10000000",
        ),
        citation: BIGVSAN,
        ..VOCODE
    },
    Published {
        name: "hifi-gan-universal",
        architecture: Architecture::HifiGan,
        summary: "80 mel bands to 8 kHz, any speaker",
        place: page(
            "https://github.com/jik876/hifi-gan",
            "UNIVERSAL_V1, g_02500000 and config.json",
        ),
        rate: 22_050,
        citation: HIFI_GAN,
        ..VOCODE
    },
    Published {
        name: "melgan-vggsound",
        architecture: Architecture::Melgan,
        summary: "the vocoder of SpecVQGAN",
        place: Place::Url {
            page: SPECVQGAN_PAGE,
            files: &[
                Direct {
                    file: "best_netG.pt",
                    url: "https://github.com/v-iashin/SpecVQGAN/raw/main/vocoder/logs/vggsound/best_netG.pt",
                },
                Direct {
                    file: "args.yml",
                    url: "https://github.com/v-iashin/SpecVQGAN/raw/main/vocoder/logs/vggsound/args.yml",
                },
            ],
        },
        rate: 22_050,
        bytes: Some(17_000_000),
        citation: MELGAN,
        ..VOCODE
    },
    Published {
        name: "specvqgan-vggsound",
        architecture: Architecture::Specvqgan,
        summary: "spectrograms as 265 codes out of 1024, sounds of all kinds",
        place: page(SPECVQGAN_PAGE, "2021-05-19T22-16-54_vggsound_codebook.tar.gz"),
        citation: SPECVQGAN,
        ..GENERATE
    },
    Published {
        name: "specvqgan-vas",
        architecture: Architecture::Specvqgan,
        summary: "spectrograms as 265 codes out of 128, eight kinds of sounds",
        place: page(SPECVQGAN_PAGE, "2021-06-06T19-42-53_vas_codebook.tar.gz"),
        citation: SPECVQGAN,
        ..GENERATE
    },
    Published {
        name: "clap-630k-audioset",
        architecture: Architecture::Clap,
        summary: "texts about sounds as vectors",
        place: hub("lukewys/laion_clap"),
        files: &[Want::File("630k-audioset-best.pt")],
        licence: "CC0-1.0",
        rate: 48_000,
        bytes: Some(1_860_000_000),
        citation: CLAP,
        ..GENERATE
    },
    Published {
        name: "ast-audioset",
        summary: "527 kinds of sounds, the one that most use",
        place: hub("MIT/ast-finetuned-audioset-10-10-0.4593"),
        bytes: Some(346_000_000),
        quality: "mAP 0.4593 (AudioSet)",
        ..TAG
    },
    Published {
        name: "ast-audioset-0450",
        summary: "the same",
        place: hub("MIT/ast-finetuned-audioset-10-10-0.450"),
        bytes: Some(346_000_000),
        quality: "mAP 0.4495 (AudioSet)",
        ..TAG
    },
    Published {
        name: "ast-audioset-0448",
        summary: "the same",
        place: hub("MIT/ast-finetuned-audioset-10-10-0.448"),
        bytes: Some(346_000_000),
        quality: "mAP 0.4483 (AudioSet)",
        ..TAG
    },
    Published {
        name: "ast-audioset-0448-v2",
        summary: "the same",
        place: hub("MIT/ast-finetuned-audioset-10-10-0.448-v2"),
        bytes: Some(346_000_000),
        quality: "mAP 0.4475 (AudioSet)",
        ..TAG
    },
    Published {
        name: "ast-audioset-12-12",
        summary: "fewer patches, faster",
        place: hub("MIT/ast-finetuned-audioset-12-12-0.447"),
        bytes: Some(345_000_000),
        quality: "mAP 0.4467 (AudioSet)",
        ..TAG
    },
    Published {
        name: "ast-audioset-14-14",
        summary: "fewer patches, faster",
        place: hub("MIT/ast-finetuned-audioset-14-14-0.443"),
        bytes: Some(345_000_000),
        quality: "mAP 0.4431 (AudioSet)",
        ..TAG
    },
    Published {
        name: "ast-audioset-16-16",
        summary: "fewest patches, fastest",
        place: hub("MIT/ast-finetuned-audioset-16-16-0.442"),
        bytes: Some(344_000_000),
        quality: "mAP 0.4422 (AudioSet)",
        ..TAG
    },
    Published {
        name: "ast-speech-commands",
        summary: "35 English command words",
        place: hub("MIT/ast-finetuned-speech-commands-v2"),
        bytes: Some(342_000_000),
        quality: "98.1 % right on Speech Commands v2",
        ..TAG
    },
];
