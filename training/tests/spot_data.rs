//! How the clips of a keyword training are listed: splits, and remarks about what ruins a model.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;

use formant_audio_core::AudioView;
use formant_audio_core::encode::{WriteOptions, write_wav};
use formant_training::manifest;
use formant_training::progress::{Progress, TrainingEvent};
use formant_training::spot::{Splits, SpotData, SpotRecipe, SpotSources};

/// The remarks of a training.
#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Progress for Notes {
    fn event(&self, event: &TrainingEvent) {
        if let TrainingEvent::Note { text } = event {
            self.0.lock().expect("not poisoned").push(text.clone());
        }
    }
}

fn tone(path: &Path, hertz: f32) {
    let wave = |n: usize| 0.3 * (std::f32::consts::TAU * hertz * n as f32 / 16_000.0).sin();
    let samples: Vec<f32> = (0..1600).map(wave).collect();
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    write_wav(path, &AudioView::from_mono(16_000, &samples), &WriteOptions::default())
        .expect("a recording");
}

fn load(data: &Path) -> (SpotData, String) {
    let sources = SpotSources { words: vec![data.to_owned()], ..SpotSources::default() };
    let notes = Notes::default();
    let data = SpotData::load(&sources, &SpotRecipe::quick(), None, &notes).expect("data");
    let notes = notes.0.into_inner().expect("not poisoned").join("\n");
    (data, notes)
}

/// Sets of twelve people who say three words: each split has each word, whatever the people's names,
/// and an evaluation of the folder finds the same clips.
#[test]
fn twelve_speakers_are_never_without_a_split() {
    for set in 0..40u32 {
        let place = tempfile::tempdir().expect("a folder");
        for speaker in 0..12u32 {
            let name = (set * 7919 + speaker * 104_729) % 99_991;
            for word in ["lamp", "door", "fan"] {
                tone(
                    &place.path().join(format!("{word}/{name}_1.wav")),
                    100.0 + name as f32 / 50.0,
                );
            }
        }
        let (data, _) = load(place.path());
        let words =
            |labels: &mut dyn Iterator<Item = String>| labels.collect::<BTreeSet<_>>().len();
        assert_eq!(words(&mut data.dev.iter().map(|(_, word)| word.clone())), 3, "set {set}");
        assert!(data.word_clips.iter().all(|sources| !sources.is_empty()));

        let card = serde_json::json!({ "splits": data.splits });
        let slash = format!("{}/", place.path().display());
        for typed in [place.path(), Path::new(&slash)] {
            let mut rows = manifest::read(typed).expect("rows");
            Splits::of(&card).expect("splits").apply(&mut rows, typed);
            let count = |split: &str| rows.iter().filter(|row| row.split == split).count();
            assert_eq!([count("train"), count("dev"), count("test")], [30, 3, 3], "set {set}");
        }
        let (again, _) = load(Path::new(&slash));
        assert_eq!(again.splits, data.splits);
    }
}

#[test]
fn what_ruins_a_model_is_told() {
    let place = tempfile::tempdir().expect("a folder");
    let at = |name: &str| place.path().join(name);
    for n in 0..4 {
        tone(&at(&format!("high/anna_{n}.wav")), 2000.0 + 9.0 * n as f32);
        tone(&at(&format!("low/anna_{n}.wav")), 300.0 + 9.0 * n as f32);
        // Recordings of `high` by mistake.
        tone(&at(&format!("low/anna_x{n}.wav")), 2000.0 + 9.0 * n as f32);
    }
    tone(&at("rare/anna_1.wav"), 700.0);
    tone(&at("low/more/anna_9.wav"), 300.0);
    tone(&at("stray.wav"), 300.0);
    let (data, notes) = load(place.path());
    for told in [
        "`rare` has one clip",
        "the same recording under two labels, `high` and `low`",
        "2 recordings were left out",
        "all clips are of one speaker, `anna`",
        "no other speech",
    ] {
        assert!(notes.contains(told), "{told}: {notes}");
    }
    // The speech of the program stands in.
    assert!(data.speech.len() > 15 && !data.dev.is_empty());
}

/// Nothing is said of data that is as it should be, and one clip a word can still be trained on.
#[test]
fn sound_data_and_too_little() {
    let place = tempfile::tempdir().expect("a folder");
    for n in 0..12 {
        for (word, hertz) in [("lamp", 500.0), ("door", 900.0)] {
            tone(&place.path().join(format!("a/{word}/p{n}_1.wav")), hertz + n as f32);
            tone(&place.path().join(format!("b/{word}/p{n}_1.wav")), hertz + n as f32);
        }
        tone(&place.path().join(format!("a/unknown/p{n}_1.wav")), 1500.0 + n as f32);
    }
    let (data, notes) = load(&place.path().join("a"));
    assert_eq!((notes.as_str(), data.words.len()), ("", 2));
    for word in ["lamp", "door"] {
        for n in 1..12 {
            let file = place.path().join(format!("b/{word}/p{n}_1.wav"));
            std::fs::remove_file(file).expect("removed");
        }
    }
    let (data, notes) = load(&place.path().join("b"));
    assert!(notes.contains("no clip can be spared"), "{notes}");
    assert_eq!(data.dev.len(), 2);
}
