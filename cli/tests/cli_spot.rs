//! `formant train spot`, `formant spot` and `formant eval spot`, with a model that is trained for
//! a moment: what it hears means nothing, but it must hear it always and everywhere the same.

mod support;

use std::sync::OnceLock;

use support::{Place, tone, wav};

const RECIPE: &str = r#"{
    "network": {"dim": 16, "num_heads": 1, "seq_len": 24, "theta": 20.0},
    "context_frames": 8, "window_frames": 20, "epochs": 1, "steps_per_epoch": 3, "batch": 4
}"#;

/// Two words, high and low tones, with splits.
fn data(place: &Place) {
    let mut table = "path\tlabel\tsplit\tspeaker\n".to_owned();
    for n in 0..12usize {
        let (label, hertz) = if n % 2 == 0 { ("high", 2000.0) } else { ("low", 300.0) };
        let name = format!("clips/{label}{n}.wav");
        place.wav(&name, &tone(3200 + 40 * n, 16_000.0, hertz + 5.0 * n as f32));
        let split = if n < 8 { "train" } else { "dev" };
        table += &format!("{name}\t{label}\t{split}\ts{n}\n");
    }
    place.file("words.tsv", table.as_bytes());
    place.file("recipe.json", RECIPE.as_bytes());
}

/// The bytes of the model, trained once.
fn model() -> &'static [u8] {
    static MODEL: OnceLock<Vec<u8>> = OnceLock::new();
    MODEL.get_or_init(|| {
        let place = Place::new();
        data(&place);
        let train = [
            "train",
            "spot",
            "--data",
            "words.tsv",
            "--recipe",
            "recipe.json",
            "--seed",
            "5",
            "--threads",
            "1",
            "-o",
            "words.safetensors",
        ];
        let ran = place.run(&train).code(0);
        assert!(ran.text().contains("words.safetensors"), "{}", ran.text());
        // An existing model is not replaced unasked, and no state is left behind.
        place.run(&train).code(2).says("exists already");
        assert!(!place.exists("words.safetensors.state"));
        place.read("words.safetensors")
    })
}

/// A place with the model and three recordings.
fn ready() -> Place {
    let place = Place::new();
    place.file("m.safetensors", model());
    for (n, hertz) in [300.0, 2000.0, 900.0].into_iter().enumerate() {
        let mut samples = vec![0; 8000];
        samples.extend(tone(4000, 16_000.0, hertz));
        samples.extend(vec![0; 12_000]);
        place.file(&format!("in/{n}.wav"), &wav(16_000, 1, &samples));
    }
    place
}

fn spot(place: &Place, more: &[&str]) -> support::Ran {
    let start = ["spot", "--model", "m.safetensors", "--threshold", "0.05", "--threads", "1"];
    place.run(&[&start[..], more].concat())
}

#[test]
fn words_are_listed() {
    let place = ready();
    let ran = place.run(&["spot", "--model", "m.safetensors", "--list-words"]).code(0);
    assert_eq!(ran.text(), "high\nlow\n");
    let info = place.run(&["models", "info", "m.safetensors"]).code(0);
    assert!(info.text().contains("lmuformer"), "{}", info.text());
}

#[test]
fn detections_have_times_and_scores() {
    let place = ready();
    let lines = spot(&place, &["in/0.wav", "--json"]).code(0).json();
    let (end, found) = lines.split_last().expect("a last line");
    assert_eq!((&end["type"], &end["input"]), (&"spot".into(), &"in/0.wav".into()));
    assert_eq!(end["detections"].as_u64(), Some(found.len() as u64));
    assert!((end["duration"].as_f64().expect("seconds") - 1.5).abs() < 1e-9);
    assert!(!found.is_empty(), "a threshold of 0.05 finds something");
    for line in found {
        let number = |name: &str| line[name].as_f64().expect("a number");
        assert_eq!(line["type"], "detection");
        assert!(number("start") >= 0.0 && number("start") <= number("end") && number("end") <= 1.5);
        assert!((0.05..=1.0).contains(&number("score")));
        assert!(["high", "low"].contains(&line["word"].as_str().expect("a word")));
    }
    let csv = spot(&place, &["in/0.wav", "--format", "csv"]).code(0).text();
    assert_eq!(csv.lines().count(), 1 + found.len());
    assert_eq!(csv.lines().next(), Some("input,start,end,score,word"));
}

/// S3: the same text for one by one and a batch, any order, any number of jobs, file and stream.
#[test]
fn s3_transcripts_do_not_depend_on_the_batch() {
    let place = ready();
    let all = spot(&place, &["in", "--format", "csv"]).code(0).text();
    assert_eq!(spot(&place, &["in", "--format", "csv"]).text(), all);
    assert_eq!(spot(&place, &["in", "--format", "csv", "--jobs", "3"]).text(), all);
    let header = "input,start,end,score,word\n";
    let single = |n: usize| {
        let text = spot(&place, &[&format!("in/{n}.wav"), "--format", "csv"]).code(0).text();
        text.strip_prefix(header).expect("a header").to_owned()
    };
    assert_eq!(format!("{header}{}{}{}", single(0), single(1), single(2)), all);
    let reversed = spot(&place, &["in/2.wav", "in/1.wav", "in/0.wav", "--format", "csv"]).text();
    assert_eq!(reversed, format!("{header}{}{}{}", single(2), single(1), single(0)));
    let arguments = [
        "spot",
        "--model",
        "m.safetensors",
        "--threshold",
        "0.05",
        "--threads",
        "1",
        "--format",
        "csv",
        "-",
    ];
    let piped = place.feed(&arguments, &place.read("in/1.wav")).code(0).text();
    assert_eq!(piped.replace("-,", "in/1.wav,"), format!("{header}{}", single(1)));
    spot(&place, &["in", "--format", "csv", "-o", "found.csv", "--jobs", "3"]).code(0);
    assert_eq!(place.read("found.csv"), all.as_bytes());
}

#[test]
fn thresholds_and_words_are_checked() {
    let place = ready();
    assert_eq!(spot(&place, &["in/0.wav", "--threshold", "1"]).code(0).text(), "");
    let only = spot(&place, &["in", "--words", "low", "--json"]).code(0).json();
    assert!(only.iter().all(|line| line["type"] == "spot" || line["word"] == "low"));
    spot(&place, &["in/0.wav", "--threshold", "nobody=0.5"]).code(2).says("nobody");
    spot(&place, &["in/0.wav", "--threshold", "2"]).code(2).says("0 to 1");
    spot(&place, &["in/0.wav", "--words", "nobody"]).code(2).says("high");
    spot(&place, &["in/0.wav", "--precision", "f16"]).code(2);
}

#[test]
fn models_that_do_not_work_are_status_4_and_devices_5() {
    let place = ready();
    place.file("bad.safetensors", b"rubbish");
    for model in ["bad.safetensors", "missing.safetensors", "no-such-name"] {
        place.run(&["spot", "--model", model, "in/0.wav"]).code(4);
    }
    spot(&place, &["--device", "cuda:99", "in/0.wav"]).code(5).says("cuda:99");
    spot(&place, &["--device", "abacus", "in/0.wav"]).code(2);
    spot(&place, &["nope.wav"]).code(3);
    let lines = spot(&place, &["nope.wav", "in/0.wav", "--format", "jsonl"]).code(1).json();
    assert_eq!(lines[0]["type"], "error");
}

/// S8, S9: short input, silence and rubbish samples have defined answers.
#[test]
fn s8_s9_odd_inputs() {
    let place = ready();
    for frames in [0usize, 1, 79, 400, 1600] {
        place.wav("short.wav", &vec![100; frames]);
        place.run(&["spot", "--model", "m.safetensors", "short.wav"]).code(0);
    }
    let mut samples = vec![0.1f32; 16_000];
    (samples[100], samples[200], samples[300]) = (f32::NAN, f32::INFINITY, -1e30);
    place.file("nan.wav", &support::wav_f32(16_000, 1, &samples));
    spot(&place, &["nan.wav"]).code(0).says("3 samples");
    spot(&place, &["nan.wav", "--strict"]).code(3);
}

#[test]
fn evaluation_ends_with_a_summary() {
    let place = ready();
    data(&place);
    place.wav("noise/a.wav", &vec![0; 32_000]);
    let ran = place.run(&[
        "eval",
        "spot",
        "--model",
        "m.safetensors",
        "--manifest",
        "words.tsv",
        "--split",
        "dev",
        "--negatives",
        "noise",
        "--json",
        "--threads",
        "1",
    ]);
    let lines = ran.code(0).json();
    let summary = lines.last().expect("a summary");
    assert_eq!(summary["type"], "summary");
    assert_eq!((&summary["items"], &summary["failed"]), (&5.into(), &0.into()));
    let accuracy = summary["accuracy"].as_f64().expect("a share");
    assert!((0.0..=1.0).contains(&accuracy));
    assert!(summary["false_alarms_per_hour"].as_f64().is_some_and(|count| count >= 0.0));
    let text = place.run(&["eval", "spot", "--model", "m.safetensors", "--manifest", "words.tsv"]);
    assert!(text.code(0).text().contains("high"));
    place
        .run(&[
            "eval",
            "spot",
            "--model",
            "m.safetensors",
            "--manifest",
            "words.tsv",
            "--split",
            "nope",
        ])
        .code(2)
        .says("dev");
    place.run(&["eval", "spot", "--model", "m.safetensors"]).code(2);

    // Tables may be quoted; what fails is told in JSON, too.
    place.file("few.csv", b"path,label\r\n\"clips/a, b.wav\",high\r\nnone.wav,low\r\n");
    place.wav("clips/a, b.wav", &vec![0; 16_000]);
    let few = ["eval", "spot", "--model", "m.safetensors", "--manifest", "few.csv", "--json"];
    let lines = place.run(&few).code(1).says("none.wav").json();
    let failures: Vec<_> = lines.iter().filter(|line| line["type"] == "error").collect();
    assert_eq!((failures.len(), &failures[0]["input"]), (1, &"none.wav".into()));
    assert_eq!(lines.last().expect("a summary")["items"], 1);
    let ran = place.run(&few[..few.len() - 1]).code(1);
    assert!(ran.text().ends_with("1 recording, 1 failed\n"), "{}", ran.text());
}

#[test]
fn training_data_is_checked() {
    let place = Place::new();
    place
        .run(&["train", "spot", "--data", "none.tsv", "-o", "m.safetensors"])
        .code(3)
        .says("none.tsv");
    data(&place);
    let words =
        ["train", "spot", "--data", "words.tsv", "--words", "high,never", "-o", "m.safetensors"];
    place.run(&words).code(3).says("never");
    place.file("bad.json", b"{\"epochs\": 0}");
    place
        .run(&[
            "train",
            "spot",
            "--data",
            "words.tsv",
            "--recipe",
            "bad.json",
            "-o",
            "m.safetensors",
        ])
        .code(2)
        .says("epochs");
    assert!(!place.exists("m.safetensors"));
}

/// A stereo recording with one side inverted is heard, and told.
#[test]
fn w1_channels_in_anti_phase_are_heard_by_speech_commands() {
    let place = Place::new();
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/../samples/keyword_stream_16k.wav");
    let options = formant_audio_core::decode::DecodeOptions::default();
    let clip =
        formant_audio_core::decode::decode_file(sample.as_ref(), &options).expect("a sample");
    let samples = clip.audio.channel(0).iter().flat_map(|x| {
        let x = (x * 32_767.0) as i16;
        [x, -x]
    });
    place.file("inverted.wav", &wav(16_000, 2, &samples.collect::<Vec<_>>()));
    let found = place.run(&["spot", "inverted.wav"]).code(0).says("cancel");
    for word in ["yes", "stop", "down"] {
        assert!(found.text().contains(word), "{word}: {}", found.text());
    }
    place.run(&["transcribe", "inverted.wav"]).code(0).says("cancel");
    place.run(&["speaker", "embed", "inverted.wav", "-o", "v.json"]).says("cancel");
}

/// The ending of `-o` chooses the format; a folder has a file an input.
#[test]
fn words_are_written_as_annotations() {
    let place = ready();
    let found = spot(&place, &["in/0.wav", "--json"]).code(0).json().len() - 1;
    for (ending, start) in [
        ("csv", "input,start,end,score,word\n"),
        ("srt", "1\n00:00:0"),
        ("vtt", "WEBVTT\n\n"),
        ("TextGrid", "File type = \"ooTextFile\""),
    ] {
        let output = format!("w.{ending}");
        spot(&place, &["in/0.wav", "-o", &output]).code(0);
        let text = String::from_utf8(place.read(&output)).expect("text");
        assert!(text.starts_with(start), "{ending}: {text}");
    }
    let line = spot(&place, &["in", "--format", "labels", "-o", "out/", "--json"]).code(0).json();
    assert_eq!(line[0]["output"], "out/0.txt");
    let labels = String::from_utf8(place.read("out/0.txt")).expect("text");
    assert_eq!(labels.lines().count(), found);
    spot(&place, &["in", "-o", "all.srt"]).code(2).says("several inputs");
    let timed = spot(&place, &["in/0.wav", "--timecode"]).code(0).text();
    assert!(timed.contains("0:00.") || timed.contains("0:01."), "{timed}");
}

/// A folder of two words by twelve people: high and low tones.
fn folder(place: &Place) {
    for n in 0..24usize {
        let (label, hertz) = if n % 2 == 0 { ("high", 2000.0) } else { ("low", 300.0) };
        let samples = tone(3200 + 40 * n, 16_000.0, hertz + 5.0 * n as f32);
        place.wav(&format!("my-words/{label}/p{}_{n}.wav", n / 2), &samples);
    }
    place.file("recipe.json", RECIPE.as_bytes());
}

/// The lines of docs/training.md: the clips that the training left out are found by `--split test`,
/// however the folder is typed.
#[test]
fn a_folder_that_was_trained_on_is_measured_on_its_test_clips() {
    let place = Place::new();
    folder(&place);
    let train = "train spot --data my-words/ --out my-words.safetensors --recipe recipe.json";
    let train: Vec<&str> = train.split(' ').collect();
    place.run(&train).code(0).says("no other speech");
    assert!(!place.exists("my-words.safetensors.partial"));
    let full = place.path("my-words").display().to_string();
    for data in ["my-words/", "my-words", "./my-words", &full] {
        let eval = ["eval", "spot", "--model", "my-words.safetensors", "--manifest", data];
        for (split, clips) in [("train", 20), ("dev", 2), ("test", 2)] {
            let lines = place.run(&[&eval[..], &["--split", split, "--json"]].concat()).json();
            assert_eq!(lines.last().expect("a summary")["items"], clips, "{data} {split}");
        }
    }
    place.wav("recording.wav", &tone(16_000, 16_000.0, 500.0));
    place.run(&["spot", "--model", "my-words.safetensors", "recording.wav"]).code(0);
}

/// Without a recipe the training starts from the bundled model.
#[test]
fn the_default_starts_from_the_bundled_model() {
    let place = Place::new();
    folder(&place);
    let short = ["--epochs", "1", "--steps", "1", "--batch", "2"];
    let train = ["train", "spot", "--data", "my-words", "-o", "m.safetensors"];
    place.run(&[&train[..], &short].concat()).code(0).says("a new head");
    let info = place.run(&["models", "info", "m.safetensors"]).code(0);
    assert!(info.text().contains("lmuformer"), "{}", info.text());
    let both = [&train[..], &["--from-scratch", "--start", "spot-commands", "--overwrite"]];
    place.run(&both.concat()).code(2).says("--from-scratch");
}

#[test]
fn what_ruins_a_model_is_told() {
    let place = Place::new();
    place.file("recipe.json", RECIPE.as_bytes());
    for n in 0..6 {
        let (label, hertz) = if n % 2 == 0 { ("high", 2000.0) } else { ("low", 300.0) };
        place
            .wav(&format!("w/{label}/anna_{n}.wav"), &tone(3200, 16_000.0, hertz + 9.0 * n as f32));
    }
    place.wav("w/rare/anna_1.wav", &tone(4000, 16_000.0, 700.0));
    // The same recording as `high/anna_0.wav`.
    place.wav("w/low/anna_x.wav", &tone(3200, 16_000.0, 2000.0));
    place.wav("w/low/more/anna_9.wav", &tone(3200, 16_000.0, 300.0));
    place.wav("w/stray.wav", &tone(3200, 16_000.0, 300.0));
    let train = ["train", "spot", "--data", "w", "--recipe", "recipe.json", "-o", "m.safetensors"];
    place
        .run(&train)
        .code(0)
        .says("`rare` has one clip")
        .says("the same recording under two labels")
        .says("2 recordings were left out")
        .says("all clips are of one speaker, `anna`")
        .says("no other speech");
}
