//! What becomes of files, links, devices and FIFOs that are named as outputs, for all commands.

#![cfg(unix)]

mod support;

use std::os::unix::fs::{FileTypeExt, symlink};
use std::process::{Command, Stdio};

use support::{Parsed, Place, tone, wav};

fn recording() -> Vec<u8> {
    wav(16_000, 1, &tone(1600, 16_000.0, 440.0))
}

#[test]
fn d1_devices_and_fifos_are_streams() {
    let place = Place::new();
    place.file("a.wav", &recording());
    for command in ["convert", "features", "spot"] {
        for more in [&[][..], &["--overwrite"], &["--resume"]] {
            let arguments = [&[command, "a.wav", "-o", "/dev/null"], more].concat();
            let format = match command {
                "features" => &["--format", "npy"][..],
                "convert" => &["--format", "wav"],
                _ => &[],
            };
            place.run(&[arguments.as_slice(), format].concat()).code(0);
        }
    }
    let null = std::fs::metadata("/dev/null").expect("there");
    assert!(null.file_type().is_char_device());

    let fifo = place.path("fifo.wav");
    assert!(Command::new("mkfifo").arg(&fifo).status().expect("mkfifo").success());
    let reader = Command::new("cat").arg(&fifo).stdout(Stdio::piped()).spawn().expect("cat");
    place.run(&["convert", "a.wav", "-o", "fifo.wav", "--bits", "s16", "--overwrite"]).code(0);
    let read = reader.wait_with_output().expect("read").stdout;
    assert!(std::fs::metadata(&fifo).expect("there").file_type().is_fifo());
    let samples = tone(1600, 16_000.0, 440.0);
    let bytes: Vec<u8> = samples.iter().flat_map(|x| x.to_le_bytes()).collect();
    assert!(read.starts_with(b"RIFF") && read.ends_with(&bytes), "{} bytes", read.len());
}

#[test]
fn d1_links_lead_to_what_is_replaced() {
    let place = Place::new();
    place.file("a.wav", &recording());
    place.file("real/b.wav", b"old");
    symlink("real/b.wav", place.path("b.wav")).expect("a link");
    symlink("real/c.wav", place.path("c.wav")).expect("a link");
    for link in ["b.wav", "c.wav"] {
        place.run(&["convert", "a.wav", "-o", link]).code(2);
        place.run(&["convert", "a.wav", "-o", link, "--overwrite"]).code(0);
        let kind = std::fs::symlink_metadata(place.path(link)).expect("there").file_type();
        assert!(kind.is_symlink(), "{link}");
        assert_eq!(Parsed::of(&place.read(&format!("real/{link}"))).frames(), 1600);
    }
    assert_eq!(place.files(), ["a.wav", "b.wav", "c.wav", "real/b.wav", "real/c.wav"]);
}

#[test]
fn d2_an_output_is_never_an_input() {
    let place = Place::new();
    let bytes = recording();
    place.file("a.wav", &bytes);
    place.file("in/b.wav", &bytes);
    std::fs::hard_link(place.path("a.wav"), place.path("hard.wav")).expect("a link");
    symlink("a.wav", place.path("soft.wav")).expect("a link");
    for output in ["a.wav", "./a.wav", "hard.wav", "soft.wav"] {
        let commands: [&[&str]; 8] = [
            &["convert", "a.wav", "-o", output],
            &["enhance", "a.wav", "-o", output],
            &["features", "a.wav", "--format", "csv", "-o", output],
            &["plot", "a.wav", "--compare", "in/b.wav", "a.wav", "-o", output],
            &["spot", "a.wav", "--format", "csv", "-o", output],
            &["transcribe", "a.wav", "--format", "jsonl", "-o", output],
            &["speaker", "embed", "a.wav", "-o", output],
            &["listen", "--file", "a.wav", "--record", output],
        ];
        for arguments in commands {
            let ran = place.run(&[arguments, &["--overwrite"]].concat());
            assert!(ran.code == 2, "{arguments:?} {}", ran.stderr);
            assert!(place.read("a.wav") == bytes, "{arguments:?}");
        }
    }
    // Inputs behind folders, patterns and lists count like those that are named.
    place.file("list", b"in/b.wav\n");
    for input in [&["in"][..], &["in/*.wav"], &["--files-from", "list"]] {
        let spot = [&["spot"], input, &["-o", "in/b.wav", "--overwrite"]].concat();
        place.run(&spot).code(2).says("in/b.wav: is an input");
        assert_eq!(place.read("in/b.wav"), bytes);
    }
}

#[test]
fn d3_outputs_of_an_earlier_run_are_passed_over() {
    let place = Place::new();
    place.file("in/a.wav", &recording());
    place.file("in/b.wav", &recording());
    let resample = ["resample", "in", "--rate", "8000", "--resume"];
    place.run(&resample).code(0);
    let files = place.files();
    assert_eq!(files.len(), 4);
    for _ in 0..2 {
        let ran = place.run(&resample).code(0);
        let ran = ran.says("2 inputs are outputs of an earlier run, passed over");
        ran.says("2 were there already");
        assert_eq!(place.files(), files);
    }
    let below = ["convert", "in", "-o", "in/out", "--resume"];
    place.run(&below).code(0);
    let files = place.files();
    place.run(&below).code(0).says("passed over");
    assert_eq!(place.files(), files);
}

#[test]
fn d4_a_collision_stops_no_other_input() {
    let place = Place::new();
    for name in ["in/a.wav", "in/x/c.wav", "in/y/c.wav", "in/z/c.wav"] {
        place.file(name, &recording());
    }
    let inputs = ["in/a.wav", "in/x/c.wav", "in/y/c.wav", "in/z/c.wav"];
    let ran = place.run(&[&["convert"], &inputs[..], &["-o", "out/"]].concat()).code(1);
    ran.says("c.wav: would be the output of in/x/c.wav, in/y/c.wav, in/z/c.wav")
        .says("1 of 4 done, 3 failed");
    assert!(place.exists("out/a.wav") && !place.exists("out/c.wav"));
}

#[test]
fn d6_left_overs_of_a_killed_run_go_with_the_next() {
    let place = Place::new();
    place.file("in/a.wav", &recording());
    place.file("out/.a.wav.Zz9Yy8.part", b"left");
    place.run(&["convert", "in", "-o", "out", "--resume"]).code(0);
    assert_eq!(place.files(), ["in/a.wav", "out/a.wav"]);
}

#[test]
fn d6_the_longest_names_are_written() {
    let place = Place::new();
    place.file("a.wav", &recording());
    for (command, extension) in [("convert", "wav"), ("features", "npy"), ("spot", "txt")] {
        let name = format!("{}.{extension}", "n".repeat(251));
        place.run(&[command, "a.wav", "-o", &name]).code(0);
        assert!(place.exists(&name), "{command}");
    }
}

#[test]
fn w4_a_trailing_slash_is_a_folder() {
    let place = Place::new();
    place.file("a.wav", &recording());
    place.run(&["convert", "a.wav", "-o", "out.v2/"]).code(0);
    place.run(&["convert", "a.wav", "-o", "d.flac/"]).code(0);
    place.run(&["features", "a.wav", "-o", "e.v2/"]).code(0);
    place.run(&["features", "a.wav", "-o", "f.csv/"]).code(0);
    place.run(&["plot", "a.wav", "-o", "g.png/"]).code(0);
    place.run(&["spot", "a.wav", "-o", "h.csv/"]).code(2).says("-o");
    let made =
        ["a.wav", "d.flac/a.wav", "e.v2/a.npy", "f.csv/a.npy", "g.png/a.png", "out.v2/a.wav"];
    assert_eq!(place.files(), made);
}

#[test]
fn w5_a_full_disk_is_told_as_one() {
    let place = Place::new();
    place.file("a.wav", &recording());
    for arguments in [
        &["convert", "a.wav", "--format", "wav", "-o", "/dev/full"][..],
        &["features", "a.wav", "--format", "npy", "-o", "/dev/full"],
        &["models", "convert", "m.safetensors", "/dev/full"],
    ] {
        if arguments[0] == "models" {
            place.enhancer();
        }
        place.run(arguments).code(2).says("make room");
    }
}

#[test]
fn temporary_folders_are_named() {
    let place = Place::new();
    place.file("a.wav", &recording());
    let features = ["features", "a.wav", "-o", "a.npy"];
    place.run_with(&features, &[("TMPDIR", "/nowhere")]).code(2).says("/nowhere").says("TMPDIR");
}

#[test]
fn names_in_another_unicode_form_are_suggested() {
    let place = Place::new();
    place.file("Mu\u{308}ller.wav", &recording());
    place.run(&["info", "M\u{fc}ller.wav"]).code(3).says("there is Mu\u{308}ller.wav");
}

#[test]
fn w6_escape_sequences_in_names_are_shown() {
    let place = Place::new();
    place.file("\u{1b}[31mred.wav", &recording());
    let shown = "\\u001b[31mred.wav";
    let ran = place.run(&["info", "\u{1b}[31mred.wav"]).code(0);
    assert!(ran.text().contains(shown) && !ran.text().contains('\u{1b}'), "{}", ran.text());
    let ran = place.run(&["convert", "\u{1b}[31mred.wav", "-o", "out/"]).code(0).says(shown);
    assert!(!ran.stderr.contains('\u{1b}'));
    place.run(&["info", "\u{9b}31m.wav"]).code(3).says("\\u009b31m.wav");
    // Programs get names as they are.
    let line = &place.run(&["info", "\u{1b}[31mred.wav", "--json"]).code(0).json()[0];
    assert_eq!(line["input"], "\u{1b}[31mred.wav");
}

#[test]
fn w7_files_are_written_when_nobody_reads_the_report() {
    let place = Place::new();
    for n in 0..60 {
        place.file(&format!("in/{n:02}.wav"), &recording());
    }
    let mut command = place.command(&["convert", "in", "-o", "out", "--json", "-q"]);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("the binary starts");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    assert_eq!(place.files().iter().filter(|name| name.starts_with("out/")).count(), 60);
}

/// A WebM file whose audio begins so many milliseconds after the file does.
fn shifted(milliseconds: i16) -> Vec<u8> {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut bytes = std::fs::read(here.join("../audio-core/tests/media/impulse.webm")).expect("it");
    let cluster = bytes.windows(4).position(|w| w == [0x1f, 0x43, 0xb6, 0x75]).expect("one");
    for at in cluster..bytes.len() - 6 {
        if bytes[at] == 0xa3 && bytes[at + 2] == 0x81 && matches!(bytes[at + 5], 0 | 0x80) {
            let time = i16::from_be_bytes([bytes[at + 3], bytes[at + 4]]) + milliseconds;
            bytes[at + 3..at + 5].copy_from_slice(&time.to_be_bytes());
        }
    }
    bytes
}

#[test]
fn f4_offsets_are_told_or_kept() {
    let place = Place::new();
    for (name, shift) in [("late.webm", 250), ("early.webm", -250)] {
        place.file(name, &shifted(shift));
        let told = place.run(&["convert", name, "-o", "own.wav", "--overwrite"]).code(0);
        told.says("--keep-offset");
        let own = Parsed::of(&place.read("own.wav"));
        let keep = ["convert", name, "-o", "kept.wav", "--keep-offset", "--overwrite"];
        place.run(&keep).code(0);
        let kept = Parsed::of(&place.read("kept.wav"));
        let moved = i64::from(own.rate) * i64::from(shift) / 1000;
        assert_eq!(kept.frames() as i64 - own.frames() as i64, moved, "{name}");
        let (own, kept) = (own.f32(), kept.f32());
        let shared = own.len().min(kept.len());
        assert!(own[own.len() - shared..] == kept[kept.len() - shared..], "{name}");
        assert!(place.run(&["info", name]).code(0).text().contains("0.250 s on the clock"));
    }
    place.run(&["convert", "late.webm", "--track", "2"]).code(3);
}
