//! Stretches of time with a text, as editors of sound and pictures read them: subtitles, labels,
//! annotations. What `transcribe` writes has words and lines, and is in its own folder.

use clap::ValueEnum;

use crate::escape::one_line;
use crate::times::{millis, stamp};

/// A stretch of time with a text, in seconds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Mark {
    pub(crate) start: f64,
    pub(crate) end: f64,
    pub(crate) text: String,
}

/// Formats for marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum MarkFormat {
    /// SubRip subtitles.
    Srt,
    /// WebVTT subtitles.
    Vtt,
    /// A label track of Audacity.
    Labels,
    /// Praat's annotation.
    #[value(name = "textgrid", alias = "TextGrid")]
    TextGrid,
}

impl MarkFormat {
    /// The extension of files in this format.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Srt => "srt",
            Self::Vtt => "vtt",
            Self::Labels => "txt",
            Self::TextGrid => "TextGrid",
        }
    }

    /// Marks, in the order of their starts, as a file; `duration` is that of the recording.
    pub(crate) fn text(self, marks: &[Mark], tier: &str, duration: f64) -> String {
        match self {
            Self::Srt => {
                let cue = |(at, mark): (usize, &Mark)| {
                    let (start, end) = span(mark, ',');
                    // An arrow in the text would be taken for the line with the times.
                    let text = one_line(&mark.text).replace("-->", "--&gt;");
                    format!("{}\n{start} --> {end}\n{text}\n\n", at + 1)
                };
                marks.iter().enumerate().map(cue).collect()
            }
            Self::Vtt => {
                let cue = |mark: &Mark| {
                    let (start, end) = span(mark, '.');
                    let text = one_line(&mark.text).replace('&', "&amp;");
                    let text = text.replace('<', "&lt;").replace('>', "&gt;");
                    format!("{start} --> {end}\n{text}\n\n")
                };
                std::iter::once("WEBVTT\n\n".to_owned()).chain(marks.iter().map(cue)).collect()
            }
            Self::Labels => marks
                .iter()
                .map(|Mark { start, end, text }| {
                    format!("{start:.6}\t{end:.6}\t{}\n", one_line(text).replace('\t', " "))
                })
                .collect(),
            Self::TextGrid => textgrid(marks, tier, duration),
        }
    }
}

/// Start and end as subtitles have them; a cue is at least a millisecond long.
fn span(mark: &Mark, separator: char) -> (String, String) {
    let start = millis(mark.start);
    (stamp(start, separator), stamp(millis(mark.end).max(start + 1), separator))
}

/// As many tiers as it takes for no two marks of one to overlap.
fn textgrid(marks: &[Mark], name: &str, duration: f64) -> String {
    let mut tiers: Vec<Vec<(u64, u64, &str)>> = vec![Vec::new()];
    for mark in marks {
        let (start, end) = (millis(mark.start), millis(mark.end).max(millis(mark.start) + 1));
        let mark = (start, end, mark.text.as_str());
        match tiers.iter().position(|tier| tier.last().is_none_or(|last| last.1 <= start)) {
            Some(free) => tiers[free].push(mark),
            None => tiers.push(vec![mark]),
        }
    }
    let last = tiers.iter().flatten().map(|mark| mark.1).max().unwrap_or(0);
    let end = millis(duration).max(last).max(1);
    let seconds = |millis: u64| millis as f64 / 1000.0;
    let mut text = format!(
        "File type = \"ooTextFile\"\nObject class = \"TextGrid\"\n\nxmin = 0\nxmax = {}\n\
         tiers? <exists>\nsize = {}\nitem []:\n",
        seconds(end),
        tiers.len()
    );
    for (index, tier) in tiers.iter().enumerate() {
        let mut intervals: Vec<(u64, u64, &str)> = Vec::new();
        let mut at = 0;
        for &(start, end, label) in tier {
            if start > at {
                intervals.push((at, start, ""));
            }
            intervals.push((start, end, label));
            at = end;
        }
        if end > at {
            intervals.push((at, end, ""));
        }
        let name = if index == 0 { name.to_owned() } else { format!("{name} {}", index + 1) };
        text += &format!(
            "    item [{}]:\n        class = \"IntervalTier\"\n        name = \"{name}\"\n        \
             xmin = 0\n        xmax = {}\n        intervals: size = {}\n",
            index + 1,
            seconds(end),
            intervals.len()
        );
        for (index, (start, end, label)) in intervals.iter().enumerate() {
            text += &format!(
                "        intervals [{}]:\n            xmin = {}\n            xmax = {}\n            \
                 text = \"{}\"\n",
                index + 1,
                seconds(*start),
                seconds(*end),
                one_line(label).replace('"', "\"\"")
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks() -> Vec<Mark> {
        let mark = |start, end, text: &str| Mark { start, end, text: text.to_owned() };
        vec![mark(0.5, 1.0, "yes"), mark(0.9, 1.4, "a\tb --> <c>"), mark(3661.0, 3661.0, "no")]
    }

    #[test]
    fn subtitles_and_labels() {
        let srt = MarkFormat::Srt.text(&marks(), "words", 0.0);
        assert!(srt.starts_with("1\n00:00:00,500 --> 00:00:01,000\nyes\n\n2\n"), "{srt}");
        assert!(srt.contains("01:01:01,000 --> 01:01:01,001\nno"), "{srt}");
        assert_eq!(srt.matches("-->").count(), 3, "{srt}");
        let vtt = MarkFormat::Vtt.text(&marks(), "words", 0.0);
        assert!(vtt.starts_with("WEBVTT\n\n00:00:00.500 --> "), "{vtt}");
        assert!(vtt.contains("--&gt; &lt;c&gt;"), "{vtt}");
        let labels = MarkFormat::Labels.text(&marks(), "words", 0.0);
        assert!(labels.starts_with("0.500000\t1.000000\tyes\n"), "{labels}");
        assert!(labels.lines().all(|line| line.matches('\t').count() == 2), "{labels}");
    }

    #[test]
    fn overlapping_marks_have_tiers_of_their_own() {
        let text = MarkFormat::TextGrid.text(&marks(), "words", 4000.0);
        assert!(text.contains("size = 2\nitem []"), "{text}");
        assert!(text.contains("name = \"words 2\"") && text.contains("xmax = 4000\n"), "{text}");
        let empty = MarkFormat::TextGrid.text(&[], "words", 2.0);
        assert!(empty.contains("intervals: size = 1") && empty.contains("xmax = 2\n"), "{empty}");
    }
}
