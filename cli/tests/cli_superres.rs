//! `formant superres`, `formant eval superres` and `formant bench superres`, with a network of
//! random weights: rates, lengths, bands and reports.

mod support;

use std::path::Path;

use formant_audio_core::decode::{DecodeOptions, decode_file};
use formant_audio_core::resample::{Quality, resample};
use formant_audio_core::{AudioBuf, AudioView};
use formant_models::arch::hifi_sr::{GeneratorConfig, HifiSrCard, HifiSrConfig, HifiSrModel};
use serde_json::json;
use support::{Place, wav_f32};

/// Writes `m.safetensors`, a small network with the published front end and random weights.
fn network(place: &Place) {
    let mut config = HifiSrConfig {
        generator: GeneratorConfig {
            upsample_rates: vec![16, 16],
            upsample_kernel_sizes: vec![32, 32],
            upsample_initial_channel: 8,
            resblock_kernel_sizes: vec![3],
            resblock_dilation_sizes: vec![vec![1, 3]],
            ..GeneratorConfig::default()
        },
        ..HifiSrConfig::default()
    };
    let encoder = &mut config.encoder;
    (encoder.out_channels, encoder.num_blocks, encoder.group_size) = (8, 1, 32);
    (encoder.query_key_dim, encoder.fsmn_inner_channels) = (6, 6);
    let card = HifiSrCard::published(config).expect("a card");
    let model = HifiSrModel::random(card, tch::Device::Cpu).expect("sound sizes");
    model.save(&place.path("m.safetensors"), tch::Kind::Float).expect("written");
}

fn noise(frames: usize) -> Vec<f32> {
    (0..frames).map(|n| 0.3 * ((n * 7919 % 1009) as f32 / 504.0 - 1.0)).collect()
}

fn decoded(place: &Place, name: &str) -> AudioBuf {
    decode_file(&place.path(name), &DecodeOptions::default()).expect(name).audio
}

fn resampled(samples: &[f32], from: u32, to: u32) -> Vec<f32> {
    let view = AudioView::from_mono(from, samples);
    resample(&view, to, Quality::High).expect("sound rates").into_planar()
}

#[test]
fn any_rate_becomes_48_khz_with_its_channels_and_exact_length() {
    let place = Place::new();
    network(&place);
    for (rate, channels, frames) in [
        (8_000, 1, 12_007),
        (16_000, 2, 20_011),
        (22_050, 1, 1),
        (44_100, 6, 3_001),
        (96_000, 2, 5_003),
    ] {
        let samples = noise(frames * usize::from(channels));
        place.file("in.wav", &wav_f32(rate, channels, &samples));
        let ran =
            place.run(&["superres", "in.wav", "--model", "m.safetensors", "--overwrite", "--json"]);
        let line = ran.code(0).json().remove(0);
        let audio = decoded(&place, "in_48k.wav");
        let wanted = (frames as u64 * 48_000).div_ceil(rate.into()) as usize;
        let found = (audio.rate(), audio.channels(), audio.frames());
        assert_eq!(found, (48_000, usize::from(channels), wanted), "{rate} Hz");
        assert_eq!(line["rate"], json!(48_000));
        assert_eq!(line["frames"], json!(wanted));
        let edges = line["cutoff_hz"].as_array().expect("a list");
        assert_eq!(edges.len(), usize::from(channels));
    }
    place.file("empty.wav", &wav_f32(8_000, 1, &[]));
    place.run(&["superres", "empty.wav", "--model", "m.safetensors"]).code(3);
}

#[test]
fn the_band_is_measured_whatever_the_rate_says_and_the_low_band_stays() {
    let place = Place::new();
    network(&place);
    // A telephone band and that of MP3 at 128 kbit/s, inside of files at 48 kHz.
    for (band, name) in [(7_000, "call"), (32_000, "mp3")] {
        let wide = resampled(&noise(2 * band as usize), band, 48_000);
        place.file("in.wav", &wav_f32(48_000, 1, &wide));
        let out = format!("{name}.wav");
        let ran =
            place.run(&["superres", "in.wav", "--model", "m.safetensors", "-o", &out, "--json"]);
        let line = ran.code(0).json().remove(0);
        let (found, nyquist) = (line["cutoff_hz"][0].as_f64().expect("Hz"), f64::from(band) / 2.0);
        assert!((0.93 * nyquist..=nyquist + 50.0).contains(&found), "{name}: {found}");
        assert_eq!(line["widened"], json!(1.0));
        let change = line["low_band_db"].as_f64().expect("something changed");
        assert!(change < -60.0, "{name}: {change} dB");
        let audio = decoded(&place, &out);
        let added: f32 = audio.channel(0).iter().zip(&wide).map(|(a, b)| (a - b).abs()).sum();
        assert!(added > 0.0, "{name}: nothing was added");
    }
}

#[test]
fn full_bands_and_silence_pass_untouched_and_the_command_says_so() {
    let place = Place::new();
    network(&place);
    let full = noise(100_000);
    place.file("full.wav", &wav_f32(48_000, 1, &full));
    let ran = place.run(&["superres", "full.wav", "--model", "m.safetensors"]).code(0);
    ran.says("nothing added");
    assert_eq!(decoded(&place, "full_48k.wav").channel(0), full);
    place.file("none.wav", &wav_f32(8_000, 1, &[0.0; 9_000]));
    place.run(&["superres", "none.wav", "--model", "m.safetensors"]).code(0).says("nothing added");
    assert!(decoded(&place, "none_48k.wav").channel(0).iter().all(|&x| x == 0.0));
}

#[test]
fn options_have_bounds() {
    let place = Place::new();
    network(&place);
    place.file("in.wav", &wav_f32(8_000, 1, &noise(8_000)));
    let cut = ["superres", "in.wav", "--model", "m.safetensors", "--cutoff"];
    assert_ne!(place.run(&[&cut[..], &["90000"]].concat()).code, 0);
    let ran = place.run(&[&cut[..], &["2000", "--json"]].concat()).code(0);
    assert_eq!(ran.json()[0]["cutoff_hz"], json!([2000.0]));
}

#[test]
fn windows_leave_the_length_and_no_seam_below_the_edge() {
    let place = Place::new();
    network(&place);
    let tone: Vec<f32> = (0..80_000).map(|n| 0.5 * (n as f32 * 0.2).sin()).collect();
    place.file("in.wav", &wav_f32(16_000, 1, &tone));
    let more = ["--window", "1", "--overlap", "0.4", "--json"];
    let ran = place.run(&[&["superres", "in.wav", "--model", "m.safetensors"], &more[..]].concat());
    let line = ran.code(0).json().remove(0);
    assert_eq!(line["frames"], json!(240_000));
    assert!(line["low_band_db"].as_f64().is_none_or(|db| db < -60.0), "{line}");
    let audio = decoded(&place, "in_48k.wav");
    let low = resampled(audio.channel(0), 48_000, 8_000);
    let wanted = resampled(&tone, 16_000, 8_000);
    for (n, (found, wanted)) in low.iter().zip(&wanted).enumerate().skip(200).take(39_600) {
        assert!((found - wanted).abs() < 1e-3, "{n}: {found} for {wanted}");
    }
}

#[test]
fn distances_come_with_their_protocol() {
    let place = Place::new();
    network(&place);
    place.file("a.wav", &wav_f32(48_000, 1, &noise(60_000)));
    place.file("b.wav", &wav_f32(8_000, 1, &noise(8_000)));
    place.file("t.tsv", b"path\tlabel\na.wav\twide\nb.wav\tnarrow\n");
    let eval = ["eval", "superres", "--manifest", "t.tsv", "--model", "m.safetensors"];
    let ran = place.run(&[&eval[..], &["--csv", "s.csv", "--json"]].concat()).code(1);
    let lines = ran.json();
    let summary = lines.last().expect("a summary");
    assert_eq!((&summary["items"], &summary["failed"]), (&json!(1), &json!(1)));
    assert!(summary["lsd"].is_number() && summary["lsd_resampled"].is_number());
    assert_eq!(summary["protocol"]["source_rate"], json!(16_000));
    assert_eq!(summary["protocol"]["n_fft"], json!(2048));
    assert!(String::from_utf8_lossy(&place.read("s.csv")).starts_with("input,lsd,lsd_resampled\n"));
}

#[test]
fn speed_is_measured() {
    let place = Place::new();
    network(&place);
    let bench = ["bench", "superres", "--seconds", "1", "--repeat", "1"];
    let line = place.run(&[&bench[..], &["--model", "m.safetensors"]].concat()).code(0).json();
    assert_eq!(line[0]["job"], json!("superres"));
}

/// The model that is used where none is named.
#[test]
fn the_bundled_model_fills_the_band_of_the_narrow_sample() {
    let place = Place::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples");
    let sample = std::fs::read(folder.join("speech_narrowband_8k.wav")).expect("a sample");
    place.file("call.wav", &sample);
    let ran = place.run(&["superres", "call.wav", "--json"]).code(0);
    let line = ran.json().remove(0);
    let edge = line["cutoff_hz"][0].as_f64().expect("Hz");
    assert!((3_000.0..=4_000.0).contains(&edge), "{edge}");
    assert!(line["low_band_db"].as_f64().is_none_or(|db| db < -60.0), "{line}");
    // Something like speech is above: softer than what is below, and not by more than 50 dB.
    let wide = decoded(&place, "call_48k.wav");
    let call = decode_file(&folder.join("speech_narrowband_8k.wav"), &DecodeOptions::default());
    let plain = resampled(call.expect("a sample").audio.channel(0), 8_000, 48_000);
    let energy = |x: &mut dyn Iterator<Item = f32>| x.map(|x| f64::from(x * x)).sum::<f64>();
    let added = energy(&mut wide.channel(0).iter().zip(&plain).map(|(a, b)| a - b));
    let share = 10.0 * (added / energy(&mut plain.iter().copied())).log10();
    assert!((-50.0..-3.0).contains(&share), "{share} dB");
}
