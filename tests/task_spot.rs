//! Keyword spotting from end to end: the bundled model on the shipped clips, odd inputs, and the
//! same answers whatever the blocks, rates and runs.

use formant::audio::decode::{BlockReader, DecodeOptions, decode_file};
use formant::audio::resample::{Quality, resample};
use formant::audio::{AudioBuf, AudioSpec, AudioView, ChannelLayout};
use formant::models::tasks::spot::{Detection, SpotOptions, Spotter};
use formant::models::tasks::{Task, TaskSession};
use formant::models::{LoadOptions, ModelSource};

const WORDS: [(&str, f64); 6] =
    [("yes", 1.0), ("down", 2.8), ("stop", 4.6), ("no", 6.4), ("go", 8.2), ("up", 10.0)];

fn spotter() -> Spotter {
    let source = ModelSource::Bundled("spot-commands".to_owned());
    Spotter::load(&source, &LoadOptions::default()).expect("the bundled model loads")
}

fn sample(name: &str) -> AudioBuf {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("samples").join(name);
    decode_file(&path, &DecodeOptions::default()).expect("a shipped clip").audio
}

fn labels(found: &[Detection]) -> Vec<&str> {
    found.iter().map(|d| d.label.as_str()).collect()
}

#[test]
fn finds_the_words_of_the_stream_in_their_places() {
    let (found, _) = spotter()
        .process(&sample("keyword_stream_16k.wav").view(), &SpotOptions::default())
        .expect("a readable stream");
    assert_eq!(labels(&found), WORDS.map(|(word, _)| word));
    for (detection, (word, clip_start)) in found.iter().zip(WORDS) {
        // Each word lies somewhere in a clip of one second.
        assert!(detection.start >= clip_start - 0.1, "{word}: {detection:?}");
        assert!(detection.end <= clip_start + 1.1, "{word}: {detection:?}");
        assert!(detection.decided <= clip_start + 1.7, "{word}: {detection:?}");
    }
}

#[test]
fn names_the_word_of_each_clip() {
    let spotter = spotter();
    for (word, _) in WORDS {
        let clip = sample(&format!("keyword_{word}_16k.wav"));
        let answer = spotter.classify(&clip.view()).expect("a clip");
        assert_eq!(answer.word.as_deref(), Some(word));
        let sum: f32 = answer.scores.iter().map(|(_, score)| score).sum();
        assert!((sum - 1.0).abs() < 1e-4, "scores sum to {sum}");
    }
}

#[test]
fn any_blocks_give_the_same_detections() {
    let (spotter, audio) = (spotter(), sample("keyword_stream_16k.wav"));
    let (whole, _) = spotter.process(&audio.view(), &SpotOptions::default()).expect("whole");
    for block in [1usize, 160, 999, audio.frames()] {
        // One-sample blocks are slow: the first word is enough there.
        let end = if block == 1 { 40_000 } else { audio.frames() };
        let mut session = spotter.start(&SpotOptions::default()).expect("defaults");
        let mut found = Vec::new();
        for at in (0..end).step_by(block) {
            found.extend(
                session.push(&audio.view().slice(at..(at + block).min(end))).expect("block"),
            );
        }
        if block > 1 {
            found.extend(session.finish().expect("end").0);
        }
        let expected: Vec<&Detection> =
            whole.iter().filter(|d| d.decided < end as f64 / 16e3).collect();
        assert_eq!(found.len(), expected.len(), "blocks of {block}");
        for (a, b) in found.iter().zip(expected) {
            assert_eq!(a.label, b.label);
            assert!((a.score - b.score).abs() < 1e-4, "blocks of {block}: {a:?} {b:?}");
            assert!((a.start - b.start).abs() < 1e-6 && (a.end - b.end).abs() < 1e-6);
        }
    }
}

/// Case S3: two runs in one process give the same bytes.
#[test]
fn s3_two_runs_are_equal() {
    let (spotter, audio) = (spotter(), sample("keyword_stream_16k.wav"));
    let run = || spotter.process(&audio.view(), &SpotOptions::default()).expect("a run");
    assert_eq!(run(), run());
}

#[test]
fn rate_and_channels_do_not_matter() {
    let (spotter, audio) = (spotter(), sample("keyword_stream_16k.wav"));
    for rate in [44_100, 48_000] {
        let other = resample(&audio.view(), rate, Quality::High).expect("any rate");
        let spec = AudioSpec { rate, layout: ChannelLayout::Stereo };
        let planar = [other.channel(0), other.channel(0)].concat();
        let stereo = AudioBuf::from_planar(spec, planar).expect("two channels");
        let (found, _) =
            spotter.process(&stereo.view(), &SpotOptions::default()).expect("a stream");
        assert_eq!(labels(&found), WORDS.map(|(word, _)| word), "at {rate} Hz");
    }
}

/// Case S8: the shortest inputs give an empty list, no panic.
#[test]
fn s8_short_inputs_have_no_words() {
    let spotter = spotter();
    let noise: Vec<f32> =
        (0..1600u32).map(|i| 0.3 * ((i * 7919 % 1000) as f32 / 500.0 - 1.0)).collect();
    for length in [0, 1, 2, 79, 159, 160, 399, 400, 401, 1023, 1600] {
        let view = AudioView::from_mono(16_000, &noise[..length]);
        let (found, _) = spotter.process(&view, &SpotOptions::default()).expect("defined");
        assert!(found.is_empty(), "{length} samples: {found:?}");
        assert_eq!(spotter.classify(&view).is_err(), length == 0);
    }
}

/// Case S9: silence, DC, faint noise and hum hold no word.
#[test]
fn s9_no_words_in_silence() {
    let spotter = spotter();
    let signal = |f: &dyn Fn(usize) -> f32| (0..80_000).map(f).collect::<Vec<f32>>();
    let mut state = 1u32;
    let white: Vec<f32> = (0..80_000)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            1e-4 * ((state >> 8) as f32 / 8_388_608.0 - 1.0)
        })
        .collect();
    let hum = signal(&|i| 0.1 * (std::f32::consts::TAU * 50.0 * i as f32 / 16_000.0).sin());
    for (name, samples) in
        [("zeros", signal(&|_| 0.0)), ("DC", signal(&|_| 0.2)), ("noise", white), ("hum", hum)]
    {
        let view = AudioView::from_mono(16_000, &samples);
        let (found, _) = spotter.process(&view, &SpotOptions::default()).expect("defined");
        assert!(found.is_empty(), "{name}: {found:?}");
    }
}

#[test]
fn a_file_is_read_in_bounded_blocks() {
    let path =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/keyword_stream_16k.wav");
    let mut reader = BlockReader::open(&path, &DecodeOptions::default()).expect("a shipped clip");
    let mut found = Vec::new();
    let heard = spotter()
        .process_reader(&mut reader, &SpotOptions::default(), |part| {
            found.extend(part);
            Ok::<_, formant::models::Error>(())
        })
        .expect("a readable file");
    assert!((heard.seconds - 12.0).abs() < 1e-6);
    assert_eq!(found.len(), WORDS.len());
}

#[test]
fn a_saved_model_is_the_same_model() {
    let spotter = spotter();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("copy.safetensors");
    spotter.save(&path, tch::Kind::Float).expect("saved");
    let copy = Spotter::load(&ModelSource::Path(path), &LoadOptions::default()).expect("loaded");
    assert_eq!(copy.card(), spotter.card());
    let clip = sample("keyword_go_16k.wav");
    let (a, b) = (spotter.classify(&clip.view()), copy.classify(&clip.view()));
    assert_eq!(a.expect("original"), b.expect("copy"));
}
