//! `formant separate`, `formant eval separate` and `formant train separate`, with a published
//! folder of random weights: what its voices sound like means nothing, but lengths, levels and
//! reports do.

mod support;

use std::path::Path;

use formant_audio_core::AudioView;
use formant_audio_core::decode::{DecodeOptions, decode_file};
use formant_audio_core::metrics::separation::{sdr, si_sdr_sources};
use serde_json::json;
use support::{Place, Ran, wav, wav_f32};

/// A ModelScope folder for 8 kHz.
fn model() -> String {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = "../tests/goldens/mossformer-checkpoints/modelscope_mossformer";
    here.join(folder).display().to_string()
}

fn separate(place: &Place, arguments: &[&str]) -> Ran {
    let model = model();
    let mut all = vec!["separate"];
    all.extend(arguments);
    all.extend(["--model", &model]);
    place.run(&all)
}

/// Two tones that come and go.
fn mixture(rate: u32, frames: usize) -> Vec<f32> {
    (0..frames)
        .map(|n| {
            let t = n as f32 / rate as f32;
            let tone = |hz: f32, beat: f32| {
                (std::f32::consts::TAU * hz * t).sin()
                    * (std::f32::consts::TAU * beat * t).sin().max(0.0)
            };
            0.2 * tone(220.0, 1.3) + 0.15 * tone(900.0, 0.7)
        })
        .collect()
}

fn decoded(place: &Place, name: &str) -> (u32, Vec<f32>) {
    let clip = decode_file(&place.path(name), &DecodeOptions::default()).expect(name);
    assert_eq!(clip.audio.channels(), 1, "{name}");
    (clip.audio.rate(), clip.audio.channel(0).to_vec())
}

#[cfg(unix)]
#[test]
fn an_interrupt_leaves_no_voice() {
    let place = Place::new();
    let recording = wav_f32(16_000, 1, &mixture(16_000, 64_000));
    let model = model();
    let arguments = ["separate", "-", "-o", "out.wav", "--model", &model];
    place.interrupt(&arguments, &recording[..recording.len() / 2], 2);
}

#[test]
fn bf16_is_close_to_f32() {
    let place = Place::new();
    place.file("talk.wav", &wav_f32(8_000, 1, &mixture(8_000, 24_000)));
    separate(&place, &["talk.wav", "-o", "wide.wav"]).code(0);
    separate(&place, &["talk.wav", "-o", "narrow.wav", "--precision", "bf16"]).code(0);
    for voice in 1..=2 {
        let [wide, narrow] =
            ["wide", "narrow"].map(|name| decoded(&place, &format!("{name}_voice{voice}.wav")).1);
        assert_ne!(wide, narrow);
        let [reference, estimate] = [&wide, &narrow].map(|x| AudioView::from_mono(8_000, x));
        let ratio = sdr(&reference, &estimate).expect("as long");
        assert!(ratio > 40.0, "voice {voice}: {ratio} dB");
    }
    let ran = separate(&place, &["talk.wav", "-o", "no.wav", "--precision", "f16"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("bf16"), "{}", ran.stderr);
}

#[test]
fn the_bundled_model_parts_two_voices_that_it_never_heard() {
    let place = Place::new();
    let sample = |name: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples");
        place.file(name, &std::fs::read(folder.join(name)).expect("a sample"));
        decoded(&place, name).1
    };
    let mixture = sample("mix_two_speakers_8k.wav");
    let sources = ["mix_two_speakers_s1_8k.wav", "mix_two_speakers_s2_8k.wav"].map(sample);
    place.run(&["separate", "mix_two_speakers_8k.wav", "-o", "out.wav"]).code(0);
    let voices = ["out_voice1.wav", "out_voice2.wav"].map(|name| decoded(&place, name).1);
    let references: Vec<&[f32]> = sources.iter().map(Vec::as_slice).collect();
    let estimates: Vec<&[f32]> = voices.iter().map(Vec::as_slice).collect();
    let found = si_sdr_sources(&references, &estimates, Some(&mixture)).expect("equal lengths");
    let gain = found.mean_si_sdr_improvement_db.expect("two voices");
    // 8.7 dB where it was trained.
    assert!(gain > 5.0, "{gain} dB");
}

#[test]
fn voices_have_the_recordings_rate_and_length_and_add_up_to_it() {
    let place = Place::new();
    for (rate, frames) in [(8_000, 8_001), (44_100, 30_011), (16_000, 1)] {
        let samples = mixture(rate, frames);
        place.file("talk.wav", &wav_f32(rate, 1, &samples));
        let ran = separate(&place, &["talk.wav", "--overwrite", "--json"]).code(0);
        let null = &ran.json()[0]["null_test"];
        assert_eq!(null["frames"], json!(frames));
        if rate == 8_000 {
            let residual = null["residual_dbfs"].as_f64();
            assert!(residual.is_none_or(|db| db < -90.0), "{residual:?}");
        }
        let voices: Vec<Vec<f32>> = ["talk_voice1.wav", "talk_voice2.wav"]
            .iter()
            .map(|name| {
                let (found, voice) = decoded(&place, name);
                assert_eq!((found, voice.len()), (rate, frames), "{name}");
                voice
            })
            .collect();
        if rate == 8_000 {
            for (n, x) in samples.iter().enumerate() {
                assert!((voices[0][n] + voices[1][n] - x).abs() < 1e-5, "{n}");
            }
        }
    }
}

#[test]
fn long_recordings_go_in_windows_and_stereo_is_mixed() {
    let place = Place::new();
    let mono = mixture(16_000, 16_000 * 5);
    let stereo: Vec<f32> = mono.iter().flat_map(|&x| [x, -0.5 * x]).collect();
    place.file("talk.wav", &wav_f32(16_000, 2, &stereo));
    let ran = separate(
        &place,
        &["talk.wav", "-o", "out/", "--window", "1.5", "--overlap", "0.5", "--json"],
    )
    .code(0);
    let line = &ran.json()[0];
    assert_eq!(line["outputs"], json!(["out/talk_voice1.wav", "out/talk_voice2.wav"]));
    let shape = ["rate", "channels", "frames", "duration"].map(|name| line[name].clone());
    assert_eq!(shape, [json!(16_000), json!(1), json!(80_000), json!(5.0)]);
    assert!(line["report"]["chunks"].as_u64().is_some_and(|chunks| chunks >= 4));
    assert_eq!(line["report"]["sources"].as_array().map(Vec::len), Some(2));
    assert_eq!(decoded(&place, "out/talk_voice2.wav").1.len(), 80_000);
    separate(&place, &["talk.wav", "-o", "left/", "--channels", "left"]).code(0);
    separate(&place, &["talk.wav", "--channels", "each"]).code(2).says("each");
    separate(&place, &["talk.wav", "--window", "1", "--overlap", "0.9"]).code(2);
    separate(&place, &["talk.wav", "-o", "-"]).code(2).says("a file of its own");
}

#[test]
fn existing_voices_are_kept_unless_told_otherwise() {
    let place = Place::new();
    place.file("talk.wav", &wav_f32(8_000, 1, &mixture(8_000, 4_000)));
    separate(&place, &["talk.wav"]).code(0);
    let before = place.read("talk_voice1.wav");
    separate(&place, &["talk.wav"]).code(2).says("exists already");
    separate(&place, &["talk.wav", "--resume"]).code(0);
    assert_eq!(place.read("talk_voice1.wav"), before);
    assert_eq!(place.files(), ["talk.wav", "talk_voice1.wav", "talk_voice2.wav"]);
}

/// S9: silence, DC, noise at -80 dBFS, hum, and samples that are no numbers.
#[test]
fn d3_voices_of_an_earlier_run_are_passed_over() {
    let place = Place::new();
    place.file("in/talk.wav", &wav_f32(8_000, 1, &mixture(8_000, 8_000)));
    separate(&place, &["in", "--resume"]).code(0);
    let files = place.files();
    assert_eq!(files.len(), 3);
    for _ in 0..2 {
        separate(&place, &["in", "--resume"]).code(0).says("2 inputs are outputs");
        assert_eq!(place.files(), files);
    }
}

#[test]
fn s9_odd_signals_give_finite_voices() {
    let place = Place::new();
    let second = 8_000;
    let hum = |n: usize| 0.1 * (std::f32::consts::TAU * 50.0 * n as f32 / 8_000.0).sin();
    let signals: [(&str, Vec<f32>); 5] = [
        ("zeros", vec![0.0; 5 * second]),
        ("dc", vec![0.2; 5 * second]),
        (
            "noise",
            (0..5 * second).map(|n| 1e-4 * ((n * 7919 % 997) as f32 / 498.0 - 1.0)).collect(),
        ),
        ("hum", (0..5 * second).map(hum).collect()),
        ("odd", {
            let mut tone: Vec<f32> = (0..5 * second).map(hum).collect();
            (tone[100], tone[200], tone[300]) = (f32::NAN, f32::INFINITY, -1e30);
            tone
        }),
    ];
    for (name, samples) in &signals {
        place.file(&format!("{name}.wav"), &wav_f32(8_000, 1, samples));
        separate(&place, &[&format!("{name}.wav")]).code(0);
        for n in 1..=2 {
            let (_, voice) = decoded(&place, &format!("{name}_voice{n}.wav"));
            assert_eq!(voice.len(), samples.len(), "{name}");
            assert!(voice.iter().all(|x| x.is_finite()), "{name}");
            if *name == "zeros" {
                assert!(voice.iter().all(|&x| x == 0.0));
            }
        }
    }
    separate(&place, &["odd.wav", "--overwrite", "--strict"]).code(3);
}

/// S14: levels. Peaks by choice, integer files that never wrap, one gain for all voices.
#[test]
fn s14_levels_and_clipping() {
    let place = Place::new();
    let loud: Vec<f32> = mixture(8_000, 16_000).iter().map(|x| 6.0 * x).collect();
    place.file("loud.wav", &wav_f32(8_000, 1, &loud));
    separate(&place, &["loud.wav", "-o", "peak/", "--peak-normalize"]).code(0);
    for n in 1..=2 {
        let (_, voice) = decoded(&place, &format!("peak/loud_voice{n}.wav"));
        let peak = voice.iter().fold(0.0f32, |peak, x| peak.max(x.abs()));
        assert!((peak - 0.5).abs() < 1e-3, "{peak}");
    }
    separate(&place, &["loud.wav", "-o", "float/"]).code(0);
    let float = [1, 2].map(|n| decoded(&place, &format!("float/loud_voice{n}.wav")).1);
    for bits in ["s16", "s24"] {
        let folder = format!("{bits}/");
        let policy = ["--bits", bits, "--clip-policy", "scale", "-o", &folder];
        let mut arguments = vec!["loud.wav"];
        arguments.extend(policy);
        separate(&place, &arguments).code(0);
        let scaled = [1, 2].map(|n| decoded(&place, &format!("{bits}/loud_voice{n}.wav")).1);
        let peak = float.iter().flatten().fold(0.0f32, |peak, x| peak.max(x.abs()));
        let gain = if peak > 1.0 { 1.0 / peak } else { 1.0 };
        for (float, scaled) in float.iter().zip(&scaled) {
            for (a, b) in float.iter().zip(scaled) {
                assert!((gain * a - b).abs() < 2e-3, "{a} {b} {gain}");
            }
        }
    }
}

#[test]
fn scores_of_mixtures() {
    let place = Place::new();
    let a: Vec<f32> = (0..8_000).map(|n| 0.3 * (n as f32 * 0.17).sin()).collect();
    let b: Vec<f32> = (0..8_000).map(|n| 0.2 * (n as f32 * 0.71).sin()).collect();
    let mix: Vec<f32> = a.iter().zip(&b).map(|(a, b)| a + b).collect();
    for (name, samples) in [("one_mix", &mix), ("one_s1", &a), ("one_s2", &b)] {
        place.file(&format!("{name}.wav"), &wav_f32(8_000, 1, samples));
    }
    place.file(
        "table.tsv",
        b"path\tlabel\tsplit\none_mix.wav\tmix\ttest\none_s1.wav\ts1\ttest\none_s2.wav\ts2\ttest\n",
    );
    let model = model();
    let evaluate = |more: &[&str]| {
        let all = ["eval", "separate", "--manifest", "table.tsv", "--model", &model];
        place.run(&[&all[..], more].concat())
    };
    let lines = evaluate(&["--json", "--csv", "scores.csv"]).code(0).json();
    let summary = lines.last().expect("a summary");
    assert_eq!((&summary["type"], &summary["items"]), (&json!("summary"), &json!(1)));
    assert!(summary["si_sdri"].is_number() && summary["sdr"].is_number());
    let table = String::from_utf8(place.read("scores.csv")).expect("text");
    assert!(table.starts_with("mixture,si_sdr,si_sdri,sdr\n") && table.lines().count() == 2);
    evaluate(&["--split", "dev"]).code(2).says("splits that are there: test");

    // The name that the task had before.
    let before = ["eval", "separation", "--manifest", "table.tsv", "--model", &model, "--json"];
    assert_eq!(place.run(&before).code(0).json().last(), Some(summary));

    // A mixture that cannot be measured does not stop the others.
    place.file("two_mix.wav", b"");
    place.file("two_s1.wav", b"");
    place.file(
        "table.tsv",
        b"path\tlabel\none_mix.wav\tmix\none_s1.wav\ts1\none_s2.wav\ts2\ntwo_mix.wav\tmix\ntwo_s1.wav\ts1\n",
    );
    let lines = evaluate(&["--json"]).code(1).says("two_mix.wav").json();
    let failures: Vec<_> = lines.iter().filter(|line| line["type"] == "error").collect();
    assert_eq!(failures.len(), 1);
    assert!(failures[0]["input"].as_str().is_some_and(|name| name.ends_with("two_mix.wav")));
    let summary = lines.last().expect("a summary");
    assert_eq!((&summary["items"], &summary["failed"]), (&json!(1), &json!(1)));
}

#[test]
fn a_small_training_makes_a_model_that_separates() {
    let place = Place::new();
    let mut table = "path\tspeaker\n".to_owned();
    for speaker in 0..30 {
        let hz = 0.05 + 0.02 * speaker as f32;
        let samples: Vec<i16> =
            (0..16_000).map(|n| (6_000.0 * (n as f32 * hz).sin()) as i16).collect();
        place.file(&format!("v{speaker}.wav"), &wav(8_000, 1, &samples));
        table += &format!("v{speaker}.wav\ts{speaker}\n");
    }
    place.file("voices.tsv", table.as_bytes());
    let recipe = json!({
        "network": {
            "in_channels": 16, "out_channels": 16, "kernel_size": 16, "num_blocks": 1,
            "group_size": 32, "query_key_dim": 8, "fsmn_inner_channels": 8, "fsmn_lorder": 4,
        },
        "crop_seconds": 0.5, "epochs": 2, "steps_per_epoch": 3, "dev_mixtures": 2,
    });
    place.file("recipe.json", recipe.to_string().as_bytes());
    let arguments = [
        "train",
        "separate",
        "--data",
        "voices.tsv",
        "--recipe",
        "recipe.json",
        "-o",
        "m.safetensors",
    ];
    place.run(&arguments).code(0).says("2 mixtures to validate on");
    place.file("talk.wav", &wav_f32(8_000, 1, &mixture(8_000, 4_000)));
    place.run(&["separate", "talk.wav", "--model", "m.safetensors"]).code(0);
    assert!(place.exists("talk_voice2.wav") && !place.exists("m.safetensors.state"));
}
