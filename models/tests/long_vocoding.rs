//! Recordings and spectrograms that are longer than what a session measures, against the whole.

use formant_audio_core::AudioBuf;
use formant_models::arch::periodwave::{PeriodWave, PeriodWaveCard, PeriodWaveConfig};
use formant_models::model::Model;
use formant_models::tasks::Task;
use formant_models::tasks::vocode::{VocodeOptions, Vocoder};
use tch::Device;

/// A network in which the norms of the conditioning matter, in the form that kernels compute where there
/// is a matrix unit.
fn vocoder() -> Vocoder {
    let config = PeriodWaveConfig {
        n_mel_channels: 80,
        periods: vec![1, 3],
        hidden_dim: 256,
        final_dim: 16,
        ..PeriodWaveConfig::default()
    };
    tch::manual_seed(11);
    let card = PeriodWaveCard::published(config).expect("a card");
    let model = Model::<PeriodWave>::random(card, Device::Cpu).expect("sound sizes");
    tch::no_grad(|| {
        for (name, mut weight) in model.weights() {
            if name.contains(".grn.") {
                let _ = weight.normal_(0.5, 0.5);
            }
        }
    });
    Vocoder::of(model)
}

fn decibels(found: &[f32], wanted: &[f32]) -> f64 {
    assert_eq!(found.len(), wanted.len());
    let energy = |x: f32| f64::from(x) * f64::from(x);
    let change: f64 = found.iter().zip(wanted).map(|(a, b)| energy(a - b)).sum();
    let all: f64 = wanted.iter().map(|x| energy(*x)).sum();
    10.0 * (change / all).max(1e-30).log10()
}

/// Sound that becomes another behind what is measured.
fn recording(frames: usize) -> AudioBuf {
    let sample = |n: usize| {
        let noise = (n * 7919 % 1009) as f32 / 504.5 - 1.0;
        if n < frames / 2 { 0.1 * noise } else { 0.4 * (n as f32 * 0.05).sin() + 0.05 * noise }
    };
    AudioBuf::from_mono(22_050, (0..frames).map(sample).collect())
}

#[test]
fn s10_a_recording_is_seen_as_a_whole_however_long() {
    let vocoder = vocoder();
    // Frames for more than one part of the spectrogram.
    let audio = recording(2600 * 256);
    let whole = VocodeOptions { steps: Some(1), ..VocodeOptions::default() };
    let parted = VocodeOptions { measured_seconds: 4.0, ..whole };
    let run = |options: &VocodeOptions| {
        vocoder.process(&audio.view(), options).expect("runs").0.channel(0).to_vec()
    };
    let (wanted, found) = (run(&whole), run(&parted));
    let level = decibels(&found, &wanted);
    assert!(level < -80.0, "{level:.1} dB");
    assert!(found == run(&VocodeOptions { threads: 3, ..parted }), "threads change a byte");
    // A session cannot know what comes.
    let mut session = vocoder.start(&parted).expect("sound");
    let first = formant_models::tasks::TaskSession::push(&mut session, &audio.view());
    let rest = formant_models::tasks::TaskSession::finish(session).expect("runs").0;
    let streamed = [first.expect("runs").channel(0), rest.channel(0)].concat();
    let level = decibels(&streamed, &wanted);
    assert!(level > -60.0, "norms of the beginning would do: {level:.1} dB");
}

#[test]
fn s10_a_spectrogram_is_seen_as_a_whole_however_long() {
    let vocoder = vocoder();
    let value = |n: usize| {
        let (frame, band) = (n / 80, n % 80);
        let loud = if frame < 1200 { -4.0 } else { -8.0 };
        loud + (frame as f32 * 0.13).sin() - band as f32 * 0.03
    };
    let rows: Vec<f32> = (0..2500 * 80).map(value).collect();
    let whole = VocodeOptions { steps: Some(1), ..VocodeOptions::default() };
    let parted = VocodeOptions { measured_seconds: 4.0, ..whole };
    let [wanted, found] =
        [whole, parted].map(|options| vocoder.process_mel(&rows, &options).expect("runs"));
    let level = decibels(&found, &wanted);
    assert!(level < -80.0, "{level:.1} dB");
}
