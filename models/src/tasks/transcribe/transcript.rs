//! What was said: plain data. Times are in seconds from the start of the recording.

use serde::{Deserialize, Serialize};

use crate::text::is_ideograph;

/// A word.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Word {
    /// As the model spells it.
    pub text: String,
    /// When its first token begins.
    pub start: f64,
    /// When its last token ends.
    pub end: f64,
    /// Geometric mean of the probabilities of its tokens, 0 to 1.
    pub confidence: f32,
}

/// Another way to read a segment or a recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alternative {
    /// The text.
    pub text: String,
    /// Natural logarithm of its probability, with language model and hot words.
    pub score: f64,
}

/// Speech between two pauses, or a part of it where there are none for long.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    /// Start of the first word.
    pub start: f64,
    /// End of the last word.
    pub end: f64,
    /// The text.
    pub text: String,
    /// Geometric mean of the words' confidences.
    pub confidence: f32,
    /// The words.
    pub words: Vec<Word>,
    /// The best readings, the first one being `text`, where more than one was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nbest: Vec<Alternative>,
}

impl Segment {
    /// Puts a segment together again that was cut inside of a word: the first word of `rest` is
    /// the end of the last word of this one.
    pub(super) fn complete_word(&mut self, rest: &mut Self) {
        if rest.words.is_empty() {
            return;
        }
        let end = rest.words.remove(0);
        if let Some(word) = self.words.last_mut() {
            word.text += &end.text;
            word.end = end.end;
            word.confidence = (word.confidence * end.confidence).sqrt();
            self.end = end.end;
            self.text += &end.text;
            rest.text = rest.text.strip_prefix(&end.text).unwrap_or(&rest.text).trim_start().into();
            rest.start = rest.words.first().map_or(rest.start, |word| word.start);
        }
    }
}

/// A whole recording.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Transcript {
    /// All that was said.
    pub text: String,
    /// All words.
    pub words: Vec<Word>,
    /// The text in parts.
    pub segments: Vec<Segment>,
    /// The best readings of the whole, the first one being `text`, where more than one was asked
    /// for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nbest: Vec<Alternative>,
    /// Length of the recording.
    pub duration: f64,
}

impl Transcript {
    /// Puts segments together; at most `nbest` readings are kept.
    #[must_use]
    pub fn of(segments: Vec<Segment>, duration: f64, nbest: usize) -> Self {
        let mut readings = vec![Alternative { text: String::new(), score: 0.0 }];
        for segment in segments.iter().filter(|_| nbest > 1) {
            let own = [Alternative { text: segment.text.clone(), score: 0.0 }];
            let own = if segment.nbest.is_empty() { &own[..] } else { &segment.nbest };
            let mut longer: Vec<Alternative> = readings
                .iter()
                .flat_map(|before| {
                    own.iter().map(|reading| {
                        let mut text = before.text.clone();
                        append(&mut text, &reading.text);
                        Alternative { text, score: before.score + reading.score }
                    })
                })
                .collect();
            longer.sort_by(|a, b| b.score.total_cmp(&a.score));
            longer.truncate(nbest);
            readings = longer;
        }
        let mut text = String::new();
        for segment in &segments {
            append(&mut text, &segment.text);
        }
        Self {
            text,
            words: segments.iter().flat_map(|segment| segment.words.clone()).collect(),
            nbest: if nbest > 1 && !segments.is_empty() { readings } else { Vec::new() },
            segments,
            duration,
        }
    }
}

/// Appends a part of a text, after a space unless the script has none.
fn append(text: &mut String, part: &str) {
    let seam = text.chars().last().zip(part.chars().next());
    if seam.is_some_and(|(a, b)| !(is_ideograph(a) && is_ideograph(b))) {
        text.push(' ');
    }
    text.push_str(part);
}

/// Geometric mean of the confidences of words.
pub(super) fn mean_confidence(words: &[Word]) -> f32 {
    let sum: f64 = words.iter().map(|word| f64::from(word.confidence.max(1e-30)).ln()).sum();
    (sum / words.len().max(1) as f64).exp() as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str, start: f64) -> Word {
        Word { text: text.to_owned(), start, end: start + 0.5, confidence: 0.25 }
    }

    fn segment(words: &[&str], start: f64, nbest: &[(&str, f64)]) -> Segment {
        let at = |n: usize| start + n as f64;
        let words: Vec<Word> = words.iter().enumerate().map(|(n, w)| word(w, at(n))).collect();
        Segment {
            start,
            end: words.last().map_or(start, |word| word.end),
            text: words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" "),
            confidence: mean_confidence(&words),
            words,
            nbest: nbest
                .iter()
                .map(|(text, score)| Alternative { text: (*text).to_owned(), score: *score })
                .collect(),
        }
    }

    #[test]
    fn the_best_readings_of_the_whole() {
        let segments = vec![
            segment(&["a", "b"], 0.0, &[("a b", -1.0), ("a c", -2.0)]),
            segment(&["d"], 5.0, &[("d", -1.0), ("e", -1.5)]),
        ];
        let transcript = Transcript::of(segments, 9.0, 3);
        assert_eq!(transcript.text, "a b d");
        assert_eq!(transcript.words.len(), 3);
        let readings: Vec<&str> = transcript.nbest.iter().map(|n| n.text.as_str()).collect();
        assert_eq!(readings, ["a b d", "a b e", "a c d"]);
        assert!(Transcript::of(Vec::new(), 1.0, 3).nbest.is_empty());
    }

    #[test]
    fn words_that_were_cut_are_completed() {
        let mut left = segment(&["the", "rec"], 0.0, &[]);
        let mut right = segment(&["ord", "is"], 1.6, &[]);
        left.complete_word(&mut right);
        assert_eq!((left.text.as_str(), right.text.as_str()), ("the record", "is"));
        assert_eq!((left.end, right.start), (2.1, 2.6));
        assert_eq!(left.words[1].confidence, 0.25);
    }

    #[test]
    fn scripts_without_spaces_are_joined_without() {
        let segments = vec![segment(&["你"], 0.0, &[]), segment(&["好"], 1.0, &[])];
        assert_eq!(Transcript::of(segments, 2.0, 1).text, "你好");
    }

    #[test]
    fn serde() {
        let transcript = Transcript::of(vec![segment(&["a"], 0.0, &[])], 1.0, 1);
        let text = serde_json::to_string(&transcript).expect("plain data");
        assert_eq!(serde_json::from_str::<Transcript>(&text).expect("the same"), transcript);
    }
}
