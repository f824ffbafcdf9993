//! Long audio through a model that takes a chunk and gives one or more sources of the same length:
//! overlapping chunks, cross-fades, and the same source in the same place all the way.
//!
//! [`ChunkedSources`] is the adapter; which source of a chunk continues which is decided in
//! `order`, what was heard of each in `activity`. No network knows about chunks.

mod activity;
mod order;

use std::collections::VecDeque;

use formant_audio_core::chunk::{Chunk, ChunkConfig, Chunker, OverlapAdd};
use formant_audio_core::{AudioBuf, AudioSpec, AudioView, ChannelLayout};

pub use activity::SourceActivity;
use activity::{Activities, dominant};
pub use order::Evidence;
use order::{Orders, Overlap};

use crate::error::{Error, Result};

/// A model from a chunk to its sources.
pub trait SourceModel {
    /// Number of sources.
    fn sources(&self) -> usize;

    /// Every source of `chunk`, as long as it. Their order may change from chunk to chunk.
    ///
    /// # Errors
    /// What the model says.
    fn process(&mut self, chunk: &[f32]) -> Result<Vec<Vec<f32>>>;

    /// Whether the sources may come in another order in the next chunk.
    fn may_swap(&self) -> bool {
        true
    }
}

/// Tells sources apart by how they sound.
pub trait Likeness {
    /// Numbers of unit length that are alike for sounds of one source; `None` where `samples` are
    /// too few or say nothing.
    ///
    /// # Errors
    /// What the model says.
    fn print(&self, samples: &[f32], rate: u32) -> Result<Option<Vec<f32>>>;
}

/// What was heard in a signal.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct SourcesReport {
    /// A row a source, in the order of the outputs.
    pub sources: Vec<SourceActivity>,
    /// How alike the two most similar sources sound, from -1 to 1, where that can be told.
    pub likeness: Option<f64>,
    /// Chunks.
    pub chunks: usize,
    /// Chunks whose order was decided by what overlaps, by how the sources sound, and not at all.
    pub decided: [usize; 3],
}

/// Windows of these lengths for a network of `rate` Hz. A tenth of a second at the cuts of a window,
/// or less where the overlap is short, is context alone: its neighbor is taken there.
///
/// # Errors
/// As [`ChunkConfig::new`].
pub(super) fn windows(rate: u32, window_seconds: f64, overlap_seconds: f64) -> Result<ChunkConfig> {
    let samples = |seconds: f64| (seconds * f64::from(rate)).round().max(0.0) as usize;
    let overlap = samples(overlap_seconds);
    let context = samples(0.1).min(overlap.saturating_sub(1) / 4);
    Ok(ChunkConfig::new(samples(window_seconds), overlap, context)?)
}

/// The adapter at work on one signal.
pub struct ChunkedSources<M> {
    model: M,
    likeness: Option<Box<dyn Likeness + Send>>,
    rate: u32,
    chunker: Chunker,
    joiner: OverlapAdd,
    orders: Orders,
    activities: Activities,
    /// The end of the last chunk's sources, in the order of the outputs.
    last: Option<(usize, Vec<Vec<f32>>)>,
    keep: usize,
    decided: [usize; 3],
    chunks: usize,
    ready: VecDeque<AudioBuf>,
}

impl<M: SourceModel> ChunkedSources<M> {
    /// Begins a signal of `rate` Hz. `likeness` settles the order where the overlap is silent.
    #[must_use]
    pub fn new(
        model: M,
        config: ChunkConfig,
        rate: u32,
        likeness: Option<Box<dyn Likeness + Send>>,
    ) -> Self {
        let sources = model.sources();
        Self {
            likeness,
            rate,
            chunker: Chunker::new(config, AudioSpec::mono(rate)),
            joiner: OverlapAdd::new(config),
            orders: Orders::new(sources),
            activities: Activities::new(sources, rate),
            last: None,
            // The last chunk of a signal may overlap with more of the one before.
            keep: config.length(),
            decided: [0; 3],
            chunks: 0,
            ready: VecDeque::new(),
            model,
        }
    }

    /// Takes mono samples, and returns what is settled: a channel a source.
    ///
    /// # Errors
    /// What the model says.
    pub fn push(&mut self, samples: &[f32]) -> Result<Option<AudioBuf>> {
        for chunk in self.chunker.push(&AudioView::from_mono(self.rate, samples))? {
            self.take(&chunk)?;
        }
        Ok(self.gather())
    }

    /// Ends the signal: what is left, and what was heard. Then the adapter can begin another.
    ///
    /// # Errors
    /// What the model says.
    pub fn finish(&mut self) -> Result<(Option<AudioBuf>, SourcesReport)> {
        if let Some(chunk) = self.chunker.finish() {
            self.take(&chunk)?;
        }
        self.ready.extend(self.joiner.finish());
        let report = SourcesReport {
            sources: self.activities.rows(),
            likeness: self.orders.likeness(),
            chunks: self.chunks,
            decided: self.decided,
        };
        self.last = None;
        self.orders.forget();
        self.activities.forget();
        (self.chunks, self.decided) = (0, [0; 3]);
        Ok((self.gather(), report))
    }

    fn take(&mut self, chunk: &Chunk) -> Result<()> {
        let mixture = chunk.audio.channel(0);
        let mut sources = self.model.process(mixture)?;
        if sources.len() != self.model.sources()
            || sources.iter().any(|source| source.len() != mixture.len())
        {
            let found = sources.first().map_or(0, Vec::len);
            let reason = format!("{found} samples for a chunk of {}", mixture.len());
            return Err(Error::config("model", reason));
        }
        self.chunks += 1;
        if self.model.may_swap() && sources.len() > 1 {
            sources = self.put_in_order(chunk.start, mixture, sources)?;
        }
        let from = match &self.last {
            Some((start, last)) => (start + last.first().map_or(0, Vec::len)) - chunk.start,
            None => 0,
        };
        self.activities.add(mixture, &sources, from.min(mixture.len()));
        let tail = mixture.len().saturating_sub(self.keep);
        let kept = sources.iter().map(|source| source[tail..].to_vec()).collect();
        self.last = Some((chunk.start + tail, kept));
        let spec = AudioSpec { rate: self.rate, layout: layout(sources.len()) };
        let audio = AudioBuf::from_planar(spec, sources.concat())?;
        let settled = self.joiner.push(Chunk { start: chunk.start, audio })?;
        if settled.frames() > 0 {
            self.ready.push_back(settled);
        }
        Ok(())
    }

    fn put_in_order(
        &mut self,
        start: usize,
        mixture: &[f32],
        sources: Vec<Vec<f32>>,
    ) -> Result<Vec<Vec<f32>>> {
        let overlap = self.last.as_ref().map(|(from, last)| {
            let end = from + last.first().map_or(0, Vec::len);
            let count = end.saturating_sub(start).min(mixture.len());
            Overlap {
                before: last.iter().map(|source| &source[source.len() - count..]).collect(),
                now: sources.iter().map(|source| &source[..count]).collect(),
            }
        });
        let mut prints = Vec::with_capacity(sources.len());
        for source in 0..sources.len() {
            prints.push(match &self.likeness {
                Some(likeness) => {
                    let heard = dominant(mixture, &sources, source, self.rate);
                    likeness.print(&heard, self.rate)?
                }
                None => None,
            });
        }
        let (order, evidence) = self.orders.decide(overlap.as_ref(), &prints, mixture);
        match evidence {
            Evidence::First => {}
            Evidence::Overlap => self.decided[0] += 1,
            Evidence::Likeness => self.decided[1] += 1,
            Evidence::None => self.decided[2] += 1,
        }
        self.orders.learn(&order, &prints);
        let mut sources: Vec<Option<Vec<f32>>> = sources.into_iter().map(Some).collect();
        Ok(order.iter().filter_map(|&source| sources[source].take()).collect())
    }

    fn gather(&mut self) -> Option<AudioBuf> {
        let mut all = self.ready.pop_front()?;
        while let Some(more) = self.ready.pop_front() {
            // All of them were made by the same joiner, and so have one rate and layout.
            if all.append(&more.view()).is_err() {
                break;
            }
        }
        Some(all)
    }
}

fn layout(sources: usize) -> ChannelLayout {
    match u16::try_from(sources) {
        Ok(1) => ChannelLayout::Mono,
        Ok(count) => ChannelLayout::Discrete(count),
        Err(_) => ChannelLayout::Discrete(u16::MAX),
    }
}

#[cfg(test)]
mod tests;
