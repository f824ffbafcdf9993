//! `formant enhance` and `formant eval enhance`, with a network of random weights: lengths, mixing
//! and reports.

mod support;

use formant_audio_core::decode::{DecodeOptions, decode_file};
use formant_audio_core::metrics::separation::si_sdr;
use serde_json::json;
use support::{Place, wav_f32};

fn noise(frames: usize) -> Vec<f32> {
    (0..frames).map(|n| 0.3 * ((n * 7919 % 1009) as f32 / 504.0 - 1.0)).collect()
}

fn decoded(place: &Place, name: &str) -> Vec<f32> {
    let clip = decode_file(&place.path(name), &DecodeOptions::default()).expect(name);
    clip.audio.into_planar()
}

#[test]
fn rate_channels_and_length_stay() {
    let place = Place::new();
    place.enhancer();
    for (rate, channels, frames) in [(48_000, 1, 50_000), (44_100, 2, 20_011), (8_000, 1, 7)] {
        let samples = noise(frames * usize::from(channels));
        place.file("in.wav", &wav_f32(rate, channels, &samples));
        place.run(&["enhance", "in.wav", "--model", "m.safetensors", "--overwrite"]).code(0);
        let clip = decode_file(&place.path("in_enhanced.wav"), &DecodeOptions::default());
        let audio = clip.expect("written").audio;
        assert_eq!(
            (audio.rate(), audio.channels(), audio.frames()),
            (rate, usize::from(channels), frames)
        );
    }
}

#[test]
fn mixing_limits_and_seeds() {
    let place = Place::new();
    place.enhancer();
    let samples = noise(60_000);
    place.file("in.wav", &wav_f32(48_000, 1, &samples));
    let run = |more: &[&str], name: &str| -> Vec<f32> {
        let mut all = vec!["enhance", "in.wav", "--model", "m.safetensors", "-o", name];
        all.extend(more);
        place.run(&all).code(0);
        decoded(&place, name)
    };
    assert_eq!(run(&["--mix", "0"], "dry.wav"), samples);
    assert_eq!(run(&["--attenuation-limit", "0"], "limit.wav"), samples);
    let wet = run(&[], "wet.wav");
    let half = run(&["--mix", "0.5"], "half.wav");
    for (n, x) in half.iter().enumerate() {
        assert!((x - 0.5 * (wet[n] + samples[n])).abs() < 1e-6);
    }
    assert_eq!(run(&[], "again.wav"), wet);
    let other = run(&["--seed", "9"], "seed.wav");
    let plain = run(&["--front-end-dither", "0"], "plain.wav");
    assert!(other != wet && plain != wet);
    let ran = place.run(&["enhance", "in.wav", "--model", "m.safetensors", "--mix", "2"]);
    assert_ne!(ran.code, 0);
}

#[test]
fn long_recordings_and_json() {
    let place = Place::new();
    place.enhancer();
    place.file("in.wav", &wav_f32(16_000, 1, &noise(80_000)));
    let ran = place.run(&[
        "enhance",
        "in.wav",
        "--model",
        "m.safetensors",
        "--window",
        "1",
        "--overlap",
        "0.4",
        "--json",
    ]);
    let lines = ran.code(0).json();
    assert_eq!(lines[0]["output"], json!("in_enhanced.wav"));
    assert_eq!(lines[0]["frames"], json!(80_000));
    assert!(decoded(&place, "in_enhanced.wav").iter().all(|x| x.is_finite()));
}

#[test]
fn the_bundled_model_cleans_a_voice_that_it_never_heard() {
    let place = Place::new();
    let sample = |name: &str| {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples");
        std::fs::read(folder.join(name)).expect("a sample")
    };
    place.file("noisy.wav", &sample("speech_noisy_5db_16k.wav"));
    place.file("clean.wav", &sample("speech_noisy_reference_16k.wav"));
    place.run(&["enhance", "noisy.wav", "-o", "out.wav"]).code(0);
    let [noisy, clean, out] = ["noisy.wav", "clean.wav", "out.wav"].map(|n| decoded(&place, n));
    let ratio = |x: &[f32]| si_sdr(&clean, x).expect("equal lengths").expect("no silence");
    let gain = ratio(&out) - ratio(&noisy);
    // 5.2 dB where it was trained.
    assert!(gain > 4.0, "{gain} dB");
}

#[test]
fn scores_of_mixtures() {
    let place = Place::new();
    place.enhancer();
    let speech: Vec<f32> = (0..24_000).map(|n| 0.3 * (n as f32 * 0.05).sin()).collect();
    let mix: Vec<f32> = speech.iter().zip(noise(24_000)).map(|(s, n)| s + 0.2 * n).collect();
    place.file("a_mix.wav", &wav_f32(48_000, 1, &mix));
    place.file("a_s1.wav", &wav_f32(48_000, 1, &speech));
    place.file("t.tsv", b"path\tlabel\na_mix.wav\tmix\na_s1.wav\ts1\n");
    let ran = place.run(&[
        "eval",
        "enhance",
        "--manifest",
        "t.tsv",
        "--model",
        "m.safetensors",
        "--json",
    ]);
    let lines = ran.code(0).json();
    let summary = lines.last().expect("a summary");
    assert!(summary["si_sdri"].is_number() && summary["items"] == json!(1));
}
