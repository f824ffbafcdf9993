//! Transcripts as text: what programs and people read.

use formant_models::tasks::transcribe::{Segment, Transcript, Word};
use serde_json::{Value, json};

use super::SubtitleLayout;
use super::subtitles::{of_segments, of_words};
use crate::cues::{self, Cue};
use crate::escape::one_line;
use crate::json as lines;
use crate::times::{millis, to_millis};

/// What is the same for all transcripts of a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    pub(super) words: bool,
    pub(super) layout: SubtitleLayout,
    /// Whether lines need the name of their input.
    pub(super) several: bool,
}

/// A segment as plain text: a line, or a line a word, or a line a reading.
pub(super) fn txt(segment: &Segment, name: &str, style: Style) -> String {
    let prefix = if style.several { format!("{}: ", one_line(name)) } else { String::new() };
    let word = |word: &Word| {
        let Word { text, start, end, confidence } = word;
        format!("{prefix}{start:8.2} {end:8.2}  {confidence:.3}  {text}\n")
    };
    if style.words {
        return segment.words.iter().map(word).collect();
    }
    match segment.nbest.as_slice() {
        [] => format!("{prefix}{}\n", segment.text),
        readings => readings
            .iter()
            .map(|reading| format!("{prefix}{:9.3}  {}\n", reading.score, reading.text))
            .collect(),
    }
}

/// A segment in CTM: file, channel, start, duration, word, confidence.
pub(super) fn ctm(segment: &Segment, name: &str) -> String {
    let stem = std::path::Path::new(name).file_stem().unwrap_or_default().to_string_lossy();
    let file = stem.replace(char::is_whitespace, "_");
    let file = if file.is_empty() { "-" } else { &file };
    let line = |word: &Word| {
        let (start, end) = (millis(word.start), millis(word.end).max(millis(word.start)));
        let seconds = |millis: u64| format!("{}.{:03}", millis / 1000, millis % 1000);
        let (start, duration) = (seconds(start), seconds(end - start));
        format!("{file} 1 {start} {duration} {} {:.3}\n", word.text, word.confidence)
    };
    segment.words.iter().map(line).collect()
}

/// A segment as an object.
fn object(segment: &Segment, style: Style) -> Value {
    let mut object = json!({
        "start": to_millis(segment.start),
        "end": to_millis(segment.end),
        "text": segment.text,
        "confidence": share(segment.confidence),
    });
    if style.words {
        object["words"] = segment.words.iter().map(word).collect();
    }
    if !segment.nbest.is_empty() {
        object["nbest"] = readings(&segment.nbest);
    }
    object
}

fn word(word: &Word) -> Value {
    json!({
        "text": word.text,
        "start": to_millis(word.start),
        "end": to_millis(word.end),
        "confidence": share(word.confidence),
    })
}

fn readings(list: &[formant_models::tasks::transcribe::Alternative]) -> Value {
    let reading = |r: &formant_models::tasks::transcribe::Alternative| json!({"text": r.text, "score": to_millis(r.score)});
    list.iter().map(reading).collect()
}

fn share(confidence: f32) -> f64 {
    to_millis(f64::from(confidence))
}

/// A segment as a JSON line.
pub(super) fn segment_line(segment: &Segment, name: &str, style: Style) -> String {
    let mut object = object(segment, style);
    object["input"] = name.into();
    lines::line("segment", &object)
}

/// The end of an input's JSON lines.
pub(super) fn transcript_line(transcript: &Transcript, name: &str, more: &Value) -> String {
    let mut object = json!({
        "input": name,
        "text": transcript.text,
        "segments": transcript.segments.len(),
        "words": transcript.words.len(),
        "duration": to_millis(transcript.duration),
    });
    if !transcript.nbest.is_empty() {
        object["nbest"] = readings(&transcript.nbest);
    }
    if let (Value::Object(object), Value::Object(more)) = (&mut object, more) {
        object.extend(more.clone());
    }
    lines::line("transcript", &object)
}

/// A transcript as one object.
pub(super) fn json_file(transcript: &Transcript, name: &str, style: Style) -> String {
    let mut whole = json!({
        "input": name,
        "duration": to_millis(transcript.duration),
        "text": transcript.text,
        "segments": transcript.segments.iter().map(|s| object(s, style)).collect::<Vec<_>>(),
    });
    if !transcript.nbest.is_empty() {
        whole["nbest"] = readings(&transcript.nbest);
    }
    format!("{whole:#}\n")
}

fn cues(transcript: &Transcript, style: Style) -> Vec<Cue> {
    match style.words {
        true => of_words(transcript),
        false => of_segments(transcript, style.layout),
    }
}

/// SubRip.
pub(super) fn srt(transcript: &Transcript, style: Style) -> String {
    cues::srt(&cues(transcript, style))
}

/// WebVTT.
pub(super) fn vtt(transcript: &Transcript, style: Style) -> String {
    cues::vtt(&cues(transcript, style))
}

/// Praat's TextGrid, with tiers of segments and of words. Words of no length, which no interval can
/// hold, are points of a third tier.
pub(super) fn textgrid(transcript: &Transcript) -> String {
    let spans = |list: Vec<(f64, f64, &str)>| -> Vec<Cue> {
        let cue = |(start, end, text): (f64, f64, &str)| Cue {
            start: millis(start),
            end: millis(end),
            text: text.to_owned(),
        };
        list.into_iter().map(cue).collect()
    };
    let segments = spans(transcript.segments.iter().map(|s| (s.start, s.end, &*s.text)).collect());
    let words = spans(transcript.words.iter().map(|w| (w.start, w.end, &*w.text)).collect());
    let points = points(&words);
    let tiers = [("segments".to_owned(), segments), ("words".to_owned(), words)];
    cues::textgrid(&tiers, &points, millis(transcript.duration))
}

/// Cues of no length, and those that lie inside earlier ones. Praat has one point at a time.
fn points(cues: &[Cue]) -> Vec<Cue> {
    let mut points: Vec<Cue> = Vec::new();
    let mut at = 0;
    for cue in cues {
        if cue.end > cue.start.max(at) {
            at = cue.end;
            continue;
        }
        match points.last_mut() {
            Some(last) if last.start >= cue.start => {
                last.text.push(' ');
                last.text.push_str(&cue.text);
            }
            _ => points.push(cue.clone()),
        }
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A transcript of one segment, from words with their times.
    fn transcript(words: &[(&str, f64, f64)]) -> Transcript {
        let words: Vec<Word> = words
            .iter()
            .map(|&(text, start, end)| Word { text: text.to_owned(), start, end, confidence: 1.0 })
            .collect();
        let text: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
        let segment = Segment {
            start: words[0].start,
            end: words[words.len() - 1].end,
            text: text.join(" "),
            confidence: 1.0,
            words,
            nbest: Vec::new(),
        };
        Transcript::of(vec![segment], 2.0, 1)
    }

    #[test]
    fn f4_arrows_in_srt_are_text() {
        let found = transcript(&[("a", 0.0, 0.5), ("-->", 0.5, 0.6), ("b", 0.6, 1.0)]);
        let layout = SubtitleLayout { line_length: 40, lines: 2 };
        let text = srt(&found, Style { words: false, layout, several: false });
        assert!(text.contains("\na --&gt; b\n"), "{text}");
        assert_eq!(text.matches("-->").count(), 1, "{text}");
    }

    #[test]
    fn f4_words_of_no_length_are_points_of_a_text_grid() {
        let found = transcript(&[("a", 0.0, 0.5), ("1984", 0.5, 0.5), ("b", 0.5, 1.0)]);
        let text = textgrid(&found);
        assert!(text.contains("size = 3\nitem []"), "{text}");
        let tier = "name = \"words of no length\"\n        xmin = 0\n        xmax = 2\n        \
                    points: size = 1\n        points [1]:\n            number = 0.5\n            \
                    mark = \"1984\"\n";
        assert!(text.contains(tier), "{text}");
        assert!(!textgrid(&transcript(&[("a", 0.0, 0.5)])).contains("TextTier"));
    }
}
