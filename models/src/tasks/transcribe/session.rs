//! One stream: audio goes in block by block, segments come out as soon as they are certain.

use serde::{Deserialize, Serialize};

use formant_audio_core::AudioView;

use super::batch;
use super::cutter::{Cutter, Window};
use super::decoder::{Decoded, Decoder};
use super::input::Input;
use super::joiner::{Joiner, Piece};
use super::transcriber::{TranscribeOptions, Transcriber};
use super::transcript::Segment;
use crate::decoding::greedy;
use crate::error::Result;

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

/// A stream of audio of any rate and channel count, which stay the same. Feed it blocks of any
/// length, then [`TranscribeSession::finish`] it. What comes out at the end does not depend on the
/// length of the blocks.
pub struct TranscribeSession<'a> {
    transcriber: &'a Transcriber,
    decoder: Decoder<'a>,
    input: Input,
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

impl<'a> TranscribeSession<'a> {
    pub(super) fn new(transcriber: &'a Transcriber, options: &TranscribeOptions) -> Result<Self> {
        let network = transcriber.network();
        let rate = network.sample_rate();
        Ok(Self {
            decoder: transcriber.decoder(options),
            input: Input::new(rate),
            cutter: Cutter::new(rate, transcriber.lengths(options), options.segmentation.vad())?,
            queue: Vec::new(),
            batch: options.batch.max(1),
            joiner: Joiner::new(network.samples_per_answer(), network.blank()),
            held: None,
            partials: options.partials.map(|s| (s * f64::from(rate)).max(1.0) as u64),
            fresh: 0,
            shown: String::new(),
            transcriber,
        })
    }

    /// Seconds of audio that were fed.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.input.seconds()
    }

    /// Feeds a block and returns what is new.
    ///
    /// # Errors
    /// [`formant_audio_core::Error::Shape`] when rate or layout change; what the network says.
    pub fn step(&mut self, block: &AudioView<'_>) -> Result<Vec<TranscriptEvent>> {
        let rate = self.transcriber.network().sample_rate();
        let samples = self.input.push(block)?;
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

    /// Ends the stream and returns what was open.
    ///
    /// # Errors
    /// What the network says.
    pub fn finish(mut self) -> Result<Vec<TranscriptEvent>> {
        let mut events = Vec::new();
        let tail = self.input.finish()?;
        let mut windows = self.cutter.push(&tail);
        windows.extend(self.cutter.finish());
        self.take(windows, &mut events)?;
        self.work(&mut events)?;
        self.release(&mut events);
        let end = self.input.seconds();
        for event in &mut events {
            if let TranscriptEvent::Final(segment) = event {
                // The last answer may be about less sound than the others.
                segment.end = segment.end.min(end);
                for word in &mut segment.words {
                    (word.start, word.end) = (word.start.min(end), word.end.min(end));
                }
            }
        }
        Ok(events)
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
            for piece in self.joiner.push(window, log_probs, self.decoder.tokenizer) {
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
