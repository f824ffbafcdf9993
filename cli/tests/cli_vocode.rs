//! `formant vocode` and `formant bench vocode`, with a network of random weights: spectrograms in any
//! form, recordings, levels, seeds, and what is refused.

mod support;

use std::io::Write;

use formant_audio_core::AudioBuf;
use formant_audio_core::decode::{DecodeOptions, decode_file};
use formant_audio_core::features::{FeaturePlan, presets};
use formant_models::arch::gan_vocoder::{
    GanVocoderCard, GanVocoderConfig, GanVocoderModel, GeneratorConfig, HifiGanConfig,
};
use formant_models::arch::periodwave::{PeriodWaveCard, PeriodWaveConfig, PeriodWaveModel};
use serde_json::json;
use support::{Place, wav_f32};

/// Writes `m.safetensors`, a small network for the published spectrogram of 22.05 kHz.
fn network(place: &Place) {
    let config = PeriodWaveConfig {
        n_mel_channels: 80,
        hidden_dim: 16,
        final_dim: 1,
        ..PeriodWaveConfig::default()
    };
    let card = PeriodWaveCard::published(config).expect("a card");
    let model = PeriodWaveModel::random(card, tch::Device::Cpu).expect("sound sizes");
    model.save(&place.path("m.safetensors"), tch::Kind::Float).expect("written");
}

/// Writes `g.safetensors`, a small HiFi-GAN for the spectrogram of 22.05 kHz.
fn one_pass(place: &Place) {
    let generator = GeneratorConfig {
        upsample_rates: vec![16, 16],
        upsample_kernel_sizes: vec![32, 32],
        upsample_initial_channel: 8,
        resblock_kernel_sizes: vec![3],
        resblock_dilation_sizes: vec![vec![1, 3]],
        ..GeneratorConfig::default()
    };
    let config = GanVocoderConfig::HifiGan(HifiGanConfig { num_mels: 80, generator });
    let card = GanVocoderCard::published(config).expect("a card");
    let model = GanVocoderModel::random(card, tch::Device::Cpu).expect("sound sizes");
    model.save(&place.path("g.safetensors"), tch::Kind::Float).expect("written");
}

#[test]
fn networks_of_one_pass_take_the_same_inputs() {
    let place = Place::new();
    one_pass(&place);
    let (rows, frames) = mel();
    place.file("mel.npy", &npy("<f4", [frames, 80], &floats(&rows)));
    let run = |more: &[&str]| {
        place.run(&[&["vocode", "--model", "g.safetensors", "--overwrite"], more].concat())
    };
    let line = run(&["mel.npy", "--json"]).code(0).json().remove(0);
    assert_eq!((&line["method"], &line["frames"]), (&json!("hifi-gan"), &json!(frames * 256)));
    let first = place.read("mel_vocoded.wav");
    place.file("in.wav", &wav_f32(44_100, 2, &noise(30_000)));
    run(&["in.wav", "mel.npy", "-o", "out/"]).code(0);
    assert!(place.read("out/mel.wav") == first);
    let audio = decoded(&place, "out/in.wav");
    assert_eq!((audio.rate(), audio.channels(), audio.frames()), (22_050, 2, 7_500));
    run(&["mel.npy", "--refine", "2", "-o", "refined.wav"]).code(0);
    assert!(place.read("refined.wav") != first);
    run(&["mel.npy", "--steps", "4"]).code(2).says("--steps").says("HiFi-GAN");
    place.file("wide.npy", &npy("<f4", [2, 100], &floats(&[-4.0; 200])));
    run(&["wide.npy"]).code(3).says("frames x 80");
}

fn noise(frames: usize) -> Vec<f32> {
    (0..frames).map(|n| 0.3 * ((n * 7919 % 1009) as f32 / 504.5 - 1.0)).collect()
}

fn decoded(place: &Place, name: &str) -> AudioBuf {
    decode_file(&place.path(name), &DecodeOptions::default()).expect(name).audio
}

fn npy(code: &str, shape: [usize; 2], data: &[u8]) -> Vec<u8> {
    let [rows, columns] = shape;
    let header =
        format!("{{'descr': '{code}', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// The model's spectrogram of noise, frame by frame, and its frames.
fn mel() -> (Vec<f32>, usize) {
    let plan = FeaturePlan::new(&presets::by_name("hifigan").expect("a preset")).expect("sound");
    let rows = plan.compute(&noise(8_192)).expect("defined");
    let frames = rows.nrows();
    (rows.into_raw_vec_and_offset().0, frames)
}

fn transposed(rows: &[f32], frames: usize) -> Vec<f32> {
    (0..80).flat_map(|band| (0..frames).map(move |n| rows[n * 80 + band])).collect()
}

const MODEL: [&str; 2] = ["--model", "m.safetensors"];

#[test]
fn spectrograms_of_any_form_give_the_same_waveform() {
    let place = Place::new();
    network(&place);
    let (rows, frames) = mel();
    place.file("frames.npy", &npy("<f4", [frames, 80], &floats(&rows)));
    place.file("bands.npy", &npy("<f4", [80, frames], &floats(&transposed(&rows, frames))));
    let both = ["vocode", "frames.npy", "bands.npy", "--json", "--seed", "3"];
    let lines = place.run(&[&both[..], &MODEL].concat()).code(0).json();
    assert_eq!(lines[0]["frames"], json!(frames * 256));
    assert_eq!((&lines[1]["rate"], &lines[1]["channels"]), (&json!(22_050), &json!(1)));
    let first = decoded(&place, "frames_vocoded.wav");
    assert!(first.channel(0).iter().any(|x| *x != 0.0));
    assert!(first == decoded(&place, "bands_vocoded.wav"));

    // Several in an archive, one of them of 16 bits.
    let half: Vec<u8> = vec![0x00; frames * 160].chunks(2).flat_map(|_| [0x00, 0xc5]).collect(); // -5
    let mut zip = zip::ZipWriter::new(std::fs::File::create(place.path("two.npz")).expect("made"));
    for (name, bytes) in [
        ("one.npy", npy("<f4", [frames, 80], &floats(&rows))),
        ("two.npy", npy("<f2", [frames, 80], &half)),
    ] {
        zip.start_file(name, zip::write::SimpleFileOptions::default()).expect("begun");
        zip.write_all(&bytes).expect("written");
    }
    zip.finish().expect("ended");
    // A constant looks like the floor of another front end.
    place.run(&[&["vocode", "two.npz"], &MODEL[..]].concat()).code(3).says("another floor");
    let forced = ["vocode", "two.npz", "--force", "--seed", "3"];
    place.run(&[&forced[..], &MODEL].concat()).code(0);
    assert!(first == decoded(&place, "two_vocoded_one.wav"));
    assert_eq!(decoded(&place, "two_vocoded_two.wav").frames(), frames * 256);

    // Two names that come to one: nothing is written, rather than one over the other.
    let mut zip = zip::ZipWriter::new(std::fs::File::create(place.path("same.npz")).expect("made"));
    for name in ["a/b.npy", "a_b.npy"] {
        zip.start_file(name, zip::write::SimpleFileOptions::default()).expect("begun");
        zip.write_all(&npy("<f4", [frames, 80], &floats(&rows))).expect("written");
    }
    zip.finish().expect("ended");
    place.run(&[&["vocode", "same.npz"], &MODEL[..]].concat()).says("two arrays");
    assert!(!place.exists("same_vocoded_a_b.wav"));
}

#[test]
fn spectrograms_of_other_front_ends_are_refused_with_both_sides() {
    let place = Place::new();
    network(&place);
    place.file("in.wav", &wav_f32(22_050, 1, &noise(9_000)));
    for (preset, name) in [("periodwave-22k-80", "right.npz"), ("bigvgan-22k-80", "high.npz")] {
        place.run(&["features", "in.wav", "--preset", preset, "-o", name]).code(0);
    }
    place.run(&[&["vocode", "right.npz"], &MODEL[..]].concat()).code(0);
    // Other bands can't be forced.
    place.run(&["features", "in.wav", "--preset", "periodwave", "-o", "wide.npz"]).code(0);
    let ran = place.run(&[&["vocode", "wide.npz"], &MODEL[..]].concat()).code(3);
    assert!(ran.stderr.contains("bands: 100, not 80") && !ran.stderr.contains("--force"));
    // An array of another rank is no spectrogram of other bands.
    let matrix = npy("<f4", [1, 1], &floats(&[0.0]));
    let at = matrix.windows(6).position(|bytes| bytes == b"(1, 1)").expect("a shape");
    place.file("flat.npy", &[&matrix[..at], b"(1,)  ", &matrix[at + 6..]].concat());
    let ran = place.run(&[&["vocode", "flat.npy"], &MODEL[..]].concat()).code(3);
    ran.says("[1], where").says("two axes");
    let ran = place.run(&[&["vocode", "high.npz"], &MODEL[..]].concat()).code(3);
    ran.says("highest frequency: 11025 Hz, not 8000 Hz");
    place.run(&[&["vocode", "high.npz", "--force"], &MODEL[..]].concat()).code(0);

    let (rows, frames) = mel();
    let mapped = |map: fn(&f32) -> f32| floats(&rows.iter().map(map).collect::<Vec<_>>());
    for (name, data) in [
        ("decibels.npy", mapped(|x| x * 8.686 - 20.0)),
        ("linear.npy", mapped(|x| x.exp())),
        ("normal.npy", mapped(|x| x / 12.0)),
    ] {
        place.file(name, &npy("<f4", [frames, 80], &data));
        let ran = place.run(&[&["vocode", name], &MODEL[..]].concat()).code(3);
        ran.says("-11.5129");
        place.run(&[&["vocode", name, "--force"], &MODEL[..]].concat()).code(0);
    }
    // What is no number is refused, forced or not.
    for (name, odd) in [("nan.npy", f32::NAN), ("infinite.npy", f32::INFINITY)] {
        let mut rows = rows.clone();
        rows[99] = odd;
        place.file(name, &npy("<f4", [frames, 80], &floats(&rows)));
        for more in [&[][..], &["--force"]] {
            let ran = place.run(&[&["vocode", name], &MODEL[..], more].concat()).code(3);
            assert!(!ran.stderr.contains("--force"), "{}", ran.stderr);
            ran.says("finite").says(name);
        }
    }
    place.file("other.npy", &npy("<f4", [frames, 40], &floats(&rows[..frames * 40])));
    let ran = place.run(&[&["vocode", "other.npy"], &MODEL[..]].concat()).code(3);
    ran.says("frames x 80 or 80 x frames");
    place.file("broken.npy", b"\x93NUMPY");
    let ran = place.run(&[&["vocode", "broken.npy"], &MODEL[..]].concat()).code(3);
    assert_eq!(ran.stderr.matches("broken.npy").count(), 1, "{}", ran.stderr);
    place.file("none.npy", &npy("<f4", [0, 80], &[]));
    place.run(&[&["vocode", "none.npy"], &MODEL[..]].concat()).code(3);
}

#[test]
fn recordings_keep_length_level_and_channels() {
    let place = Place::new();
    network(&place);
    for (rate, channels, frames) in [(8_000, 1, 5_003), (44_100, 2, 9_001), (22_050, 1, 1)] {
        let samples = noise(frames * usize::from(channels));
        place.file("in.wav", &wav_f32(rate, channels, &samples));
        let run = [&["vocode", "in.wav", "--overwrite", "--json"], &MODEL[..]].concat();
        let line = place.run(&run).code(0).json().remove(0);
        let audio = decoded(&place, "in_vocoded.wav");
        let wanted = (frames as u64 * 22_050).div_ceil(rate.into()) as usize;
        let found = (audio.rate(), audio.channels(), audio.frames());
        assert_eq!(found, (22_050, usize::from(channels), wanted), "{rate} Hz");
        assert_eq!((&line["frames"], &line["calls"]), (&json!(wanted), &json!(4)));
    }
    let peak = |name: &str| {
        let audio = decoded(&place, name);
        audio.channel(0).iter().fold(0.0f32, |peak, x| peak.max(x.abs()))
    };
    let quiet: Vec<f32> = noise(9_000).iter().map(|x| x * 0.01).collect();
    place.file("loud.wav", &wav_f32(22_050, 1, &noise(9_000)));
    place.file("quiet.wav", &wav_f32(22_050, 1, &quiet));
    place.run(&[&["vocode", "loud.wav", "quiet.wav"], &MODEL[..]].concat()).code(0);
    let ratio = peak("loud_vocoded.wav") / peak("quiet_vocoded.wav");
    assert!((ratio / 100.0 - 1.0).abs() < 0.01, "{ratio}");
    let reference = ["vocode", "loud.wav", "quiet.wav", "--reference-level", "--overwrite"];
    place.run(&[&reference[..], &MODEL].concat()).code(0);
    let ratio = peak("loud_vocoded.wav") / peak("quiet_vocoded.wav");
    assert!((ratio - 1.0).abs() < 0.01, "{ratio}");
    place.file("empty.wav", &wav_f32(8_000, 1, &[]));
    place.run(&[&["vocode", "empty.wav"], &MODEL[..]].concat()).code(3);
}

#[test]
fn the_same_seed_gives_the_same_bytes_whatever_threads_and_jobs() {
    let place = Place::new();
    network(&place);
    for name in ["a.wav", "b.wav"] {
        place.file(name, &wav_f32(22_050, 1, &noise(30_000)));
    }
    let run = |more: &[&str]| {
        let all = ["vocode", "a.wav", "b.wav", "--overwrite"];
        place.run(&[&all[..], &MODEL, more].concat()).code(0);
        [place.read("a_vocoded.wav"), place.read("b_vocoded.wav")]
    };
    let first = run(&["--seed", "5", "--threads", "1"]);
    assert!(first[0] == first[1]);
    assert!(first == run(&["--seed", "5", "--threads", "2"]));
    assert!(first == run(&["--seed", "5", "--jobs", "2"]));
    assert!(first != run(&["--seed", "6"]));
    assert!(first != run(&["--seed", "5", "--steps", "2"]));
    let midpoint = ["--seed", "5", "--solver", "midpoint", "--temperature", "0.667"];
    assert!(run(&midpoint) != run(&[&midpoint[..], &["--free-u"]].concat()));
    let refined = ["--seed", "5", "--refine", "2"];
    assert!(first != run(&refined));
    assert!(run(&refined) == run(&[&refined[..], &["--threads", "2"]].concat()));
    assert!(first == run(&["--seed", "5", "--refine", "0"]));
    let swayed = ["--seed", "5", "--sway", "-1"];
    assert!(first != run(&swayed));
}

#[test]
fn options_have_bounds_and_a_model_has_to_be_named() {
    let place = Place::new();
    network(&place);
    place.file("in.wav", &wav_f32(22_050, 1, &noise(3_000)));
    let network = ["vocode", "in.wav", "--method", "network"];
    place.run(&network).code(4).says("models list --task vocode");
    let ran = place.run(&["vocode", "in.wav", "--model", "nobody"]).code(4);
    assert!(!ran.stderr.contains("spot-commands") && !ran.stderr.contains("specvqgan"));
    ran.says("nobody").says("periodwave-turbo-base").says("bigvgan-v2-22khz-80band");
    for wrong in [
        ["--steps", "0"],
        ["--temperature", "-1"],
        ["--sway", "3"],
        ["--free-u=1", "-q"],
        ["--refine", "1001"],
    ] {
        let ran = place.run(&[&["vocode", "in.wav"], &MODEL[..], &wrong].concat());
        assert_ne!(ran.code, 0, "{wrong:?}");
    }
    let listed = place.run(&["models", "list", "--task", "vocode"]).code(0).text();
    assert!(listed.contains("periodwave-turbo-base"), "{listed}");
}

#[test]
fn bench_times_sizes() {
    let place = Place::new();
    let sizes = json!({ "n_mel_channels": 80, "hidden_dim": 16, "final_dim": 1 });
    place.file("tiny.json", sizes.to_string().as_bytes());
    let ran = place.run(&[
        "bench",
        "vocode",
        "--config",
        "tiny.json",
        "--seconds",
        "2",
        "--repeat",
        "1",
        "--cold",
    ]);
    let line = ran.code(0).json().remove(0);
    assert_eq!(line["job"], json!("vocode tiny (random weights)"));
    assert!(line["output_rms"].as_f64().is_some_and(|rms| rms > 0.0), "{line}");
}
