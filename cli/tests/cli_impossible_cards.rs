//! Checkpoints whose cards and configs ask for the impossible: the command says so with exit code 4, or
//! it works; it is never ended by the system.

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use formant_models::checkpoint::{self, StateDict};
use formant_models::registry;
use serde_json::{Value, json};
use support::{Place, tone, wav};

const LARGE: [i64; 4] = [0, 65_536, (1 << 31) - 1, 1 << 32];

/// Replaces every value of the key in a card; how many there were.
fn replace(card: &mut Value, key: &str, value: &Value) -> usize {
    match card {
        Value::Object(entries) => {
            let below: usize = entries.values_mut().map(|entry| replace(entry, key, value)).sum();
            match entries.get_mut(key) {
                Some(entry) => {
                    *entry = value.clone();
                    below + 1
                }
                None => below,
            }
        }
        Value::Array(items) => items.iter_mut().map(|item| replace(item, key, value)).sum(),
        _ => 0,
    }
}

/// Weights and card of a bundled model.
struct Bundled {
    state: StateDict,
    key: String,
    card: Value,
}

fn bundled(name: &str) -> Bundled {
    let model = registry::bundled(name).expect("a bundled model");
    let bytes = model.bytes().expect("in this build");
    let state = checkpoint::read_bytes(bytes, name).expect("readable");
    let card = state.metadata.iter().find_map(|(key, text)| {
        let card: Value = serde_json::from_str(text).ok()?;
        card.is_object().then(|| (key.clone(), card))
    });
    let (key, card) = card.expect("a card");
    Bundled { state, key, card }
}

impl Bundled {
    /// Writes the model with a changed card.
    fn write(&self, path: &Path, key: &str, value: &Value) {
        let mut card = self.card.clone();
        assert!(replace(&mut card, key, value) > 0, "no {key} in {}", self.key);
        let metadata = BTreeMap::from([(self.key.clone(), card.to_string())]);
        checkpoint::write_safetensors(path, &self.state, &metadata).expect("written");
    }
}

fn assert_works_or_is_refused(place: &Place, what: &str, arguments: &[&str]) {
    let ran = place.run(arguments);
    assert!(matches!(ran.code, 0 | 4), "{what}: {}\n{}", ran.code, ran.stderr);
    assert!(!ran.stderr.contains("panicked"), "{what}: {}", ran.stderr);
}

/// Settings with the values that they are given.
type Changes<'a> = &'a [(&'a str, &'a [i64])];

#[test]
fn u4_impossible_cards_end_with_code_4() {
    let place = Place::new();
    place.file("a.wav", &wav(16_000, 1, &tone(8_000, 16_000.0, 300.0)));
    let cases: [(&str, &[&str], Changes<'_>); 3] = [
        (
            "spot-commands",
            &["spot", "a.wav"],
            &[
                ("window_frames", &LARGE),
                ("hop_length", &LARGE),
                ("n_mels", &[1, 2, 7]),
                ("target_frames", &[0, 1, 3]),
            ],
        ),
        (
            "separate-voices",
            &["separate", "a.wav", "-o", "out", "--overwrite"],
            &[("group_size", &LARGE)],
        ),
        (
            "asr-an4",
            &["transcribe", "a.wav"],
            &[("feat_out", &LARGE), ("n_heads", &LARGE), ("n_mels", &[1, 7])],
        ),
    ];
    for (name, command, changes) in cases {
        let model = bundled(name);
        let mut arguments = command.to_vec();
        arguments.extend(["--model", "m.safetensors"]);
        for (key, values) in changes {
            for value in *values {
                model.write(&place.path("m.safetensors"), key, &json!(value));
                assert_works_or_is_refused(&place, &format!("{name}: {key} {value}"), &arguments);
            }
        }
    }
}

#[test]
fn u4_impossible_configs_end_with_code_4() {
    let place = Place::new();
    place.file("song.wav", &wav(44_100, 2, &tone(20_000, 44_100.0, 300.0)));
    let golden =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/goldens/mel-roformer/containers");
    std::fs::copy(golden.join("plain.ckpt"), place.path("m.ckpt")).expect("copied");
    let yaml = std::fs::read_to_string(golden.join("model.yaml")).expect("a config");
    let arguments = ["stems", "song.wav", "-o", "stems", "--overwrite", "--model", "m.ckpt"];
    place.file("m.yaml", yaml.as_bytes());
    place.run(&arguments).code(0);
    for line in ["  num_stems: 1", "  heads: 2"] {
        assert!(yaml.contains(line));
        let (key, _) = line.split_once(':').expect("a setting");
        for value in LARGE {
            place.file("m.yaml", yaml.replace(line, &format!("{key}: {value}")).as_bytes());
            // By name where a setting is beyond all bounds, by its tensors where none of them fit.
            place.run(&arguments).code(4).says("m.ckpt: ");
        }
    }
}
