//! Whose voice it is, in a session: speech is compared with known voices while it goes on.

use std::collections::VecDeque;

use formant_audio_core::AudioView;
use formant_audio_core::vad::{VadEvent, VadOptions, VoiceDetector};
use formant_models::tasks::Task;
use formant_models::tasks::speaker::{EmbedOptions, Scorer, SpeakerEmbedder, SpeechOnly, Voices};

use super::{Finding, LiveStream, LiveTask};
use crate::error::{Error, Result};
use crate::event::{Event, Progress};

/// Speech that is needed for an answer, in seconds.
const LEAST: f64 = 1.0;
/// Speech that an answer rests on at most, in seconds: less blurs, more would not see a change.
const MOST: f64 = 3.0;
/// Seconds from one answer to the next while speech goes on.
const EVERY: f64 = 1.0;
/// Pause that ends a stretch of speech, in seconds.
const PAUSE: f64 = 0.5;
/// Seconds that are kept: what an answer rests on, and what the detector is late.
const KEPT: f64 = MOST + PAUSE + 1.0;

/// Says who speaks.
#[derive(Debug)]
pub struct SpeakerTask {
    embedder: SpeakerEmbedder,
    voices: Voices,
    scorer: Scorer,
}

impl SpeakerTask {
    /// Looks for `voices`.
    ///
    /// # Errors
    /// When the voices are of another model, or the model hears at another rate than 8 or 16 kHz.
    pub fn new(embedder: SpeakerEmbedder, voices: Voices, scorer: Scorer) -> Result<Self> {
        voices.check_model(embedder.identity())?;
        VoiceDetector::new(embedder.sample_rate(), &VadOptions::default()).map_err(Error::Audio)?;
        Ok(Self { embedder, voices, scorer })
    }
}

impl LiveTask for SpeakerTask {
    fn name(&self) -> &'static str {
        "speaker"
    }

    fn rate(&self) -> u32 {
        self.embedder.sample_rate()
    }

    fn start(&self) -> Result<Box<dyn LiveStream + '_>> {
        let options = VadOptions { min_silence: PAUSE, ..VadOptions::default() };
        Ok(Box::new(Stream {
            task: self,
            rate: f64::from(self.rate()),
            detector: VoiceDetector::new(self.rate(), &options)?,
            recent: VecDeque::new(),
            first: 0,
            open: None,
            answered: 0,
            current: None,
        }))
    }
}

struct Stream<'a> {
    task: &'a SpeakerTask,
    rate: f64,
    detector: VoiceDetector,
    recent: VecDeque<f32>,
    first: u64,        // sample at which `recent` begins
    open: Option<u64>, // sample at which speech began that goes on
    answered: u64,
    /// The answer of the stretch that goes on.
    current: Option<Option<String>>,
}

impl LiveStream for Stream<'_> {
    fn push(&mut self, samples: &[f32]) -> Result<Vec<Finding>> {
        self.recent.extend(samples);
        let events = self.detector.push(samples);
        let mut found = self.take(events)?;
        let now = self.first + self.recent.len() as u64;
        if let Some(open) = self.open {
            let least = (LEAST * self.rate) as u64;
            let every = (EVERY * self.rate) as u64;
            if now >= open + least && now >= self.answered + every {
                self.answered = now;
                found.extend(self.answer(open, now, Progress::Ongoing)?);
            }
        }
        let kept = (KEPT * self.rate) as usize;
        let gone = self.recent.len().saturating_sub(kept);
        self.recent.drain(..gone);
        self.first += gone as u64;
        Ok(found)
    }

    fn finish(mut self: Box<Self>) -> Result<Vec<Finding>> {
        let events = self.detector.finish();
        self.take(events)
    }
}

impl Stream<'_> {
    fn take(&mut self, events: Vec<VadEvent>) -> Result<Vec<Finding>> {
        let mut found = Vec::new();
        for event in events {
            match event {
                VadEvent::Start { at } => (self.open, self.current) = (Some(at), None),
                VadEvent::End(segment) => {
                    found.extend(self.answer(segment.start, segment.end, Progress::Ended)?);
                    self.open = None;
                }
            }
        }
        Ok(found)
    }

    /// Compares the last seconds of speech; while it goes on, only changes are told.
    fn answer(&mut self, start: u64, end: u64, progress: Progress) -> Result<Option<Finding>> {
        let from = start.max(end.saturating_sub((MOST * self.rate) as u64)).max(self.first);
        let range = (from - self.first) as usize..(end.saturating_sub(self.first)) as usize;
        let range = range.start..range.end.min(self.recent.len()).max(range.start);
        if (range.len() as f64) < LEAST * self.rate {
            return Ok(None);
        }
        let samples: Vec<f32> = self.recent.range(range).copied().collect();
        let options = EmbedOptions { speech_only: SpeechOnly::No };
        let view = AudioView::from_mono(self.task.rate(), &samples);
        let (Ok(embedding), _) = self.task.embedder.process(&view, &options)? else {
            return Ok(None);
        };
        let who = self.task.voices.identify(&embedding, &self.task.scorer)?;
        if progress == Progress::Ongoing && self.current.as_ref() == Some(&who.name) {
            return Ok(None);
        }
        self.current = Some(who.name.clone());
        let best = who.candidates.first().map(|(_, best)| *best);
        let end = end as f64 / self.rate;
        let event = Event::Speaker {
            start: start as f64 / self.rate,
            end,
            name: who.name,
            score: best.map(|best| best.score),
            threshold: best.map(|best| best.threshold),
            progress,
        };
        Ok(Some(Finding { event, known: Some(end) }))
    }
}
