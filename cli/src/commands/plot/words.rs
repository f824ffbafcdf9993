//! Words and their times from files: subtitles, annotations of Praat, and lines of JSON as
//! `transcribe` and `spot` write them.

use std::path::Path;

use formant_audio_core::plot::WordMark;
use formant_audio_core::text;
use serde_json::Value;

use crate::failure::{Failure, Kind};

/// Reads a file of any of the formats; the contents tell which it is.
pub(super) fn read(path: &Path) -> Result<Vec<WordMark>, Failure> {
    let text = text::read(path, text::MAX_TEXT)?;
    let mut words = if text.contains("-->") {
        subtitles(&text)
    } else if text.contains("ooTextFile") || text.contains("xmin") {
        annotations(&text)
    } else {
        let mut words = Vec::new();
        for value in serde_json::Deserializer::from_str(&text).into_iter::<Value>() {
            let Ok(value) = value else { break };
            json(&value, &mut words);
        }
        words
    };
    words.retain(|word| word.start.is_finite() && word.end > word.start && !word.text.is_empty());
    if words.is_empty() {
        let why = "holds no words with times";
        return Err(Failure::new(Kind::Input, path.display().to_string(), why).help(
            "give subtitles (srt, vtt), a TextGrid, or the JSON lines of transcribe or spot",
        ));
    }
    Ok(words)
}

/// SubRip and WebVTT: a line with the times, and lines of text up to an empty one.
fn subtitles(text: &str) -> Vec<WordMark> {
    let mut words = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some((start, end)) = line.split_once("-->") else { continue };
        // Settings of the cue follow its end.
        let end = end.split_whitespace().next().unwrap_or_default();
        let (Some(start), Some(end)) = (seconds(start), seconds(end)) else { continue };
        let cue: Vec<&str> =
            lines.by_ref().map(str::trim).take_while(|line| !line.is_empty()).collect();
        let text = cue.join(" ");
        let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
        words.push(WordMark { start, end, text });
    }
    words
}

/// `1:02:03,5`, `02:03.5`, `3.5`.
fn seconds(stamp: &str) -> Option<f64> {
    let stamp = stamp.trim().replace(',', ".");
    stamp.split(':').try_fold(0.0, |sum, part| {
        let part: f64 = part.parse().ok()?;
        (part >= 0.0).then_some(60.0 * sum + part)
    })
}

/// Praat's long text format: the tier called `words`, otherwise the first one with texts.
fn annotations(text: &str) -> Vec<WordMark> {
    let mut tiers: Vec<(String, Vec<WordMark>)> = Vec::new();
    let (mut start, mut end) = (f64::NAN, f64::NAN);
    for line in text.lines() {
        let Some((key, value)) = line.split_once('=') else { continue };
        let value = value.trim();
        let quoted = || {
            let inside = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            inside.unwrap_or_default().replace("\"\"", "\"").trim().to_owned()
        };
        match key.trim() {
            "name" => tiers.push((quoted(), Vec::new())),
            "xmin" => start = value.parse().unwrap_or(f64::NAN),
            "xmax" => end = value.parse().unwrap_or(f64::NAN),
            "text" => {
                if let Some((_, words)) = tiers.last_mut() {
                    words.push(WordMark { start, end, text: quoted() });
                }
            }
            _ => {}
        }
    }
    let said = |words: &[WordMark]| words.iter().any(|word| !word.text.is_empty());
    let words = tiers.iter().position(|(name, words)| name == "words" && said(words));
    let any = || tiers.iter().position(|(_, words)| said(words));
    words.or_else(any).map_or_else(Vec::new, |tier| tiers.swap_remove(tier).1)
}

/// Objects with a start, an end and a text; of a segment with words, the words.
fn json(value: &Value, words: &mut Vec<WordMark>) {
    match value {
        Value::Array(list) => list.iter().for_each(|value| json(value, words)),
        Value::Object(object) => {
            for key in ["words", "segments", "keywords", "detections"] {
                let inner = object.get(key).and_then(Value::as_array);
                if let Some(inner) = inner.filter(|list| list.iter().any(Value::is_object)) {
                    return inner.iter().for_each(|value| json(value, words));
                }
            }
            let number = |key: &str| object.get(key).and_then(Value::as_f64);
            let text = ["word", "text", "label", "name"]
                .iter()
                .find_map(|key| object.get(*key).and_then(Value::as_str));
            if let (Some(start), Some(end), Some(text)) = (number("start"), number("end"), text) {
                words.push(WordMark { start, end, text: text.trim().to_owned() });
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(f64, f64, String)> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("words");
        std::fs::write(&path, text).expect("written");
        let words = read(&path).unwrap_or_default();
        words.into_iter().map(|word| (word.start, word.end, word.text)).collect()
    }

    #[test]
    fn subtitles_annotations_and_json_are_read() {
        let yes = || vec![(1.5, 2.0, "yes".to_owned())];
        assert_eq!(found("1\n00:00:01,500 --> 00:00:02,000\nyes\n\n"), yes());
        let vtt = "WEBVTT\n\n00:01.500 --> 00:02.000 align:left\n&lt;a&gt;\nb\n";
        assert_eq!(found(vtt), [(1.5, 2.0, "<a> b".to_owned())]);
        let tier = |name: &str, text: &str| {
            format!(
                "    name = \"{name}\"\n    xmin = 0\n    xmax = 3\n        xmin = 1.5\n        \
                 xmax = 2\n        text = \"{text}\"\n"
            )
        };
        let head = "File type = \"ooTextFile\"\nObject class = \"TextGrid\"\n";
        assert_eq!(found(&[head, &tier("segments", "a b"), &tier("words", "yes")].concat()), yes());
        assert_eq!(found(&[head, &tier("empty", ""), &tier("x", "yes")].concat()), yes());
        let word = r#"{"type":"keyword","word":"yes","start":1.5,"end":2.0}"#;
        assert_eq!(found(&format!("{word}\n{{\"type\":\"other\"}}\n")), yes());
        let segment = r#"{"start":0,"end":9,"text":"yes no","words":["#;
        let segment = format!("{segment}{word}]}}");
        assert_eq!(found(&segment), yes());
        assert_eq!(found(&format!("[{segment}]")), yes());
    }

    #[test]
    fn other_files_are_refused() {
        for text in ["", "words", "a --> b\nc\n", "{\"start\":1,\"end\":1,\"text\":\"a\"}"] {
            assert_eq!(found(text), [], "{text}");
        }
    }
}
