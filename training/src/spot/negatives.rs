//! Speech that comes with the program and stands against false alarms: 81 seconds of 22 people.
//!
//! Sentences of Common Voice English (CC0-1.0), set to one level, as Ogg Opus at 10 kbit/s.
//! `negatives.tsv` says where each is and what it says.

use formant_audio_core::decode::{DecodeOptions, decode_stream};
use formant_audio_core::resample::{Quality, resample};

use super::data::says_none;
use crate::error::Result;

const SPEECH: &[u8] = include_bytes!("negatives.opus");
const SENTENCES: &str = include_str!("negatives.tsv");

/// The sentences that say none of `words`, at `rate` Hz.
pub(super) fn sentences(words: &[String], rate: u32) -> Result<Vec<Vec<f32>>> {
    let speech = decode_stream(Box::new(SPEECH), "speech", &DecodeOptions::default())?.audio;
    let speech = resample(&speech.view(), rate, Quality::High)?;
    let samples = speech.channel(0);
    let place = |seconds: f64| ((seconds * f64::from(rate)) as usize).min(samples.len());
    let mut found = Vec::new();
    for line in SENTENCES.lines().skip(1) {
        let mut cells = line.split('\t');
        let (Some(offset), Some(duration), Some(text)) = (cells.next(), cells.next(), cells.next())
        else {
            continue;
        };
        if let (Ok(from), Ok(seconds)) = (offset.parse::<f64>(), duration.parse::<f64>())
            && says_none(text, words)
        {
            found.push(samples[place(from)..place(from + seconds)].to_vec());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_that_say_a_word_are_left_out() {
        let all = sentences(&[], 16_000).expect("speech");
        assert_eq!(all.len(), SENTENCES.lines().count() - 1);
        let seconds = all.iter().map(Vec::len).sum::<usize>() as f64 / 16_000.0;
        assert!((80.0..82.0).contains(&seconds), "{seconds}");
        let power = |clip: &Vec<f32>| clip.iter().map(|x| x * x).sum::<f32>() / clip.len() as f32;
        assert!(all.iter().all(|clip| power(clip) > 1e-3));
        let fewer = sentences(&["mouth".to_owned()], 16_000).expect("speech");
        assert_eq!(fewer.len(), all.len() - 1);
        assert!(SPEECH.len() < 150_000);
    }
}
