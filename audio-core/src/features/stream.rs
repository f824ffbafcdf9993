//! Features of a signal that arrives in pieces and may never end.
//!
//! Memory is bounded by a few frames, and nothing is allocated once the buffers have their size,
//! apart from the matrices that [`FeatureStream::push`] returns; `push_into` avoids those too.

use std::sync::Arc;

use ndarray::Array2;

use super::config::PreEmphasis;
use super::deltas::DeltaChain;
use super::frame::Scratch;
use super::plan::Inner;
use crate::chunk::History;

/// Pieces are taken in portions of this many samples, so that one huge piece needs no huge buffer.
const PORTION: usize = 1 << 14;

/// Streaming front end, made by [`super::FeaturePlan::stream`].
///
/// ```
/// use formant_audio_core::features::{FeaturePlan, presets};
///
/// let plan = FeaturePlan::new(&presets::by_name("wenet")?)?;
/// let mut stream = plan.stream();
/// let first = stream.push(&[0.1; 400]);
/// let second = stream.push(&[0.1; 160]);
/// assert_eq!((first.nrows(), second.nrows()), (1, 1));
/// # Ok::<(), formant_audio_core::Error>(())
/// ```
pub struct FeatureStream {
    plan: Arc<Inner>,
    scratch: Scratch,
    history: History,
    next_frame: usize,
    last_sample: f32,
    deltas: Option<DeltaChain>,
    /// Whether bands and energy are returned instead of rows.
    returns_bands: bool,
    bands: Vec<f32>,
    row: Vec<f32>,
}

impl FeatureStream {
    pub(super) fn new(plan: Arc<Inner>) -> Self {
        let bins = plan.static_bins();
        Self {
            scratch: plan.analyzer.scratch(),
            history: History::default(),
            next_frame: 0,
            last_sample: 0.0,
            deltas: plan.config.deltas.map(|deltas| DeltaChain::new(deltas, bins)),
            returns_bands: false,
            bands: vec![0.0; plan.analyzer.bands()],
            row: vec![0.0; bins],
            plan,
        }
    }

    /// Returns the bands of each frame and then its energy from now on, without the steps that follow.
    pub(super) fn return_bands(&mut self) {
        self.returns_bands = true;
        self.deltas = None;
    }

    /// Begins a signal whose first sample has this predecessor.
    pub(super) fn begin_after(&mut self, sample: f32) {
        self.last_sample = sample;
    }

    /// Columns of each row.
    #[must_use]
    pub fn bins(&self) -> usize {
        self.plan.bins()
    }

    /// Take the next samples and return the frames that are settled by now.
    pub fn push(&mut self, samples: &[f32]) -> Array2<f32> {
        let mut rows = Vec::new();
        self.push_into(samples, &mut rows);
        self.matrix(rows)
    }

    /// As [`FeatureStream::push`], but appends the rows to `out` and returns their number.
    pub fn push_into(&mut self, samples: &[f32], out: &mut Vec<f32>) -> usize {
        let before = out.len();
        for portion in samples.chunks(PORTION) {
            self.take(portion);
            let received = self.history.received();
            let length = self.plan.effective_length(received);
            let settled = self.plan.analyzer.grid().settled_frames(length);
            self.emit_until(settled.min(self.plan.valid_frames(received)), out);
            self.history.forget(self.plan.analyzer.grid().keep_from(length, self.next_frame));
        }
        (out.len() - before) / self.bins()
    }

    /// End the signal and return the rest; the stream is then ready for another signal.
    pub fn finish(&mut self) -> Array2<f32> {
        let mut rows = Vec::new();
        self.finish_into(&mut rows);
        self.matrix(rows)
    }

    /// As [`FeatureStream::finish`], but appends the rows to `out` and returns their number.
    pub fn finish_into(&mut self, out: &mut Vec<f32>) -> usize {
        let before = out.len();
        self.emit_until(self.plan.valid_frames(self.history.received()), out);
        if let Some(chain) = &mut self.deltas {
            let normalization = &self.plan.config.normalization;
            chain.finish(&mut |row| append_normalized(normalization, row, out));
        }
        self.history.clear();
        (self.next_frame, self.last_sample) = (0, 0.0);
        (out.len() - before) / self.bins()
    }

    fn matrix(&self, rows: Vec<f32>) -> Array2<f32> {
        Array2::from_shape_vec((rows.len() / self.bins(), self.bins()), rows)
            .expect("only whole rows are appended")
    }

    fn take(&mut self, samples: &[f32]) {
        if let PreEmphasis::Signal(coefficient) | PreEmphasis::SignalReflect(coefficient) =
            self.plan.config.pre_emphasis
        {
            let mut previous = self.last_sample;
            self.history.extend(samples.iter().map(|&sample| {
                let out = sample - coefficient * previous;
                previous = sample;
                out
            }));
            self.last_sample = previous;
        } else {
            self.history.extend(samples.iter().copied());
        }
    }

    fn emit_until(&mut self, end: usize, out: &mut Vec<f32>) {
        let known = self.history.known(self.plan.effective_length(self.history.received()));
        let normalization = &self.plan.config.normalization;
        while self.next_frame < end {
            let energy = self.plan.analyzer.analyze(
                self.next_frame,
                known,
                &mut self.scratch,
                &mut self.bands,
            );
            self.next_frame += 1;
            if self.returns_bands {
                out.extend_from_slice(&self.bands);
                out.push(energy);
                continue;
            }
            self.plan.finish_row(&mut self.bands, energy, &mut self.row);
            match &mut self.deltas {
                Some(chain) => {
                    chain.push(&self.row, &mut |row| append_normalized(normalization, row, out));
                }
                None => append_normalized(normalization, &self.row, out),
            }
        }
    }
}

fn append_normalized(
    normalization: &super::normalize::Normalization,
    row: &[f32],
    out: &mut Vec<f32>,
) {
    let start = out.len();
    out.extend_from_slice(row);
    normalization.apply_row(&mut out[start..]);
}
