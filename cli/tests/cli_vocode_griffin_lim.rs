//! `formant vocode --method griffin-lim`, which needs no model.

mod support;

use formant_audio_core::AudioBuf;
use formant_audio_core::decode::{DecodeOptions, decode_file};
use formant_audio_core::features::{FeaturePlan, presets};
use formant_audio_core::metrics::spectral::mel_distance;
use serde_json::json;
use support::{Place, wav_f32};

const METHOD: [&str; 3] = ["vocode", "--method", "griffin-lim"];

/// Harmonics that glide, as a voice does, in as many channels as wanted.
fn voice(rate: f32, channels: usize, frames: usize, level: f32) -> Vec<f32> {
    let mut phase = 0.0f32;
    let tone = (0..frames).flat_map(|n| {
        let seconds = n as f32 / rate;
        phase += (140.0 + 30.0 * (seconds * 3.0).sin()) * std::f32::consts::TAU / rate;
        let sum: f32 = (1..12).map(|k| (phase * k as f32).sin() / k as f32).sum();
        (0..channels).map(move |channel| level * sum * if channel == 0 { 0.2 } else { 0.02 })
    });
    tone.collect()
}

fn decoded(place: &Place, name: &str) -> AudioBuf {
    decode_file(&place.path(name), &DecodeOptions::default()).expect(name).audio
}

fn rms(samples: &[f32]) -> f64 {
    let sum: f64 = samples.iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
    (sum / samples.len() as f64).sqrt()
}

fn run(place: &Place, more: &[&str]) -> support::Ran {
    place.run(&[&METHOD[..], more].concat())
}

#[test]
fn recordings_keep_length_level_and_channels() {
    let place = Place::new();
    for (rate, channels, frames) in [(8_000, 1, 5_003), (44_100, 2, 9_001), (24_000, 1, 1)] {
        let samples = voice(rate as f32, usize::from(channels), frames, 1.0);
        place.file("in.wav", &wav_f32(rate, channels, &samples));
        let line = run(&place, &["in.wav", "--overwrite", "--json"]).code(0).json().remove(0);
        let audio = decoded(&place, "in_vocoded.wav");
        let wanted = (frames as u64 * 24_000).div_ceil(rate.into()) as usize;
        let found = (audio.rate(), audio.channels(), audio.frames());
        assert_eq!(found, (24_000, usize::from(channels), wanted), "{rate} Hz");
        assert_eq!((&line["method"], &line["iterations"]), (&json!("griffin-lim"), &json!(32)));
        assert_eq!(line["refine"], json!(0));
        assert_eq!(line["frames"], json!(wanted));
        if channels == 2 {
            // Each channel is worked on alone, and keeps its level.
            let [left, right] = [0, 1].map(|channel| rms(audio.channel(channel)));
            assert!((left / right / 10.0 - 1.0).abs() < 0.2, "{left} {right}");
            let original = rms(&samples.iter().step_by(2).copied().collect::<Vec<_>>());
            assert!((left / original - 1.0).abs() < 0.15, "{left} {original}");
        }
    }
    place.file("quiet.wav", &wav_f32(24_000, 1, &[0.0; 3_000]));
    run(&place, &["quiet.wav"]).code(0);
    assert!(decoded(&place, "quiet_vocoded.wav").channel(0).iter().all(|x| *x == 0.0));
    place.file("empty.wav", &wav_f32(8_000, 1, &[]));
    run(&place, &["empty.wav"]).code(3);
}

#[test]
fn spectrograms_are_those_that_their_file_states() {
    let place = Place::new();
    let samples = voice(22_050.0, 1, 30_000, 1.0);
    place.file("in.wav", &wav_f32(22_050, 1, &samples));
    for preset in ["hifigan", "librosa", "periodwave"] {
        let name = format!("{preset}.npz");
        place.run(&["features", "in.wav", "--preset", preset, "-o", &name]).code(0);
    }
    run(&place, &["hifigan.npz", "librosa.npz", "periodwave.npz"]).code(0);
    for (name, rate, hop) in [("hifigan", 22_050, 256), ("librosa", 22_050, 512)] {
        let made = decoded(&place, &format!("{name}_vocoded.wav"));
        assert_eq!((made.rate(), made.frames()), (rate, 30_000 / hop * hop), "{name}");
        // In the front end's own values: nepers, and decibels of power.
        let config = presets::by_name(name).expect("a preset").streamable();
        let plan = FeaturePlan::new(&config).expect("sound");
        let most = if name == "librosa" { 4.3 } else { 0.5 };
        let count = made.frames();
        let mel = |samples: &[f32]| plan.compute(samples).expect("defined");
        let (mut wanted, mut found) = (mel(&samples[..count]), mel(made.channel(0)));
        // librosa's file keeps 80 dB below the loudest value; what lies deeper is not in it.
        if name == "librosa" {
            let floor = wanted.iter().copied().fold(f32::MIN, f32::max) - 80.0;
            wanted.mapv_inplace(|x| x.max(floor));
            found.mapv_inplace(|x| x.max(floor));
        }
        let distance = mel_distance(wanted.view(), found.view()).expect("equal");
        assert!(distance < most, "{name}: {distance}");
    }
    assert_eq!(decoded(&place, "periodwave_vocoded.wav").rate(), 24_000);

    // A recording through its spectrogram is the waveform of its spectrogram.
    place.file("even.wav", &wav_f32(22_050, 1, &samples[..117 * 256]));
    place.run(&["features", "even.wav", "--preset", "hifigan", "-o", "even.npz"]).code(0);
    run(&place, &["even.npz", "-o", "by_file.wav"]).code(0);
    run(&place, &["even.wav", "--preset", "hifigan"]).code(0);
    assert!(decoded(&place, "even_vocoded.wav") == decoded(&place, "by_file.wav"));
    run(&place, &["in.wav", "--preset", "hifigan"]).code(0);
    let (straight, by_file) =
        (decoded(&place, "in_vocoded.wav"), decoded(&place, "hifigan_vocoded.wav"));
    assert_eq!(straight.frames(), 30_000);

    // Bare arrays have the usual front end, or that of --preset.
    place.run(&["features", "in.wav", "--preset", "hifigan", "-o", "bare.npy"]).code(0);
    run(&place, &["bare.npy"]).code(3).says("frames x 100").says("--preset");
    run(&place, &["bare.npy", "--preset", "hifigan"]).code(0);
    assert!(decoded(&place, "bare_vocoded.wav") == by_file);
    let other = ["hifigan.npz", "--preset", "bigvgan-22k-80", "-o", "other.wav"];
    run(&place, &other).code(3).says("highest frequency: 8000 Hz, not 11025 Hz").says("--force");
    run(&place, &[&other[..], &["--force"]].concat()).code(0);
    place.run(&["features", "in.wav", "--preset", "whisper", "-o", "lost.npz"]).code(0);
    run(&place, &["lost.npz"]).code(3).says("lost.npz").says("the map after the logarithm");
}

#[test]
fn the_same_seed_gives_the_same_bytes_whatever_threads_and_jobs() {
    let place = Place::new();
    for name in ["a.wav", "b.wav"] {
        place.file(name, &wav_f32(24_000, 1, &voice(24_000.0, 1, 20_000, 1.0)));
    }
    let made = |more: &[&str]| {
        let all = ["a.wav", "b.wav", "--overwrite", "--iterations", "4"];
        run(&place, &[&all[..], more].concat()).code(0);
        [place.read("a_vocoded.wav"), place.read("b_vocoded.wav")]
    };
    let first = made(&["--seed", "5", "--threads", "1"]);
    assert!(first[0] == first[1]);
    assert!(first == made(&["--seed", "5", "--threads", "2"]));
    assert!(first == made(&["--seed", "5", "--jobs", "2"]));
    assert!(first != made(&["--seed", "6"]));
}

#[test]
fn without_model_and_method_the_search_is_refined() {
    let place = Place::new();
    let samples = voice(24_000.0, 1, 24_000, 1.0);
    place.file("in.wav", &wav_f32(24_000, 1, &samples));
    let usual = place.run(&["vocode", "in.wav", "--json"]).code(0).says("--model");
    let line = usual.json().remove(0);
    assert_eq!((&line["method"], &line["refine"]), (&json!("griffin-lim"), &json!(32)));
    run(&place, &["in.wav", "-o", "plain.wav"]).code(0);
    run(&place, &["in.wav", "-o", "same.wav", "--refine", "32"]).code(0);
    assert!(place.read("same.wav") == place.read("in_vocoded.wav"));
    let plan = FeaturePlan::new(&presets::vocoder(24_000, 100, 12_000.0)).expect("sound");
    let mel = |samples: &[f32]| plan.compute(samples).expect("defined");
    let distance = |name: &str| {
        let made = decoded(&place, name);
        mel_distance(mel(&samples).view(), mel(made.channel(0)).view()).expect("equal")
    };
    let (plain, refined) = (distance("plain.wav"), distance("in_vocoded.wav"));
    assert!(refined < 0.8 * plain, "{refined} {plain}");

    // Spectrograms without mel bands are not refined unasked.
    let bare = ["features", "in.wav", "--preset", "librosa", "--print-config"];
    let config = place.run(&bare).code(0).text();
    let mut config: serde_json::Value = serde_json::from_str(&config).expect("JSON");
    config["mel"] = json!(null);
    place.file("plain.json", config.to_string().as_bytes());
    place.run(&["features", "in.wav", "--config", "plain.json", "-o", "bins.npz"]).code(0);
    let line = place.run(&["vocode", "bins.npz", "--json"]).code(0).json().remove(0);
    assert_eq!(line["refine"], json!(0));
    place.run(&["vocode", "bins.npz", "--refine", "1", "--overwrite"]).code(3).says("bins.npz");

    place.file("talks.tsv", b"path\nin.wav\n");
    let lines = place.run(&["eval", "vocode", "--manifest", "talks.tsv", "--json"]).code(0).json();
    let summary = lines.last().expect("a summary");
    let number = |value: &serde_json::Value| value.as_f64().expect("a number");
    let (made, plain) =
        (number(&summary["mel_distance"]), number(&summary["griffin_lim_mel_distance"]));
    assert!(made < 0.8 * plain, "{made} {plain}");
}

#[test]
fn options_belong_to_their_method() {
    let place = Place::new();
    place.file("in.wav", &wav_f32(24_000, 1, &voice(24_000.0, 1, 2_000, 1.0)));
    for option in [
        &["--model", "m.safetensors"][..],
        &["--steps", "4"],
        &["--solver", "euler"],
        &["--temperature", "1"],
        &["--sway", "0"],
        &["--free-u"],
        &["--reference-level"],
    ] {
        run(&place, &[&["in.wav"], option].concat()).code(2).says(option[0]);
    }
    for option in [["--iterations", "3"], ["--preset", "hifigan"]] {
        let network = ["vocode", "in.wav", "--model", "m.safetensors"];
        place.run(&[&network, &option[..]].concat()).code(2).says("griffin-lim");
    }
    run(&place, &["in.wav", "--iterations", "0"]).code(2);
    // Without a method, options of networks want one.
    place.run(&["vocode", "in.wav", "--steps", "4"]).code(2).says("--steps").says("--model");
    run(&place, &["in.wav", "--preset", "nemo"]).code(2).says("pre-emphasis");
    run(&place, &["in.wav", "--preset", "nobody"]).code(2).says("nobody");
    assert!(!place.exists("in_vocoded.wav"));
}
