//! Voices that follow each other without pauses are told apart.

use std::path::Path;
use std::time::Duration;

use formant_audio_core::decode::{DecodeOptions, decode_file};
use formant_audio_core::resample::{Quality, resample};
use formant_audio_core::{AudioSpec, AudioView};
use formant_models::tasks::Task;
use formant_models::tasks::speaker::{EmbedOptions, SpeakerEmbedder, Voices};
use formant_models::{LoadOptions, ModelSource};
use formant_streaming::event::Progress;
use formant_streaming::source::{Pace, push_source};
use formant_streaming::task::SpeakerTask;
use formant_streaming::{Event, Session};

const RATE: usize = 16_000;

/// A sample without the silence around it, at a common level.
fn speech(name: &str) -> Vec<f32> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples").join(name);
    let clip = decode_file(&path, &DecodeOptions::default()).expect("a sample").audio;
    let mono = resample(&clip.view(), RATE as u32, Quality::High).expect("sound");
    let samples = mono.channel(0);
    let peak = samples.iter().fold(0.0f32, |peak, x| peak.max(x.abs()));
    let loud = |x: &f32| x.abs() > 0.03 * peak;
    let start = samples.iter().position(loud).expect("sound");
    let end = samples.iter().rposition(loud).expect("sound") + 1;
    let power = samples[start..end].iter().map(|x| x * x).sum::<f32>() / (end - start) as f32;
    samples[start..end].iter().map(|x| x * 0.08 / power.sqrt()).collect()
}

#[test]
fn voices_without_pauses_are_turns() {
    let source = ModelSource::or_default(None, "speaker").expect("bundled");
    let embedder = SpeakerEmbedder::load(&source, &LoadOptions::default()).expect("bundled");
    let (a, b) = ("speech_en_female_a", "speech_en_male_b");
    let clip = |voice: &str, n: usize| speech(&format!("{voice}{n}_24k.wav"));
    let mut voices = Voices::new(embedder.identity());
    for (name, voice) in [("A", a), ("B", b)] {
        let known = clip(voice, 1);
        let view = AudioView::from_mono(RATE as u32, &known);
        let embedded = embedder.process(&view, &EmbedOptions::default()).expect("runs");
        voices.enroll(name, &[embedded.0.expect("enough speech")]).expect("a name");
    }
    let turns = [("A", clip(a, 2)), ("B", clip(b, 2)), ("A", clip(a, 1)), ("B", clip(b, 1))];
    let mut expected = Vec::new();
    let mut audio = vec![0.0; RATE];
    for (name, turn) in &turns {
        let start = audio.len() as f64 / RATE as f64;
        audio.extend_from_slice(turn);
        expected.push((*name, start, audio.len() as f64 / RATE as f64));
    }
    audio.resize(audio.len() + RATE, 0.0);

    let scorer = embedder.scorer();
    let task = SpeakerTask::new(embedder, voices, scorer).expect("one model");
    let (mut pusher, source) = push_source(AudioSpec::mono(RATE as u32), Pace::Elastic);
    let session = Session::new(source).task(task).start().expect("begins");
    assert!(pusher.push_all(&audio));
    drop(pusher);
    let mut ended = Vec::new();
    while let Some(event) = session.next_within(Duration::from_secs(60)) {
        match event {
            Event::Speaker { start, end, name, progress: Progress::Ended, .. } => {
                ended.push((name, start, end));
            }
            Event::Finished { .. } => break,
            _ => {}
        }
    }
    assert_eq!(ended.len(), expected.len(), "{ended:?} instead of {expected:?}");
    for ((name, start, end), (who, from, to)) in ended.iter().zip(&expected) {
        let close = (start - from).abs() < 0.75 && (end - to).abs() < 0.75;
        assert!(name.as_deref() == Some(who) && close, "{ended:?} instead of {expected:?}");
    }
    assert!(ended.windows(2).all(|pair| pair[0].2 <= pair[1].1), "{ended:?}");
}
