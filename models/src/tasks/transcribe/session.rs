//! One stream: audio goes in block by block, segments come out as soon as they are certain.

use serde::{Deserialize, Serialize};

use formant_audio_core::AudioView;

use super::batch;
use super::cutter::{Cutter, Window};
use super::decoder::{Decoded, Decoder};
use super::joiner::{Joiner, Piece};
use super::transcriber::{TranscribeOptions, Transcriber};
use super::transcript::Segment;
use crate::decoding::greedy;
use crate::error::Result;
use crate::tasks::intake::{Intake, Pace};
use crate::tasks::task::{Heard, TaskSession};

/// What a stream has to tell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum TranscriptEvent {
    /// What has been heard of speech that goes on; it will change.
    Partial {
        /// When the speech began, in seconds.
        start: f64,
        /// The text so far.
        text: String,
    },
    /// A segment that will not change.
    Final(Segment),
}

impl TranscriptEvent {
    /// The segment, if it will not change.
    #[must_use]
    pub fn finished(self) -> Option<Segment> {
        match self {
            Self::Final(segment) => Some(segment),
            Self::Partial { .. } => None,
        }
    }
}

/// A stream of audio of any rate and channel count.
pub struct TranscribeSession {
    transcriber: Transcriber,
    decoder: Decoder,
    intake: Intake,
    cutter: Cutter,
    queue: Vec<Window>,
    batch: usize,
    joiner: Joiner,
    /// The last segment, as long as its last word may go on.
    held: Option<Segment>,
    /// Samples from one partial result to the next.
    partials: Option<u64>,
    fresh: u64,
    shown: String,
}

impl TranscribeSession {
    pub(super) fn new(transcriber: &Transcriber, options: &TranscribeOptions) -> Result<Self> {
        let network = transcriber.network();
        let rate = network.sample_rate();
        Ok(Self {
            decoder: transcriber.decoder(options),
            intake: Intake::new(rate, Pace::Throughput),
            cutter: Cutter::new(rate, transcriber.lengths(options), options.segmentation.vad())?,
            queue: Vec::new(),
            batch: options.batch.max(1),
            joiner: Joiner::new(network.samples_per_answer(), network.blank()),
            held: None,
            partials: options.partials.map(|s| (s * f64::from(rate)).max(1.0) as u64),
            fresh: 0,
            shown: String::new(),
            transcriber: transcriber.clone(),
        })
    }

    fn take(&mut self, windows: Vec<Window>, events: &mut Vec<TranscriptEvent>) -> Result<()> {
        for window in windows {
            self.queue.push(window);
            if self.queue.len() >= self.batch {
                self.work(events)?;
            }
        }
        Ok(())
    }

    /// Everything that waits goes through the network.
    fn work(&mut self, events: &mut Vec<TranscriptEvent>) -> Result<()> {
        let windows = std::mem::take(&mut self.queue);
        let clips: Vec<&[f32]> = windows.iter().map(|window| window.samples.as_slice()).collect();
        let answers = batch::log_probs(self.transcriber.network(), &clips, self.batch)?;
        for (window, log_probs) in windows.iter().zip(answers) {
            for piece in self.joiner.push(window, log_probs, &self.decoder.tokenizer) {
                self.decode(&piece, events);
            }
            if window.closes {
                self.release(events);
            }
        }
        Ok(())
    }

    fn decode(&mut self, piece: &Piece, events: &mut Vec<TranscriptEvent>) {
        let Some(Decoded { mut segment, begins_inside, ends_inside }) = self.decoder.decode(piece)
        else {
            return;
        };
        if begins_inside && let Some(held) = &mut self.held {
            held.complete_word(&mut segment);
            if segment.words.is_empty() {
                return;
            }
        }
        self.release(events);
        match ends_inside {
            true => self.held = Some(segment),
            false => self.tell(segment, events),
        }
    }

    fn release(&mut self, events: &mut Vec<TranscriptEvent>) {
        if let Some(segment) = self.held.take() {
            self.tell(segment, events);
        }
    }

    fn tell(&mut self, segment: Segment, events: &mut Vec<TranscriptEvent>) {
        self.shown.clear();
        events.push(TranscriptEvent::Final(segment));
    }

    /// What is being said, greedily and from the last cut on.
    fn tell_partial(&mut self, events: &mut Vec<TranscriptEvent>) -> Result<()> {
        if self.partials.is_none_or(|every| self.fresh < every) {
            return Ok(());
        }
        self.fresh = 0;
        let Some((start, samples)) = self.cutter.unfinished() else { return Ok(()) };
        let network = self.transcriber.network();
        for log_probs in network.log_probs(&[samples])? {
            let tokens = greedy(log_probs.view(), network.blank());
            let ids: Vec<u32> = tokens.iter().map(|token| token.id).collect();
            let text = self.decoder.tokenizer.decode(&ids).trim().to_owned();
            if !text.is_empty() && text != self.shown {
                self.shown.clone_from(&text);
                let start = start as f64 * self.decoder.sample;
                events.push(TranscriptEvent::Partial { start, text });
            }
        }
        Ok(())
    }
}

impl TaskSession for TranscribeSession {
    /// What is new.
    type Part = Vec<TranscriptEvent>;
    type Report = Heard;

    fn push(&mut self, block: &AudioView<'_>) -> Result<Vec<TranscriptEvent>> {
        let rate = self.transcriber.sample_rate();
        let samples = self.intake.push(block)?;
        let mut events = Vec::new();
        // Short enough that the cutter's memory stays small whatever the block.
        for part in samples.chunks(rate.max(1) as usize) {
            let windows = self.cutter.push(part);
            self.take(windows, &mut events)?;
            self.fresh += part.len() as u64;
        }
        self.tell_partial(&mut events)?;
        Ok(events)
    }

    fn heard(&self) -> Heard {
        self.intake.guard().heard()
    }

    fn finish(mut self) -> Result<(Vec<TranscriptEvent>, Heard)> {
        let mut events = Vec::new();
        let tail = self.intake.finish()?;
        let mut windows = self.cutter.push(&tail);
        windows.extend(self.cutter.finish());
        self.take(windows, &mut events)?;
        self.work(&mut events)?;
        self.release(&mut events);
        let heard = self.heard();
        for event in &mut events {
            if let TranscriptEvent::Final(segment) = event {
                // The last answer may be about less sound than the others.
                let end = heard.seconds;
                segment.end = segment.end.min(end);
                for word in &mut segment.words {
                    (word.start, word.end) = (word.start.min(end), word.end.min(end));
                }
            }
        }
        Ok((events, heard))
    }
}
