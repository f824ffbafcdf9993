//! Published checkpoints by their names, out of the cache, in every layout that they are published
//! in: what a path runs, the name runs.

mod support;
#[path = "../../models/tests/checkpoint_support/tar.rs"]
mod tar;

use std::path::{Path, PathBuf};

use formant_audio_core::features::presets;
use formant_models::Model;
use formant_models::arch::squeezeformer::{
    CtcCard, NemoConfig, PieceKind, Squeezeformer, SqueezeformerConfig, Vocabulary,
};
use serde_json::json;
use sha2::Digest;
use support::{Place, tone, wav};
use tch::{Device, Kind};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

fn golden(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/goldens").join(path)
}

/// Puts `files` into the cache in `place` as `formant models pull` does.
fn cache(place: &Place, name: &str, files: &[PathBuf]) {
    let model = place.path("cache").join("models").join(name);
    let folder = model.join(COMMIT).join("files");
    std::fs::create_dir_all(&folder).expect("a folder");
    let mut listed = Vec::new();
    for file in files {
        let path = file.file_name().expect("a name").to_str().expect("plain").to_owned();
        std::fs::copy(file, folder.join(&path)).expect("copied");
        let size = std::fs::metadata(file).expect("there").len();
        let hash = sha2::Sha256::digest(std::fs::read(file).expect("readable"));
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        listed.push(json!({ "path": path, "size": size, "digest": format!("sha256:{hex}") }));
    }
    let manifest =
        json!({ "format": 1, "name": name, "id": "a/b", "commit": COMMIT, "files": listed });
    std::fs::write(model.join(COMMIT).join("manifest.json"), manifest.to_string())
        .expect("written");
    std::fs::write(model.join("current"), COMMIT).expect("written");
}

fn files_of(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    entries.map(|entry| entry.expect("readable").path()).filter(|path| path.is_file()).collect()
}

/// A NeMo archive with random weights: a tar of a config, weights and no tokenizer.
fn nemo(place: &Place) -> PathBuf {
    let config = NemoConfig {
        d_model: 8,
        n_heads: 2,
        n_layers: 2,
        num_classes: 3,
        time_reduce_idx: Some(0),
        ..NemoConfig::default()
    };
    let pieces = ["a", "b", "c"].map(str::to_owned).to_vec();
    let card = CtcCard {
        config: SqueezeformerConfig::Nemo(config),
        frontend: presets::by_name("nemo").expect("a preset"),
        vocabulary: Vocabulary { kind: PieceKind::Characters, pieces, model: None },
        provenance: serde_json::Value::Null,
    };
    let weights = place.path("weights.safetensors");
    let model = Model::<Squeezeformer>::random(card, Device::Cpu).expect("sound sizes");
    let state = formant_models::checkpoint::StateDict::from_var_store(&model.store).expect("plain");
    assert_eq!(model.store.kind(), Kind::Float);
    formant_models::checkpoint::write_safetensors(&weights, &state, &Default::default())
        .expect("written");
    let yaml = "encoder:\n  d_model: 8\n  n_heads: 2\n  n_layers: 2\n  time_reduce_idx: 0\n\
        decoder:\n  vocabulary: [a, b, c]\n";
    let weights = std::fs::read(weights).expect("written before");
    let members =
        [("model_config.yaml", yaml.as_bytes()), ("model_weights.ckpt", weights.as_slice())];
    place.file("stt.nemo", &tar::tar(&members))
}

#[test]
fn every_published_layout_runs_by_its_name() {
    let place = Place::new();
    place.file("a.wav", &wav(16_000, 1, &tone(16_000, 16_000.0, 300.0)));
    place.file("song.wav", &wav(44_100, 2, &tone(40_000, 44_100.0, 300.0)));
    let nemo = nemo(&place);
    let modelscope = golden("mossformer-checkpoints/modelscope_mossformer");
    let standalone = golden("mossformer-checkpoints/standalone_whamr_2spk");
    let speechbrain = golden("ecapa-tdnn/containers");
    let layouts: [(&str, Vec<PathBuf>, &[&str]); 6] = [
        ("squeezeformer-xs-uk", vec![nemo], &["transcribe", "a.wav"]),
        (
            "lmuformer-speech-commands",
            vec![golden("lmuformer/containers/best_model.pth")],
            &["spot", "a.wav"],
        ),
        ("ecapa-voxceleb", files_of(&speechbrain), &["speaker", "embed", "a.wav", "--no-vad"]),
        ("mossformer-wsj0-2mix", files_of(&modelscope), &["separate", "a.wav", "-o", "s1.wav"]),
        ("mossformer2-whamr-2spk", files_of(&standalone), &["separate", "a.wav", "-o", "s2.wav"]),
        (
            "mel-roformer-vocals",
            vec![
                golden("mel-roformer/containers/plain.ckpt"),
                golden("mel-roformer/containers/model.yaml"),
            ],
            &["stems", "song.wav", "-o", "stems"],
        ),
    ];
    let cached = place.path("cache").display().to_string();
    for (name, files, command) in layouts {
        cache(&place, name, &files);
        let mut arguments: Vec<&str> = command.to_vec();
        arguments.extend(["--model", name]);
        let ran = place.run_with(&arguments, &[("FORMANT_CACHE", &cached)]);
        assert_eq!(ran.code, 0, "{name}: {}", ran.stderr);
        let info = place.run_with(&["models", "info", name], &[("FORMANT_CACHE", &cached)]);
        assert!(info.code(0).text().contains(name), "{name} is described");
    }
}

#[test]
fn a_checkpoint_of_another_task_is_refused_by_name() {
    let place = Place::new();
    place.file("a.wav", &wav(16_000, 1, &tone(8_000, 16_000.0, 300.0)));
    cache(&place, "ecapa-voxceleb", &files_of(&golden("ecapa-tdnn/containers")));
    let cached = place.path("cache").display().to_string();
    let variables = [("FORMANT_CACHE", cached.as_str())];
    let ran = place.run_with(&["spot", "a.wav", "--model", "ecapa-voxceleb"], &variables);
    ran.code(4).says("no LMUFormer to run");
}

#[test]
fn d5_a_flipped_byte_in_the_cache_is_no_model() {
    let place = Place::new();
    place.file("a.wav", &wav(16_000, 1, &tone(8_000, 16_000.0, 300.0)));
    let name = "lmuformer-speech-commands";
    cache(&place, name, &[golden("lmuformer/containers/best_model.pth")]);
    let cached = place.path("cache").display().to_string();
    let variables = [("FORMANT_CACHE", cached.as_str())];
    let arguments = ["spot", "a.wav", "--model", name];
    place.run_with(&arguments, &variables).code(0);
    let file = place.path("cache/models").join(name).join(COMMIT).join("files/best_model.pth");
    let mut bytes = std::fs::read(&file).expect("there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).expect("written");
    place.run_with(&arguments, &variables).code(4).says("best_model.pth");
    // No network is asked for what is there; what is damaged is not there.
    let pull = ["models", "pull", name, "--offline"];
    assert_ne!(place.run_with(&pull, &variables).code, 0);
}
