//! Events as plain C data.

use std::ffi::{CString, c_char};

use formant_streaming::Event;

/// Kinds of events; `json` in the event has all details.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormantEventKind {
    /// The session has begun.
    Started = 0,
    /// How loud it was: `score` is the peak in dB below full scale, -200 for silence.
    Level = 1,
    /// Samples were lost; a gap follows.
    Overrun = 2,
    /// Nothing was heard from `start` to `end`: `text` says why.
    Gap = 3,
    /// What has been understood of speech that goes on: `text`.
    Partial = 4,
    /// A stretch of speech that will not change: `text`, `score` is the confidence.
    Final = 5,
    /// The word `text` was found, with `score`.
    Keyword = 6,
    /// The voice of `text` is heard; empty for an unknown one.
    Speaker = 7,
    /// The session is over: `text` says why; after `failed`, `formant_last_error` says more.
    Finished = 8,
    /// Somebody speaks from `start` on: `text` is `ongoing` when that is first known, and `ended` when
    /// `end` is.
    Speech = 9,
    /// Enhancement has begun: `score` is its latency in seconds.
    Enhancing = 10,
    /// Enhanced audio from `start` to `end` waits for `formant_session_enhanced`.
    Enhanced = 11,
    /// A kind that this version of the header does not know.
    Other = 100,
}

/// Something that happened. The texts are valid until the next call of `formant_session_next` or
/// `formant_session_free` with the same session.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct FormantEvent {
    /// Its kind.
    pub kind: FormantEventKind,
    /// Where it begins, in seconds of the stream.
    pub start: f64,
    /// Where it ends.
    pub end: f64,
    /// A number that the kind explains; 0 where it has none.
    pub score: f64,
    /// A text that the kind explains; empty where it has none. Never null.
    pub text: *const c_char,
    /// The event as JSON, as `formant listen --json` prints it. Never null.
    pub json: *const c_char,
}

/// What an event's pointers point to.
#[derive(Default)]
pub(crate) struct Texts {
    text: CString,
    json: CString,
}

fn c_text(text: &str) -> CString {
    CString::new(text.replace('\0', " ")).unwrap_or_default()
}

/// The name of a plain enum, as JSON has it.
fn name(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default().trim_matches('"').to_owned()
}

impl Texts {
    /// Keeps the texts of `event` and describes it.
    pub(crate) fn hold(&mut self, event: &Event) -> FormantEvent {
        use FormantEventKind as Kind;
        let (kind, start, end, score, text) = match event {
            Event::Started { source, .. } => (Kind::Started, 0.0, 0.0, 0.0, source.clone()),
            Event::Level { at, peak_dbfs, .. } => {
                (Kind::Level, *at, *at, peak_dbfs.unwrap_or(-200.0), String::new())
            }
            Event::Overrun { at, frames, .. } => {
                (Kind::Overrun, *at, *at, *frames as f64, String::new())
            }
            Event::Gap { start, end, cause, .. } => (Kind::Gap, *start, *end, 0.0, name(cause)),
            Event::Partial { start, text } => (Kind::Partial, *start, *start, 0.0, text.clone()),
            Event::Final(segment) => {
                let score = segment.confidence.into();
                (Kind::Final, segment.start, segment.end, score, segment.text.clone())
            }
            Event::Keyword { word, start, end, score, .. } => {
                (Kind::Keyword, *start, *end, f64::from(*score), word.clone())
            }
            Event::Speaker { start, end, name, score, .. } => {
                let who = name.clone().unwrap_or_default();
                (Kind::Speaker, *start, *end, score.unwrap_or(0.0), who)
            }
            Event::Speech { start, end, progress } => {
                (Kind::Speech, *start, *end, 0.0, name(progress))
            }
            Event::Enhancing { latency, .. } => {
                (Kind::Enhancing, 0.0, 0.0, *latency, String::new())
            }
            Event::Enhanced { start, end, .. } => {
                (Kind::Enhanced, *start, *end, 0.0, String::new())
            }
            Event::Finished { seconds, reason, .. } => {
                (Kind::Finished, *seconds, *seconds, 0.0, name(reason))
            }
            _ => (Kind::Other, 0.0, 0.0, 0.0, String::new()),
        };
        self.text = c_text(&text);
        self.json = c_text(&serde_json::to_string(event).unwrap_or_default());
        FormantEvent { kind, start, end, score, text: self.text.as_ptr(), json: self.json.as_ptr() }
    }
}
