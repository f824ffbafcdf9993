//! A known text on its recording: the answers for all of it, and the best path that spells the
//! text.

use formant_audio_core::decode::BlockReader;
use ndarray::{Array2, ArrayView2, Axis, concatenate};

use super::batch;
use super::cutter::Cutter;
use super::joiner::Joiner;
use super::transcriber::{TranscribeOptions, Transcriber};
use super::transcript::{Segment, Transcript, Word, mean_confidence as mean_of_words};
use crate::decoding::{Token, align as align_tokens, mean_confidence};
use crate::error::{Error, Result};
use crate::tasks::intake::{Intake, Pace};

/// Most answers times vocabulary that are kept: 1 GiB.
const MAX_NUMBERS: usize = 1 << 28;

/// A text with its times.
#[derive(Debug, Clone, PartialEq)]
pub struct Aligned {
    /// The words as the text spells them.
    pub transcript: Transcript,
    /// Words without a letter that the model knows; they have no length and no confidence.
    pub unknown: Vec<String>,
}

/// A word of the text and its tokens.
struct Known<'a> {
    text: &'a str,
    line: usize,
    first: usize,
    count: usize,
}

pub(super) fn align(
    transcriber: &Transcriber,
    reader: &mut BlockReader,
    text: &str,
    options: &TranscribeOptions,
) -> Result<Aligned> {
    let tokenizer = transcriber.tokenizer();
    let (mut words, mut tokens) = (Vec::new(), Vec::new());
    for (line, row) in text.lines().enumerate() {
        for word in row.split_whitespace() {
            let ids = tokenizer.encode_word(word, tokens.is_empty());
            words.push(Known { text: word, line, first: tokens.len(), count: ids.len() });
            tokens.extend(ids);
        }
    }
    if tokens.is_empty() {
        return Err(Error::config("text", "it has no letters that the model knows"));
    }
    let (answers, duration) = answers(transcriber, reader, options)?;
    let blank = transcriber.network().blank();
    let found = align_tokens(answers.view(), &tokens, blank).ok_or_else(|| {
        let reason = format!(
            "its {} tokens do not fit into {duration:.2} s; is it the text of this recording?",
            tokens.len()
        );
        Error::config("text", reason)
    })?;
    let unit = transcriber.decoder(options).answer;
    let (words, unknown) = timed(&words, &found.tokens, unit, duration, tokenizer);
    let mut segments: Vec<Segment> = Vec::new();
    let mut last_line = None;
    for (line, word) in words {
        if last_line != Some(line) {
            segments.push(Segment {
                start: word.start,
                end: word.end,
                text: String::new(),
                confidence: 0.0,
                words: Vec::new(),
                nbest: Vec::new(),
            });
            last_line = Some(line);
        }
        if let Some(segment) = segments.last_mut() {
            segment.text += if segment.text.is_empty() { "" } else { " " };
            segment.text += &word.text;
            segment.end = word.end;
            segment.words.push(word);
            segment.confidence = mean_of_words(&segment.words);
        }
    }
    Ok(Aligned { transcript: Transcript::of(segments, duration, 1), unknown })
}

/// The words with their lines and times, and those that have none of their own.
fn timed(
    words: &[Known<'_>],
    tokens: &[Token],
    unit: f64,
    duration: f64,
    tokenizer: &crate::text::Tokenizer,
) -> (Vec<(usize, Word)>, Vec<String>) {
    let mut unknown = Vec::new();
    let mut end = 0.0f64;
    let mut timed = Vec::with_capacity(words.len());
    for word in words {
        let own = &tokens[word.first..word.first + word.count];
        // The space before a word is no part of it.
        let is_space = |token: &&Token| tokenizer.surface(token.id).trim().is_empty();
        let skipped = own.iter().take_while(is_space).count();
        let own = if skipped < own.len() { &own[skipped..] } else { own };
        let (start, stop, confidence) = match (own.first(), own.last()) {
            (Some(first), Some(last)) => {
                (first.start as f64 * unit, last.end as f64 * unit, mean_confidence(own))
            }
            _ => {
                unknown.push(word.text.to_owned());
                (end, end, 0.0)
            }
        };
        let (start, stop) = (start.min(duration), stop.min(duration));
        end = stop;
        let text = word.text.to_owned();
        timed.push((word.line, Word { text, start, end: stop, confidence }));
    }
    (timed, unknown)
}

/// The answers for a whole recording, and its length in seconds.
fn answers(
    transcriber: &Transcriber,
    reader: &mut BlockReader,
    options: &TranscribeOptions,
) -> Result<(Array2<f32>, f64)> {
    let network = transcriber.network();
    let (rate, blank) = (network.sample_rate(), network.blank());
    let mut cutter = Cutter::new(rate, transcriber.lengths(options), None)?;
    let mut joiner = Joiner::new(network.samples_per_answer(), blank);
    let mut intake = Intake::new(rate, Pace::Throughput);
    let mut parts: Vec<Array2<f32>> = Vec::new();
    let mut numbers = 0;
    loop {
        let (windows, is_last) = match reader.next_block()? {
            Some(block) => (cutter.push(&intake.push(&block.view())?), false),
            None => {
                let mut windows = cutter.push(&intake.finish()?);
                windows.extend(cutter.finish());
                (windows, true)
            }
        };
        for window in windows {
            let found = batch::log_probs(network, &[&window.samples], 1)?;
            for log_probs in found {
                for piece in joiner.push(&window, log_probs, transcriber.tokenizer()) {
                    numbers += piece.log_probs.len();
                    parts.push(piece.log_probs);
                }
            }
        }
        if numbers > MAX_NUMBERS {
            let reason =
                format!("it is too long to be aligned as a whole; cut it ({numbers} numbers)");
            return Err(Error::config("recording", reason));
        }
        if is_last {
            break;
        }
    }
    let views: Vec<ArrayView2<'_, f32>> =
        parts.iter().map(|part| part.view()).filter(|part| part.nrows() > 0).collect();
    let whole = match views.is_empty() {
        true => Array2::zeros((0, 0)),
        false => {
            concatenate(Axis(0), &views).map_err(|e| Error::config("network", e.to_string()))?
        }
    };
    Ok((whole, intake.guard().heard().seconds))
}
