//! Stretches of time with a text, as editors of sound and pictures read them: subtitles, labels,
//! annotations. What `transcribe` writes has words and lines, and is in its own folder.

use crate::cues::{self, Cue};
use crate::escape::one_line;
use crate::times::millis;

/// A stretch of time with a text, in seconds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Mark {
    pub(crate) start: f64,
    pub(crate) end: f64,
    pub(crate) text: String,
}

/// Formats for marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MarkFormat {
    /// SubRip subtitles.
    Srt,
    /// WebVTT subtitles.
    Vtt,
    /// A label track of Audacity.
    Labels,
    /// Praat's annotation.
    TextGrid,
}

impl MarkFormat {
    /// Marks, in the order of their starts, as a file; `duration` is that of the recording.
    pub(crate) fn text(self, marks: &[Mark], tier: &str, duration: f64) -> String {
        let cues = || marks.iter().map(Mark::cue).collect::<Vec<Cue>>();
        match self {
            Self::Srt => cues::srt(&cues()),
            Self::Vtt => cues::vtt(&cues()),
            Self::Labels => marks
                .iter()
                .map(|Mark { start, end, text }| {
                    format!("{start:.6}\t{end:.6}\t{}\n", one_line(text).replace('\t', " "))
                })
                .collect(),
            Self::TextGrid => cues::textgrid(&tiers(cues(), tier), &[], millis(duration)),
        }
    }
}

impl Mark {
    /// A cue is at least a millisecond long.
    fn cue(&self) -> Cue {
        let start = millis(self.start);
        let text = one_line(&self.text).into_owned();
        Cue { start, end: millis(self.end).max(start + 1), text }
    }
}

/// As many tiers as it takes for no two cues of one to overlap.
fn tiers(cues: Vec<Cue>, name: &str) -> Vec<(String, Vec<Cue>)> {
    let mut tiers = vec![(name.to_owned(), Vec::<Cue>::new())];
    for cue in cues {
        let is_free = |last: &Cue| last.end <= cue.start;
        match tiers.iter().position(|(_, tier)| tier.last().is_none_or(is_free)) {
            Some(free) => tiers[free].1.push(cue),
            None => tiers.push((format!("{name} {}", tiers.len() + 1), vec![cue])),
        }
    }
    tiers
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
