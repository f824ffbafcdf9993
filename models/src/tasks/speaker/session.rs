//! From blocks of a recording to one embedding: resampling, voice activity, pieces of bounded
//! length, and their mean. Memory does not grow with the recording.

use std::collections::VecDeque;

use formant_audio_core::resample::StreamResampler;
use formant_audio_core::vad::{SpeechSegment, VadEvent, VadOptions, VoiceDetector};
use formant_audio_core::{AudioSpec, AudioView};

use super::embedder::{EmbedOptions, Embedded, Embedding, SpeakerEmbedder, SpeechOnly, Unusable};
use crate::error::Result;
use crate::tasks::intake::{Intake, Pace, resampler};
use crate::tasks::task::{Heard, TaskSession};

/// Rate of the voice detector, in Hz.
const DETECTOR_RATE: u32 = 16_000;
/// Segments are closed after this many seconds at the latest, so that little has to be kept.
const LONGEST_SEGMENT: f64 = 20.0;
/// Shorter pauses stay, and so do the edges of speech, in seconds: soft sounds carry the voice, too.
const SHORTEST_PAUSE: f64 = 0.7;
const PADDING: f64 = 0.25;
/// Seconds before the present that a segment may still begin at.
const LOOK_BACK: f64 = 2.0;

/// One recording on its way to an embedding.
pub struct EmbedSession {
    embedder: SpeakerEmbedder,
    intake: Intake,
    gate: Option<Gate>,
    speech: Vec<f32>,
    heard: u64,
    pooled: Pooled,
}

/// Lets speech through.
struct Gate {
    detector: VoiceDetector,
    resampler: StreamResampler,
    rate: u32,
    recent: VecDeque<f32>,
    start: u64,        // sample at which `recent` begins
    open: Option<u64>, // sample at which speech began that goes on
}

/// Unit-length embeddings of pieces, weighted by length.
#[derive(Default)]
struct Pooled {
    sum: Vec<f32>,
    samples: u64,
    only: Option<Vec<f32>>,
}

impl EmbedSession {
    pub(super) fn new(embedder: &SpeakerEmbedder, options: &EmbedOptions) -> Result<Self> {
        let rate = embedder.sample_rate();
        let gate = match options.speech_only {
            SpeechOnly::Yes => Some(Gate::new(rate)?),
            SpeechOnly::No => None,
        };
        let (speech, pooled) = (Vec::new(), Pooled::default());
        let intake = Intake::new(rate, Pace::Throughput);
        let embedder = embedder.clone();
        Ok(Self { embedder, intake, gate, speech, heard: 0, pooled })
    }

    /// The embedding of everything that was fed.
    fn end(&mut self) -> Result<Embedded> {
        let tail = self.intake.finish()?;
        self.feed(&tail)?;
        let rate = f64::from(self.embedder.sample_rate());
        let least = self.embedder.least_samples();
        let short = |samples: u64| Unusable::TooShort {
            have: samples as f64 / rate,
            need: least as f64 / rate,
        };
        if self.heard < least as u64 {
            return Ok(Err(short(self.heard)));
        }
        if let Some(mut gate) = self.gate.take() {
            gate.finish(&mut self.speech)?;
        }
        let spoken = self.pooled.samples + self.speech.len() as u64;
        if spoken == 0 {
            return Ok(Err(Unusable::NoSpeech));
        }
        if spoken < least as u64 {
            return Ok(Err(short(spoken)));
        }
        let rest = std::mem::take(&mut self.speech);
        let pieces = rest.len().div_ceil(self.window()).max(1);
        // Equal pieces, so that the last is not a snippet.
        for piece in rest.chunks(rest.len().div_ceil(pieces).max(1)) {
            if piece.len() >= least || self.pooled.samples == 0 {
                self.pool(piece)?;
            }
        }
        let Pooled { sum, only, .. } = std::mem::take(&mut self.pooled);
        Ok(Ok(Embedding {
            values: only.unwrap_or(sum),
            model: self.embedder.identity().to_owned(),
            speech_seconds: spoken as f64 / rate,
        }))
    }

    /// Takes mono samples at the model's rate.
    fn feed(&mut self, samples: &[f32]) -> Result<()> {
        self.heard += samples.len() as u64;
        match &mut self.gate {
            Some(gate) => gate.push(samples, &mut self.speech)?,
            None => self.speech.extend_from_slice(samples),
        }
        let window = self.window();
        // One window stays, so that the rest can always be parted into pieces of fair length.
        while self.speech.len() >= 2 * window {
            let rest = self.speech.split_off(window);
            let piece = std::mem::replace(&mut self.speech, rest);
            self.pool(&piece)?;
        }
        Ok(())
    }

    fn window(&self) -> usize {
        let seconds = self.embedder.card().window_seconds;
        (seconds * f64::from(self.embedder.sample_rate())) as usize
    }

    fn pool(&mut self, piece: &[f32]) -> Result<()> {
        let embedding = self.embedder.embed_piece(piece)?;
        let length = embedding.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
        let weight = piece.len() as f32 / length;
        let pooled = &mut self.pooled;
        pooled.sum.resize(embedding.len(), 0.0);
        for (sum, value) in pooled.sum.iter_mut().zip(&embedding) {
            *sum += weight * value;
        }
        // A single piece keeps the length that the network gave it.
        pooled.only = (pooled.samples == 0).then_some(embedding);
        pooled.samples += piece.len() as u64;
        Ok(())
    }
}

impl TaskSession for EmbedSession {
    /// The embedding, which comes at the end.
    type Part = Option<Embedded>;
    type Report = Heard;

    fn push(&mut self, block: &AudioView<'_>) -> Result<Option<Embedded>> {
        let samples = self.intake.push(block)?;
        self.feed(&samples)?;
        Ok(None)
    }

    fn heard(&self) -> Heard {
        self.intake.guard().heard()
    }

    fn finish(mut self) -> Result<(Option<Embedded>, Heard)> {
        let embedded = self.end()?;
        Ok((Some(embedded), self.heard()))
    }
}

impl Gate {
    fn new(rate: u32) -> Result<Self> {
        let options = VadOptions {
            min_silence: SHORTEST_PAUSE,
            padding: PADDING,
            max_speech: Some(LONGEST_SEGMENT),
            ..VadOptions::default()
        };
        let detector = VoiceDetector::new(DETECTOR_RATE, &options)?;
        let resampler = resampler(AudioSpec::mono(rate), DETECTOR_RATE, Pace::Throughput)?;
        Ok(Self { detector, resampler, rate, recent: VecDeque::new(), start: 0, open: None })
    }

    fn push(&mut self, samples: &[f32], speech: &mut Vec<f32>) -> Result<()> {
        self.recent.extend(samples);
        let events = self.detector.push(&self.resampler.push_mono(samples)?);
        self.take(events, speech);
        Ok(())
    }

    fn finish(&mut self, speech: &mut Vec<f32>) -> Result<()> {
        let mut events = self.detector.push(self.resampler.finish()?.channel(0));
        events.extend(self.detector.finish());
        self.take(events, speech);
        Ok(())
    }

    fn take(&mut self, events: Vec<VadEvent>, speech: &mut Vec<f32>) {
        for event in events {
            match event {
                VadEvent::Start { at } => self.open = Some(at),
                VadEvent::End(segment) => {
                    self.open = None;
                    self.copy(segment, speech);
                }
            }
        }
        let now = self.start + self.recent.len() as u64;
        let back = now.saturating_sub((LOOK_BACK * f64::from(self.rate)) as u64);
        let keep = self.open.map_or(back, |at| back.min(self.at_rate(at)));
        let drop = keep.saturating_sub(self.start).min(self.recent.len() as u64);
        self.recent.drain(..drop as usize);
        self.start += drop;
    }

    fn copy(&self, segment: SpeechSegment, speech: &mut Vec<f32>) {
        let place = |at: u64| {
            let inside = self.at_rate(at).saturating_sub(self.start);
            (inside as usize).min(self.recent.len())
        };
        speech.extend(self.recent.range(place(segment.start)..place(segment.end)));
    }

    /// A sample of the detector as one of the model's rate.
    fn at_rate(&self, sample: u64) -> u64 {
        sample * u64::from(self.rate) / u64::from(DETECTOR_RATE)
    }
}
