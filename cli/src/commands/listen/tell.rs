//! Events as text or as lines of JSON: what is certain on standard output, the rest beside it.

use formant_models::tasks::transcribe::Segment;
use formant_streaming::event::Progress;
use formant_streaming::{Event, Stats};

use super::ListenPlan;
use super::screen::Screen;
use crate::failure::Failure;
use crate::messages::Messages;
use crate::settings::Settings;
use crate::times::clock;
use crate::{json as lines, stdout};

pub(super) struct Teller<'a> {
    json: bool,
    /// Whether lines say what kind they are of.
    several: bool,
    screen: Screen,
    messages: &'a Messages,
}

impl<'a> Teller<'a> {
    pub(super) fn new(plan: &ListenPlan, settings: &Settings, messages: &'a Messages) -> Self {
        let tasks =
            [plan.spot.is_some(), plan.transcribe.is_some(), plan.speaker.is_some(), plan.level];
        let several = tasks.iter().filter(|on| **on).count() > 1;
        let screen = Screen::new(!settings.json);
        Self { json: settings.json, several, screen, messages }
    }

    /// Whether there is a line that can be written anew.
    pub(super) fn has_screen(&self) -> bool {
        self.screen.is_there()
    }

    pub(super) fn tell(&mut self, event: &Event) -> Result<(), Failure> {
        if self.json {
            let text = serde_json::to_string(event).unwrap_or_default();
            return stdout::print(&format!("{text}\n"));
        }
        if self.screen.is_there() {
            match event {
                Event::Level { peak_dbfs, clipped, .. } => {
                    self.screen.level(*peak_dbfs, *clipped);
                    return Ok(());
                }
                Event::Partial { text, .. } => {
                    self.screen.partial(text);
                    return Ok(());
                }
                _ => self.screen.clear(),
            }
        }
        self.note(event);
        match text(event, self.several) {
            Some(text) => stdout::print(&text),
            None => Ok(()),
        }
    }

    /// What is told beside the results.
    fn note(&self, event: &Event) {
        match event {
            Event::Started { source, rate, channels, .. } => {
                let text = format!("listening to {source}: {rate} Hz, {channels} channel(s)");
                self.messages.note(&text);
            }
            Event::Gap { start, end, cause, task } => {
                let who = task.as_ref().map_or_else(String::new, |task| format!(" by {task}"));
                let (from, to) = (clock(*start), clock(*end));
                let cause = serde_json::to_value(cause).unwrap_or_default();
                let cause = cause.as_str().unwrap_or_default().to_owned();
                self.messages.warning("gap", format!("{from} to {to} not heard{who}: {cause}"));
            }
            Event::Enhancing { rate, latency, hop, look_ahead, resampling, output, .. } => {
                let rest = latency - hop - look_ahead - resampling;
                let mut text = format!(
                    "enhanced audio at {rate} Hz is at most {latency:.3} s late, work apart: hop \
                     {hop:.3} s, look-ahead {look_ahead:.3} s, blocks {rest:.3} s"
                );
                if *resampling > 0.0 {
                    text += &format!(", resampling {resampling:.3} s");
                }
                if let Some(output) = output {
                    text += &format!("; played on {output}");
                }
                self.messages.note(&text);
            }
            Event::Underrun { at, count, skipped, .. } => {
                let at = clock(*at);
                if *count > 0 {
                    self.messages.warning("output", format!("{at}: nothing to play yet"));
                }
                if *skipped > 0 {
                    let text = format!("{at}: {skipped} frames skipped, the device is too slow");
                    self.messages.warning("output", text);
                }
            }
            Event::DeviceLost { at, source, reason } => {
                self.messages.warning(source, format!("lost at {}: {reason}", clock(*at)));
            }
            Event::Resumed { at, source, rate, away, .. } => {
                let at = clock(*at);
                let text = format!("{at}: {source} is heard at {rate} Hz, after {away:.1} s");
                self.messages.note(&text);
            }
            Event::Finished { seconds, lost_frames, .. } => {
                let lost = match lost_frames {
                    0 => "nothing lost".to_owned(),
                    frames => format!("{frames} frames lost"),
                };
                self.messages.note(&format!("{} heard, {lost}", clock(*seconds)));
            }
            _ => {}
        }
    }

    /// The figures at the end.
    pub(super) fn stats(&mut self, stats: &Stats) -> Result<(), Failure> {
        if self.json {
            return stdout::print(&lines::line("stats", stats));
        }
        self.screen.clear();
        self.messages.note(table(stats).trim_end());
        Ok(())
    }
}

/// A result as a line of text.
fn text(event: &Event, several: bool) -> Option<String> {
    let kind = |name: &str| if several { format!("{name:<8}") } else { String::new() };
    match event {
        Event::Keyword { word, start, end, score, .. } => {
            Some(format!("{}{start:8.2} {end:8.2}  {score:.3}  {word}\n", kind("word")))
        }
        Event::Final(Segment { start, end, text, .. }) => Some(match several {
            true => format!("{}{start:8.2} {end:8.2}  {text}\n", kind("text")),
            false => format!("{text}\n"),
        }),
        Event::Speaker { start, end, name, score, progress, .. } => {
            let name = name.as_deref().unwrap_or("unknown");
            let score = score.map_or_else(String::new, |score| format!("  {score:.3}"));
            let more = if *progress == Progress::Ongoing { " .." } else { "" };
            Some(format!("{}{start:8.2} {end:8.2}{score}  {name}{more}\n", kind("voice")))
        }
        Event::Level { at, peak_dbfs, rms_dbfs, .. } => {
            let db = |value: &Option<f64>| {
                value.map_or_else(|| "silent".to_owned(), |db| format!("{db:.1} dBFS"))
            };
            let (peak, rms) = (db(peak_dbfs), db(rms_dbfs));
            Some(format!("{}{at:8.2}  peak {peak}  rms {rms}\n", kind("level")))
        }
        _ => None,
    }
}

/// The figures as a table.
fn table(stats: &Stats) -> String {
    let mut text = format!(
        "{:<30} {:>8} {:>9} {:>9} {:>9} {:>9}  {}\n",
        "stage (times in ms)", "count", "p50", "p95", "p99", "max", "time / audio"
    );
    for stage in &stats.stages {
        let found = &stage.latency_ms;
        let factor = stage.real_time_factor.map_or_else(String::new, |x| format!("{x:.4}"));
        text += &format!(
            "{:<30} {:>8} {:>9.2} {:>9.2} {:>9.2} {:>9.2}  {factor}\n",
            stage.stage, found.count, found.p50, found.p95, found.p99, found.max
        );
    }
    let load = stats
        .cpu_load
        .map_or_else(String::new, |load| format!("; {:.1} % of one core", 100.0 * load));
    let drift = stats.drift_ppm.map_or_else(String::new, |ppm| format!("; drift {ppm:.0} ppm"));
    let (seconds, wall) = (stats.seconds, stats.wall_seconds);
    text += &format!("{seconds:.2} s of audio in {wall:.2} s{load}{drift}\n");
    let (overruns, lost, shed) = (stats.overruns, stats.lost_frames, stats.shed_seconds);
    text += &format!("{overruns} overruns, {lost} frames lost, {shed:.1} s skipped by tasks\n");
    if stats
        .stages
        .iter()
        .any(|stage| ["enhance", "superres"].iter().any(|name| stage.stage.starts_with(name)))
    {
        text += &format!("{} underruns of the output\n", stats.underruns);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_as_text() {
        let word = Event::Keyword {
            word: "yes".to_owned(),
            start: 1.0,
            end: 1.5,
            score: 0.75,
            decided: 1.7,
            latency_ms: 3.0,
        };
        // As `formant spot` prints them.
        assert_eq!(text(&word, false).as_deref(), Some("    1.00     1.50  0.750  yes\n"));
        assert!(text(&word, true).is_some_and(|text| text.starts_with("word ")));
        let voice = Event::Speaker {
            start: 0.0,
            end: 2.0,
            name: None,
            score: None,
            threshold: None,
            progress: Progress::Ongoing,
        };
        assert_eq!(text(&voice, false).as_deref(), Some("    0.00     2.00  unknown ..\n"));
        let partial = Event::Partial { start: 0.0, text: "a".to_owned() };
        assert_eq!(text(&partial, false), None);
    }
}
