//! Whose voice it is, in a session: speech is compared with known voices while it goes on, and cut
//! where another voice takes over.

use std::collections::VecDeque;

use formant_audio_core::AudioView;
use formant_audio_core::vad::{VadEvent, VadOptions, VoiceDetector};
use formant_models::tasks::Task;
use formant_models::tasks::speaker::{
    EmbedOptions, Embedding, Scorer, SpeakerEmbedder, SpeechOnly, Voices,
};

use super::turns::Turns;
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
/// Speech that is compared with all voices to see a change, in seconds, and seconds from one such
/// window to the next.
const WINDOW: f64 = 1.5;
const STEP: f64 = 0.5;
/// Seconds after which a change is seen at the latest, to be told with its place.
const LATE: f64 = 4.0;
/// Seconds that are kept: what an answer rests on, and what detector and changes are late.
const KEPT: f64 = MOST + PAUSE + LATE;

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
            turns: Turns::default(),
            compared: 0,
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
    turns: Turns,
    compared: u64, // sample up to which the last window went
}

impl LiveStream for Stream<'_> {
    fn push(&mut self, samples: &[f32]) -> Result<Vec<Finding>> {
        let mut found = Vec::new();
        // However long a block is, no window is left out.
        for part in samples.chunks((STEP / 5.0 * self.rate) as usize) {
            found.extend(self.hear(part)?);
        }
        Ok(found)
    }

    fn finish(mut self: Box<Self>) -> Result<Vec<Finding>> {
        let events = self.detector.finish();
        self.take(events)
    }
}

impl Stream<'_> {
    fn hear(&mut self, samples: &[f32]) -> Result<Vec<Finding>> {
        self.recent.extend(samples);
        let events = self.detector.push(samples);
        let mut found = self.take(events)?;
        let now = self.first + self.recent.len() as u64;
        found.extend(self.change(now)?);
        if let Some(open) = self.open {
            let least = (LEAST * self.rate) as u64;
            let every = (EVERY * self.rate) as u64;
            // What speaks for another voice would blur the answer.
            let doubtful = self.current.is_some() && self.turns.is_in_doubt();
            if now >= open + least && now >= self.answered + every && !doubtful {
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

    fn take(&mut self, events: Vec<VadEvent>) -> Result<Vec<Finding>> {
        let mut found = Vec::new();
        for event in events {
            match event {
                VadEvent::Start { at } => {
                    (self.open, self.current, self.compared) = (Some(at), None, at);
                    self.turns = Turns::default();
                }
                VadEvent::End(segment) => {
                    // Another voice may have taken over since the segment began.
                    let start = self.open.unwrap_or(segment.start).max(segment.start);
                    found.extend(self.answer(start, segment.end, Progress::Ended)?);
                    self.open = None;
                }
            }
        }
        Ok(found)
    }

    /// Ends the stretch where another voice has taken over, and begins the next one.
    fn change(&mut self, now: u64) -> Result<Option<Finding>> {
        let Some(open) = self.open else { return Ok(None) };
        let samples = |seconds: f64| (seconds * self.rate) as u64;
        let start = now.saturating_sub(samples(WINDOW));
        if start < open.max(self.first) || now < self.compared + samples(STEP) {
            return Ok(None);
        }
        self.compared = now;
        let Some(embedding) = self.embed(start, now)? else { return Ok(None) };
        let SpeakerTask { voices, scorer, .. } = self.task;
        let above = |voice: &[f32]| {
            (scorer.score(voice, &embedding.values) - scorer.threshold()) / scorer.deviation()
        };
        let scores = voices.voices().iter().map(|voice| above(&voice.embedding));
        let from = now - samples((WINDOW + STEP) / 2.0);
        let Some(at) = self.turns.hear(scores, from) else { return Ok(None) };
        let at = at.max(now.saturating_sub(samples(LATE)));
        // What was too short for an answer was the same voice all along.
        if at < open + samples(LEAST) {
            return Ok(None);
        }
        let ended = self.answer(open, at, Progress::Ended)?;
        (self.open, self.current, self.answered) = (Some(at), None, 0);
        Ok(ended)
    }

    /// Compares the last seconds of speech; while it goes on, only changes are told.
    fn answer(&mut self, start: u64, end: u64, progress: Progress) -> Result<Option<Finding>> {
        let from = start.max(end.saturating_sub((MOST * self.rate) as u64));
        let Some(embedding) = self.embed(from, end)? else { return Ok(None) };
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

    /// The embedding of what is kept of the samples `from..to`; none of less than is needed.
    fn embed(&self, from: u64, to: u64) -> Result<Option<Embedding>> {
        let start = from.saturating_sub(self.first) as usize;
        let end = (to.saturating_sub(self.first) as usize).min(self.recent.len()).max(start);
        if ((end - start) as f64) < LEAST * self.rate {
            return Ok(None);
        }
        let samples: Vec<f32> = self.recent.range(start..end).copied().collect();
        let options = EmbedOptions { speech_only: SpeechOnly::No };
        let view = AudioView::from_mono(self.task.rate(), &samples);
        Ok(self.task.embedder.process(&view, &options)?.0.ok())
    }
}
