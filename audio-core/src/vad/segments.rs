//! From probabilities to segments: hysteresis, shortest speech and pause, padding, longest speech.

use std::collections::VecDeque;

use super::{FRAMES_PER_SECOND, SpeechSegment, VadEvent, VadOptions};

/// Frames over which probabilities are averaged; odd.
const SMOOTHING: usize = 5;
/// How far the probability must fall below the threshold to end speech.
const HYSTERESIS: f32 = 0.15;

pub(super) struct Segmenter {
    hop: u64,
    on: f32,
    off: f32,
    min_speech: u64,
    min_silence: u64,
    max_speech: Option<u64>,
    padding: u64, // samples
    recent: VecDeque<f32>,
    frame: u64,
    state: State,
    /// End of the last segment, in samples: nothing may begin before it.
    closed: u64,
}

enum State {
    Silence,
    /// Above the threshold since this frame, not yet long enough.
    Rising(u64),
    /// Speech from a frame on, last heard in another; the probabilities only when they are needed
    /// to find a place for a cut.
    Speech {
        start: u64,
        last: u64,
        probabilities: Vec<f32>,
    },
}

impl Segmenter {
    pub(super) fn new(hop: u64, options: &VadOptions) -> Self {
        let frames = |seconds: f64| (seconds * f64::from(FRAMES_PER_SECOND)).round() as u64;
        Self {
            hop,
            on: options.threshold,
            off: options.threshold - HYSTERESIS,
            min_speech: frames(options.min_speech).max(1),
            min_silence: frames(options.min_silence).max(1),
            max_speech: options.max_speech.map(frames),
            padding: frames(options.padding) * hop,
            recent: VecDeque::with_capacity(SMOOTHING),
            frame: 0,
            state: State::Silence,
            closed: 0,
        }
    }

    pub(super) fn is_speech(&self) -> bool {
        matches!(self.state, State::Speech { .. })
    }

    /// Take the probability of the next frame. The frame half a smoothing window back is decided.
    pub(super) fn push(&mut self, probability: f32, events: &mut Vec<VadEvent>) {
        if self.recent.is_empty() {
            // As if the sound before the first frame had been like it.
            self.recent.extend([probability; SMOOTHING / 2]);
        }
        if self.recent.len() == SMOOTHING {
            self.recent.pop_front();
        }
        self.recent.push_back(probability);
        if self.recent.len() == SMOOTHING {
            let mean = self.recent.iter().sum::<f32>() / self.recent.len() as f32;
            self.decide(mean, events);
        }
    }

    /// Decide the frames that the smoothing still holds, and close what is open.
    pub(super) fn finish(&mut self, total: u64, events: &mut Vec<VadEvent>) {
        if let Some(&last) = self.recent.back() {
            for _ in 0..SMOOTHING / 2 {
                self.push(last, events);
            }
        }
        if let State::Speech { start, last, .. } = &self.state {
            let (start, end) = (*start, *last + 1);
            self.close(start, end, total, events);
        }
        self.state = State::Silence;
    }

    fn decide(&mut self, probability: f32, events: &mut Vec<VadEvent>) {
        let frame = self.frame;
        self.frame += 1;
        match &mut self.state {
            State::Silence if probability >= self.on => self.state = State::Rising(frame),
            State::Rising(_) if probability < self.on => self.state = State::Silence,
            State::Speech { start, last, probabilities } => {
                if probability >= self.off {
                    *last = frame;
                }
                if self.max_speech.is_some() {
                    probabilities.push(probability);
                }
                let (start, last) = (*start, *last);
                if frame - last >= self.min_silence {
                    self.close(start, last + 1, u64::MAX, events);
                    self.state = State::Silence;
                } else if self.max_speech.is_some_and(|longest| frame + 1 - start >= longest) {
                    self.cut(events);
                }
                return;
            }
            State::Silence | State::Rising(_) => {}
        }
        if let State::Rising(start) = self.state
            && frame + 1 - start >= self.min_speech
        {
            events.push(VadEvent::Start { at: self.padded_start(start) });
            self.state = State::Speech { start, last: frame, probabilities: Vec::new() };
            if let State::Speech { probabilities, .. } = &mut self.state
                && self.max_speech.is_some()
            {
                probabilities.resize((frame + 1 - start) as usize, 1.0);
            }
        }
    }

    /// Cut a segment that is too long where speech is least likely in its second half.
    fn cut(&mut self, events: &mut Vec<VadEvent>) {
        let State::Speech { start, last, probabilities } =
            std::mem::replace(&mut self.state, State::Silence)
        else {
            return;
        };
        let half = probabilities.len() / 2;
        let quietest = (half..probabilities.len())
            .min_by(|&a, &b| probabilities[a].total_cmp(&probabilities[b]))
            .unwrap_or(half)
            .max(1);
        let at = start + quietest as u64;
        if at > last {
            // A pause has begun that is only not long enough yet: nothing needs to be cut.
            self.close(start, last + 1, self.frame * self.hop, events);
            return;
        }
        let end = at * self.hop;
        events.push(VadEvent::End(SpeechSegment { start: self.padded_start(start), end }));
        self.closed = end;
        events.push(VadEvent::Start { at: end });
        let probabilities = probabilities[quietest..].to_vec();
        self.state = State::Speech { start: at, last, probabilities };
    }

    fn padded_start(&self, frame: u64) -> u64 {
        (frame * self.hop).saturating_sub(self.padding).max(self.closed)
    }

    fn close(&mut self, start: u64, end: u64, total: u64, events: &mut Vec<VadEvent>) {
        let start = self.padded_start(start);
        let end = (end * self.hop).saturating_add(self.padding).min(total);
        if end > start {
            events.push(VadEvent::End(SpeechSegment { start, end }));
            self.closed = end;
        }
    }
}
