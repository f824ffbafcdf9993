//! Published layouts whose configs make no sense: every number of every YAML and JSON config of the
//! fixtures is replaced by values that sizes must not have. Loading and running either works or is an
//! error that blames the checkpoint, in bounded time and memory.

mod checkpoint_support;
mod mutation_support;

use std::ops::Range;
use std::path::{Path, PathBuf};

use checkpoint_support::tar::tar;
use formant_audio_core::features::presets;
use formant_models::arch::gan_vocoder::{
    BigVganConfig, GanVocoder, GanVocoderCard, GanVocoderConfig, GeneratorConfig,
};
use formant_models::arch::mossformer::{Family, MossFormer, MossformerCard, MossformerConfig};
use formant_models::arch::periodwave::{PeriodWave, PeriodWaveCard, PeriodWaveConfig};
use formant_models::arch::specmaskgit::{SpecMaskGit, SpecMaskGitCard, SpecMaskGitConfig};
use formant_models::arch::squeezeformer::{
    CtcCard, NemoConfig, OneOrMany, PieceKind, Squeezeformer, SqueezeformerConfig, Vocabulary,
    WenetConfig,
};
use formant_models::checkpoint::{self, StateDict};
use formant_models::{Arch, Model};
use mutation_support::{
    Run, VALUES, enhance, fill, gan_vocode, separate, speaker, stems, transcribe, verdict, vocode,
};
use serde_json::Value;
use tch::Device;

/// A published layout in a folder.
struct Layout {
    name: &'static str,
    /// What to load.
    path: PathBuf,
    /// The text of its config, and how a changed one gets into the layout.
    config: String,
    write: Box<dyn Fn(&str)>,
    run: Run,
}

fn golden(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/goldens").join(path)
}

/// A copy of the files of a golden folder, with a config in it.
fn copied(name: &'static str, from: &str, to: &Path, config: &str, run: Run) -> Layout {
    std::fs::create_dir(to).expect("a folder");
    for entry in std::fs::read_dir(golden(from)).expect("a folder") {
        let file = entry.expect("readable").path();
        std::fs::copy(&file, to.join(file.file_name().expect("a name"))).expect("copied");
    }
    let file = to.join(config);
    let config = std::fs::read_to_string(&file).expect("a config");
    let write = Box::new(move |text: &str| std::fs::write(&file, text).expect("written"));
    Layout { name, path: to.to_owned(), config, write, run }
}

/// A file of random weights without a card.
fn weights<A: Arch>(card: A::Card, path: &Path) {
    let model = Model::<A>::random(card, Device::Cpu).expect("sound sizes");
    let state = StateDict::from_var_store(&model.store).expect("plain");
    checkpoint::write_safetensors(path, &state, &Default::default()).expect("written");
}

fn ctc(config: SqueezeformerConfig, frontend: &str, kind: PieceKind) -> CtcCard {
    let pieces = ["a", "b", "c", "d"].map(str::to_owned);
    let count = if matches!(config, SqueezeformerConfig::Nemo(_)) { 3 } else { 4 };
    CtcCard {
        config,
        frontend: presets::by_name(frontend).expect("a preset"),
        vocabulary: Vocabulary { kind, pieces: pieces[..count].to_vec(), model: None },
        provenance: Value::Null,
    }
}

const NEMO: &str = "\
preprocessor:
  sample_rate: 16000
  window_size: 0.025
  window_stride: 0.01
  n_fft: 512
  features: 80
  lowfreq: 0
  highfreq: 8000
  frame_splicing: 1
  log: true
encoder:
  feat_in: 80
  feat_out: -1
  n_layers: 2
  d_model: 8
  subsampling_factor: 4
  subsampling_conv_channels: -1
  ff_expansion_factor: 4
  n_heads: 2
  conv_kernel_size: 31
  time_reduce_idx: 0
  time_recovery_idx: null
  dropout: 0.1
  dropout_emb: 0
  dropout_att: 0.1
  pos_emb_max_len: 5000
  att_context_size: [-1, -1]
decoder:
  vocabulary: [a, b, c]
";

fn nemo(folder: &Path, name: &'static str, yaml: String) -> Layout {
    let config = NemoConfig {
        d_model: 8,
        n_heads: 2,
        n_layers: 2,
        num_classes: 3,
        time_reduce_idx: Some(0),
        ..NemoConfig::default()
    };
    let file = folder.join(format!("{name}.safetensors"));
    let card = ctc(SqueezeformerConfig::Nemo(config), "nemo", PieceKind::Characters);
    weights::<Squeezeformer>(card, &file);
    let data = std::fs::read(file).expect("written before");
    let path = folder.join(format!("{name}.nemo"));
    let archive = path.clone();
    let write = Box::new(move |text: &str| {
        let members =
            [("model_config.yaml", text.as_bytes()), ("model_weights.ckpt", data.as_slice())];
        std::fs::write(&archive, tar(&members)).expect("written");
    });
    Layout { name, path, config: yaml, write, run: transcribe }
}

const WENET: &str = "\
input_dim: 80
encoder_conf:
  encoder_dim: 8
  output_size: 8
  attention_heads: 2
  num_blocks: 3
  reduce_idx: 0
  recover_idx: 2
  feed_forward_expansion_factor: 4
  cnn_module_kernel: 31
  dropout: 0.1
dataset_conf:
  fbank_conf:
    num_mel_bins: 80
    frame_length: 25
    frame_shift: 10
";

fn wenet(folder: &Path) -> Layout {
    let path = folder.join("wenet");
    std::fs::create_dir(&path).expect("a folder");
    let config = WenetConfig {
        output_dim: 4,
        encoder_dim: 8,
        output_size: 8,
        attention_heads: 2,
        num_blocks: 3,
        reduce_idx: OneOrMany::One(0),
        recover_idx: OneOrMany::One(2),
        ..WenetConfig::default()
    };
    let card = ctc(SqueezeformerConfig::Wenet(config), "wenet", PieceKind::SentencePiece);
    weights::<Squeezeformer>(card, &path.join("final.safetensors"));
    std::fs::write(path.join("units.txt"), "<blank> 0\n▁a 1\nb 2\nc 3\n").expect("written");
    let file = path.join("train.yaml");
    let write = Box::new(move |text: &str| std::fs::write(&file, text).expect("written"));
    Layout { name: "wenet", path, config: WENET.to_owned(), write, run: transcribe }
}

/// A folder as ClearerVoice's, with a config beside the weights.
fn clearervoice(folder: &Path) -> Layout {
    let path = folder.join("clearervoice");
    std::fs::create_dir(&path).expect("a folder");
    let config = MossformerConfig {
        family: Family::Mossformer2Se,
        in_channels: 180,
        out_channels_final: Some(961),
        out_channels: 8,
        num_blocks: 1,
        group_size: 32,
        query_key_dim: 6,
        fsmn_inner_channels: 6,
        ..MossformerConfig::default()
    };
    let text = serde_json::to_string(&config).expect("plain");
    let card = MossformerCard::published(config, 48_000).expect("a card");
    weights::<MossFormer>(card, &path.join("best.pt"));
    std::fs::write(path.join("last_best_checkpoint"), "best.pt\n").expect("written");
    let file = path.join("config.json");
    let write = Box::new(move |text: &str| std::fs::write(&file, text).expect("written"));
    Layout { name: "clearervoice", path, config: text, write, run: enhance }
}

const PERIODWAVE: &str = r#"{
 "train": { "segment_size": 32768, "tuning_steps": 4 },
 "data": {
  "sampling_rate": 22050,
  "filter_length": 1024,
  "hop_length": 256,
  "win_length": 1024,
  "n_mel_channels": 80,
  "mel_fmin": 0,
  "mel_fmax": 8000,
  "energy_max": "stats/energy_max_train.npy",
  "energy_min": "stats/energy_min_train.npy"
 },
 "model": { "periods": [1, 2, 3, 5, 7], "noise_scale": 0.25, "final_dim": 32, "hidden_dim": 512 }
}"#;

/// A folder of PeriodWave's release.
fn periodwave(folder: &Path) -> Layout {
    let path = folder.join("periodwave");
    std::fs::create_dir(&path).expect("a folder");
    let config = PeriodWaveConfig {
        n_mel_channels: 80,
        hidden_dim: 16,
        final_dim: 1,
        ..PeriodWaveConfig::default()
    };
    let card = PeriodWaveCard::published(config).expect("a card");
    weights::<PeriodWave>(card, &path.join("G_1000.pth"));
    let file = path.join("config.json");
    let write = Box::new(move |text: &str| std::fs::write(&file, text).expect("written"));
    Layout { name: "periodwave", path, config: PERIODWAVE.to_owned(), write, run: vocode }
}

const BIGVGAN: &str = r#"{
 "resblock": "1",
 "num_gpus": 0,
 "batch_size": 32,
 "learning_rate": 0.0001,
 "upsample_rates": [16, 16],
 "upsample_kernel_sizes": [32, 32],
 "upsample_initial_channel": 8,
 "resblock_kernel_sizes": [3],
 "resblock_dilation_sizes": [[1, 3]],
 "activation": "snakebeta",
 "snake_logscale": true,
 "use_tanh_at_final": false,
 "use_bias_at_final": false,
 "segment_size": 65536,
 "num_mels": 80,
 "n_fft": 1024,
 "hop_size": 256,
 "win_size": 1024,
 "sampling_rate": 22050,
 "fmin": 0,
 "fmax": null
}"#;

/// A folder of BigVGAN's release.
fn bigvgan(folder: &Path) -> Layout {
    let path = folder.join("bigvgan");
    std::fs::create_dir(&path).expect("a folder");
    let generator = GeneratorConfig {
        upsample_rates: vec![16, 16],
        upsample_kernel_sizes: vec![32, 32],
        upsample_initial_channel: 8,
        resblock_kernel_sizes: vec![3],
        resblock_dilation_sizes: vec![vec![1, 3]],
        ..GeneratorConfig::default()
    };
    let config = GanVocoderConfig::Bigvgan(BigVganConfig {
        num_mels: 80,
        use_bias_at_final: false,
        use_tanh_at_final: false,
        generator,
        ..BigVganConfig::default()
    });
    let card = GanVocoderCard::published(config).expect("a card");
    weights::<GanVocoder>(card, &path.join("bigvgan_generator.pt"));
    let file = path.join("config.json");
    let write = Box::new(move |text: &str| std::fs::write(&file, text).expect("written"));
    Layout { name: "bigvgan", path, config: BIGVGAN.to_owned(), write, run: gan_vocode }
}

/// A transformer's weights beside its sizes.
fn specmaskgit(folder: &Path) -> Layout {
    let path = folder.join("specmaskgit");
    std::fs::create_dir(&path).expect("a folder");
    let config = SpecMaskGitConfig {
        codebook_size: 12,
        grid_h: 2,
        grid_w: 4,
        dim: 8,
        depth: 1,
        heads: 2,
        mlp_dim: 12,
        cond_dim: 6,
    };
    let text = serde_json::to_string(&config).expect("plain");
    weights::<SpecMaskGit>(SpecMaskGitCard::sized(config), &path.join("weights.safetensors"));
    let file = path.join("config.json");
    let write = Box::new(move |text: &str| std::fs::write(&file, text).expect("written"));
    Layout { name: "specmaskgit", path, config: text, write, run: fill }
}

fn layouts(folder: &Path) -> Vec<Layout> {
    let (modelscope, standalone, mel) = (
        "mossformer-checkpoints/modelscope_mossformer",
        "mossformer-checkpoints/standalone_whamr_2spk",
        "mel-roformer/containers",
    );
    let at = |name: &str| folder.join(name);
    let mut stem = copied("mel-roformer", mel, &at("mel"), "model.yaml", stems);
    stem.path = stem.path.join("plain.ckpt");
    vec![
        nemo(folder, "nemo", NEMO.to_owned()),
        // The transform then follows from the window.
        nemo(folder, "nemo without transform", NEMO.replace("  n_fft: 512\n", "")),
        wenet(folder),
        clearervoice(folder),
        periodwave(folder),
        bigvgan(folder),
        specmaskgit(folder),
        copied("speechbrain", "ecapa-tdnn/containers", &at("speaker"), "hyperparams.yaml", speaker),
        copied("modelscope", modelscope, &at("first"), "configuration.json", separate),
        copied("stand-alone", standalone, &at("second"), "config.json", separate),
        stem,
    ]
}

/// Places of all numbers in a config that are neither part of a word nor of a comment.
fn numbers(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let code = line.split('#').next().unwrap_or_default();
        let mut from = None;
        // A blank behind the line ends its last number.
        for (place, c) in code.char_indices().chain([(code.len(), ' ')]) {
            let inside = c.is_alphanumeric() || "._-+/<>".contains(c);
            match (inside, from) {
                (true, None) => from = Some(place),
                (false, Some(start)) => {
                    if code[start..place].parse::<f64>().is_ok() {
                        found.push(at + start..at + place);
                    }
                    from = None;
                }
                _ => {}
            }
        }
        at += line.len();
    }
    found
}

#[test]
fn numbers_of_a_text_are_found() {
    let text = "a: 16 # 3\nb: [-1, 2.5]\nv2: x1\nc: 1.0e-05\n{\"d\": 8}";
    let found: Vec<&str> = numbers(text).into_iter().map(|place| &text[place]).collect();
    assert_eq!(found, ["16", "-1", "2.5", "1.0e-05", "8"]);
}

#[test]
fn no_number_of_a_config_does_harm() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut faults = Vec::new();
    let mut tried = 0;
    for layout in layouts(folder.path()) {
        let Layout { name, path, config, write, run } = layout;
        write(&config);
        run(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        let places = numbers(&config);
        assert!(places.len() >= 5, "{name} has {} numbers", places.len());
        for place in places {
            for value in VALUES {
                let value = match (value, config.starts_with('{')) {
                    ("NaN", false) => ".nan",
                    (value, _) => value,
                };
                let mut text = config.clone();
                text.replace_range(place.clone(), value);
                write(&text);
                tried += 1;
                if let Some(fault) = verdict(run, &path) {
                    let line = text[..place.start].lines().last().unwrap_or_default();
                    faults.push(format!("{name}: {line}{value}: {fault}"));
                }
            }
        }
    }
    assert!(tried > 500, "{tried} mutations only");
    assert!(faults.is_empty(), "{} of {tried}:\n{}", faults.len(), faults.join("\n"));
}
