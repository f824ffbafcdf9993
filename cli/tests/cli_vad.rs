//! `formant vad`: segments in every format, parts, files, refusals.

mod support;

use std::path::Path;

use support::{Parsed, Place, tone, wav};

/// Speech of the samples of this repository, with silence before and after it.
fn ready() -> Place {
    let place = Place::new();
    let speech = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples").join(SPEECH);
    let speech = speech.display().to_string();
    place.run(&["convert", &speech, "--rate", "16000", "--bits", "s16", "-o", "s.wav"]).code(0);
    let mut samples = vec![0i16; 16_000];
    samples.extend(Parsed::of(&place.read("s.wav")).s16());
    samples.extend(vec![0i16; 16_000]);
    place.wav("a.wav", &samples);
    place
}

const SPEECH: &str = "speech_en_male_b1_24k.wav";

#[test]
fn segments_are_told_in_every_format() {
    let place = ready();
    let lines = place.run(&["vad", "a.wav", "--json"]).code(0).json();
    let (end, found) = lines.split_last().expect("a last line");
    assert!(!found.is_empty() && end["type"] == "vad");
    assert_eq!(end["segments"].as_u64(), Some(found.len() as u64));
    let first = found[0]["start"].as_f64().expect("a time");
    assert!((0.7..2.5).contains(&first), "{first}");
    let text = place.run(&["vad", "a.wav"]).code(0).text();
    assert_eq!(text.lines().count(), found.len());
    for (format, start) in [
        ("csv", "input,start,end\na.wav,"),
        ("rttm", "SPEAKER a 1 "),
        ("srt", "1\n00:00:0"),
        ("vtt", "WEBVTT\n\n00:00:0"),
        ("TextGrid", "File type = \"ooTextFile\""),
    ] {
        let output = format!("b.{format}");
        place.run(&["vad", "a.wav", "-o", &output]).code(0);
        let text = String::from_utf8(place.read(&output)).expect("text");
        assert!(text.starts_with(start), "{format}: {text}");
    }
    place.run(&["vad", "a.wav", "--format", "labels"]).code(0);
    let labels = String::from_utf8(place.read("a.txt")).expect("text");
    assert_eq!(labels.lines().count(), found.len());
    place.run(&["vad", "a.wav", "a.wav", "--threshold", "2"]).code(2).says("threshold");
}

#[test]
fn parts_keep_the_clock_of_the_file() {
    let place = ready();
    let starts = |more: &[&str]| -> Vec<f64> {
        let lines = place.run(&[&["vad", "a.wav", "--json"], more].concat()).code(0).json();
        lines.iter().filter_map(|line| line["start"].as_f64()).collect()
    };
    let all = starts(&[]);
    let part = starts(&["--from", "0.5"]);
    assert!((part[0] - all[0]).abs() < 0.1, "{part:?} {all:?}");
}

#[test]
fn speech_becomes_files_of_its_own() {
    let place = ready();
    let stereo: Vec<i16> =
        Parsed::of(&place.read("a.wav")).s16().iter().flat_map(|&x| [x, -x]).collect();
    place.file("two.wav", &wav(16_000, 2, &stereo));
    let run = |more: &[&str]| {
        place.run(&[&["vad", "two.wav", "--channels", "left", "--format", "wav"], more].concat())
    };
    let line = run(&["-o", "out/", "--json"]).code(0).json().remove(0);
    let files = line["outputs"].as_array().expect("files");
    assert_eq!(files[0], "out/two_001.wav");
    let mut seconds = 0.0;
    for file in files {
        let part = Parsed::of(&place.read(file.as_str().expect("a name")));
        assert_eq!((part.rate, part.channels), (16_000, 1));
        seconds += part.frames() as f64 / 16_000.0;
    }
    assert!((seconds - line["speech"].as_f64().expect("seconds")).abs() < 0.01);
    run(&["-o", "out/"]).code(2).says("exists already");
    run(&["-o", "out/", "--resume"]).code(0);
    run(&["-o", "one.wav"]).code(2).says("folder");
    let stdin = ["vad", "-", "--format", "wav", "-o", "out/"];
    place.feed(&stdin, &place.read("a.wav")).code(2).says("twice");
}

#[test]
fn silence_and_tones_are_no_speech() {
    let place = Place::new();
    place.wav("silence.wav", &vec![0; 16_000]);
    place.file("tone.wav", &wav(44_100, 1, &tone(44_100, 44_100.0, 440.0)));
    assert_eq!(place.run(&["vad", "silence.wav", "tone.wav"]).code(0).text(), "");
    place.file("empty.wav", &wav(16_000, 1, &[]));
    place.run(&["vad", "empty.wav"]).code(3);
}
