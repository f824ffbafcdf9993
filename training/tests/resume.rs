//! A training that was interrupted and resumed writes the same file, byte for byte, as one that ran
//! through. Tiny networks on synthetic sounds: what they learn means nothing.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use formant_audio_core::AudioView;
use formant_audio_core::encode::{WriteOptions, write_wav};
use formant_models::tasks::Task;
use formant_models::tasks::spot::Spotter;
use formant_models::{LoadOptions, ModelSource};
use formant_training::asr::{self, AsrData, AsrSources};
use formant_training::generate::{self, SoundData, SoundSources, Tokenizer};
use formant_training::progress::{Progress, Silent, TrainingEvent};
use formant_training::separation::{self, SeparationData, SeparationSources};
use formant_training::speaker::{self, SpeakerData, SpeakerSources};
use formant_training::spot::{self, SpotData, SpotSources};
use formant_training::stems::{self, StemsData, StemsSources};
use formant_training::superres::{self, SuperresData, SuperresSources};
use formant_training::vocode::{self, VocodeData, VocodeSources};
use formant_training::{Error, Result, TrainPaths};
use serde_json::{Value, json};

/// Asks to stop when an epoch has ended.
#[derive(Default)]
struct StopsAfterAnEpoch(AtomicBool);

impl Progress for StopsAfterAnEpoch {
    fn event(&self, event: &TrainingEvent) {
        if matches!(event, TrainingEvent::Epoch { .. }) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    fn cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The numbers of the epochs that were run.
#[derive(Default)]
struct EpochsSeen(Mutex<Vec<usize>>);

impl Progress for EpochsSeen {
    fn event(&self, event: &TrainingEvent) {
        if let TrainingEvent::Epoch { epoch, .. } = event {
            self.0.lock().expect("not poisoned").push(*epoch);
        }
    }
}

/// A tone with overtones and a slow beat, so that no two stretches are alike.
fn sound(folder: &Path, name: &str, hertz: f32, samples: usize) {
    let rate = 16_000;
    let wave = |n: usize| {
        let phase = std::f32::consts::TAU * hertz * n as f32 / rate as f32;
        0.2 * phase.sin() + 0.1 * (2.01 * phase).sin() + 0.05 * (0.013 * phase).cos()
    };
    let samples: Vec<f32> = (0..samples).map(wave).collect();
    let view = AudioView::from_mono(rate, &samples);
    write_wav(&folder.join(name), &view, &WriteOptions::default()).expect("a recording");
}

/// A table of recordings in a new folder: each with its pitch in Hz, its length and its other cells.
fn table(columns: &str, rows: &[(String, f32, usize, String)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let mut text = format!("path\t{columns}\n");
    for (name, hertz, samples, cells) in rows {
        sound(folder.path(), name, *hertz, *samples);
        text += &format!("{name}\t{cells}\n");
    }
    std::fs::write(folder.path().join("table.tsv"), text).expect("a table");
    folder
}

/// Two recordings of each of 24 speakers.
fn voices() -> tempfile::TempDir {
    let row = |n: usize| {
        let (speaker, take) = (n / 2, n % 2);
        let hertz = 150.0 + 60.0 * speaker as f32 + take as f32;
        (format!("{speaker}_{take}.wav"), hertz, 12_000, format!("s{speaker}"))
    };
    table("speaker", &(0..48).map(row).collect::<Vec<_>>())
}

fn recipe<R: serde::de::DeserializeOwned>(value: Value) -> R {
    serde_json::from_value(value).expect("a recipe")
}

/// libtorch's generator and its number of threads belong to the process, so that trainings take turns.
static TURN: Mutex<()> = Mutex::new(());

/// Runs a training through, and again with an interruption, and compares the files.
fn check<O>(folder: &Path, train: impl Fn(&TrainPaths, &dyn Progress) -> Result<O>) {
    let paths = |name: &str| TrainPaths::of(folder.join(name));
    let read = |name: &str| std::fs::read(folder.join(name)).expect("a model");
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    tch::set_num_threads(2);
    train(&paths("straight.safetensors"), &Silent).map(drop).expect("trains");
    let stopped = train(&paths("resumed.safetensors"), &StopsAfterAnEpoch::default());
    assert!(matches!(stopped, Err(Error::Interrupted)));
    assert!(folder.join("resumed.safetensors.state").is_file());
    train(&paths("resumed.safetensors"), &Silent).map(drop).expect("resumes");
    assert_eq!(tch::get_num_threads(), 2);
    assert!(read("straight.safetensors") == read("resumed.safetensors"), "other weights");
}

#[test]
fn a_resumed_speaker_training_is_the_same() {
    let folder = voices();
    let recipe = recipe(json!({
        "network": {
            "input_size": 64, "channels": [16, 16, 16, 16, 24], "dilations": [1, 1, 2, 3, 1],
            "attention_channels": 8, "se_channels": 4, "lin_neurons": 10,
        },
        "crop_seconds": 0.6, "epochs": 2, "steps_per_epoch": 2, "batch": 4,
        "cohort_top": 4, "cohort_seconds": 0.5,
        "final_stage": { "epochs": 1, "crop_seconds": 0.7, "margin": 0.2 },
    }));
    let voices = vec![folder.path().join("table.tsv")];
    let sources = SpeakerSources { voices, ..SpeakerSources::default() };
    let data = SpeakerData::load(&sources, &recipe, None, &Silent).expect("data");
    check(folder.path(), |paths, progress| {
        speaker::train(&data, &recipe, paths, None, json!({}), progress)
    });
}

#[test]
fn a_resumed_separation_training_is_the_same() {
    let folder = voices();
    let recipe = recipe(json!({
        "network": {
            "in_channels": 16, "out_channels": 16, "kernel_size": 16, "num_blocks": 1,
            "group_size": 32, "query_key_dim": 8, "fsmn_inner_channels": 8, "fsmn_lorder": 4,
        },
        "crop_seconds": 0.5, "epochs": 2, "steps_per_epoch": 3, "batch": 2, "dev_mixtures": 2,
        "noise_share": 0.5,
    }));
    let voices = vec![folder.path().join("table.tsv")];
    let sources = SeparationSources { voices, ..SeparationSources::default() };
    let data = SeparationData::load(&sources, &recipe, None, &Silent).expect("data");
    check(folder.path(), |paths, progress| {
        separation::train(&data, &recipe, paths, None, json!({}), progress)
    });
}

#[test]
fn a_resumed_keyword_training_is_the_same() {
    let row = |n: usize| {
        let (label, hertz) = if n.is_multiple_of(2) { ("high", 2000.0) } else { ("low", 300.0) };
        let split = if n < 8 { "train" } else { "dev" };
        let hertz = hertz + 5.0 * n as f32;
        (format!("{n}.wav"), hertz, 3_200 + 40 * n, format!("{label}\t{split}\ts{n}"))
    };
    let folder = table("label\tsplit\tspeaker", &(0..12).map(row).collect::<Vec<_>>());
    let recipe = recipe(json!({
        "network": { "dim": 16, "num_heads": 1, "seq_len": 24, "theta": 20.0 },
        "context_frames": 8, "window_frames": 20, "epochs": 2, "steps_per_epoch": 3, "batch": 4,
    }));
    let words = vec![folder.path().join("table.tsv")];
    let sources = SpotSources { words, ..SpotSources::default() };
    let data = SpotData::load(&sources, &recipe, None, &Silent).expect("data");
    check(folder.path(), |paths, progress| {
        spot::train(&data, &recipe, paths, None, json!({}), progress)
    });
    // A training that was stopped may be made longer; the best model so far is there to be used.
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let paths = TrainPaths::of(folder.path().join("longer.safetensors"));
    let stops = StopsAfterAnEpoch::default();
    let stopped = spot::train(&data, &recipe, &paths, None, json!({}), &stops);
    assert!(matches!(stopped, Err(Error::Interrupted)));
    let partial = ModelSource::Path(paths.partial.clone());
    Spotter::load(&partial, &LoadOptions::default()).expect("a model");
    let (mut longer, seen) = (recipe.clone(), EpochsSeen::default());
    longer.epochs = 3;
    spot::train(&data, &longer, &paths, None, json!({}), &seen).expect("resumes");
    assert_eq!(*seen.0.lock().expect("not poisoned"), [2, 3]);
    assert!(!paths.partial.exists() && !paths.state.exists());
}

#[test]
fn a_resumed_recognizer_training_is_the_same() {
    let texts = ["open the window", "we meet again", "pink salmon", "fresh air", "half past nine"];
    let row = |n: usize| {
        let split = if n < 8 { "train" } else { "dev" };
        let (hertz, text) = (200.0 + 50.0 * n as f32, texts[n % texts.len()]);
        (format!("{n}.wav"), hertz, 24_000 + 400 * n, format!("{text}\t{split}"))
    };
    let folder = table("text\tsplit", &(0..10).map(row).collect::<Vec<_>>());
    let recipe = recipe(json!({
        "network": {
            "d_model": 16, "n_heads": 2, "n_layers": 2, "conv_kernel_size": 7,
            "subsampling_conv_channels": 8, "time_reduce_idx": 1,
        },
        "epochs": 2, "steps_per_epoch": 2, "batch_seconds": 8.0, "longest": 3.0,
    }));
    let speech = vec![folder.path().join("table.tsv")];
    let sources = AsrSources { speech, ..AsrSources::default() };
    let data = AsrData::load(&sources, &recipe, None, &Silent).expect("data");
    check(folder.path(), |paths, progress| {
        asr::train(&data, &recipe, paths, None, json!({}), progress)
    });
}

#[test]
fn a_resumed_stem_training_is_the_same() {
    let row = |n: usize| {
        let (label, part) =
            if n.is_multiple_of(2) { ("vocals", 1.0) } else { ("accompaniment", 3.0) };
        let song = n / 2;
        let hertz = (300.0 + 100.0 * song as f32) / part;
        (format!("s{song}_{label}.wav"), hertz, 24_000, format!("{label}\ts{song}"))
    };
    let folder = table("label\tspeaker", &(0..6).map(row).collect::<Vec<_>>());
    let recipe = recipe(json!({
        "network": {
            "dim": 8, "depth": 1, "stereo": false, "heads": 2, "dim_head": 4, "num_bands": 16,
            "sample_rate": 8000, "stft_n_fft": 512, "stft_win_length": 512,
            "stft_hop_length": 128, "mask_estimator_depth": 1, "mlp_expansion_factor": 1,
        },
        "crop_seconds": 0.5, "chunk_seconds": 1.0, "loss_windows": [256], "hold_out": 2,
        "epochs": 2, "steps_per_epoch": 3, "batch": 2,
    }));
    let songs = vec![folder.path().join("table.tsv")];
    let sources = StemsSources { songs, ..StemsSources::default() };
    let data = StemsData::load(&sources, &recipe, None, &Silent).expect("data");
    check(folder.path(), |paths, progress| {
        stems::train(&data, &recipe, paths, None, json!({}), progress)
    });
}

#[test]
fn a_resumed_superres_training_is_the_same() {
    let folder = voices();
    let recipe = recipe(json!({
        "network": {
            "encoder": {
                "model": "mossformer2-se", "in_channels": 24, "out_channels": 8,
                "out_channels_final": 6, "num_blocks": 1, "num_spks": 1, "group_size": 32,
                "query_key_dim": 6, "fsmn_inner_channels": 6, "fsmn_lorder": 3, "conv_kernel": 5,
            },
            "generator": {
                "upsample_rates": [16, 16], "upsample_kernel_sizes": [32, 32],
                "upsample_initial_channel": 8, "resblock_kernel_sizes": [3],
                "resblock_dilation_sizes": [[1, 3]],
            },
        },
        "n_fft": 1024, "crop_seconds": 0.3, "slice_seconds": 0.2, "loss_windows": [512, 256],
        "epochs": 2, "steps_per_epoch": 3, "batch": 2, "dev_seconds": 2.0,
    }));
    let recordings = vec![folder.path().join("table.tsv")];
    let sources = SuperresSources { recordings, ..SuperresSources::default() };
    let data = SuperresData::load(&sources, &recipe, None, &Silent).expect("data");
    check(folder.path(), |paths, progress| {
        superres::train(&data, &recipe, paths, None, json!({}), progress)
    });
}

#[test]
fn a_resumed_vocoder_training_is_the_same() {
    let folder = voices();
    let recipe = recipe(json!({
        "network": { "n_mel_channels": 20, "hidden_dim": 16, "final_dim": 1, "periods": [1, 2] },
        "crop_seconds": 0.1, "loss_windows": [512, 256], "flow_epochs": 1,
        "epochs": 2, "steps_per_epoch": 3, "batch": 2, "dev_seconds": 2.0,
    }));
    let recordings = vec![folder.path().join("table.tsv")];
    let data = VocodeData::load(&VocodeSources { recordings }, &recipe, None, &Silent);
    let data = data.expect("data");
    check(folder.path(), |paths, progress| {
        vocode::train(&data, &recipe, paths, None, json!({}), progress)
    });
}

/// A few recordings without splits are enough to learn from and to validate on.
#[test]
fn some_of_the_fewest_sounds_are_kept_for_validation() {
    for count in [2, 3, 12] {
        let row = |n: usize| (format!("{n}.wav"), 200.0 + n as f32, 4_000, "hum".to_owned());
        let folder = table("label", &(0..count).map(row).collect::<Vec<_>>());
        let sources = SoundSources { recordings: vec![folder.path().join("table.tsv")] };
        let data = SoundData::load(&sources, None, &Silent).expect("data");
        let [train, dev] = data.counts();
        assert!(train > 0 && dev > 0 && train + dev == count, "{train} and {dev} of {count}");
    }
}

/// A tokenizer whose codes are chosen behind the interruption, and a transformer over its tokens.
#[test]
fn resumed_trainings_of_tokens_are_the_same() {
    let row = |n: usize| {
        let (word, hertz) = if n.is_multiple_of(2) { ("whistle", 2000.0) } else { ("hum", 100.0) };
        let split = if n < 6 { "train" } else { "dev" };
        let label = format!("{word} | a {word} in a hall");
        (format!("{n}.wav"), hertz + 7.0 * n as f32, 5_000 + 900 * n, format!("{label}\t{split}"))
    };
    let folder = table("label\tsplit", &(0..8).map(row).collect::<Vec<_>>());
    let sources = SoundSources { recordings: vec![folder.path().join("table.tsv")] };
    let load = || SoundData::load(&sources, None, &Silent).expect("data");
    let data = load();
    assert_eq!((data.words.join(" "), data.counts()), ("hum whistle".to_owned(), [6, 2]));
    let recipe_of_tokens = recipe(json!({
        "network": {
            "ch": 32, "ch_mult": [1, 1, 1], "num_res_blocks": 1, "attn_resolutions": [],
            "z_channels": 8, "embed_dim": 4, "n_embed": 12,
        },
        "plain_epochs": 1, "crop_tokens": 6, "epochs": 3, "steps_per_epoch": 2, "batch": 2,
    }));
    check(folder.path(), |paths, progress| {
        generate::train_tokenizer(&data, &recipe_of_tokens, paths, None, json!({}), progress)
    });
    let trained = ModelSource::Path(folder.path().join("straight.safetensors"));
    let tokenizer = Tokenizer::load(&trained, tch::Device::Cpu).expect("a tokenizer");
    let parts = (load(), tokenizer);
    let recipe = recipe(json!({
        "columns": 8, "dim": 16, "depth": 1, "heads": 2, "mlp_dim": 24, "variants": 2,
        "epochs": 2, "steps_per_epoch": 2, "batch": 3,
    }));
    let others = folder.path().join("transformer");
    std::fs::create_dir(&others).expect("a folder");
    check(&others, |paths, progress| {
        generate::train(&parts, &recipe, paths, None, json!({}), progress)
    });
}
