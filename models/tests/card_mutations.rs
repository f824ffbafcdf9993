//! Cards and configs whose numbers make no sense: every number of every fixture is replaced by
//! values that sizes must not have. Loading and running either works or is an error that blames the
//! checkpoint, in bounded time and memory; it never panics and never aborts.

mod mutation_support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use formant_audio_core::features::presets;
use formant_models::arch::clap::{ClapCard, ClapConfig, ClapText};
use formant_models::arch::ecapa::{Ecapa, EcapaConfig, SpeakerCard};
use formant_models::arch::gan_vocoder::{
    BigVganConfig, GanVocoder, GanVocoderCard, GanVocoderConfig, HifiGanConfig, MelGanConfig,
};
use formant_models::arch::hifi_sr::{GeneratorConfig, HifiSr, HifiSrCard, HifiSrConfig};
use formant_models::arch::lmuformer::{LmuFormer, LmuFormerConfig, SpotCard};
use formant_models::arch::mel_roformer::{MelRoformer, MelRoformerConfig, StemsCard};
use formant_models::arch::mossformer::{Family, MossFormer, MossformerCard, MossformerConfig};
use formant_models::arch::periodwave::{PeriodWave, PeriodWaveCard, PeriodWaveConfig};
use formant_models::arch::specmaskgit::{SpecMaskGit, SpecMaskGitCard, SpecMaskGitConfig};
use formant_models::arch::specvqgan::{SpecVqgan, SpecVqganCard, SpecVqganConfig};
use formant_models::arch::squeezeformer::{
    CtcCard, NemoConfig, PieceKind, Squeezeformer, SqueezeformerConfig, Vocabulary,
};
use formant_models::checkpoint::{self, StateDict};
use formant_models::{Arch, Model};
use mutation_support::{
    Run, VALUES, describe, enhance, fill, gan_vocode, separate, speaker, spot, stems, superres,
    tokenize, transcribe, verdict, vocode,
};
use serde_json::Value;
use tch::{Device, Kind};

fn save<A: Arch>(card: A::Card, path: &Path) {
    Model::<A>::random(card, Device::Cpu)
        .expect("sound sizes")
        .save(path, Kind::Float)
        .expect("written");
}

/// Own files of every architecture, of small sizes.
fn fixtures(folder: &Path) -> Vec<(PathBuf, &'static str, Run)> {
    let at = |name: &str| folder.join(format!("{name}.safetensors"));
    let frontend = |name: &str, bands: usize| {
        let mut config = presets::by_name(name).expect("a preset");
        if let Some(mel) = &mut config.mel {
            mel.n_mels = bands;
        }
        config
    };
    let lmuformer = LmuFormerConfig {
        dim: 16,
        layer: 1,
        in_channels: 20,
        num_classes: 3,
        seq_len: 40,
        theta: 40.0,
        ..Default::default()
    };
    let mut spot_frontend = frontend("lmuformer", 20);
    spot_frontend.target_frames = None;
    save::<LmuFormer>(
        SpotCard {
            config: lmuformer,
            frontend: spot_frontend,
            labels: ["yes", "no", "unknown"].map(str::to_owned).to_vec(),
            background: vec!["unknown".to_owned()],
            activation: Default::default(),
            detection: Default::default(),
            provenance: Value::Null,
        },
        &at("spot"),
    );
    let ecapa = EcapaConfig {
        input_size: 20,
        channels: vec![16, 16, 16, 16, 24],
        attention_channels: 8,
        se_channels: 4,
        lin_neurons: 6,
        ..EcapaConfig::default()
    };
    save::<Ecapa>(SpeakerCard::published(ecapa).expect("a preset"), &at("speaker"));
    let nemo = NemoConfig {
        feat_in: 20,
        d_model: 8,
        n_heads: 2,
        n_layers: 2,
        num_classes: 3,
        time_reduce_idx: Some(0),
        ..NemoConfig::default()
    };
    save::<Squeezeformer>(
        CtcCard {
            config: SqueezeformerConfig::Nemo(nemo),
            frontend: frontend("nemo", 20),
            vocabulary: Vocabulary {
                kind: PieceKind::Characters,
                pieces: ["a", "b", "c"].map(str::to_owned).to_vec(),
                model: None,
            },
            provenance: Value::Null,
        },
        &at("transcribe"),
    );
    let separator = MossformerConfig {
        in_channels: 8,
        out_channels: 8,
        num_blocks: 1,
        group_size: 32,
        query_key_dim: 6,
        fsmn_inner_channels: 6,
        ..MossformerConfig::default()
    };
    save::<MossFormer>(
        MossformerCard::published(separator.clone(), 8_000).expect("a card"),
        &at("separate"),
    );
    let card = MossformerCard::published(
        MossformerConfig {
            family: Family::Mossformer2Se,
            in_channels: 180,
            out_channels_final: Some(961),
            out_channels: 8,
            ..separator.clone()
        },
        48_000,
    )
    .expect("a card");
    save::<MossFormer>(card, &at("enhance"));
    let encoder = MossformerConfig {
        family: Family::Mossformer2Se,
        in_channels: 80,
        out_channels_final: Some(80),
        out_channels: 8,
        num_spks: 1,
        ..separator
    };
    let generator = GeneratorConfig {
        upsample_rates: vec![16, 16],
        upsample_kernel_sizes: vec![32, 32],
        upsample_initial_channel: 8,
        resblock_kernel_sizes: vec![3],
        resblock_dilation_sizes: vec![vec![1, 3]],
        ..GeneratorConfig::default()
    };
    save_parts_of_generation(&generator, &at);
    let card = HifiSrCard::published(HifiSrConfig { encoder, generator }).expect("a preset");
    save::<HifiSr>(card, &at("superres"));
    let mel = MelRoformerConfig {
        dim: 8,
        depth: 1,
        heads: 2,
        dim_head: 4,
        num_bands: 16,
        stft_n_fft: 512,
        stft_win_length: 512,
        stft_hop_length: 128,
        mlp_expansion_factor: 1,
        ..MelRoformerConfig::default()
    };
    let mut card = StemsCard::of_config(mel);
    card.demix.chunk_size = 4_096;
    save::<MelRoformer>(card, &at("stems"));
    let vocoder = PeriodWaveConfig {
        n_mel_channels: 80,
        hidden_dim: 16,
        final_dim: 1,
        ..PeriodWaveConfig::default()
    };
    save::<PeriodWave>(PeriodWaveCard::published(vocoder).expect("a preset"), &at("vocode"));
    vec![
        (at("spot"), LmuFormer::CARD_KEY, spot as Run),
        (at("speaker"), Ecapa::CARD_KEY, speaker),
        (at("transcribe"), Squeezeformer::CARD_KEY, transcribe),
        (at("separate"), MossFormer::CARD_KEY, separate),
        (at("enhance"), MossFormer::CARD_KEY, enhance),
        (at("stems"), MelRoformer::CARD_KEY, stems),
        (at("superres"), HifiSr::CARD_KEY, superres),
        (at("vocode"), PeriodWave::CARD_KEY, vocode),
        (at("hifi-gan"), GanVocoder::CARD_KEY, gan_vocode),
        (at("bigvgan"), GanVocoder::CARD_KEY, gan_vocode),
        (at("melgan"), GanVocoder::CARD_KEY, gan_vocode),
        (at("tokenizer"), SpecVqgan::CARD_KEY, tokenize),
        (at("transformer"), SpecMaskGit::CARD_KEY, fill),
        (at("text"), ClapText::CARD_KEY, describe),
    ]
}

/// Files of the networks that make sounds of descriptions.
fn save_parts_of_generation(generator: &GeneratorConfig, at: &dyn Fn(&str) -> PathBuf) {
    let hifi = HifiGanConfig { num_mels: 80, generator: generator.clone() };
    let big =
        BigVganConfig { num_mels: 80, generator: generator.clone(), ..BigVganConfig::default() };
    let melgan = MelGanConfig { ngf: 1, n_residual_layers: 1, ..MelGanConfig::default() };
    for (name, config) in [
        ("hifi-gan", GanVocoderConfig::HifiGan(hifi)),
        ("bigvgan", GanVocoderConfig::Bigvgan(big)),
        ("melgan", GanVocoderConfig::Melgan(melgan)),
    ] {
        save::<GanVocoder>(GanVocoderCard::published(config).expect("a preset"), &at(name));
    }
    let tokenizer = SpecVqganConfig {
        ch: 32,
        ch_mult: vec![1, 1],
        num_res_blocks: 1,
        attn_resolutions: vec![424],
        z_channels: 8,
        embed_dim: 4,
        n_embed: 12,
        ..SpecVqganConfig::default()
    };
    save::<SpecVqgan>(SpecVqganCard::published(tokenizer).expect("a preset"), &at("tokenizer"));
    let transformer = SpecMaskGitConfig {
        codebook_size: 12,
        grid_h: 2,
        grid_w: 4,
        dim: 8,
        depth: 1,
        heads: 2,
        mlp_dim: 12,
        cond_dim: 6,
    };
    save::<SpecMaskGit>(SpecMaskGitCard::sized(transformer), &at("transformer"));
    let text = ClapConfig {
        vocab_size: 20,
        hidden_size: 8,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        intermediate_size: 12,
        max_position_embeddings: 12,
        joint_embed: 6,
        ..ClapConfig::default()
    };
    save::<ClapText>(ClapCard::sized(text), &at("text"));
}

/// JSON pointers of all numbers of `value`.
fn numbers(value: &Value, at: String, found: &mut Vec<String>) {
    match value {
        Value::Number(_) => found.push(at),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                numbers(item, format!("{at}/{index}"), found);
            }
        }
        Value::Object(entries) => {
            for (key, item) in entries {
                numbers(item, format!("{at}/{key}"), found);
            }
        }
        _ => {}
    }
}

/// `card` as text with the number at `pointer` replaced.
fn mutated(card: &Value, pointer: &str, value: &str) -> String {
    const PLACE: &str = "the number";
    let mut card = card.clone();
    *card.pointer_mut(pointer).expect("a number is there") = PLACE.into();
    card.to_string().replace(&format!("\"{PLACE}\""), value)
}

#[test]
fn no_number_of_a_card_does_harm() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut faults = Vec::new();
    let mut tried = 0;
    for (path, key, run) in fixtures(folder.path()) {
        run(&path).unwrap_or_else(|error| panic!("{key}: {error}"));
        let state: StateDict = checkpoint::read_state_dict(&path).expect("readable");
        let card: Value = serde_json::from_str(&state.metadata[key]).expect("a card");
        let mut pointers = Vec::new();
        numbers(&card, String::new(), &mut pointers);
        assert!(!pointers.is_empty());
        for pointer in pointers {
            for value in VALUES {
                let text = mutated(&card, &pointer, value);
                let metadata = BTreeMap::from([(key.to_owned(), text)]);
                let broken = folder.path().join("broken.safetensors");
                checkpoint::write_safetensors(&broken, &state, &metadata).expect("written");
                tried += 1;
                if let Some(fault) = verdict(run, &broken) {
                    faults.push(format!("{key}{pointer} = {value}: {fault}"));
                }
            }
        }
    }
    assert!(tried > 500, "{tried} mutations only");
    assert!(faults.is_empty(), "{} of {tried}:\n{}", faults.len(), faults.join("\n"));
}
