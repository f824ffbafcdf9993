//! What a session tells: typed values, which are also lines of JSON.
//!
//! Times are seconds of the stream, from its first frame on; missing audio counts.

use formant_models::tasks::transcribe::Segment;
use serde::{Deserialize, Serialize};

/// Something that happened in a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Event {
    /// The source is open; always the first event.
    Started {
        /// The device, file or stream.
        source: String,
        /// Its rate in Hz.
        rate: u32,
        /// Its channels.
        channels: usize,
        /// What listens.
        tasks: Vec<String>,
    },
    /// How loud it was since the last such event.
    Level {
        /// The end of the stretch.
        at: f64,
        /// Largest sample; `None` for digital silence.
        peak_dbfs: Option<f64>,
        /// Root mean square over all channels; `None` for digital silence.
        rms_dbfs: Option<f64>,
        /// Samples at full scale.
        clipped: u64,
    },
    /// Audio came faster than it was taken, and was lost; a gap event says where.
    Overrun {
        /// Where.
        at: f64,
        /// Frames that were lost now.
        frames: u64,
        /// Frames that were lost since the start.
        total_frames: u64,
    },
    /// Nothing was heard from `start` to `end`.
    Gap {
        /// Where it begins.
        start: f64,
        /// Where it ends.
        end: f64,
        /// Why.
        cause: GapCause,
        /// The one task that did not hear it; `None` for all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        task: Option<String>,
    },
    /// What has been understood of speech that goes on; it will change.
    Partial {
        /// Where the speech began.
        start: f64,
        /// The text so far.
        text: String,
    },
    /// A stretch of speech that will not change.
    Final(Segment),
    /// A word was found.
    Keyword {
        /// The word.
        word: String,
        /// Where it begins.
        start: f64,
        /// Where it ends.
        end: f64,
        /// How sure it is, 0 to 1.
        score: f32,
        /// What had to be heard for the decision.
        decided: f64,
        /// Milliseconds from the capture of that to this event.
        latency_ms: f64,
    },
    /// Somebody speaks.
    Speech {
        /// Where the speech began.
        start: f64,
        /// What was heard of it by now.
        end: f64,
        /// Whether the speech goes on.
        progress: Progress,
    },
    /// Whose voice it is.
    Speaker {
        /// Where the speech began.
        start: f64,
        /// What was heard of it by now.
        end: f64,
        /// The known voice; `None` for an unknown one.
        name: Option<String>,
        /// How alike the most alike known voice is; `None` when no voice is known.
        score: Option<f64>,
        /// Scores above it mean the same speaker.
        threshold: Option<f64>,
        /// Whether the speech goes on.
        progress: Progress,
    },
    /// Enhancement or super-resolution has begun; once in a session.
    Enhancing {
        /// The rate of what comes out, in Hz.
        rate: u32,
        /// Seconds after which a sample is given out at the latest, work and devices apart: the
        /// following three, and the length of the blocks that tasks hear.
        latency: f64,
        /// Seconds from one run of the network to the next.
        hop: f64,
        /// Seconds that are heard behind a sample before it is settled.
        look_ahead: f64,
        /// Seconds that resampling to the network's rate and back holds back.
        resampling: f64,
        /// Seconds of the past that the network hears again with every run.
        context: f64,
        /// The device that plays it, where there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output: Option<String>,
    },
    /// Cleaned or widened audio was given to file and device.
    Enhanced {
        /// Where it begins.
        start: f64,
        /// Where it ends.
        end: f64,
        /// Milliseconds until it is heard, from now on; 0 without a device.
        buffered_ms: f64,
        /// Milliseconds from the capture of its first sample until that is written, or heard.
        latency_ms: f64,
    },
    /// The output device had nothing to play, and played silence, or was too slow for what came.
    Underrun {
        /// Up to where audio had been given when that was seen.
        at: f64,
        /// How often since the last such event.
        count: u64,
        /// Frames of silence since then, at the device's rate.
        frames: u64,
        /// Frames that were skipped since then, so that the device does not fall behind.
        skipped: u64,
    },
    /// The device went away.
    DeviceLost {
        /// When.
        at: f64,
        /// The device.
        source: String,
        /// What was seen.
        reason: String,
    },
    /// A device gives audio again: the same one or, when so asked, another.
    Resumed {
        /// When.
        at: f64,
        /// The device.
        source: String,
        /// Its rate in Hz, which may be another.
        rate: u32,
        /// Its channels, which may be others.
        channels: usize,
        /// Seconds without a device.
        away: f64,
    },
    /// The session is over; always the last event.
    Finished {
        /// The length of the stream.
        seconds: f64,
        /// Why.
        reason: EndReason,
        /// Frames that were lost, whatever the cause.
        lost_frames: u64,
    },
}

impl Event {
    /// The same event on a clock that shows `seconds` when the stream begins.
    #[must_use]
    pub fn moved(mut self, seconds: f64) -> Self {
        match &mut self {
            Self::Level { at, .. }
            | Self::Overrun { at, .. }
            | Self::Underrun { at, .. }
            | Self::DeviceLost { at, .. }
            | Self::Resumed { at, .. }
            | Self::Partial { start: at, .. } => *at += seconds,
            Self::Gap { start, end, .. }
            | Self::Speech { start, end, .. }
            | Self::Speaker { start, end, .. }
            | Self::Enhanced { start, end, .. } => {
                *start += seconds;
                *end += seconds;
            }
            Self::Keyword { start, end, decided, .. } => {
                *start += seconds;
                *end += seconds;
                *decided += seconds;
            }
            Self::Final(segment) => {
                segment.start += seconds;
                segment.end += seconds;
                for word in &mut segment.words {
                    word.start += seconds;
                    word.end += seconds;
                }
            }
            Self::Started { .. } | Self::Enhancing { .. } | Self::Finished { .. } => {}
        }
        self
    }
}

/// Why something was not heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GapCause {
    /// The ring between device and session was full.
    Overrun,
    /// The device or its driver lost audio.
    Interrupted,
    /// There was no device.
    DeviceLost,
    /// A task was too slow and skipped it.
    Shed,
}

/// Whether something goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Progress {
    /// It goes on.
    Ongoing,
    /// It has ended.
    Ended,
}

/// Why a session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndReason {
    /// The source has no more audio.
    End,
    /// It was asked to stop, or the time that it was given is over.
    Stopped,
    /// The device was lost, and the policy is to stop then.
    DeviceLost,
    /// Something failed; the session returns the error.
    Failed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_lines_of_json() {
        let keyword = Event::Keyword {
            word: "yes".to_owned(),
            start: 1.0,
            end: 1.5,
            score: 0.75,
            decided: 1.75,
            latency_ms: 12.5,
        };
        let line = serde_json::to_string(&keyword).expect("plain data");
        let is = r#"{"type":"keyword","word":"yes","start":1.0,"end":1.5,"score":0.75,"decided":1.75,"latency_ms":12.5}"#;
        assert_eq!(line, is);
        assert_eq!(serde_json::from_str::<Event>(&line).expect("the same"), keyword);
        let gap = Event::Gap { start: 0.0, end: 1.0, cause: GapCause::DeviceLost, task: None };
        let line = serde_json::to_string(&gap).expect("plain data");
        assert_eq!(line, r#"{"type":"gap","start":0.0,"end":1.0,"cause":"device-lost"}"#);
        let lost = Event::DeviceLost { at: 1.0, source: "a".into(), reason: "b".into() };
        assert!(serde_json::to_string(&lost).expect("plain").contains(r#""type":"device-lost""#));
    }
}
