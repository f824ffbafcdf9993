//! What becomes of files, links, devices and FIFOs that are named as outputs, for all commands.

#![cfg(unix)]

mod support;

use std::os::unix::fs::{FileTypeExt, symlink};
use std::process::{Command, Stdio};

use support::{Parsed, Place, matroska, shifted, tone, wav};

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
        place.run(&spot).code(2).says("in/b.wav");
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
fn d3_channels_of_an_earlier_run_are_passed_over() {
    let place = Place::new();
    let samples: Vec<i16> = tone(1600, 16_000.0, 440.0).iter().flat_map(|&x| [x, x / 2]).collect();
    place.file("in/a.wav", &wav(16_000, 2, &samples));
    place.file("in/b.wav", &wav(16_000, 3, &[samples.as_slice(), &samples[..1600]].concat()));
    let each = ["convert", "in", "--channels", "each", "--resume"];
    place.run(&each).code(0);
    let files = place.files();
    assert_eq!(files.len(), 7, "{files:?}");
    for _ in 0..2 {
        place.run(&each).code(0).says("5 inputs are outputs").says("2 were there already");
        assert_eq!(place.files(), files);
    }
}

#[test]
fn d3_links_to_one_recording_are_resumed() {
    let place = Place::new();
    place.file("a.wav", &recording());
    std::fs::create_dir(place.path("in")).expect("a folder");
    for n in 0..20 {
        let link = place.path(&format!("in/{n:02}.wav"));
        std::fs::hard_link(place.path("a.wav"), link).expect("a link");
    }
    // As a run leaves it that was stopped half-way.
    place.run(&["convert", "in", "--shard", "1/2"]).code(0);
    place.run(&["convert", "in", "--resume"]).code(0).says("10 were there already");
    assert_eq!(place.files().len(), 41);
}

#[test]
fn d2_recordings_that_tables_and_lists_name_are_inputs() {
    let place = Place::new();
    let bytes = recording();
    for name in ["data/a b.wav", "data/c.wav", "d.wav"] {
        place.file(name, &bytes);
    }
    std::fs::hard_link(place.path("d.wav"), place.path("hard.wav")).expect("a link");
    place.file("data/words.tsv", b"path\tlabel\na b.wav\tyes\nc.wav\tno\n");
    place.file("data/pairs.csv", b"path1,path2,target\n\"a b.wav\",c.wav,1\na b.wav,a b.wav,0\n");
    place.file("data/songs.jsonl", b"{\"mix\": \"c.wav\", \"vocals\": \"a b.wav\"}\n");
    place.file("list", b"d.wav\n");
    let commands: [&[&str]; 5] = [
        &["eval", "speaker", "--trials", "data/pairs.csv", "--scores", "data/a b.wav"],
        &["eval", "stems", "--manifest", "data/songs.jsonl", "--csv", "data/c.wav"],
        &["train", "spot", "--data", "data/words.tsv", "--out", "data/c.wav"],
        &["train", "spot", "--data", "data/words.tsv", "--out", "m", "--cache", "data/c.wav"],
        &["plot", "--files-from", "list", "-o", "hard.wav"],
    ];
    for arguments in commands {
        let ran = place.run(&[arguments, &["--overwrite"]].concat());
        let ran = ran.code(2).says("is an input, which the output would replace");
        assert!(place.files().len() == 8, "{arguments:?} {}", ran.stderr);
    }
    for name in ["data/a b.wav", "data/c.wav", "d.wav"] {
        assert_eq!(place.read(name), bytes, "{name}");
    }
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
    place.run(&["spot", "a.wav", "-o", "h.csv/"]).code(0);
    let made = [
        "a.wav",
        "d.flac/a.wav",
        "e.v2/a.npy",
        "f.csv/a.npy",
        "g.png/a.png",
        "h.csv/a.txt",
        "out.v2/a.wav",
    ];
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
fn w5_a_file_in_the_place_of_a_folder_is_told_as_one() {
    let place = Place::new();
    place.file("a.wav", &wav(16_000, 1, &tone(48_000, 16_000.0, 440.0)));
    place.file("file", b"");
    place.file("data/yes/a.wav", &recording());
    place.file("texts", b"one two\nthree\n");
    place.enhancer();
    let voices = ["speaker", "enroll", "--voices", "file/v.json", "--name", "a", "--no-vad"];
    let commands: [&[&str]; 6] = [
        &["convert", "a.wav", "-o", "file/b.wav"],
        &["models", "convert", "m.safetensors", "file/n.safetensors"],
        &["train", "spot", "--data", "data", "--out", "file/m.safetensors"],
        &["train", "spot", "--data", "data", "--out", "m", "--cache", "file/cache"],
        &["train", "lm", "--text", "texts", "--out", "file/lm.arpa"],
        &[&voices[..], &["a.wav"]].concat(),
    ];
    for arguments in commands {
        place.run(arguments).code(2).says("write to another folder");
    }
}

#[test]
fn w5_a_limit_of_sizes_is_an_error_and_leaves_nothing() {
    let place = Place::new();
    place.file("a.wav", &wav(16_000, 1, &tone(160_000, 16_000.0, 440.0)));
    place.enhancer();
    let before = place.files();
    for arguments in ["convert a.wav -o b.wav", "models convert m.safetensors n.safetensors"] {
        let script = format!("ulimit -f 16; exec {} {arguments}", env!("CARGO_BIN_EXE_formant"));
        let mut command = Command::new("bash");
        let ran = command.args(["-c", &script]).current_dir(place.path("")).output();
        let ran = ran.expect("a shell");
        let text = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.code() == Some(2) && text.contains("ulimit -f"), "{arguments}: {text}");
        assert_eq!(place.files(), before);
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
fn w6_line_ends_and_turned_text_in_names_are_shown() {
    let place = Place::new();
    for name in ["a\nb.wav", "\u{202e}c.wav"] {
        place.file(name, &recording());
    }
    for (name, shown) in [("a\nb.wav", "a\\u000ab.wav"), ("\u{202e}c.wav", "\\u202ec.wav")] {
        let info = place.run(&["info", name]).code(0).text();
        assert!(info.contains(shown) && !info.contains(name), "{info}");
        let ran = place.run(&["convert", name, "-o", "out/"]).code(0).says(shown);
        assert!(!ran.stderr.contains(name), "{}", ran.stderr);
        let line = &place.run(&["info", name, "--json"]).code(0).json()[0];
        assert_eq!(line["input"], name);
    }
    let ran = place.run(&["info", "x\ny.wav"]).code(3).says("x\\u000ay.wav");
    assert!(!ran.stderr.contains("x\ny.wav"), "{}", ran.stderr);
}

#[cfg(target_os = "linux")]
#[test]
fn w6_patterns_pass_by_names_that_are_no_text() {
    use std::os::unix::ffi::OsStrExt;
    let place = Place::new();
    place.file("x1.wav", &recording());
    let odd = std::ffi::OsStr::from_bytes(b"x\xff.wav");
    std::fs::copy(place.path("x1.wav"), place.path("").join(odd)).expect("a copy");
    let text = place.run(&["info", "x*.wav"]).code(0).text();
    assert!(text.contains("x1.wav") && text.contains("x\u{fffd}.wav"), "{text}");
}

/// Interrupts a command twice, so that it ends while its network computes.
fn interrupt_twice(place: &Place, arguments: &[&str], begins: &str) -> String {
    use std::io::{BufRead, BufReader, Read};
    let mut command = place.command(arguments);
    let mut child =
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    let mut stderr = BufReader::new(child.stderr.take().expect("piped"));
    let mut text = String::new();
    while !text.contains(begins) && stderr.read_line(&mut text).expect("text") > 0 {}
    std::thread::sleep(std::time::Duration::from_millis(700));
    for _ in 0..2 {
        let kill = format!("kill -INT {}", child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().expect("a shell").success());
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    stderr.read_to_string(&mut text).expect("text");
    assert_eq!(child.wait().expect("it ends").code(), Some(130), "{text}");
    text
}

#[test]
fn a_second_interrupt_ends_networks_quietly() {
    let place = Place::new();
    let song = wav(44_100, 1, &tone(90 * 44_100, 44_100.0, 440.0));
    place.file("song.wav", &song);
    let stems = ["stems", "song.wav", "-o", "out/"];
    for _ in 0..3 {
        let text = interrupt_twice(&place, &stems, "model stems-vocals");
        let last = text.lines().skip_while(|line| line.starts_with("model ")).collect::<Vec<_>>();
        assert!(matches!(last[..], [line] if line.starts_with("interrupted")), "{text}");
    }
    assert!(!place.exists("out/song_vocals.wav"));
}

#[test]
fn notes_come_in_the_order_of_the_inputs() {
    let place = Place::new();
    place.file("in/00.wav", &wav(48_000, 1, &tone(60 * 48_000, 48_000.0, 440.0)));
    for n in 1..20 {
        place.file(&format!("in/{n:02}.wav"), &recording());
    }
    let ran = place.run(&["resample", "in", "--rate", "44100", "-o", "out", "--jobs", "4"]).code(0);
    let named = ran.stderr.lines().filter_map(|line| line.split_once(" -> "));
    let names: Vec<&str> = named.map(|(name, _)| name).collect();
    assert!(names.len() == 20 && names.is_sorted(), "{names:?}");
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

#[test]
fn f4_tracks_are_chosen_by_number_and_language() {
    let place = Place::new();
    let (one, two) = (tone(4800, 16_000.0, 300.0), tone(8000, 16_000.0, 500.0));
    place.file("two.mkv", &matroska(&[("eng", &one), ("deu", &two)]));
    for (track, samples) in [("1", &one), ("eng", &one), ("2", &two), ("deu", &two)] {
        let convert = ["convert", "two.mkv", "--bits", "s16", "-o", "x.wav", "--overwrite"];
        place.run(&[&convert[..], &["--track", track]].concat()).code(0);
        assert_eq!(&Parsed::of(&place.read("x.wav")).s16(), samples, "{track}");
    }
    place.run(&["info", "two.mkv", "--track", "fra"]).code(3);
}

#[test]
fn f4_live_files_tell_times_on_either_clock() {
    let place = Place::new();
    place.file("late.webm", &shifted(250));
    let first = |more: &[&str]| {
        let listen = ["listen", "--level", "--json", "--file", "late.webm"];
        let lines = place.run(&[&listen[..], more].concat()).code(0).json();
        let level = lines.iter().find(|line| line["type"] == "level").expect("a level");
        level["at"].as_f64().expect("seconds")
    };
    let (file, audio) = (first(&[]), first(&["--clock", "audio"]));
    assert!((file - audio - 0.25).abs() < 1e-6, "{file} {audio}");
}

/// `-o` by every command that writes files: a folder is a folder, an ending that is none of the
/// command's is refused, and one file does not take the results of several inputs.
#[test]
fn o_means_the_same_for_every_command() {
    let place = Place::new();
    for name in ["a.wav", "b.wav"] {
        place.file(name, &wav(16_000, 1, &tone(16_000, 16_000.0, 440.0)));
    }
    place.enhancer();
    let commands: [(&[&str], &str, &str, &str); 9] = [
        (&["convert"], "wav", "a.wav", "mp3"),
        (&["resample", "--rate", "8000"], "flac", "a.wav", "mp3"),
        (&["enhance", "--model", "m.safetensors"], "wav", "a.wav", "mp3"),
        (&["features"], "npy", "a.npy", "jpg"),
        (&["plot"], "png", "a.png", "jpg"),
        (&["spot"], "csv", "a.txt", "doc"),
        (&["transcribe"], "srt", "a.txt", "doc"),
        (&["speaker", "embed", "--no-vad"], "npy", "a.npy", "doc"),
        (&["vad"], "rttm", "a.txt", "doc"),
    ];
    for (command, ending, in_folder, wrong) in commands {
        let run = |more: &[&str]| place.run(&[command, more].concat());
        let name = command[0];
        let folder = format!("out.{name}/");
        run(&["a.wav", "-o", &folder]).code(0);
        assert!(place.exists(&format!("{folder}{in_folder}")), "{name}: {:?}", place.files());
        let file = format!("{name}.{ending}");
        run(&["a.wav", "-o", &file]).code(0);
        assert!(place.path(&file).is_file(), "{name}");
        let refused = run(&["a.wav", "-o", &format!("x.{wrong}")]).code(2);
        assert!(refused.stderr.contains(wrong), "{name}: {}", refused.stderr);
        assert!(!place.exists(&format!("x.{wrong}")), "{name}");
        let together = format!("{name}-all.{ending}");
        let ran = run(&["a.wav", "b.wav", "-o", &together]);
        match name {
            // Words, segments and pictures of several inputs have room in one file.
            "spot" | "plot" | "vad" => drop(ran.code(0)),
            _ => {
                ran.code(2).says("several inputs");
                assert!(!place.exists(&together), "{name}");
            }
        }
    }
    assert!(place.read("spot.csv").starts_with(b"input,start,end,score,word\n"));
}

#[test]
fn files_that_are_skipped_and_clashes_are_told_at_once() {
    let place = Place::new();
    for name in ["in/a.wav", "in/a.wave", "in/b.wav", "in/b.wave"] {
        place.file(name, &recording());
    }
    for name in ["in/notes.txt", "in/more.txt", "in/cover.jpg"] {
        place.file(name, b"none");
    }
    let ran = place.run(&["convert", "in", "-o", "out"]);
    let skipped = "3 files skipped for the ending: 2 .txt, 1 .jpg";
    assert_eq!(ran.stderr.matches(skipped).count(), 1, "{}", ran.stderr);
    for clash in ["out/a.wav of in/a.wav, in/a.wave", "out/b.wav of in/b.wav, in/b.wave"] {
        assert!(ran.stderr.contains(clash), "{}", ran.stderr);
    }
    place.run(&["convert", "in", "-o", "out", "--keep-extension"]).code(0);
    for name in ["out/a.wav.wav", "out/a.wave.wav", "out/b.wave.wav"] {
        assert!(place.exists(name), "{name}");
    }
}
