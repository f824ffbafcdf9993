//! Speaker embedding from end to end: the same vector whatever the blocks, rates and channels, long
//! recordings, odd inputs, and models that are never mixed up.

use std::path::Path;

use formant::audio::decode::{DecodeOptions, decode_file};
use formant::audio::resample::{Quality, resample};
use formant::audio::{AudioBuf, AudioSpec, AudioView, ChannelLayout};
use formant::models::tasks::speaker::{
    EmbedOptions, Embedding, SpeakerEmbedder, SpeechOnly, Unusable, Voices, cosine,
};
use formant::models::tasks::{Task, TaskSession};
use formant::models::{LoadOptions, ModelSource};

fn here(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// A published folder with random weights.
fn published() -> SpeakerEmbedder {
    let source = ModelSource::Path(here("tests/goldens/ecapa-tdnn/containers"));
    SpeakerEmbedder::load(&source, &LoadOptions::default()).expect("a SpeechBrain folder")
}

fn sample(name: &str) -> AudioBuf {
    let path = here("samples").join(name);
    let audio = decode_file(&path, &DecodeOptions::default()).expect("a shipped clip").audio;
    resample(&audio.view(), 16_000, Quality::High).expect("16 kHz")
}

fn embed(embedder: &SpeakerEmbedder, audio: &AudioView<'_>) -> Embedding {
    let heard = embedder.process(audio, &EmbedOptions::default()).expect("it runs").0;
    heard.expect("there is speech in it")
}

#[test]
fn blocks_of_any_length_give_the_same_vector() {
    let embedder = published();
    let clip = sample("speech_en_female_a1_24k.wav");
    let long: Vec<f32> = clip.channel(0).iter().copied().cycle().take(16_000 * 31).collect();
    let whole = embed(&embedder, &AudioView::from_mono(16_000, &long));
    assert!(whole.speech_seconds > 15.0, "{}", whole.speech_seconds);
    for block in [1_000, 16_001, long.len()] {
        let mut session = embedder.start(&EmbedOptions::default()).expect("a session");
        for piece in long.chunks(block) {
            session.push(&AudioView::from_mono(16_000, piece)).expect("same rate");
        }
        let (found, _) = session.finish().expect("it runs");
        let found = found.expect("the end").expect("speech");
        assert_eq!(found, whole, "blocks of {block}");
    }
}

#[test]
fn rates_and_channels_hardly_matter() {
    let embedder = published();
    let mono = sample("speech_en_male_b1_24k.wav");
    let wanted = embed(&embedder, &mono.view());
    let up = resample(&mono.view(), 44_100, Quality::Best).expect("44.1 kHz");
    let spec = AudioSpec { rate: 44_100, layout: ChannelLayout::Stereo };
    let planar = [up.channel(0), up.channel(0)].concat();
    let stereo = AudioBuf::from_planar(spec, planar).expect("two channels");
    let found = embed(&embedder, &stereo.view());
    let likeness = cosine(&found.values, &wanted.values);
    assert!(likeness > 0.99, "{likeness}");
}

#[test]
fn pauses_do_not_count() {
    let embedder = published();
    let clip = sample("speech_en_male_b1_24k.wav");
    let mut padded = vec![0.0; 48_000];
    padded.extend_from_slice(clip.channel(0));
    padded.extend(vec![0.0; 48_000]);
    let (alone, found) =
        (embed(&embedder, &clip.view()), embed(&embedder, &AudioView::from_mono(16_000, &padded)));
    assert!((alone.speech_seconds - found.speech_seconds).abs() < 0.4);
    assert!(cosine(&alone.values, &found.values) > 0.99);
}

#[test]
fn odd_inputs_have_typed_answers() {
    let embedder = published();
    let heard = |samples: &[f32]| {
        let view = AudioView::from_mono(16_000, samples);
        embedder.process(&view, &EmbedOptions::default()).expect("no error").0
    };
    for frames in [0, 1, 400, 1600] {
        match heard(&vec![0.1; frames]) {
            Err(Unusable::TooShort { have, need }) => {
                assert!((have - frames as f64 / 16_000.0).abs() < 1e-9 && have < need);
            }
            other => panic!("{frames} samples: {other:?}"),
        }
    }
    assert_eq!(heard(&[0.0; 80_000]), Err(Unusable::NoSpeech));
    assert_eq!(heard(&[0.2; 80_000]), Err(Unusable::NoSpeech));
    let broken: Vec<f32> =
        (0..80_000).map(|n| if n % 1000 == 0 { f32::NAN } else { 0.01 }).collect();
    assert_eq!(heard(&broken), Err(Unusable::NoSpeech));
    let silence = AudioView::from_mono(16_000, &[0.0; 80_000]);
    let all = embedder.process(&silence, &EmbedOptions { speech_only: SpeechOnly::No });
    let all = all.expect("it runs").0.expect("everything is used");
    assert!(all.values.iter().all(|x| x.is_finite()));
}

#[test]
fn models_are_never_mixed_up() {
    let embedder = published();
    let found = embed(&embedder, &sample("speech_en_female_a1_24k.wav").view());
    assert_eq!(published().identity(), found.model);
    let mut other = found.clone();
    other.model = "another".to_owned();
    let mut voices = Voices::new(embedder.identity());
    voices.enroll("Ada", std::slice::from_ref(&found)).expect("the same model");
    assert!(voices.enroll("Ada", std::slice::from_ref(&other)).is_err());
    assert!(voices.identify(&other, &embedder.scorer()).is_err());
    let known = voices.identify(&found, &embedder.scorer()).expect("the same model");
    assert_eq!(known.name.as_deref(), Some("Ada"));
}
