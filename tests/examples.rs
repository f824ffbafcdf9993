//! The examples, one a task, on the clips in `samples/`.
#![allow(dead_code, reason = "an example's `main` is not called here")]

#[path = "../examples/enhance.rs"]
mod enhance;
#[path = "../examples/separate.rs"]
mod separate;
#[path = "../examples/speaker.rs"]
mod speaker;
#[path = "../examples/spot.rs"]
mod spot;
#[path = "../examples/stems.rs"]
mod stems;
#[path = "../examples/transcribe.rs"]
mod transcribe;

use std::path::Path;

use formant::prelude::*;

fn sample(name: &str) -> String {
    format!("{}/samples/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn frames(path: &Path) -> usize {
    decode_file(path, &DecodeOptions::default()).expect("it was written").audio.frames()
}

/// Runs an example that writes `files`, each as long as its input.
fn writes(
    example: fn(&[String]) -> std::result::Result<(), Box<dyn std::error::Error>>,
    input: &str,
    output: Option<&str>,
    files: &[&str],
) {
    let folder = tempfile::tempdir().expect("a folder");
    let output = output.map_or(folder.path().to_owned(), |name| folder.path().join(name));
    example(&[sample(input), output.display().to_string()]).expect("it runs");
    let wanted = frames(sample(input).as_ref());
    for file in files {
        assert_eq!(frames(&folder.path().join(file)), wanted, "{file}");
    }
}

#[test]
fn sound_is_written() {
    writes(enhance::run, "speech_noisy_5db_16k.wav", Some("clean.wav"), &["clean.wav"]);
    writes(separate::run, "mix_two_speakers_8k.wav", None, &["voice1.wav", "voice2.wav"]);
    writes(stems::run, "song_mix_44k.flac", None, &["vocals.wav", "instrumental.wav"]);
}

#[test]
fn answers_are_printed() {
    spot::run(&[sample("keyword_stream_16k.wav")]).expect("it runs");
    transcribe::run(&[sample("keyword_stream_16k.wav")]).expect("it runs");
    let clips = ["speech_en_female_a1_24k.wav", "speech_en_male_b1_24k.wav"].map(sample);
    speaker::run(&clips).expect("it runs");
}

#[test]
fn wrong_calls_are_told() {
    for example in
        [enhance::run, separate::run, speaker::run, spot::run, stems::run, transcribe::run]
    {
        let error = example(&[]).expect_err("no arguments").to_string();
        assert!(error.starts_with("usage: "), "{error}");
    }
    let error = spot::run(&["none.wav".to_owned()]).expect_err("no such file").to_string();
    assert!(error.contains("none.wav"), "{error}");
}
