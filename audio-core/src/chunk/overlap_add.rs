//! Long audio in overlapping chunks, and the joining of what comes out of them.
//!
//! Neighbours are cross-faded inside the zone that both of them see with enough context. The two
//! weights are `w` and `1 - w`, so they sum to one everywhere, the signal's ends included.

use std::ops::Range;

use crate::buffer::{AudioBuf, AudioSpec, AudioView};
use crate::error::{Error, Result};

/// Geometry of the chunks, in frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkConfig {
    length: usize,
    overlap: usize,
    context: usize,
}

impl ChunkConfig {
    /// Chunks of `length` frames that share `overlap` frames with each neighbour; results within
    /// `context` frames of a cut are not used.
    ///
    /// # Errors
    /// [`Error::Config`] unless `2 * context < overlap` and `2 * overlap <= length` (without
    /// overlap, `context` must be zero).
    pub fn new(length: usize, overlap: usize, context: usize) -> Result<Self> {
        let fits = 2 * context < overlap || (context == 0 && overlap == 0);
        if length == 0 || !fits || overlap > length / 2 {
            return Err(Error::config(
                "chunk length, overlap, context",
                format!(
                    "need 2 * context < overlap and 2 * overlap <= length, have length {length}, \
                     overlap {overlap}, context {context}"
                ),
            ));
        }
        Ok(Self { length, overlap, context })
    }

    /// Frames of a chunk.
    #[must_use]
    pub fn length(&self) -> usize {
        self.length
    }

    /// Frames from one chunk's start to the next's.
    #[must_use]
    pub fn step(&self) -> usize {
        self.length - self.overlap
    }

    /// The chunks of a signal of `frames` frames: all of full length, the last one moved back to
    /// end with the signal; a shorter signal is one chunk, and nothing is none.
    #[must_use]
    pub fn ranges(&self, frames: usize) -> Vec<Range<usize>> {
        if frames == 0 {
            return Vec::new();
        }
        if frames <= self.length {
            return std::iter::once(0..frames).collect();
        }
        let regular = (frames - self.length) / self.step();
        let mut ranges: Vec<_> =
            (0..=regular).map(|k| k * self.step()..k * self.step() + self.length).collect();
        if ranges[regular].end < frames {
            ranges.push(frames - self.length..frames);
        }
        ranges
    }

    /// Where the cross-fade from the chunk that ends at `end` to the one that starts at `start`
    /// lies, no earlier than `settled`.
    fn seam(&self, start: usize, end: usize, settled: usize) -> Range<usize> {
        let first = (start + self.context).max(settled).min(end);
        let last = end.saturating_sub(self.context).max(first);
        let fade = (self.overlap - 2 * self.context).min(last - first);
        let middle = first + (last - first - fade) / 2;
        middle..middle + fade
    }
}

/// A chunk of a signal.
#[derive(Debug, Clone, PartialEq)]
pub struct Chunk {
    /// Position of its first frame.
    pub start: usize,
    /// Its samples.
    pub audio: AudioBuf,
}

/// Cuts a signal that arrives in pieces into the chunks of [`ChunkConfig::ranges`].
#[derive(Debug, Clone)]
pub struct Chunker {
    config: ChunkConfig,
    spec: AudioSpec,
    buffer: AudioBuf,
    base: usize,
    next: usize,
    covered: usize,
}

impl Chunker {
    /// A chunker at the start of a signal.
    #[must_use]
    pub fn new(config: ChunkConfig, spec: AudioSpec) -> Self {
        let buffer = AudioBuf::silence(spec, 0);
        Self { config, spec, buffer, base: 0, next: 0, covered: 0 }
    }

    /// Take a piece and return the chunks that are complete.
    ///
    /// # Errors
    /// [`Error::Shape`] when the piece has another rate or layout.
    pub fn push(&mut self, piece: &AudioView<'_>) -> Result<Vec<Chunk>> {
        self.buffer.append(piece)?;
        let received = self.base + self.buffer.frames();
        let mut chunks = Vec::new();
        while self.next + self.config.length <= received {
            chunks.push(self.cut(self.next..self.next + self.config.length));
            self.next += self.config.step();
        }
        // The last chunk may reach back one length from wherever the signal ends.
        let keep = self.next.min(received.saturating_sub(self.config.length));
        if keep > self.base {
            let kept = keep - self.base..self.buffer.frames();
            self.buffer = self.buffer.view().slice(kept).to_owned();
            self.base = keep;
        }
        Ok(chunks)
    }

    /// End the signal and return the last chunk, if something is left.
    pub fn finish(&mut self) -> Option<Chunk> {
        let received = self.base + self.buffer.frames();
        let last = (received > self.covered)
            .then(|| self.cut(received.saturating_sub(self.config.length)..received));
        *self = Self::new(self.config, self.spec);
        last
    }

    fn cut(&mut self, range: Range<usize>) -> Chunk {
        self.covered = range.end;
        let inside = range.start - self.base..range.end - self.base;
        Chunk { start: range.start, audio: self.buffer.view().slice(inside).to_owned() }
    }
}

/// Joins processed chunks. Each must have the length of the chunk that it was made from, and they
/// must come in order.
#[derive(Debug, Clone)]
pub struct OverlapAdd {
    config: ChunkConfig,
    pending: Option<Chunk>,
    settled: usize,
}

impl OverlapAdd {
    /// A joiner at the start of a signal.
    #[must_use]
    pub fn new(config: ChunkConfig) -> Self {
        Self { config, pending: None, settled: 0 }
    }

    /// Take the next chunk and return the frames that no later chunk changes.
    ///
    /// # Errors
    /// [`Error::Shape`] when the chunk leaves a gap, goes back, or has another rate or layout.
    pub fn push(&mut self, chunk: Chunk) -> Result<AudioBuf> {
        let spec = chunk.audio.spec();
        let Some(last) = self.pending.take() else {
            self.settled = chunk.start;
            self.pending = Some(chunk);
            return Ok(AudioBuf::silence(spec, 0));
        };
        let end = last.start + last.audio.frames();
        let in_order = last.start < chunk.start && chunk.start <= end;
        if spec != last.audio.spec() || !in_order || chunk.start + chunk.audio.frames() < end {
            let error = Error::Shape {
                what: "chunk to join",
                expected: format!(
                    "{} Hz {}, start in {}..={end}, end from {end} on",
                    last.audio.rate(),
                    last.audio.spec().layout,
                    last.start + 1
                ),
                found: format!(
                    "{} Hz {}, {}..{}",
                    spec.rate,
                    spec.layout,
                    chunk.start,
                    chunk.start + chunk.audio.frames()
                ),
            };
            self.pending = Some(last);
            return Err(error);
        }
        let seam = self.config.seam(chunk.start, end, self.settled);
        let mut out = AudioBuf::silence(spec, seam.end - self.settled);
        for channel in 0..spec.channels() {
            let old = &last.audio.channel(channel)[self.settled - last.start..];
            let samples = out.channel_mut(channel);
            let fade = seam.start - self.settled;
            samples.copy_from_slice(&old[..samples.len()]);
            let new = &chunk.audio.channel(channel)[seam.start - chunk.start..];
            for (k, (sample, new)) in samples[fade..].iter_mut().zip(new).enumerate() {
                *sample += fade_in(k, seam.len()) * (new - *sample);
            }
        }
        self.settled = seam.end;
        self.pending = Some(chunk);
        Ok(out)
    }

    /// End the signal and return the rest; `None` when there was no chunk.
    pub fn finish(&mut self) -> Option<AudioBuf> {
        let last = self.pending.take()?;
        let from = self.settled - last.start;
        self.settled = 0;
        Some(last.audio.view().slice(from..last.audio.frames()).to_owned())
    }
}

/// Raised cosine from 0 to 1, never quite reaching either.
fn fade_in(k: usize, length: usize) -> f32 {
    let x = (k as f64 + 0.5) / length as f64;
    (0.5 - 0.5 * (std::f64::consts::PI * x).cos()) as f32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sweep(frames: usize) -> Vec<f32> {
        (0..frames).map(|n| (n as f32 * n as f32 * 1e-4).sin()).collect()
    }

    /// Cut in pieces, change each chunk, join.
    fn through(
        config: ChunkConfig,
        signal: &[f32],
        piece: usize,
        model: impl Fn(&mut Chunk),
    ) -> Vec<f32> {
        let mut chunker = Chunker::new(config, AudioSpec::mono(8000));
        let mut joiner = OverlapAdd::new(config);
        let (mut out, mut ranges) = (Vec::new(), Vec::new());
        let mut take = |mut chunk: Chunk, out: &mut Vec<f32>| {
            ranges.push(chunk.start..chunk.start + chunk.audio.frames());
            model(&mut chunk);
            out.extend(joiner.push(chunk).expect("in order").into_planar());
        };
        for samples in signal.chunks(piece) {
            let view = AudioView::from_mono(8000, samples);
            for chunk in chunker.push(&view).expect("same spec") {
                take(chunk, &mut out);
            }
        }
        if let Some(chunk) = chunker.finish() {
            take(chunk, &mut out);
        }
        out.extend(joiner.finish().map(AudioBuf::into_planar).unwrap_or_default());
        assert_eq!(ranges, config.ranges(signal.len()), "stream and plan agree");
        out
    }

    #[test]
    fn s10_identity_comes_back() {
        let config = ChunkConfig::new(100, 40, 10).expect("valid");
        for frames in [0, 1, 99, 100, 101, 159, 160, 161, 1000, 1013] {
            let signal = sweep(frames);
            let out = through(config, &signal, 37, |_| {});
            assert_eq!(out.len(), frames);
            for (a, b) in out.iter().zip(&signal) {
                assert!((a - b).abs() <= 1e-6);
            }
        }
    }

    #[test]
    fn s10_a_model_that_spoils_its_edges_leaves_no_trace() {
        let config = ChunkConfig::new(100, 40, 10).expect("valid");
        for frames in [101, 130, 160, 1000, 1013, 1059] {
            let signal = sweep(frames);
            let out = through(config, &signal, 1, |chunk| {
                let samples = chunk.audio.channel_mut(0);
                samples[..10].fill(9.0);
                samples[90..].fill(9.0);
            });
            for (n, (a, b)) in out.iter().zip(&signal).enumerate().skip(10).take(frames - 20) {
                assert!((a - b).abs() <= 1e-6, "{frames} frames: {a} for {b} at {n}");
            }
        }
    }

    #[test]
    fn disorder_is_refused() {
        let config = ChunkConfig::new(10, 4, 0).expect("valid");
        let chunk = |start| Chunk { start, audio: AudioBuf::from_mono(8000, vec![0.0; 10]) };
        let mut joiner = OverlapAdd::new(config);
        joiner.push(chunk(0)).expect("first");
        assert!(joiner.push(chunk(11)).is_err(), "a gap");
        assert!(joiner.push(chunk(0)).is_err(), "the same again");
        assert!(joiner.push(chunk(6)).is_ok(), "still usable");
        assert!(ChunkConfig::new(10, 6, 0).is_err());
        assert!(ChunkConfig::new(10, 4, 2).is_err());
        assert!(ChunkConfig::new(0, 0, 0).is_err());
    }

    proptest! {
        #[test]
        fn any_geometry_is_seamless(
            length in 1usize..60,
            overlap in 0usize..30,
            context in 0usize..15,
            frames in 0usize..300,
            piece in 1usize..80,
        ) {
            let Ok(config) = ChunkConfig::new(length, overlap, context) else { return Ok(()) };
            let signal = sweep(frames);
            let out = through(config, &signal, piece, |_| {});
            prop_assert_eq!(out.len(), frames);
            for (a, b) in out.iter().zip(&signal) {
                prop_assert!((a - b).abs() <= 1e-6);
            }
        }
    }
}
