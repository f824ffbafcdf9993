//! Cues of subtitles and annotations, and the files that hold them: SubRip, WebVTT, Praat's TextGrid.

/// A text and when it is said or shown, in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cue {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) text: String,
}

/// SubRip.
pub(crate) fn srt(cues: &[Cue]) -> String {
    let cue = |(at, cue): (usize, &Cue)| {
        let (start, end) = (stamp(cue.start, ','), stamp(cue.end, ','));
        // An arrow in the text would be taken for the line with the times.
        let text = cue.text.replace("-->", "--&gt;");
        format!("{}\n{start} --> {end}\n{text}\n\n", at + 1)
    };
    cues.iter().enumerate().map(cue).collect()
}

/// WebVTT.
pub(crate) fn vtt(cues: &[Cue]) -> String {
    let mut text = "WEBVTT\n\n".to_owned();
    for cue in cues {
        let words = cue.text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        text += &format!("{} --> {}\n{words}\n\n", stamp(cue.start, '.'), stamp(cue.end, '.'));
    }
    text
}

/// `00:00:01,500`, with another mark before the milliseconds for WebVTT.
fn stamp(millis: u64, mark: char) -> String {
    let (hours, minutes) = (millis / 3_600_000, millis / 60_000 % 60);
    let (seconds, rest) = (millis / 1000 % 60, millis % 1000);
    format!("{hours:02}:{minutes:02}:{seconds:02}{mark}{rest:03}")
}

/// Praat's TextGrid of a recording of `duration` milliseconds, with these tiers by name. Cues that no
/// interval can hold are points of a last tier.
pub(crate) fn textgrid(tiers: &[(String, Vec<Cue>)], points: &[Cue], duration: u64) -> String {
    let last = tiers.iter().flat_map(|(_, cues)| cues).map(|cue| cue.end).max().unwrap_or(0);
    // Praat has no empty intervals.
    let end = duration.max(last).max(1);
    let mut text = format!(
        "File type = \"ooTextFile\"\nObject class = \"TextGrid\"\n\nxmin = 0\nxmax = {}\n\
         tiers? <exists>\nsize = {}\nitem []:\n",
        seconds(end),
        tiers.len() + usize::from(!points.is_empty())
    );
    for (index, (name, cues)) in tiers.iter().enumerate() {
        let intervals = intervals(cues, end);
        text += &format!(
            "    item [{}]:\n        class = \"IntervalTier\"\n        name = \"{name}\"\n        \
             xmin = 0\n        xmax = {}\n        intervals: size = {}\n",
            index + 1,
            seconds(end),
            intervals.len()
        );
        for (index, cue) in intervals.iter().enumerate() {
            text += &format!(
                "        intervals [{}]:\n            xmin = {}\n            xmax = {}\n            \
                 text = \"{}\"\n",
                index + 1,
                seconds(cue.start),
                seconds(cue.end),
                cue.text.replace('"', "\"\"")
            );
        }
    }
    if !points.is_empty() {
        text += &format!(
            "    item [{}]:\n        class = \"TextTier\"\n        name = \"words of no length\"\n        \
             xmin = 0\n        xmax = {}\n        points: size = {}\n",
            tiers.len() + 1,
            seconds(end),
            points.len()
        );
    }
    for (index, point) in points.iter().enumerate() {
        text += &format!(
            "        points [{}]:\n            number = {}\n            mark = \"{}\"\n",
            index + 1,
            seconds(point.start),
            point.text.replace('"', "\"\"")
        );
    }
    text
}

/// Intervals without a gap from 0 to `end`, but for cues of no length and those inside earlier ones.
fn intervals(cues: &[Cue], end: u64) -> Vec<Cue> {
    let mut list: Vec<Cue> = Vec::new();
    let mut at = 0;
    for cue in cues {
        let start = cue.start.max(at);
        if cue.end <= start {
            continue;
        }
        if start > at {
            list.push(Cue { start: at, end: start, text: String::new() });
        }
        list.push(Cue { start, end: cue.end, text: cue.text.clone() });
        at = cue.end;
    }
    if end > at {
        list.push(Cue { start: at, end, text: String::new() });
    }
    list
}

fn seconds(millis: u64) -> f64 {
    millis as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::times::millis;

    #[test]
    fn stamps() {
        assert_eq!(stamp(0, ','), "00:00:00,000");
        assert_eq!(stamp(millis(3723.0456), '.'), "01:02:03.046");
        assert_eq!(stamp(100 * 3_600_000, ','), "100:00:00,000");
    }
}
