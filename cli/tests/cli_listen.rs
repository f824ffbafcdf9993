//! `formant listen` without a microphone: files, standard input, takes, cleaned speech, and what it
//! says when there is no device.

mod support;

use std::io::{Read, Write};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{Parsed, Place, wav, wav_f32};

fn sample(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples").join(name).display().to_string()
}

/// Words and where they begin, from the lines of one type.
fn words(lines: &[Value], kind: &str) -> Vec<(String, f64)> {
    let found = lines.iter().filter(|line| line["type"] == kind);
    found
        .map(|line| {
            let word = line["word"].as_str().expect("a word").to_owned();
            (word, line["start"].as_f64().expect("seconds"))
        })
        .collect()
}

#[track_caller]
fn same(live: &[(String, f64)], offline: &[(String, f64)]) {
    let close = live.iter().zip(offline).all(|(a, b)| a.0 == b.0 && (a.1 - b.1).abs() <= 0.05);
    assert!(!offline.is_empty() && live.len() == offline.len() && close, "{live:?}\n{offline:?}");
}

fn kinds(lines: &[Value]) -> Vec<&str> {
    lines.iter().filter_map(|line| line["type"].as_str()).collect()
}

#[test]
fn words_are_where_spot_finds_them_at_any_pace() {
    let (place, stream) = (Place::new(), sample("keyword_stream_16k.wav"));
    let offline = words(&place.run(&["spot", "--json", &stream]).code(0).json(), "detection");
    let fast = place.run(&["listen", "--spot", "--json", "--file", &stream]).code(0).json();
    same(&words(&fast, "keyword"), &offline);
    let kinds = kinds(&fast);
    assert_eq!((kinds[0], kinds[kinds.len() - 1]), ("started", "finished"));
    let end = fast.last().expect("an end");
    assert_eq!((&end["reason"], &end["lost_frames"]), (&"end".into(), &0.into()));

    let arguments =
        ["listen", "--spot", "--json", "--stats", "--realtime", "--file", &stream, "--for", "5"];
    let paced = place.run(&arguments).code(0).json();
    let end = paced.iter().find(|line| line["type"] == "finished").expect("an end");
    assert_eq!((&end["reason"], &end["seconds"]), (&"stopped".into(), &5.0.into()));
    let before: Vec<_> = offline.iter().filter(|(_, start)| *start < 4.0).cloned().collect();
    let live = words(&paced, "keyword");
    same(&live[..before.len().min(live.len())], &before);
    let stats = paced.last().expect("figures");
    assert_eq!((&stats["type"], &stats["lost_frames"]), (&"stats".into(), &0.into()));
    let stages: Vec<&str> = stats["stages"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|stage| stage["stage"].as_str())
        .collect();
    for stage in ["capture", "resample", "spot: wait", "spot: work", "spot: capture to event"] {
        assert!(stages.contains(&stage), "{stages:?}");
    }

    let clip = Parsed::of(&std::fs::read(&stream).expect("a sample"));
    let bytes: Vec<u8> = clip.s16().iter().flat_map(|x| x.to_le_bytes()).collect();
    for format in ["s16le:16000:1", "16000,s16le,1"] {
        let piped = place.feed(&["listen", "--spot", "--json", "--raw", format, "-"], &bytes);
        same(&words(&piped.code(0).json(), "keyword"), &offline);
    }
    // As text, in the form of `spot`; and a file through standard input.
    let text = place.feed(&["listen", "--spot", "-"], &std::fs::read(&stream).expect("a sample"));
    assert_eq!(text.code(0).text(), place.run(&["spot", &stream]).code(0).text());
}

#[test]
fn captions_are_those_of_the_whole_recording() {
    let place = Place::new();
    for name in ["keyword_stream_16k.wav", "speech_en_female_a1_24k.wav"] {
        let input = sample(name);
        let offline = place.run(&["transcribe", &input]).code(0).text();
        let live = place.run(&["listen", "--transcribe", "--file", &input]).code(0).text();
        let same = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(same(&live), same(&offline), "{name}");
    }
}

#[test]
fn several_tasks_hear_one_source() {
    let (place, stream) = (Place::new(), sample("keyword_stream_16k.wav"));
    let all = [
        "listen",
        "--json",
        "--file",
        &stream,
        "--spot",
        "--transcribe",
        "--level",
        "--record",
        "take.wav",
    ];
    let lines = place.run(&all).code(0).json();
    let kinds = kinds(&lines);
    for kind in ["level", "keyword", "partial", "final", "started", "finished"] {
        assert!(kinds.contains(&kind), "{kind}: {kinds:?}");
    }
    // The take holds what was heard.
    let original = Parsed::of(&std::fs::read(&stream).expect("a sample"));
    assert_eq!(Parsed::of(&place.read("take.wav")).s16(), original.s16());
    place.run(&all).code(2).says("exists already");
    let text = place.run(&["listen", "--spot", "--level", "--file", &stream]).code(0).text();
    assert!(text.contains("word ") && text.contains("level "), "{text}");
}

#[test]
fn known_voices_are_named() {
    let place = Place::new();
    for (name, clip) in
        [("ada", "speech_en_female_a1_24k.wav"), ("bob", "speech_en_male_b1_24k.wav")]
    {
        let clip = sample(clip);
        let enroll = ["speaker", "enroll", "--voices", "v.json", "--name", name, &clip];
        place.run(&enroll).code(0);
    }
    for clip in ["speech_en_female_a2_24k.wav", "speech_en_male_b2_24k.wav"] {
        let clip = sample(clip);
        let offline = ["speaker", "identify", "--json", "--voices", "v.json", &clip];
        let offline = &place.run(&offline).code(0).json()[0];
        let live = ["listen", "--json", "--speaker", "--voices", "v.json", "--file", &clip];
        let lines = place.run(&live).code(0).json();
        let voices: Vec<&Value> = lines.iter().filter(|line| line["type"] == "speaker").collect();
        let last = voices.last().expect("somebody speaks");
        assert_eq!(last["progress"], "ended");
        assert!(last["end"].as_f64() > last["start"].as_f64());
        // Whoever it is, the same voice is the most alike one.
        assert_eq!(last["name"], offline["name"], "{voices:?}");
    }
}

#[test]
fn enhanced_speech_has_the_length_of_what_was_heard() {
    let (place, input) = (Place::new(), sample("speech_noisy_5db_16k.wav"));
    place.enhancer();
    let original = Parsed::of(&std::fs::read(&input).expect("a sample")).s16();
    let arguments = |more: &[&'static str]| {
        let mut all = vec!["listen", "--enhance", "--enhance-model", "m.safetensors", "--file"];
        all.push(&input);
        all.extend(["--enhanced", "out.wav"]);
        all.extend(more);
        place.run(&all)
    };
    arguments(&[]).code(0).says("at most 0.5").says("out.wav");
    let clean = place.read("out.wav");
    assert_eq!(Parsed::of(&clean).s16().len(), original.len());
    arguments(&[]).code(2).says("exists already");
    arguments(&["--overwrite", "--threads", "1"]).code(0);
    assert_eq!(place.read("out.wav").len(), clean.len());
    // Nothing of the cleaned signal is the recording itself, in its place.
    arguments(&["--overwrite", "--mix", "0"]).code(0);
    let dry = Parsed::of(&place.read("out.wav")).s16();
    assert!(dry.iter().zip(&original).all(|(a, b)| (i32::from(*a) - i32::from(*b)).abs() <= 1));

    let more = ["--overwrite", "--realtime", "--for", "2", "--json", "--stats", "--latency", "0.3"];
    let lines = arguments(&more).code(0).json();
    let kinds = kinds(&lines);
    assert_eq!((kinds[0], kinds[kinds.len() - 1]), ("started", "stats"));
    let begun = lines.iter().find(|line| line["type"] == "enhancing").expect("what to expect");
    let latency = begun["latency"].as_f64().expect("seconds");
    assert!((0.2..=0.341).contains(&latency) && begun["rate"] == 16_000, "{begun}");
    let pieces: Vec<&Value> = lines.iter().filter(|line| line["type"] == "enhanced").collect();
    assert!(pieces.len() > 3);
    let stats = lines.last().expect("figures");
    assert_eq!(stats["underruns"], 0);
    let stages: Vec<&str> = stats["stages"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|stage| stage["stage"].as_str())
        .collect();
    for stage in ["enhance: wait", "enhance: work", "enhance: capture to output"] {
        assert!(stages.contains(&stage), "{stages:?}");
    }
    assert_eq!(Parsed::of(&place.read("out.wav")).s16().len(), 32_000);
}

#[test]
fn a_band_is_widened_live_at_48_khz() {
    let (place, input) = (Place::new(), sample("speech_narrowband_8k.wav"));
    let frames = Parsed::of(&std::fs::read(&input).expect("a sample")).s16().len();
    let listen = ["listen", "--superres", "--latency", "0.6", "--widened", "out.wav", "--file"];
    let ran = place.run(&[&listen[..], &[&input, "--json"]].concat()).code(0);
    let lines = ran.json();
    let begun = lines.iter().find(|line| line["type"] == "enhancing").expect("what to expect");
    let latency = begun["latency"].as_f64().expect("seconds");
    assert!((0.4..=0.641).contains(&latency) && begun["rate"] == 48_000, "{begun}");
    assert_eq!(Parsed::of(&place.read("out.wav")).s16().len(), 6 * frames);
}

#[test]
fn enhancement_needs_a_place_and_a_model() {
    let place = Place::new();
    place.file("a.wav", &wav(16_000, 1, &[0; 1600]));
    place.file("m.safetensors", b"none");
    let listen = |more: &[&str]| {
        let mut all = vec!["listen", "--file", "a.wav"];
        all.extend(more);
        place.run(&all)
    };
    listen(&["--enhance"]).code(2).says("--enhanced FILE");
    listen(&["--enhanced", "b.wav"]).code(2).says("--enhance");
    listen(&["--play"]).code(2).says("--enhance");
    listen(&["--superres"]).code(2).says("--enhanced FILE");
    listen(&["--superres", "--enhance", "--widened", "b.wav"]).code(2).says("--enhance");
    let both = ["--enhance", "--enhanced", "b.wav", "--record", "b.wav"];
    listen(&both).code(2).says("--record");
    if !formant_models::registry::BUNDLED.iter().any(|model| model.task == "enhance") {
        listen(&["--enhance", "--enhanced", "b.wav"]).code(2).says("--enhance-model mossformer2");
    }
    let named = ["--enhance", "--enhanced", "b.wav", "--enhance-model", "m.safetensors"];
    listen(&named).code(4);
    assert!(!place.exists("b.wav"));
    place.enhancer();
    let with = |more: &[&'static str]| listen(&[&named[..], more].concat());
    with(&["--latency", "0.01"]).code(2).says("or more");
    with(&["--context", "-1"]).code(2);
    with(&["--mix", "2"]).code(2).says("mix");
    assert!(!place.exists("b.wav"));
    let device = with(&["--play=surely-no-such-device"]).code(5);
    let names =
        device.stderr.contains("there are:") || device.stderr.contains("install the package");
    assert!(names && device.stderr.contains("to do:"), "{}", device.stderr);
}

#[test]
fn takes_survive_a_crash() {
    let (place, stream) = (Place::new(), sample("keyword_stream_16k.wav"));
    let arguments = ["listen", "--file", &stream, "--realtime", "--record", "take.wav"];
    let mut child = place
        .command(&arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    let deadline = Instant::now() + Duration::from_secs(30);
    let size = || std::fs::metadata(place.path("take.wav")).map_or(0, |meta| meta.len());
    while size() < 64_000 {
        assert!(Instant::now() < deadline, "nothing is written");
        std::thread::sleep(Duration::from_millis(20));
    }
    // Not even a chance to clean up.
    child.kill().expect("killed");
    child.wait().expect("ended");
    let info = &place.run(&["info", "--json", "take.wav"]).code(0).json()[0];
    assert_eq!(info["warnings"], serde_json::json!([]), "{info}");
    let take = Parsed::of(&place.read("take.wav")).s16();
    let original = Parsed::of(&std::fs::read(&stream).expect("a sample")).s16();
    assert!(take.len() >= 28_000 && original.starts_with(&take), "{}", take.len());
}

#[test]
fn what_cannot_be_done_is_said() {
    let place = Place::new();
    place.file("a.wav", &wav(16_000, 1, &[0; 1600]));
    place.run(&["listen"]).code(2).says("--spot");
    let nowhere = ["listen", "--enhance", "--enhanced", "no/folder/a.wav", "--file", "a.wav"];
    place.run(&nowhere).code(2);
    place.run(&["listen", "--spot", "--realtime"]).code(2).says("--file");
    place.run(&["listen", "--spot", "--raw", "s16le:16000:1"]).code(2).says("--file");
    place.run(&["listen", "--spot", "--raw", "s17:16000:1", "-"]).code(2).says("s17");
    place.run(&["listen", "--spot", "--file", "a.wav", "--device", "x"]).code(2).says("--device");
    place.run(&["listen", "--speaker", "--file", "a.wav"]).code(2).says("--voices");
    place.run(&["listen", "--spot", "--words", "nosuchword", "--file", "a.wav"]).code(2);
    place.run(&["listen", "--level", "--for", "0", "--file", "a.wav"]).code(2).says("--for");
    place.run(&["listen", "--level", "--file", "none.wav"]).code(3).says("none.wav");
    place.run(&["listen", "--spot", "--spot-model", "no-model", "--file", "a.wav"]).code(4);
    place.run(&["listen", "--level", "--run-on", "warp", "--file", "a.wav"]).code(2);
    let take = ["listen", "--record", "no/folder/take.wav", "--file", "a.wav"];
    place.run(&take).code(2).says("no/folder/take.wav");
    place.run(&["listen", "--record", "take.mp3", "--file", "a.wav"]).code(2).says("mp3");
    // Either there is no sound library, or there is no such device; both say what to do.
    let ran = place.run(&["listen", "--level", "--device", "surely-no-such-device"]).code(5);
    let names = ran.stderr.contains("there are:") || ran.stderr.contains("install the package");
    assert!(names && ran.stderr.contains("to do:"), "{}", ran.stderr);
}

#[test]
fn who_reads_no_more_ends_it() {
    let place = Place::new();
    let mut child = place
        .command(&["listen", "--level", "--json", "--raw", "s16le:16000:1", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    let mut input = child.stdin.take().expect("piped");
    let mut first = [0; 10];
    input.write_all(&[0; 32_000]).expect("a second is heard");
    child.stdout.take().expect("piped").read_exact(&mut first).expect("a line");
    // Its input does not end, so that nothing but the closed output can end it.
    let heard = (0..3600).take_while(|_| input.write_all(&[0; 32_000]).is_ok()).count();
    assert!(heard < 3600, "it listens to an hour that nobody reads about");
    assert_eq!(child.wait().expect("ends").code(), Some(0));
}

#[test]
fn w1_channels_of_a_file_are_chosen_as_elsewhere() {
    let place = Place::new();
    // Silence on the left, a tone on the right.
    let tone = |frame: usize| (frame as f32 * 0.2).sin() * 0.5;
    let frames = (0..16_000).flat_map(|frame| [0.0, tone(frame)]);
    let bytes = wav_f32(16_000, 2, &frames.collect::<Vec<_>>());
    place.file("call.wav", &bytes);
    let loudest = |channels: &str| {
        let listen = ["listen", "--level", "--json", "--file", "call.wav", "--channels", channels];
        let lines = place.run(&listen).code(0).json();
        let peaks = lines.iter().filter_map(|line| line["peak_dbfs"].as_f64());
        peaks.fold(f64::NEG_INFINITY, f64::max)
    };
    assert!(loudest("left") < -100.0, "{}", loudest("left"));
    for right in ["right", "2"] {
        assert!((loudest(right) + 6.02).abs() < 0.1, "{right}: {}", loudest(right));
    }
    let piped = ["listen", "--record", "take.wav", "-", "--channels", "2,1"];
    place.feed(&piped, &bytes).code(0);
    let info = place.run(&["info", "--json", "take.wav"]).code(0).json();
    assert_eq!(info[0]["channels"], 2);
    // Samples without a header: silence and a ramp, side by side.
    let samples: Vec<u8> =
        (0..16_000i16).flat_map(|n| [[0; 2], (n % 99 * 300).to_le_bytes()].concat()).collect();
    let raw = |channels| {
        let listen = ["listen", "--level", "--json", "-", "--raw", "s16le:16000:2", "--channels"];
        place.feed(&[&listen[..], &[channels]].concat(), &samples)
    };
    let silent = |channels| {
        let levels = raw(channels).code(0).json();
        levels.iter().filter(|line| line["type"] == "level").all(|line| line["peak_dbfs"].is_null())
    };
    assert!(silent("left") && !silent("2"));
    raw("3").code(3);
    let listen = |channels| ["listen", "--level", "--file", "call.wav", "--channels", channels];
    let ran = place.run(&listen("each")).code(2).says("--channels");
    assert!(!ran.stderr.contains("right, each"), "{}", ran.stderr);
    place.run(&listen("3")).code(3).says("call.wav");
    place.run(&["listen", "--level", "--channels", "left"]).code(2).says("how many channels");
}

#[test]
fn w5_samples_that_are_no_numbers_are_told_once() {
    let place = Place::new();
    let mut samples = vec![0.1f32; 16_000];
    samples[5000..5003].fill(f32::NAN);
    place.file("odd.wav", &wav_f32(16_000, 1, &samples));
    let ran = place.run(&["listen", "--level", "--file", "odd.wav"]).code(0);
    let warnings: Vec<&str> =
        ran.stderr.lines().filter(|line| line.starts_with("warning")).collect();
    assert!(matches!(warnings[..], [line] if line.contains("3 samples")), "{warnings:?}");
}
