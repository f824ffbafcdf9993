//! `formant eval vocode`, with a network of random weights: Griffin and Lim's method beats that.

mod support;

use formant_models::arch::periodwave::{PeriodWaveCard, PeriodWaveConfig, PeriodWaveModel};
use support::{Place, wav_f32};

#[test]
fn distances_stand_beside_those_of_griffin_and_lim() {
    let place = Place::new();
    let (n_mel_channels, hidden_dim, final_dim) = (80, 16, 1);
    let config =
        PeriodWaveConfig { n_mel_channels, hidden_dim, final_dim, ..PeriodWaveConfig::default() };
    let card = PeriodWaveCard::published(config).expect("a card");
    let model = PeriodWaveModel::random(card, tch::Device::Cpu).expect("sound sizes");
    model.save(&place.path("m.safetensors"), tch::Kind::Float).expect("written");
    let voice: Vec<f32> = (0..22_050)
        .map(|n| {
            let phase = n as f32 * 0.04;
            0.2 * (1..8).map(|k| (phase * k as f32).sin() / k as f32).sum::<f32>()
        })
        .collect();
    place.file("talk.wav", &wav_f32(22_050, 1, &voice));
    place.file("talks.tsv", b"path\tsplit\ntalk.wav\ttest\nnone.wav\ttest\ntalk.wav\ttrain\n");
    let eval = ["eval", "vocode", "--manifest", "talks.tsv", "--model", "m.safetensors"];
    let split = ["--split", "test", "--csv", "scores.csv"];
    let lines = place.run(&[&eval[..], &split, &["--json"]].concat()).code(1).json();
    let score = lines.iter().find(|line| line["type"] == "recording").expect("a recording");
    let number = |side: &str, name: &str| score[side][name].as_f64().expect("a number");
    for name in ["mel", "multi_resolution"] {
        let (made, plain) = (number("vocoded", name), number("griffin_lim", name));
        assert!(plain > 0.0 && plain < made, "{name}: {plain} {made}");
    }
    assert!(number("griffin_lim", "mel") < 0.5 && number("griffin_lim", "voiced_f1") > 0.9);
    let summary = lines.last().expect("a summary");
    assert_eq!(summary["griffin_lim_mel_distance"], score["griffin_lim"]["mel"]);
    let table = String::from_utf8(place.read("scores.csv")).expect("text");
    assert_eq!(table.lines().count(), 2);
    assert!(table.starts_with("input,mel_distance,multi_resolution,periodicity_rmse,voiced_f1,"));
    place.run(&[&eval[..], &split].concat()).code(2).says("scores.csv");
    place.file("sides.tsv", b"path\tchannel\ntalk.wav\t3\n");
    let sides = ["eval", "vocode", "--manifest", "sides.tsv", "--model", "m.safetensors"];
    let ran = place.run(&sides).code(3).says("talk.wav").says("no channel 3");
    ran.says("choose a channel that is there");
    // Less than a frame.
    place.file("one.wav", &wav_f32(22_050, 1, &[0.1]));
    place.file("short.tsv", b"path\none.wav\n");
    let short = ["eval", "vocode", "--manifest", "short.tsv", "--model", "m.safetensors"];
    place.run(&short).code(3).says("have 1 samples, need 256");
    place.run(&[&eval[..], &["--split", "dev"]].concat()).code(2).says("dev");
}
