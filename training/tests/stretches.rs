//! Rows with an offset, a duration or a channel: a training learns from that part, and an evaluation
//! decodes the same samples.

use std::sync::Mutex;

use formant_audio_core::decode::Stretch;
use formant_audio_core::encode::{WriteOptions, write_wav};
use formant_audio_core::{AudioBuf, AudioSpec, AudioView, ChannelLayout};
use formant_training::Recording;
use formant_training::corpus::Corpus;
use formant_training::progress::{Progress, TrainingEvent};

#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Progress for Notes {
    fn event(&self, event: &TrainingEvent) {
        if let TrainingEvent::Note { text } = event {
            self.0.lock().expect("not poisoned").push(text.clone());
        }
    }
}

#[test]
fn f6_a_corpus_holds_the_stretches_of_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.wav");
    let samples: Vec<f32> = (0..16_000).map(|n| (n as f32 * 0.05).sin() * n as f32 / 2e4).collect();
    write_wav(&path, &AudioView::from_mono(16_000, &samples), &WriteOptions::default())
        .expect("a recording");
    let of = |start, seconds| Recording {
        stretch: Stretch { start, seconds },
        ..Recording::from(path.clone())
    };
    let recordings = [of(0.5, Some(0.25)), of(0.0, None), of(0.25, None), of(2.0, None)];
    let notes = Notes::default();
    for rate in [16_000, 8_000] {
        let cache = folder.path().join(format!("{rate}.cache"));
        let corpus = Corpus::load(&recordings, rate, Some(&cache), &notes).expect("a corpus");
        let frames: Vec<usize> =
            (0..4).map(|clip| corpus.clip(clip).len() * 16_000 / rate as usize).collect();
        assert_eq!(frames, [4_000, 16_000, 12_000, 0]);
        for (clip, recording) in recordings[..3].iter().enumerate() {
            let audio = recording.decode_mono(rate).expect("decoded");
            let decoded: Vec<i16> =
                audio.channel(0).iter().map(|x| (x * 32768.0).round() as i16).collect();
            assert_eq!(corpus.clip(clip), decoded, "{recording}");
        }
        let note = notes.0.lock().expect("not poisoned").pop().expect("a note");
        assert!(note.contains("(from 2 s on)") && note.contains("1.000 s"), "{note}");
    }
}

#[test]
fn w1_a_corpus_holds_the_channels_of_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("call.wav");
    let sides = [0.25f32, -0.5].map(|level| vec![level; 1_600]).concat();
    let call = AudioBuf::from_planar(
        AudioSpec { rate: 16_000, layout: ChannelLayout::from_count(2) },
        sides,
    );
    write_wav(&path, &call.expect("two channels").view(), &WriteOptions::default())
        .expect("a recording");
    let of = |channel: &str| Recording {
        channel: Some(channel.parse().expect("a channel")),
        ..Recording::from(path.clone())
    };
    let recordings = [of("left"), of("2"), Recording::from(path.clone())];
    let cache = folder.path().join("cache");
    let corpus = Corpus::load(&recordings, 16_000, Some(&cache), &Notes::default());
    let corpus = corpus.expect("a corpus");
    for (clip, level) in [(0, 0.25), (1, -0.5), (2, -0.125)] {
        let heard = corpus.clip_f32(clip);
        assert!(heard.len() == 1_600 && heard.iter().all(|x| (x - level).abs() < 1e-3), "{clip}");
    }
    // The other channels of the same file are another corpus.
    let other = [of("right"), of("left"), of("left")];
    let corpus = Corpus::load(&other, 16_000, Some(&cache), &Notes::default()).expect("a corpus");
    assert!((corpus.clip_f32(0)[0] + 0.5).abs() < 1e-3);
}
