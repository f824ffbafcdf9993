//! `formant speaker`, `formant eval speaker` and `formant train speaker`, with a published folder
//! of random weights: what it says about voices means nothing, but how it says it does.

mod support;

use std::path::Path;

use serde_json::json;
use support::{Place, Ran, tone, wav, wav_f32};

/// A SpeechBrain folder.
fn model() -> String {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.join("../tests/goldens/ecapa-tdnn/containers").display().to_string()
}

fn sample(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples").join(name).display().to_string()
}

/// A place with two recordings of each of two voices.
fn voices() -> Place {
    let place = Place::new();
    for (name, from) in [
        ("a1.wav", "speech_en_female_a1_24k.wav"),
        ("a2.wav", "speech_en_female_a2_24k.wav"),
        ("b1.wav", "speech_en_male_b1_24k.wav"),
        ("b2.wav", "speech_en_male_b2_24k.wav"),
    ] {
        let bytes = std::fs::read(sample(from)).expect("a shipped clip");
        place.file(name, &bytes);
    }
    place
}

/// Runs `formant speaker ARGUMENTS --model FOLDER`.
fn speaker(place: &Place, arguments: &[&str]) -> Ran {
    let model = model();
    let mut all = vec!["speaker"];
    all.extend(arguments);
    all.extend(["--model", &model]);
    place.run(&all)
}

/// White noise, the same for the same length.
fn noise(frames: usize, amplitude: f32) -> Vec<f32> {
    let mut state = 1u32;
    (0..frames)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            amplitude * ((state >> 8) as f32 / (1 << 23) as f32 - 1.0)
        })
        .collect()
}

#[test]
fn embeddings_as_numpy_and_as_json() {
    let place = voices();
    speaker(&place, &["embed", "a1.wav", "b1.wav", "-o", "out/"]).code(0);
    let bytes = place.read("out/a1.npy");
    assert_eq!(&bytes[1..6], b"NUMPY");
    assert!(String::from_utf8_lossy(&bytes[..80]).contains("(12,)"));
    speaker(&place, &["embed", "a1.wav", "b1.wav", "-o", "out/"]).code(2).says("exists already");
    let lines = speaker(&place, &["embed", "a1.wav", "--format", "json"]).code(0).json();
    assert_eq!(lines.len(), 1);
    assert_eq!((&lines[0]["type"], &lines[0]["input"]), (&json!("embedding"), &json!("a1.wav")));
    let values = lines[0]["embedding"].as_array().expect("a list");
    assert_eq!(values.len(), 12);
    // The NumPy file holds the same numbers.
    let data = &bytes[bytes.len() - 48..];
    let first = f32::from_le_bytes([data[0], data[1], data[2], data[3]]);
    assert_eq!(values[0].as_f64(), Some(f64::from(first)));
    assert!(lines[0]["speech_seconds"].as_f64().is_some_and(|seconds| seconds > 1.0));
    assert!(lines[0]["model"].as_str().is_some_and(|model| model.starts_with("ecapa-tdnn-")));
    // One file for all, which only appears when something was heard.
    speaker(&place, &["embed", "a1.wav", "b1.wav", "--format", "json", "-o", "all.jsonl"]).code(0);
    assert_eq!(String::from_utf8_lossy(&place.read("all.jsonl")).lines().count(), 2);
}

#[test]
fn embeddings_do_not_depend_on_jobs_or_runs() {
    let place = voices();
    let run = |jobs: &str| {
        let list = ["embed", "a1.wav", "a2.wav", "b1.wav", "b2.wav", "--format", "json", "--jobs"];
        let mut arguments = list.to_vec();
        arguments.push(jobs);
        speaker(&place, &arguments).code(0).text()
    };
    let one = run("1");
    assert_eq!(one, run("1"));
    assert_eq!(one, run("3"));
}

#[test]
fn a_pair_is_verified() {
    let place = voices();
    let found = speaker(&place, &["verify", "a1.wav", "a1.wav", "--json"]).code(0).json();
    assert_eq!((&found[0]["answer"], &found[0]["same_speaker"]), (&json!("same"), &json!(true)));
    assert_eq!(found[0]["score"], json!(1.0));
    assert_eq!(found[0]["threshold"], json!(0.25));
    let text = speaker(&place, &["verify", "a1.wav", "b1.wav", "--threshold", "0.99999"]);
    assert!(text.code(0).text().starts_with("different speakers  score"), "wrong answer");
    speaker(&place, &["verify", "a1.wav"]).code(2);
    speaker(&place, &["verify", "a1.wav", "none.wav"]).code(3).says("none.wav");
}

#[test]
fn a_list_of_pairs_is_verified() {
    let place = voices();
    place.file("trials.txt", b"1 a1.wav a2.wav\n0 a1.wav b1.wav\n");
    let lines = speaker(&place, &["verify", "--trials", "trials.txt", "--json"]).code(0).json();
    assert_eq!(lines.len(), 2);
    assert_eq!((&lines[0]["target"], &lines[1]["target"]), (&json!(true), &json!(false)));
    let text = speaker(&place, &["verify", "--trials", "trials.txt"]).code(0).text();
    assert_eq!(text.lines().next().map(|line| line.split('\t').count()), Some(4));
    place.file("bad.txt", b"1 a1.wav a2.wav\n0 a1.wav none.wav\n");
    speaker(&place, &["verify", "--trials", "bad.txt"]).code(1).says("none.wav");
    place.file("nonsense.txt", b"perhaps a1.wav a2.wav maybe\n");
    speaker(&place, &["verify", "--trials", "nonsense.txt"]).code(3).says("line 1");
}

#[test]
fn a_cohort_normalises_scores() {
    let place = voices();
    let arguments =
        ["verify", "a1.wav", "a2.wav", "--cohort", "b1.wav", "--cohort", "b2.wav", "--json"];
    let found = speaker(&place, &arguments).code(0).json();
    assert_eq!(found[0]["threshold"], json!(3.0));
    assert_eq!(found[0]["probability"], json!(null));
    speaker(&place, &["verify", "a1.wav", "a2.wav", "--cohort", "b1.wav"]).code(2).says("cohort");
    speaker(&place, &["verify", "a1.wav", "a2.wav", "--cohort-top", "5"]).code(2);
}

#[test]
fn recordings_are_compared() {
    let place = voices();
    let lines =
        speaker(&place, &["compare", "a1.wav", "a2.wav", "b1.wav", "--json"]).code(0).json();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[1]["inputs"], json!(["a1.wav", "b1.wav"]));
    let text = speaker(&place, &["compare", "a1.wav", "b1.wav"]).code(0).text();
    assert!(text.contains("1.000") && text.contains("threshold"), "{text}");
    speaker(&place, &["compare", "a1.wav", "none.wav"]).code(1).says("none.wav");
}

#[test]
fn voices_are_taught_listed_found_exported_and_forgotten() {
    let place = voices();
    let store = ["--voices", "team.json"];
    let enroll = |more: &[&str]| speaker(&place, &[&["enroll"], &store[..], more].concat());
    assert!(enroll(&["--name", "Ada", "a1.wav"]).code(0).text().contains("1 recording,"));
    assert!(enroll(&["--name", "Ada", "a2.wav"]).code(0).text().contains("2 recordings"));
    enroll(&["--name", "Bo", "b1.wav"]).code(0);
    let listed = enroll(&["--list", "--json"]).code(0).json();
    assert_eq!(listed.len(), 2);
    assert_eq!((&listed[0]["name"], &listed[0]["recordings"]), (&json!("Ada"), &json!(2)));
    let identify = |more: &[&str]| speaker(&place, &[&["identify"], &store[..], more].concat());
    let found = identify(&["a1.wav", "b1.wav", "--json"]).code(0).json();
    assert_eq!(found[1]["candidates"][0]["name"], json!("Bo"));
    assert_eq!(found[0]["candidates"].as_array().map(Vec::len), Some(2));
    let unknown = identify(&["b2.wav", "--threshold", "1.5"]).code(0).text();
    assert!(unknown.starts_with("unknown"), "{unknown}");
    enroll(&["--export", "Ada", "-o", "ada.npy"]).code(0);
    assert_eq!(&place.read("ada.npy")[1..6], b"NUMPY");
    let text = enroll(&["--export", "Ada"]).code(0).text();
    let exported: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(exported["embedding"].as_array().map(Vec::len), Some(12));
    assert!(enroll(&["--remove", "Bo"]).code(0).text().contains("removed Bo"));
    enroll(&["--remove", "Bo"]).code(2).says("there are: Ada");
    enroll(&["--export", "Bo"]).code(2).says("there are: Ada");
    enroll(&["--list", "a1.wav"]).code(2);
    enroll(&["--name", " ", "a1.wav"]).code(2).says("name");
    speaker(&place, &["enroll", "--name", "Ada", "a1.wav"]).code(2);
    let names = place.files();
    assert!(!names.iter().any(|name| name.contains("partial")), "{names:?}");
}

#[test]
fn stores_of_other_models_and_broken_ones_are_refused() {
    let place = voices();
    place.file(
        "other.json",
        br#"{"format": "formant-voices", "version": 1, "model": "x", "voices": []}"#,
    );
    let arguments = ["enroll", "--voices", "other.json", "--name", "Ada", "a1.wav"];
    speaker(&place, &arguments).code(2).says("the voices are of x");
    place.file("broken.json", b"{\"format\": 3}");
    speaker(&place, &["enroll", "--voices", "broken.json", "--list"])
        .code(3)
        .says("no file of voices");
    speaker(&place, &["identify", "--voices", "none.json", "a1.wav"]).code(3).says("none.json");
    let empty = speaker(&place, &["identify", "--voices", "other.json", "a1.wav"]);
    empty.code(3).says("no voices in it");
}

/// Case S8: inputs of 0 to 1600 samples.
#[test]
fn s8_too_short() {
    let place = voices();
    for frames in [0, 1, 2, 79, 159, 160, 399, 400, 401, 1023, 1600] {
        place.file("short.wav", &wav_f32(16_000, 1, &noise(frames, 0.3)));
        let ran = speaker(&place, &["embed", "short.wav", "--format", "json"]).code(3);
        let ran = ran.says("too short: have");
        assert!(ran.stderr.contains("need"), "{}", ran.stderr);
        let found = speaker(&place, &["verify", "a1.wav", "short.wav", "--json"]).code(0).json();
        assert_eq!(found[0]["answer"], json!("too_short"), "{frames} samples");
        assert_eq!(found[0]["unusable"][0]["input"], json!("short.wav"));
        assert!(
            found[0]["unusable"][0]["have"].as_f64() < found[0]["unusable"][0]["need"].as_f64()
        );
        assert!(found[0].get("score").is_none());
    }
}

/// Case S9: silence, DC, faint noise, hum, and samples that are no numbers.
#[test]
fn s9_no_speech_and_non_finite() {
    let place = voices();
    let frames = 80_000;
    let hum = tone(frames, 16_000.0, 50.0);
    let mut broken: Vec<f32> =
        tone(frames, 16_000.0, 440.0).iter().map(|x| f32::from(*x) / 32768.0).collect();
    (broken[100], broken[200], broken[300]) = (f32::NAN, f32::INFINITY, -1e30);
    for (name, bytes) in [
        ("zeros.wav", wav_f32(16_000, 1, &vec![0.0; frames])),
        ("dc.wav", wav_f32(16_000, 1, &vec![0.2; frames])),
        ("faint.wav", wav_f32(16_000, 1, &noise(frames, 1e-4))),
        ("hum.wav", wav(16_000, 1, &hum)),
        ("broken.wav", wav_f32(16_000, 1, &broken)),
    ] {
        place.file(name, &bytes);
        let found = speaker(&place, &["verify", name, "a1.wav", "--json"]).code(0).json();
        assert_eq!(found[0]["answer"], json!("no_speech"), "{name}");
        assert!(found[0].get("score").is_none(), "{name}");
        speaker(&place, &["embed", name]).code(3).says("no speech");
        // Whoever insists gets finite numbers.
        let all = speaker(&place, &["embed", name, "--no-vad", "--format", "json"]).code(0).json();
        let values = all[0]["embedding"].as_array().expect("a list");
        assert!(values.iter().all(|x| x.as_f64().is_some_and(f64::is_finite)), "{name}");
    }
    let found = speaker(&place, &["verify", "broken.wav", "a1.wav", "--json"]).code(0).json();
    assert_eq!(found[0]["warnings"][0]["count"], json!(3));
    speaker(&place, &["verify", "broken.wav", "a1.wav", "--strict"]).code(3);
}

#[test]
fn trials_are_measured() {
    let place = voices();
    place.file(
        "trials.tsv",
        b"target\tpath1\tpath2\n1\ta1.wav\ta1.wav\n1\tb1.wav\tb1.wav\n0\ta1.wav\tb1.wav\n0\ta2.wav\tb2.wav\n",
    );
    let model = model();
    let eval = |more: &[&str]| {
        let base = ["eval", "speaker", "--trials", "trials.tsv", "--model", &model];
        place.run(&[&base[..], more].concat())
    };
    let lines = eval(&["--json", "--plot", "det.png", "--scores", "scores.tsv"]).code(0).json();
    let summary = lines.last().expect("a line");
    assert_eq!(summary["type"], json!("summary"));
    assert_eq!((&summary["items"], &summary["failed"]), (&json!(4), &json!(0)));
    assert_eq!((&summary["eer"], &summary["min_dcf"]), (&json!(0.0), &json!(0.0)));
    assert_eq!(&place.read("det.png")[1..4], b"PNG");
    assert_eq!(String::from_utf8_lossy(&place.read("scores.tsv")).lines().count(), 5);
    eval(&["--plot", "det.png"]).code(2).says("exists already");
    place.file(
        "trials.tsv",
        b"target\tpath1\tpath2\n1\ta1.wav\ta1.wav\n0\ta1.wav\tb1.wav\n0\tnone.wav\tb2.wav\n",
    );
    let ran = eval(&["--json"]).code(1).says("none.wav");
    let lines = ran.json();
    assert_eq!(lines.last().expect("a line")["failed"], json!(1));
    assert_eq!((&lines[0]["type"], &lines[0]["input"]), (&json!("error"), &json!("none.wav")));
    place.file("trials.tsv", b"path1\tpath2\na1.wav\tb1.wav\n");
    eval(&[]).code(3).says("no answer");
}

/// Eight voices of two pitches each, in a table.
fn data(place: &Place) {
    let mut table = "path\tspeaker\n".to_owned();
    for speaker in 0..24usize {
        for take in 0..2usize {
            let name = format!("clips/{speaker}_{take}.wav");
            let hertz = 150.0 + 60.0 * speaker as f32 + take as f32;
            place.wav(&name, &tone(12_000, 16_000.0, hertz));
            table += &format!("{name}\ts{speaker}\n");
        }
    }
    place.file("voices.tsv", table.as_bytes());
    place.file(
        "recipe.json",
        br#"{
            "network": {"input_size": 64, "channels": [16, 16, 16, 16, 24], "dilations": [1, 1, 2, 3, 1],
                        "attention_channels": 8, "se_channels": 4, "lin_neurons": 10},
            "crop_seconds": 0.6, "epochs": 1, "steps_per_epoch": 2, "batch": 4, "cohort_top": 4, "cohort_seconds": 0.5,
            "final_stage": {"epochs": 0, "crop_seconds": 0.6, "margin": 0.2}
        }"#,
    );
}

#[test]
fn a_model_is_trained_and_used() {
    let place = voices();
    data(&place);
    let train = [
        "train",
        "speaker",
        "--data",
        "voices.tsv",
        "--recipe",
        "recipe.json",
        "--threads",
        "1",
        "-o",
        "mine.safetensors",
        "--json",
    ];
    let lines = place.run(&train).code(0).json();
    let last = lines.last().expect("a line");
    assert_eq!((&last["type"], &last["outcome"]["speakers"]), (&json!("trained"), &json!(22)));
    place.run(&train).code(2).says("exists already");
    assert!(!place.exists("mine.safetensors.state"));
    let verify = ["speaker", "verify", "a1.wav", "b1.wav", "--model", "mine.safetensors", "--json"];
    let found = place.run(&verify).code(0).json();
    assert!(found[0]["score"].as_f64().is_some_and(f64::is_finite));
    place.file("few.tsv", b"path\tspeaker\na1.wav\ta\n");
    let few = ["train", "speaker", "--data", "few.tsv", "-o", "few.safetensors"];
    place.run(&few).code(3).says("speakers");
}

#[test]
fn other_files_are_no_models() {
    let place = voices();
    let verify =
        |model: &str| place.run(&["speaker", "verify", "a1.wav", "a2.wav", "--model", model]);
    verify("a1.wav").code(4);
    verify("no-such-model").code(4).says("models list");
}
