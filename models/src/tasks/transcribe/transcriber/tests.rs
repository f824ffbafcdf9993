//! The task with a network that reads letters from the samples: what it should hear is known.

use formant_audio_core::{AudioBuf, AudioView};
use ndarray::Array2;
use proptest::prelude::*;

use super::super::network::BatchPadding;
use super::super::transcript::Word;
use super::*;
use crate::tasks::task::TaskSession;

const HOP: usize = 640;
const ALPHABET: &str = "_abcdefghijklmnopqrstuvwxyz ";

/// Answers with the letter whose place in the alphabet is the sample at the start of its frame,
/// divided by 1000. It is deaf at the first and last `deaf` frames of a clip, as networks are
/// where they lack surroundings.
#[derive(Debug, Clone)]
struct Reader {
    deaf: usize,
    padding: BatchPadding,
}

impl CtcNetwork for Reader {
    fn share(&self) -> Box<dyn CtcNetwork + Send> {
        Box::new(self.clone())
    }

    fn sample_rate(&self) -> u32 {
        16_000
    }

    fn samples_per_answer(&self) -> usize {
        HOP
    }

    fn blank(&self) -> u32 {
        0
    }

    fn padding(&self) -> BatchPadding {
        self.padding
    }

    fn log_probs(&self, clips: &[&[f32]]) -> Result<Vec<Array2<f32>>> {
        Ok(clips
            .iter()
            .map(|clip| {
                let frames = clip.len() / HOP;
                let mut rows = Array2::from_elem((frames, ALPHABET.len()), -8.0);
                for frame in 0..frames {
                    let is_deaf = frame < self.deaf || frame + self.deaf >= frames;
                    let letter = if is_deaf { 0.0 } else { clip[frame * HOP] * 1000.0 };
                    rows[[frame, letter.round() as usize]] = -0.01;
                }
                rows
            })
            .collect())
    }
}

fn transcriber(deaf: usize) -> Transcriber {
    let network = Box::new(Reader { deaf, padding: BatchPadding::Neutral });
    let tokenizer = Tokenizer::characters(ALPHABET);
    Transcriber::new(network, tokenizer, serde_json::Value::Null).expect("a rate and a shift")
}

/// Audio that spells words, `pace` frames a letter, with `lead` frames of nothing around all, and
/// the frames at which words begin.
fn spell(words: &[String], pace: usize, lead: usize) -> (Vec<f32>, Vec<usize>) {
    let mut frames = vec![0usize; lead];
    let mut starts = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let space = if at > 0 { " " } else { "" };
        for (n, letter) in format!("{space}{word}").chars().enumerate() {
            if n == space.len() {
                starts.push(frames.len());
            }
            frames.push(ALPHABET.find(letter).expect("in the alphabet"));
            frames.extend(std::iter::repeat_n(0, pace - 1));
        }
    }
    frames.extend(std::iter::repeat_n(0, lead));
    let mut samples = vec![0.0; frames.len() * HOP];
    for (at, letter) in frames.iter().enumerate() {
        samples[at * HOP] = *letter as f32 / 1000.0;
    }
    (samples, starts)
}

fn by_length(window: f64) -> TranscribeOptions {
    TranscribeOptions { segmentation: Segmentation::Length, window, ..Default::default() }
}

fn run(
    transcriber: &Transcriber,
    samples: &[f32],
    block: usize,
    options: &TranscribeOptions,
) -> Transcript {
    let mut session = transcriber.start(options).expect("options in range");
    let mut segments = Vec::new();
    for part in samples.chunks(block) {
        let events = session.push(&AudioView::from_mono(16_000, part)).expect("a block");
        segments.extend(events.into_iter().filter_map(TranscriptEvent::finished));
    }
    let seconds = session.heard().seconds;
    segments.extend(
        session.finish().expect("an end").0.into_iter().filter_map(TranscriptEvent::finished),
    );
    Transcript::of(segments, seconds, options.nbest)
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Speech without a pause, cut anywhere, in blocks of any length: every word once, in its
    /// place.
    #[test]
    fn words_are_neither_lost_nor_doubled(
        words in proptest::collection::vec("[a-z]{1,7}", 1..60),
        pace in 2usize..5,
        window in 2.0f64..9.0,
        block in prop_oneof![Just(100usize), 1000usize..60_000],
        batch in 1usize..4,
    ) {
        let (samples, starts) = spell(&words, pace, 3);
        let options = TranscribeOptions { batch, ..by_length(window) };
        let found = run(&transcriber(2), &samples, block, &options);
        prop_assert_eq!(&found.text, &words.join(" "));
        prop_assert_eq!(found.words.len(), words.len());
        for (word, start) in found.words.iter().zip(starts) {
            prop_assert!((word.start - (start * HOP) as f64 / 16_000.0).abs() < 1e-6);
            prop_assert!(word.end > word.start && word.confidence > 0.9);
        }
        // The search finds the same where everything is clear.
        let searched = TranscribeOptions { beam: Some(4), ..options };
        prop_assert_eq!(run(&transcriber(2), &samples, block, &searched).text, found.text);
    }
}

#[test]
fn s9_nothing_is_invented() {
    let transcriber = transcriber(0);
    let mut noise = 1u32;
    let mut random = || {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (noise >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    let hum = |n: usize| 0.3 * (n as f32 * 50.0 / 16_000.0 * std::f32::consts::TAU).sin();
    let seconds = 5 * 16_000;
    let quiet: Vec<f32> = (0..seconds).map(|_| 1e-4 * random()).collect();
    for samples in [vec![0.0; seconds], vec![0.2; seconds], quiet, (0..seconds).map(hum).collect()]
    {
        let audio = AudioBuf::from_mono(16_000, samples);
        let found = transcriber.process(&audio.view(), &TranscribeOptions::default());
        let (found, _) = found.expect("an empty transcript");
        assert_eq!((found.text.as_str(), found.segments.len(), found.duration), ("", 0, 5.0));
    }
    let mut rubbish = vec![0.0f32; 16_000];
    (rubbish[5], rubbish[6], rubbish[7]) = (f32::NAN, f32::INFINITY, -1e30);
    assert_eq!(run(&transcriber, &rubbish, 16_000, &by_length(5.0)).text, "");
}

#[test]
fn s8_too_short_is_empty() {
    let transcriber = transcriber(0);
    for length in [0usize, 1, 2, 79, 159, 160, 399, 400, 401, 639] {
        let samples = vec![0.3; length];
        for options in [TranscribeOptions::default(), by_length(5.0)] {
            let audio = AudioBuf::from_mono(16_000, samples.clone());
            let (found, _) =
                transcriber.process(&audio.view(), &options).expect("an empty transcript");
            assert!(found.words.is_empty(), "{length}");
        }
    }
}

#[test]
fn other_rates_are_resampled_and_layouts_may_not_change() {
    let transcriber = transcriber(0);
    let mut session = transcriber.start(&by_length(5.0)).expect("options in range");
    session.push(&AudioView::from_mono(48_000, &[0.0; 4800])).expect("a block");
    assert!((session.heard().seconds - 0.1).abs() < 1e-9);
    assert!(session.push(&AudioView::from_mono(44_100, &[0.0; 10])).is_err());
}

#[test]
fn live_results_come_early_and_end_the_same() {
    let transcriber = transcriber(0);
    let (samples, _) = spell(&words("one two three four five six seven"), 3, 2);
    let options = TranscribeOptions { partials: Some(0.5), ..by_length(20.0) };
    let mut session = transcriber.start(&options).expect("options in range");
    let mut events = Vec::new();
    for block in samples.chunks(1600) {
        events.extend(session.push(&AudioView::from_mono(16_000, block)).expect("a block"));
    }
    let partials: Vec<&str> = events
        .iter()
        .filter_map(|event| match event {
            TranscriptEvent::Partial { text, .. } => Some(text.as_str()),
            TranscriptEvent::Final(_) => None,
        })
        .collect();
    assert!(partials.len() > 3, "{partials:?}");
    assert!(partials.windows(2).all(|pair| pair[1].starts_with(pair[0])), "{partials:?}");
    let (last, _) = session.finish().expect("an end");
    assert!(matches!(&last[..], [TranscriptEvent::Final(s)] if s.text.ends_with("six seven")));
}

#[test]
fn several_readings() {
    let transcriber = transcriber(0);
    let (samples, _) = spell(&words("ab"), 2, 1);
    let options = TranscribeOptions { nbest: 3, ..by_length(5.0) };
    let found = run(&transcriber, &samples, 1000, &options);
    assert_eq!(found.nbest.len(), 3);
    assert_eq!(found.nbest[0].text, found.text);
    assert!(found.nbest.windows(2).all(|pair| pair[0].score >= pair[1].score));
}

#[test]
fn a_known_text_is_found() {
    let transcriber = transcriber(2);
    let (samples, starts) = spell(&words("the cat sat on the mat"), 3, 40);
    let bytes: Vec<u8> = samples.iter().flat_map(|x| x.to_le_bytes()).collect();
    let raw = "16000,f32le,1".parse().expect("a format");
    let decode = formant_audio_core::decode::DecodeOptions { raw: Some(raw), ..Default::default() };
    let open = || {
        let source = Box::new(std::io::Cursor::new(bytes.clone()));
        BlockReader::from_stream(source, "-", &decode).expect("samples")
    };
    let options = TranscribeOptions { window: 2.0, ..Default::default() };
    let text = "The cat sat\n\non 42 the mat.\n";
    let found = transcriber.align(&mut open(), text, &options).expect("it fits");
    assert_eq!(found.unknown, ["42"]);
    let lines: Vec<&str> = found.transcript.segments.iter().map(|s| s.text.as_str()).collect();
    assert_eq!(lines, ["The cat sat", "on 42 the mat."]);
    let known: Vec<&Word> = found.transcript.words.iter().filter(|w| w.text != "42").collect();
    for (word, start) in known.iter().zip(starts) {
        assert!((word.start - (start * HOP) as f64 / 16_000.0).abs() < 1e-6, "{word:?}");
        assert!(word.confidence > 0.9);
    }
    let too_long = "abc ".repeat(1000);
    for (text, wanted) in
        [("42", "no letters"), ("", "no letters"), (too_long.as_str(), "do not fit")]
    {
        let error = transcriber.align(&mut open(), text, &options).expect_err(wanted);
        assert!(error.to_string().contains(wanted), "{error}");
    }
}

#[test]
fn options_are_checked() {
    let transcriber = transcriber(0);
    let base = TranscribeOptions::default;
    for bad in [
        TranscribeOptions { window: 1.0, ..base() },
        TranscribeOptions { batch: 0, ..base() },
        TranscribeOptions { beam: Some(0), ..base() },
        TranscribeOptions { nbest: 0, ..base() },
        TranscribeOptions { partials: Some(f64::NAN), ..base() },
    ] {
        assert!(transcriber.start(&bad).is_err(), "{bad:?}");
    }
}
