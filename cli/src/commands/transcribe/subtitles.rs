//! Words become subtitles: cues of a few lines that people can read in time.
//!
//! Lengths and durations follow what broadcasters ask for: lines of 42 characters, cues of one to
//! seven seconds.

use formant_models::tasks::transcribe::{Transcript, Word};

use super::SubtitleLayout;
use crate::cues::Cue;
use crate::times::millis;

/// Shortest cue where the next one leaves room, in milliseconds.
const SHORTEST: u64 = 1000;
/// Longest cue.
const LONGEST: u64 = 7000;
/// A pause between words that ends a cue.
const PAUSE: u64 = 1500;

/// A cue a word.
pub(super) fn of_words(transcript: &Transcript) -> Vec<Cue> {
    let cue = |word: &Word| Cue {
        start: millis(word.start),
        end: millis(word.end),
        text: word.text.clone(),
    };
    in_order(transcript.words.iter().map(cue).collect())
}

/// Cues of several words, none of them from two segments.
pub(super) fn of_segments(transcript: &Transcript, layout: SubtitleLayout) -> Vec<Cue> {
    let mut cues = Vec::new();
    for segment in &transcript.segments {
        let mut words: Vec<&Word> = Vec::new();
        for (at, word) in segment.words.iter().enumerate() {
            words.push(word);
            let Some(next) = segment.words.get(at + 1) else { break };
            if ends_here(&words, next, layout) {
                cues.push(cue(&words, layout));
                words.clear();
            }
        }
        if !words.is_empty() {
            cues.push(cue(&words, layout));
        }
    }
    in_order(lengthened(cues))
}

/// Whether the cue of `words` is complete and `next` begins another.
fn ends_here(words: &[&Word], next: &Word, layout: SubtitleLayout) -> bool {
    let (Some(first), Some(last)) = (words.first(), words.last()) else { return false };
    let texts = words.iter().chain([&next]).map(|word| word.text.as_str());
    let is_full = wrap(&texts.collect::<Vec<_>>(), layout.line_length).len() > layout.lines;
    let is_long = millis(next.end) > millis(first.start) + LONGEST;
    let has_pause = millis(next.start) > millis(last.end) + PAUSE;
    let length: usize = words.iter().map(|word| word.text.chars().count() + 1).sum();
    let ends_sentence =
        last.text.ends_with(['.', '!', '?', '。', '！', '？']) && length > layout.line_length;
    is_full || is_long || has_pause || ends_sentence
}

fn cue(words: &[&Word], layout: SubtitleLayout) -> Cue {
    let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
    let count = wrap(&texts, layout.line_length).len();
    // The narrowest lines that are not more of them look best.
    let width = (1..=layout.line_length).find(|width| {
        let lines = wrap(&texts, *width);
        lines.len() <= count && lines.iter().all(|line| line.chars().count() <= *width)
    });
    Cue {
        start: words.first().map_or(0, |word| millis(word.start)),
        end: words.last().map_or(0, |word| millis(word.end)),
        text: wrap(&texts, width.unwrap_or(layout.line_length)).join("\n"),
    }
}

/// Words in lines of at most `width` characters; longer words have a line of their own.
fn wrap(words: &[&str], width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push((*word).to_owned()),
        }
    }
    lines
}

/// Short cues stay until they can be read, or the next one comes.
fn lengthened(mut cues: Vec<Cue>) -> Vec<Cue> {
    for at in 0..cues.len() {
        let next = cues.get(at + 1).map_or(u64::MAX, |next| next.start);
        let cue = &mut cues[at];
        cue.end = cue.end.max((cue.start + SHORTEST).min(next));
    }
    cues
}

/// Each cue starts after the one before and ends before the next, and none is empty.
fn in_order(mut cues: Vec<Cue>) -> Vec<Cue> {
    let mut free = 0;
    for cue in &mut cues {
        cue.start = cue.start.max(free);
        cue.end = cue.end.max(cue.start + 1);
        free = cue.end;
    }
    cues
}

#[cfg(test)]
mod tests {
    use formant_models::tasks::transcribe::Segment;

    use super::*;

    const LAYOUT: SubtitleLayout = SubtitleLayout { line_length: 20, lines: 2 };

    /// Words of 0.3 s every 0.4 s, from `start` on.
    fn segment(start: f64, text: &str) -> Segment {
        let words: Vec<Word> = text
            .split_whitespace()
            .enumerate()
            .map(|(n, text)| {
                let start = start + 0.4 * n as f64;
                Word { text: text.to_owned(), start, end: start + 0.3, confidence: 1.0 }
            })
            .collect();
        let end = words.last().map_or(start, |word| word.end);
        Segment { start, end, text: text.to_owned(), confidence: 1.0, words, nbest: Vec::new() }
    }

    fn cues(segments: Vec<Segment>) -> Vec<(u64, u64, String)> {
        let transcript = Transcript::of(segments, 100.0, 1);
        let cues = of_segments(&transcript, LAYOUT);
        cues.into_iter().map(|cue| (cue.start, cue.end, cue.text)).collect()
    }

    #[test]
    fn lines_are_balanced_and_short_cues_stay() {
        let found =
            cues(vec![segment(0.0, "one two three four five six seven"), segment(9.0, "ok")]);
        assert_eq!(
            found,
            [
                (0, 2700, "one two three four\nfive six seven".to_owned()),
                (9000, 10_000, "ok".to_owned())
            ]
        );
        let narrow = cues(vec![segment(0.0, "aaaaa bbbbb ccccc ddddd")]);
        assert_eq!(narrow[0].2, "aaaaa bbbbb\nccccc ddddd");
    }

    #[test]
    fn nothing_is_too_long() {
        let text = "lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor";
        let found = cues(vec![segment(1.0, &text.repeat(3))]);
        assert!(found.len() > 3);
        for (start, end, text) in &found {
            assert!(end - start <= LONGEST);
            let lines: Vec<&str> = text.lines().collect();
            assert!(lines.len() <= 2 && lines.iter().all(|line| line.len() <= 20), "{text}");
        }
        assert!(found.windows(2).all(|pair| pair[0].1 <= pair[1].0));
        let unbroken = cues(vec![segment(0.0, &"x".repeat(50))]);
        assert_eq!(unbroken[0].2.len(), 50);
    }

    #[test]
    fn sentences_and_pauses_end_cues() {
        let found = cues(vec![segment(0.0, "this is where it stops. and goes on")]);
        assert_eq!(found[0].2.replace('\n', " "), "this is where it stops.");
        let mut late = segment(0.0, "a b");
        (late.words[1].start, late.words[1].end) = (5.0, 5.1);
        assert_eq!(cues(vec![late]).len(), 2);
    }

    #[test]
    fn times_strictly_increase() {
        let word = |start: f64| Word { text: "a".into(), start, end: start, confidence: 1.0 };
        let words = vec![word(1.0), word(1.0), word(0.9994)];
        let transcript = Transcript { words, ..Transcript::default() };
        let times: Vec<_> = of_words(&transcript).iter().map(|c| (c.start, c.end)).collect();
        assert_eq!(times, [(1000, 1001), (1001, 1002), (1002, 1003)]);
    }
}
