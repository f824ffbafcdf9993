//! `formant plot`: one picture an input, one of all, one of a difference.

mod support;

use support::{Place, tone, wav};

/// Width and height of a PNG file.
fn size(bytes: &[u8]) -> (u32, u32) {
    assert_eq!(&bytes[..8], b"\x89PNG\r\n\x1a\n");
    let at = |from: usize| bytes[from..from + 4].iter().fold(0, |n, &b| n << 8 | u32::from(b));
    (at(16), at(20))
}

#[test]
fn pictures_beside_and_together() {
    let place = Place::new();
    place.wav("a.wav", &tone(8000, 16_000.0, 440.0));
    place.file("b.wav", &wav(8000, 2, &tone(8000, 8000.0, 440.0)));
    place.run(&["plot", "a.wav", "b.wav"]).code(0);
    assert_eq!(place.files(), ["a.png", "a.wav", "b.png", "b.wav"]);
    let (width, single) = size(&place.read("a.png"));
    assert_eq!(width, 1200);
    place.run(&["plot", "a.wav", "b.wav", "-o", "both.png", "--width", "800"]).code(0);
    let (width, both) = size(&place.read("both.png"));
    assert_eq!(width, 800);
    assert!(both > single, "{both} {single}");
    place.run(&["plot", "a.wav"]).code(2).says("exists already");
    let png = place.run(&["plot", "a.wav", "-o", "-", "--no-waveform", "--scale", "mel"]).code(0);
    assert!(size(&png.stdout).1 < single);
}

#[test]
fn a_bad_file_is_left_out_of_the_picture() {
    let place = Place::new();
    place.wav("a.wav", &tone(8000, 16_000.0, 440.0));
    place.file("b.wav", b"rubbish");
    place.run(&["plot", "a.wav", "b.wav", "-o", "both.png"]).code(1).says("error: b.wav");
    assert!(place.exists("both.png"));
    place.run(&["plot", "b.wav", "-o", "none.png"]).code(3);
    assert!(!place.exists("none.png"));
}

#[test]
fn two_files_are_compared() {
    let place = Place::new();
    place.wav("a.wav", &tone(8000, 16_000.0, 440.0));
    place.file("b.wav", &wav(8000, 2, &tone(8000, 8000.0, 880.0)));
    let ran = place.run(&["plot", "--compare", "a.wav", "b.wav", "--json"]).code(0);
    assert_eq!(ran.json()[0]["output"], "a_vs_b.png");
    ran.says("8000 Hz to 16000 Hz").says("mixed");
    size(&place.read("a_vs_b.png"));
    place.run(&["plot", "--compare", "a.wav"]).code(2);
    place.run(&["plot", "--compare", "a.wav", "nope.wav"]).code(3).says("nope.wav");
}

#[test]
fn parts_are_drawn_alone() {
    let place = Place::new();
    let [low, high] = [440.0, 2000.0].map(|hertz| tone(8000, 16_000.0, hertz));
    place.wav("all.wav", &[&low[..], &high[..]].concat());
    place.wav("low.wav", &low);
    place.wav("high.wav", &high);
    let draw = |arguments: &[&str]| {
        let plot = ["plot", "--height", "100", "--overwrite"];
        place.run(&[&plot[..], arguments].concat()).code(0);
    };
    // Titles are names of files.
    for (part, file) in [(["--to", "0.5"], "low.wav"), (["--from", "0:00.5"], "high.wav")] {
        draw(&[&["all.wav", "-o", "part.png"], &part[..]].concat());
        place.run(&["convert", file, "-o", "same/all.wav", "--overwrite"]).code(0);
        draw(&["same/all.wav", "-o", "whole.png"]);
        assert!(place.read("part.png") == place.read("whole.png"), "{part:?}");
    }
    draw(&["--compare", "all.wav", "all.wav", "--from", "0.25", "--to", "0.5", "-o", "same.png"]);
    let (_, small) = size(&place.read("part.png"));
    place.run(&["plot", "low.wav", "--height", "400", "-o", "tall.png"]).code(0);
    assert!(size(&place.read("tall.png")).1 > small + 300);
    for wrong in [["--to", "0", "--height", "100"], ["--from", "0", "--height", "9000"]] {
        let arguments = [&["plot", "low.wav", "-o", "none.png"][..], &wrong[..]].concat();
        place.run(&arguments).code(2);
    }
}

#[test]
fn words_and_pitch_are_drawn() {
    let place = Place::new();
    place.wav("a.wav", &tone(16_000, 16_000.0, 220.0));
    place.file("a.srt", b"1\n00:00:00,250 --> 00:00:00,750\nword\n");
    let draw = |arguments: &[&str]| {
        let plot = ["plot", "a.wav", "-o", "a.png", "--overwrite"];
        place.run(&[&plot[..], arguments].concat()).code(0);
        place.read("a.png")
    };
    let plain = draw(&[]);
    let (words, pitch) = (draw(&["--words", "a.srt"]), draw(&["--pitch"]));
    assert!(plain != words && plain != pitch && words != pitch);
    // Times are those of the recording: there is no word in the last quarter.
    let part = ["--from", "0.8"];
    let with_words = draw(&[&part[..], &["--words", "a.srt"]].concat());
    assert!(draw(&part) == with_words);
    place.file("a.txt", b"nothing");
    let wrong = place.run(&["plot", "a.wav", "-o", "b.png", "--words", "a.txt"]).code(3);
    wrong.says("a.txt").says("subtitles");
    place.wav("b.wav", &tone(800, 16_000.0, 440.0));
    let several = ["plot", "a.wav", "b.wav", "-o", "b.png", "--words", "a.srt"];
    place.run(&several).code(2).says("--words");
}

#[test]
fn scales_are_of_frequencies_and_of_pictures() {
    let place = Place::new();
    for (name, rate) in [("speech.wav", 16_000.0), ("music.wav", 48_000.0)] {
        place.file(name, &wav(rate as u32, 1, &tone(8000, rate, 440.0)));
    }
    let draw = |name: &str, scales: &[&str]| {
        let mut arguments = vec!["plot", name, "-o", "a.png", "--overwrite"];
        scales.iter().for_each(|scale| arguments.extend(["--scale", scale]));
        place.run(&arguments).code(0);
        place.read("a.png")
    };
    assert!(draw("speech.wav", &[]) == draw("speech.wav", &["mel"]));
    assert!(draw("music.wav", &[]) == draw("music.wav", &["linear"]));
    let (width, height) = size(&draw("speech.wav", &["log"]));
    let dense = draw("speech.wav", &["2", "log"]);
    assert_eq!(size(&dense), (2 * width, 2 * height));
    for wrong in ["5", "0", "cubic"] {
        let arguments = ["plot", "speech.wav", "-o", "b.png", "--scale", wrong];
        place.run(&arguments).code(2).says("mel");
    }
    let twice = ["plot", "speech.wav", "-o", "b.png", "--scale", "2", "--scale", "3"];
    place.run(&twice).code(2).says("twice");
    let svg = place.run(&["plot", "speech.wav", "-o", "a.svg"]).code(2);
    svg.says("svg").says("png");
}

#[test]
fn sizes_are_checked() {
    let place = Place::new();
    place.wav("a.wav", &tone(800, 16_000.0, 440.0));
    place.run(&["plot", "a.wav", "--width", "10"]).code(2).says("400");
    place.run(&["plot", "a.wav", "--n-fft", "7"]).code(2);
    assert!(!place.exists("a.png"));
}
