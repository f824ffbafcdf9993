//! `formant stems`, `formant eval stems` and `formant train stems`, with a published checkpoint of
//! random weights: what it takes for a voice means nothing, but how it says it does.

mod support;

use std::path::Path;

use formant_audio_core::decode::{DecodeOptions, decode_file};
use formant_audio_core::metrics::separation::sdr;
use serde_json::json;
use support::{Place, Ran, tone, wav};

/// A checkpoint with its YAML beside it: one stem of two, chunks of 1280 samples.
fn model() -> String {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.join("../tests/goldens/mel-roformer/containers/plain.ckpt").display().to_string()
}

/// Runs `formant stems ARGUMENTS --model CHECKPOINT`.
fn stems(place: &Place, arguments: &[&str]) -> Ran {
    let model = model();
    let mut all = vec!["stems"];
    all.extend(arguments);
    all.extend(["--model", &model]);
    place.run(&all)
}

/// A second of stereo at `rate` Hz.
fn song(place: &Place, name: &str, rate: u32) {
    let left = tone(rate as usize, rate as f32, 220.0);
    let right = tone(rate as usize, rate as f32, 331.0);
    let both: Vec<i16> = left.iter().zip(&right).flat_map(|(&l, &r)| [l / 2, r / 3]).collect();
    place.file(name, &wav(rate, 2, &both));
}

#[test]
fn stems_have_the_input_s_rate_channels_and_length_and_add_up() {
    for rate in [44_100, 22_050] {
        let place = Place::new();
        song(&place, "song.wav", rate);
        let ran = stems(&place, &["song.wav", "--json"]).code(0);
        let line = &ran.json()[0];
        assert_eq!(line["type"], "stems");
        assert_eq!(line["stems"][0]["stem"], "vocals");
        assert_eq!(line["stems"][1]["stem"], "instrumental");
        assert_eq!(line["stems"][0]["frames"], rate);
        assert_eq!(line["null_test"]["frames"], rate);
        let null = line["null_test"]["residual_dbfs"].as_f64();
        assert!(null.is_none_or(|db| db < -90.0), "{null:?}");
        assert_eq!(place.files(), ["song.wav", "song_instrumental.wav", "song_vocals.wav"]);
        let info = place.run(&["info", "song_vocals.wav", "--json"]).code(0).json();
        assert_eq!((&info[0]["rate"], &info[0]["channels"]), (&json!(rate), &json!(2)));
    }
}

#[test]
fn a_choice_of_stems_a_template_and_a_report() {
    let place = Place::new();
    song(&place, "a.wav", 44_100);
    let ran = stems(&place, &["a.wav", "--report", "--template", "{stem}/{name}", "-o", "out"]);
    let text = ran.code(0).text();
    assert!(text.contains("null test") && text.contains("instrumental"), "{text}");
    assert_eq!(place.files(), ["a.wav", "out/instrumental/a.wav", "out/vocals/a.wav"]);
    stems(&place, &["a.wav", "--stems", "vocals", "-o", "v.flac", "--bits", "s16"]).code(0);
    assert!(place.exists("v.flac"));
    let ran = stems(&place, &["a.wav", "--stems", "bass", "-o", "out2"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("vocals, instrumental"), "{}", ran.stderr);
    assert!(!place.exists("out2"));
}

#[test]
fn channels_are_chosen_as_in_every_command() {
    let place = Place::new();
    song(&place, "a.wav", 22_050);
    let line = &stems(&place, &["a.wav", "--channels", "mix", "--json"]).code(0).json()[0];
    let shape = ["rate", "channels", "frames", "duration"].map(|name| line[name].clone());
    assert_eq!(shape, [json!(22_050), json!(1), json!(22_050), json!(1.0)]);
    let null = line["null_test"]["residual_dbfs"].as_f64();
    assert!(null.is_none_or(|db| db < -90.0), "{null:?}");
    stems(&place, &["a.wav", "--channels", "each"]).code(2).says("each");
}

#[test]
fn outputs_are_not_replaced_and_bad_inputs_stop_nothing() {
    let place = Place::new();
    song(&place, "a.wav", 44_100);
    place.file("b.wav", b"no audio");
    place.file("c.wav", &wav(44_100, 2, &[]));
    let ran = stems(&place, &["a.wav", "b.wav", "c.wav", "-o", "out/", "--json"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("empty input"), "{}", ran.stderr);
    assert_eq!(
        place.files(),
        ["a.wav", "b.wav", "c.wav", "out/a_instrumental.wav", "out/a_vocals.wav"]
    );
    assert_eq!(stems(&place, &["a.wav", "-o", "out/"]).code, 2);
    stems(&place, &["a.wav", "-o", "out/", "--resume"]).code(0);
    stems(&place, &["a.wav", "-o", "out/", "--overwrite"]).code(0);
}

#[test]
fn d3_stems_of_an_earlier_run_are_passed_over() {
    let place = Place::new();
    song(&place, "in/song.wav", 44_100);
    stems(&place, &["in", "--resume"]).code(0);
    let files = place.files();
    assert!(files.len() > 1);
    for _ in 0..2 {
        stems(&place, &["in", "--resume"]).code(0).says("passed over");
        assert_eq!(place.files(), files);
    }
}

#[test]
fn averages_shifts_and_overlaps_change_little_about_the_sum() {
    let place = Place::new();
    song(&place, "a.wav", 44_100);
    let other = model().replace("plain.ckpt", "half.safetensors");
    let more = ["--ensemble", &other, "--shifts", "2", "--augment", "--overlap", "4"];
    let mut all = vec!["a.wav", "--json", "-o", "out/"];
    all.extend(more);
    let line = &stems(&place, &all).code(0).json()[0];
    let null = line["null_test"]["residual_dbfs"].as_f64();
    assert!(null.is_none_or(|db| db < -90.0), "{null:?}");
}

#[test]
fn s14_one_gain_for_all_stems() {
    let place = Place::new();
    let loud: Vec<i16> = tone(44_100, 44_100.0, 220.0).iter().flat_map(|&x| [x, x]).collect();
    place.file("a.wav", &wav(44_100, 2, &loud));
    let arguments = ["a.wav", "--json", "--bits", "s24", "--clip-policy", "scale"];
    let line = &stems(&place, &arguments).code(0).json()[0];
    assert_eq!(line["stems"][0]["gain"], line["stems"][1]["gain"]);
    for stem in line["stems"].as_array().expect("a list") {
        assert_eq!(stem["clipped"], 0);
    }
}

#[test]
fn bf16_is_close_to_f32() {
    let place = Place::new();
    song(&place, "a.wav", 44_100);
    stems(&place, &["a.wav", "-o", "wide/", "--bits", "f32"]).code(0);
    stems(&place, &["a.wav", "-o", "narrow/", "--bits", "f32", "--precision", "bf16"]).code(0);
    let read = |folder: &str| {
        let path = place.path(&format!("{folder}/a_vocals.wav"));
        decode_file(&path, &DecodeOptions::default()).expect("written").audio
    };
    let (wide, narrow) = (read("wide"), read("narrow"));
    assert_ne!(wide, narrow);
    let ratio = sdr(&wide.view(), &narrow.view()).expect("as long");
    assert!(ratio > 40.0, "{ratio} dB");
}

#[cfg(unix)]
#[test]
fn an_interrupt_leaves_no_stem() {
    let place = Place::new();
    let samples = tone(2 * 44_100, 44_100.0, 220.0);
    let recording = wav(44_100, 2, &samples);
    let model = model();
    let arguments = ["stems", "-", "-o", "out.wav", "--model", &model];
    place.interrupt(&arguments, &recording[..recording.len() / 2], 2);
}

#[test]
fn a_small_training_and_its_measurement() {
    let place = Place::new();
    let mut table = "path\tlabel\tspeaker\tsplit\n".to_owned();
    for (song, hz) in [("s0", 300.0), ("s1", 400.0), ("s2", 500.0)] {
        for (label, hz) in [("vocals", hz), ("accompaniment", hz / 3.0)] {
            let name = format!("{song}_{label}.wav");
            place.file(&name, &wav(8000, 1, &tone(12_000, 8000.0, hz)));
            let split = if song == "s2" { "test" } else { "train" };
            table += &format!("{name}\t{label}\t{song}\t{split}\n");
        }
    }
    place.file("songs.tsv", table.as_bytes());
    let recipe = json!({
        "network": {
            "dim": 8, "depth": 1, "stereo": false, "heads": 2, "dim_head": 4, "num_bands": 16,
            "sample_rate": 8000, "stft_n_fft": 512, "stft_win_length": 512,
            "stft_hop_length": 128, "mask_estimator_depth": 1, "mlp_expansion_factor": 1,
        },
        "crop_seconds": 0.5, "chunk_seconds": 1.0, "loss_windows": [256], "hold_out": 2,
        "epochs": 2, "steps_per_epoch": 3, "batch": 2,
    });
    place.file("recipe.json", recipe.to_string().as_bytes());
    let train = ["train", "stems", "--data", "songs.tsv", "--recipe", "recipe.json", "-o", "m.st"];
    let ran = place.run(&train).code(0);
    assert!(ran.text().contains("SDR of the voice"), "{}", ran.text());
    assert!(!place.exists("m.st.state"));
    let eval = ["eval", "stems", "--manifest", "songs.tsv", "--split", "test", "--model", "./m.st"];
    let mut all = eval.to_vec();
    all.extend(["--json", "--csv", "songs.csv"]);
    let ran = place.run(&all).code(0);
    let lines = ran.json();
    let summary = lines.last().expect("a summary");
    assert_eq!(summary["items"], 1);
    assert!(summary["sdr_by_stem"]["vocals"].is_number());
    let csv = String::from_utf8(place.read("songs.csv")).expect("text");
    assert_eq!(csv.lines().count(), 3, "{csv}");

    // A song that cannot be measured does not stop the others.
    for label in ["vocals", "accompaniment"] {
        place.file(&format!("bad_{label}.wav"), b"");
        table += &format!("bad_{label}.wav\t{label}\tbad\ttest\n");
    }
    place.file("songs.tsv", table.as_bytes());
    let lines = place.run(&[&eval[..], &["--json"]].concat()).code(1).json();
    assert_eq!((&lines[0]["type"], &lines[0]["input"]), (&json!("error"), &json!("bad")));
    let summary = lines.last().expect("a summary");
    assert_eq!((&summary["items"], &summary["failed"]), (&json!(1), &json!(1)));
}
