//! `formant info`, and with it what all commands share: inputs, exit status, JSON lines.

mod support;

use std::process::Stdio;

use serde_json::{Value, json};
use support::{Place, tone, wav, wav_f32};

#[test]
fn text_and_json_tell_the_same() {
    let place = Place::new();
    place.file("a.wav", &wav(8000, 2, &tone(16_000, 8000.0, 440.0)));
    let text = place.run(&["info", "a.wav"]).code(0).text();
    assert!(text.contains("8000 Hz") && text.contains("2 (stereo)"), "{text}");
    assert!(text.contains("0:01.000, 8000 frames"), "{text}");
    let lines = place.run(&["info", "a.wav", "--json"]).code(0).json();
    let expected = json!({
        "type": "info", "input": "a.wav", "container": "wav", "codec": "pcm", "rate": 8000,
        "channels": 2, "layout": "stereo", "frames": 8000, "found_frames": 8000,
        "declared_frames": 8000, "duration": 1.0, "bits_per_sample": 16, "container_bits": 16,
        "float": false, "warnings": [], "tags": {}, "trimmed_delay": 0, "trimmed_padding": 0,
        "format": "pcm, 16-bit integer, in wav",
    });
    assert_eq!(lines, [expected]);
}

#[test]
fn levels_are_measured_when_asked_for() {
    let place = Place::new();
    place.file("a.wav", &wav_f32(48_000, 1, &[0.5; 48_000]));
    let lines = place.run(&["info", "--levels", "--json", "a.wav"]).code(0).json();
    let peak = lines[0]["levels"]["overall"]["sample_peak_dbfs"].as_f64().expect("a level");
    assert!((peak + 6.0206).abs() < 1e-3, "{peak}");
    assert!(
        (lines[0]["levels"]["overall"]["dc_offset"].as_f64().expect("offset") - 0.5).abs() < 1e-6
    );
    assert!(place.run(&["info", "--json", "a.wav"]).json()[0].get("levels").is_none());
}

/// S2: a file that is cut short is read as far as it goes, with a warning, or refused if strict.
#[test]
fn s2_cut_files_warn_and_strict_refuses_them() {
    let place = Place::new();
    let mut bytes = wav(16_000, 1, &tone(160_000, 16_000.0, 440.0));
    bytes.truncate(44 + 2 * 59_200 + 1);
    place.file("cut.wav", &bytes);
    let ran = place.run(&["info", "--json", "cut.wav"]).code(0);
    let line = &ran.json()[0];
    assert_eq!(line["frames"], 59_200);
    let warning = &line["warnings"][0];
    assert_eq!(
        (&warning["kind"], &warning["declared"], &warning["found"]),
        (&json!("frame_count"), &json!(160_000), &json!(59_200))
    );
    assert!(warning["message"].as_str().is_some_and(|text| text.contains("59200")));
    ran.says("warning: cut.wav");
    place.run(&["info", "--strict", "cut.wav"]).code(3).says("error: cut.wav");
    assert_eq!(place.run(&["info", "-q", "cut.wav"]).code(0).stderr, "");
}

/// S2: headers of streams have no sizes, and nothing is odd about that.
#[test]
fn s2_streams_are_read_from_standard_input() {
    let place = Place::new();
    let mut bytes = wav(16_000, 1, &tone(16_000, 16_000.0, 440.0));
    bytes[4..8].fill(0xff);
    bytes[40..44].fill(0xff);
    for line in [place.feed(&["info", "-", "--json"], &bytes).code(0).json(), {
        place.file("stream.wav", &bytes);
        place.run(&["info", "stream.wav", "--json"]).code(0).json()
    }] {
        assert_eq!((&line[0]["frames"], &line[0]["warnings"]), (&json!(16_000), &json!([])));
    }
}

#[test]
fn a_bad_file_never_stops_the_rest() {
    let place = Place::new();
    for name in ["a.wav", "c.wav"] {
        place.wav(name, &tone(160, 16_000.0, 440.0));
    }
    place.file("b.wav", b"rubbish");
    let ran = place.run(&["info", "--json", "a.wav", "b.wav", "missing.wav", "c.wav"]).code(1);
    let lines = ran.json();
    let field =
        |name: &str| -> Vec<Value> { lines.iter().map(|line| line[name].clone()).collect() };
    // In the order of the inputs, whatever the number of jobs.
    assert_eq!(field("input"), ["a.wav", "b.wav", "missing.wav", "c.wav"]);
    assert_eq!(field("type"), ["info", "error", "error", "info"]);
    assert_eq!(lines[1]["kind"], "input");
    ran.says("error: b.wav").says("error: missing.wav").says("2 of 4 done, 2 failed");
}

#[test]
fn exit_status_tells_what_was_wrong() {
    let place = Place::new();
    place.file("bad.wav", b"rubbish");
    place.file("empty.wav", b"");
    place.run(&["info", "missing.wav"]).code(3).says("missing.wav");
    place.run(&["info", "bad.wav"]).code(3).says("--raw");
    place.run(&["info", "bad.wav", "empty.wav"]).code(3);
    place.run(&["info"]).code(2).says("inputs");
    place.run(&["info", "--no-such-option"]).code(2);
    place.run(&["no-such-command"]).code(2);
    place.run(&["info", "*.flac"]).code(3).says("no file matches");
    place.run(&["info", "-q", "-v", "bad.wav"]).code(2);
    place.run(&["info", "--shard", "3/2", "bad.wav"]).code(2);
    let help = place.run(&["info", "--help"]).code(0);
    assert!(help.text().contains("Example: formant info"));
    assert!(place.run(&["--version"]).code(0).text().starts_with("formant "));
}

#[test]
fn lists_and_folders_and_shards() {
    let place = Place::new();
    for name in ["in/a.wav", "in/b.wav", "in/x/c.wav", "in/x/d.wav", "in/notes.txt"] {
        place.file(name, &wav(16_000, 1, &tone(160, 16_000.0, 440.0)));
    }
    place.file("list.txt", b"in/x/d.wav\nin/a.wav\n");
    let inputs = |arguments: &[&str]| -> Vec<String> {
        let arguments: Vec<&str> = ["info", "--json"].iter().chain(arguments).copied().collect();
        let lines = place.run(&arguments).code(0).json();
        lines.iter().map(|l| l["input"].as_str().unwrap_or_default().replace('\\', "/")).collect()
    };
    assert_eq!(inputs(&["in"]), ["in/a.wav", "in/b.wav", "in/x/c.wav", "in/x/d.wav"]);
    assert_eq!(inputs(&["in/*.wav"]), ["in/a.wav", "in/b.wav"]);
    assert_eq!(inputs(&["--files-from", "list.txt"]), ["in/x/d.wav", "in/a.wav"]);
    assert_eq!(inputs(&["in", "--shard", "1/3"]), ["in/a.wav", "in/x/d.wav"]);
    assert_eq!(inputs(&["in", "--shard", "2/3"]), ["in/b.wav"]);
    // A part of the list may be empty; that is no error.
    assert!(inputs(&["in", "--shard", "9/9"]).is_empty());
    let ran = place.feed(&["info", "--json", "--files-from", "-"], b"in/b.wav\n").code(0);
    assert_eq!(ran.json()[0]["input"], "in/b.wav");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let place = Place::new();
    for n in 0..200 {
        place.wav(&format!("in/{n:03}.wav"), &[0; 16]);
    }
    let mut command = place.command(&["info", "in"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

/// What can't be read forward waits in the folder for temporary files.
#[test]
fn a_missing_folder_for_temporary_files_is_named() {
    let place = Place::new();
    let media = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../audio-core/tests/media");
    let mut command = place.command(&["info", "-"]);
    command.stdin(std::fs::File::open(media.join("impulse.m4a")).expect("a fixture"));
    let output = command.env("TMPDIR", "/nowhere").output().expect("the binary starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    assert!(stderr.contains("/nowhere") && stderr.contains("TMPDIR"), "{stderr}");
    assert!(!stderr.contains("check the name"), "{stderr}");
}

#[test]
fn raw_samples_need_their_format() {
    let place = Place::new();
    place.file("a.raw", &[0; 3200]);
    place.run(&["info", "a.raw"]).code(3).says("--raw");
    let line = &place.run(&["info", "--json", "--raw", "16000,s16le,2", "a.raw"]).code(0).json()[0];
    assert_eq!((&line["frames"], &line["channels"]), (&json!(800), &json!(2)));
    place.run(&["info", "--raw", "16000,s17", "a.raw"]).code(2).says("s16le");
}
