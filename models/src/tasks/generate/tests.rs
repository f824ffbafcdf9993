use formant_audio_core::features::presets;
use formant_audio_core::random::{fraction, mix};
use formant_audio_core::{AudioSpec, ChannelLayout};
use serde_json::json;
use tch::kind::FLOAT_CPU;

use super::*;
use crate::arch::gan_vocoder::{
    GanVocoderCard, GanVocoderConfig, GanVocoderModel, GeneratorConfig, HifiGanConfig,
};
use crate::arch::specmaskgit::{SpecMaskGitCard, SpecMaskGitConfig, SpecMaskGitModel};
use crate::arch::specvqgan::{SpecVqganCard, SpecVqganConfig, SpecVqganModel};

const WORDS: [&str; 6] = ["rain", "dog", "wind", "train", "bell", "sea_waves"];

fn parts(grid_h: i64, frontend: &str, has_vocoder: bool) -> Parts {
    tch::manual_seed(2);
    let transformer = SpecMaskGitConfig { grid_h, grid_w: 6, ..SpecMaskGitConfig::tiny() };
    let mut tokenizer = SpecVqganCard::published(SpecVqganConfig::tiny()).expect("a card");
    tokenizer.frontend = presets::by_name(frontend).expect("a preset");
    let generator = GeneratorConfig::tiny();
    let vocoder = GanVocoderConfig::HifiGan(HifiGanConfig { num_mels: 80, generator });
    let vocoder = GanVocoderCard::published(vocoder).expect("a card");
    let card = SpecMaskGitCard {
        provenance: json!({ "words": WORDS }),
        ..SpecMaskGitCard::sized(transformer)
    };
    let vocoder = || GanVocoderModel::random(vocoder, Device::Cpu).expect("sound");
    Parts {
        transformer: SpecMaskGitModel::random(card, Device::Cpu).expect("sound"),
        tokenizer: SpecVqganModel::random(tokenizer, Device::Cpu).expect("sound"),
        vocoder: has_vocoder.then(|| VocoderPart::Gan(Box::new(vocoder()))),
        text: None,
    }
}

fn generator(has_vocoder: bool) -> Generator {
    Generator::new(parts(40, "specmaskgit", has_vocoder), Precision::F32).expect("parts that fit")
}

fn unwatched(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn usual() -> GenerateOptions {
    let text = "rain".to_owned();
    GenerateOptions { text, steps: Some(2), overlap: Some(2), ..GenerateOptions::default() }
}

#[test]
fn sounds_are_as_long_as_asked_and_follow_from_their_seed() {
    for has_vocoder in [true, false] {
        let generator = generator(has_vocoder);
        let make = |seconds: f64, seed: u64| {
            let options = GenerateOptions { seconds, seed, ..usual() };
            let mut seen = Vec::new();
            let mut watch = |progress: Progress| {
                seen.push(progress.steps);
                assert!(progress.steps <= progress.of);
                ControlFlow::Continue(())
            };
            let found = generator.generate(&options, &mut watch);
            let found = found.expect("runs").expect("to the end");
            assert!(!seen.is_empty() && seen.is_sorted());
            assert!(found.samples.iter().all(|x| x.is_finite()));
            found.samples
        };
        // A window is 6 columns of 2 frames of 256 samples.
        for samples in [1usize, 255, 257, 3_072, 3_073, 9_999] {
            assert_eq!(make(samples as f64 / 22_050.0, 5).len(), samples);
        }
        let (first, again, other) = (make(0.5, 5), make(0.5, 5), make(0.5, 6));
        assert_eq!(first, again);
        assert_ne!(first, other);
    }
}

#[test]
fn what_does_not_fit_is_refused_by_name_and_number() {
    for (grid_h, frontend, wanted) in [
        (5, "specmaskgit", "5 rows of 2 bands for a tokenizer of 80"),
        (40, "specvqgan", "highest frequency: 7600 Hz, not 8000 Hz"),
    ] {
        let error = Generator::new(parts(grid_h, frontend, true), Precision::F32).expect_err("no");
        assert!(error.to_string().contains(wanted), "{error}");
    }
    // Without a vocoder every spectrogram has its own search.
    let other = Generator::new(parts(40, "specvqgan", false), Precision::F32).expect("they fit");
    let options = GenerateOptions { seconds: 0.3, ..usual() };
    let made = other.generate(&options, &mut unwatched).expect("runs").expect("to the end");
    assert_eq!(made.samples.len(), 6_615);
    let mut few = parts(40, "specmaskgit", false);
    few.transformer.card.provenance = json!({ "words": ["rain"] });
    let error = Generator::new(few, Precision::F32).expect_err("one word").to_string();
    assert!(error.contains("1 in the card of a transformer that takes 6"), "{error}");
}

#[test]
fn a_watcher_ends_it_and_odd_options_are_refused() {
    let generator = generator(true);
    let options = GenerateOptions { seconds: 0.2, ..usual() };
    let mut stop = |_: Progress| ControlFlow::Break(());
    assert_eq!(generator.generate(&options, &mut stop).expect("runs"), None);
    for broken in [
        GenerateOptions { seconds: 0.0, ..usual() },
        GenerateOptions { seconds: f64::NAN, ..usual() },
        GenerateOptions { seconds: 1e9, ..usual() },
        GenerateOptions { overlap: Some(6), ..usual() },
        GenerateOptions { steps: Some(0), ..usual() },
        GenerateOptions { guidance: Some(f64::NAN), ..usual() },
        GenerateOptions { text: "xylophone".to_owned(), ..usual() },
        GenerateOptions { negative: "xylophone".to_owned(), ..usual() },
    ] {
        assert!(generator.generate(&broken, &mut unwatched).is_err(), "{broken:?}");
    }
}

#[test]
fn texts_are_words_or_any_sound() {
    let generator = generator(true);
    let described = generator.describe("the waves of the sea, a dgo and rain").expect("known");
    assert_eq!(described.words, ["rain", "sea_waves"]);
    assert!(described.notes[0].contains("`dgo`"), "{:?}", described.notes);
    let embedding = described.embedding.expect("said");
    assert!((embedding.square().sum(Kind::Float).double_value(&[]) - 1.0).abs() < 1e-6);
    assert!(generator.describe("").expect("any sound").embedding.is_none());
    let mut parts = parts(40, "specmaskgit", false);
    parts.transformer.card.provenance = serde_json::Value::Null;
    let generator = Generator::new(parts, Precision::F32).expect("parts that fit");
    assert_eq!(generator.words(), None);
    let error = generator.describe("rain").expect_err("no words").to_string();
    assert!(error.contains("CLAP"), "{error}");
}

/// Noise in two channels.
fn recording(rate: u32, frames: usize) -> AudioBuf {
    let spec = AudioSpec { layout: ChannelLayout::Stereo, ..AudioSpec::mono(rate) };
    let sample = |n: usize| (fraction(mix(n as u64 + 1)) as f32 - 0.5) * 0.4;
    AudioBuf::from_planar(spec, (0..2 * frames).map(sample).collect()).expect("a recording")
}

#[test]
fn outside_of_gaps_recordings_stay_as_they_are() {
    let generator = generator(true);
    for rate in [16_000, 22_050, 44_100] {
        let audio = recording(rate, rate as usize);
        let options = |edit| GenerateOptions { edit, ..usual() };
        let run = |edit| generator.process(&audio.view(), &options(edit)).expect("runs").0;
        let filled = run(Edit::Inpaint { from: 0.3, to: 0.4 });
        assert_eq!((filled.spec(), filled.frames()), (audio.spec(), audio.frames()));
        let (from, to) = (rate as usize * 3 / 10, rate as usize * 4 / 10);
        for channel in 0..2 {
            let (old, new) = (audio.channel(channel), filled.channel(channel));
            assert!(old[..from] == new[..from] && old[to..] == new[to..], "{rate}");
            assert!(old[from..to] != new[from..to]);
        }
        let longer = run(Edit::Continue { seconds: 0.2 });
        assert_eq!(longer.frames(), audio.frames() + rate as usize / 5);
        assert!(longer.channel(1)[..audio.frames()] == *audio.channel(1));
        assert!(longer.channel(1)[audio.frames()..].iter().any(|x| *x != 0.0));
    }
    let audio = recording(22_050, 22_050);
    for edit in [
        Edit::Inpaint { from: 0.5, to: 2.0 },
        Edit::Continue { seconds: f64::INFINITY },
        Edit::ExtendBandwidth { cutoff_hz: Some(f64::NAN) },
        Edit::ExtendBandwidth { cutoff_hz: Some(20.0) },
    ] {
        let options = GenerateOptions { edit, ..usual() };
        assert!(generator.process(&audio.view(), &options).is_err(), "{edit:?}");
    }
    // One sample is a recording, too.
    let options = GenerateOptions { edit: Edit::Continue { seconds: 0.1 }, ..usual() };
    let one = generator.process(&recording(22_050, 1).view(), &options).expect("runs").0;
    assert_eq!(one.frames(), 1 + 2_205);
}

#[test]
fn a_wider_band_leaves_the_one_below_alone() {
    let generator = generator(true);
    let narrow = recording(8_000, 8_000);
    let options = usual();
    let (wide, report) = generator.process(&narrow.view(), &options).expect("runs");
    assert_eq!((wide.rate(), wide.frames()), (22_050, 22_050));
    assert_eq!(report.cutoff_hz.len(), 2);
    assert!(report.cutoff_hz.iter().all(|hz| (3_500.0..=4_000.0).contains(hz)), "{report:?}");
    let plain = formant_audio_core::resample::resample(
        &narrow.view(),
        22_050,
        formant_audio_core::resample::Quality::High,
    );
    let plain = plain.expect("resampled");
    let band = crate::tasks::superres::Crossover::new(3_000.0, 3_400.0, 22_050.0);
    let (x, y) = (Tensor::from_slice(plain.channel(0)), Tensor::from_slice(wide.channel(0)));
    // At its ends what was added fades, which every band sees.
    let energy =
        |x: Tensor| x.narrow(0, 3_000, 16_000).square().sum(Kind::Double).double_value(&[]);
    let change = energy(band.low(&(&y - &x))) / energy(band.low(&x));
    assert!(change < 1e-6, "{change}");
    assert!(energy(band.high(&(&y - &x))) > 0.0, "something was added");
    // A full band and silence have nothing to add to.
    let full = recording(22_050, 22_050);
    assert_eq!(generator.process(&full.view(), &options).expect("runs").0, full);
    let silence = AudioBuf::silence(AudioSpec::mono(8_000), 8_000);
    let kept = generator.process(&silence.view(), &options).expect("runs").0;
    assert!(kept.channel(0).iter().all(|x| *x == 0.0));
}

#[test]
fn windows_fade_into_each_other() {
    let (ones, zeros) =
        (Tensor::ones([1, 1, 2, 8], FLOAT_CPU), Tensor::zeros([1, 1, 2, 8], FLOAT_CPU));
    let faded = fade(&ones, &zeros, 4);
    assert_eq!(faded.size(), [1, 1, 2, 12]);
    let row = Vec::<f32>::try_from(faded.reshape([2, 12]).get(0)).expect("a row");
    assert!(row.is_sorted_by(|a, b| a >= b), "{row:?}");
    assert_eq!((row[3], row[4], row[7], row[8]), (1.0, 0.875, 0.125, 0.0));
}
