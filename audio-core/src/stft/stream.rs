//! Transforms of signals and spectra that arrive in pieces. Both equal the whole-signal forms to
//! the byte, and memory is bounded by a few frames.

use std::sync::Arc;

use ndarray::{Array2, ArrayView2};

use super::plan::{Complex32, Inner, Scratch, check_bins, normalized};
use crate::chunk::History;
use crate::error::Result;

/// Samples in, frames out.
pub struct StftStream {
    plan: Arc<Inner>,
    scratch: Scratch,
    history: History,
    next_frame: usize,
}

impl StftStream {
    pub(super) fn new(plan: Arc<Inner>) -> Self {
        Self { scratch: plan.scratch(), plan, history: History::default(), next_frame: 0 }
    }

    /// Take the next samples and return the frames that are settled by now, `[frames, bins]`.
    pub fn push(&mut self, samples: &[f32]) -> Array2<Complex32> {
        self.history.extend(samples.iter().copied());
        let received = self.history.received();
        let frames = self.emit_until(self.plan.grid.settled_frames(received));
        self.history.forget(self.plan.grid.keep_from(received, self.next_frame));
        frames
    }

    /// End the signal and return the rest; the stream is then ready for another signal.
    pub fn finish(&mut self) -> Array2<Complex32> {
        let frames = self.emit_until(self.plan.grid.num_frames(self.history.received()));
        self.history.clear();
        self.next_frame = 0;
        frames
    }

    fn emit_until(&mut self, end: usize) -> Array2<Complex32> {
        let (count, bins) = (end.saturating_sub(self.next_frame), self.plan.bins());
        let known = self.history.known(self.history.received());
        let mut rows = Vec::with_capacity(count * bins);
        for frame in self.next_frame..self.next_frame + count {
            rows.extend_from_slice(self.plan.analyze(frame, known, &mut self.scratch));
        }
        self.next_frame += count;
        Array2::from_shape_vec((count, bins), rows).expect("rows were made for this shape")
    }
}

/// Frames in, samples out.
pub struct IstftStream {
    plan: Arc<Inner>,
    scratch: Scratch,
    sum: Vec<f32>,
    envelope: Vec<f32>,
    /// Position in the signal of the first sample of `sum`; negative inside the leading padding.
    position: i64,
    emitted: usize,
}

impl IstftStream {
    pub(super) fn new(plan: Arc<Inner>) -> Self {
        let frame = plan.grid.frame_length();
        Self {
            scratch: plan.scratch(),
            sum: vec![0.0; frame],
            envelope: vec![0.0; frame],
            position: plan.grid.range(0).start,
            emitted: 0,
            plan,
        }
    }

    /// Take frames `[frames, bins]` and return the samples that no later frame changes.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] when the bins don't fit.
    pub fn push(&mut self, spectrum: ArrayView2<'_, Complex32>) -> Result<Vec<f32>> {
        let mut samples = Vec::new();
        self.push_into(spectrum, &mut samples)?;
        Ok(samples)
    }

    /// As [`IstftStream::push`], but appends to `out`.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] when the bins don't fit.
    pub fn push_into(
        &mut self,
        spectrum: ArrayView2<'_, Complex32>,
        out: &mut Vec<f32>,
    ) -> Result<()> {
        check_bins(spectrum.ncols(), self.plan.bins())?;
        for row in spectrum.rows() {
            self.plan.synthesize(
                row.iter().copied(),
                &mut self.scratch,
                &mut self.sum,
                &mut self.envelope,
            );
            self.advance(self.plan.grid.hop_length(), out);
        }
        Ok(())
    }

    /// End the signal, so that it has `length` samples in all, and return the rest. The stream is
    /// then ready for another signal.
    pub fn finish(&mut self, length: usize) -> Vec<f32> {
        let mut samples = Vec::new();
        self.finish_into(length, &mut samples);
        samples
    }

    /// As [`IstftStream::finish`], but appends to `out`; `out` is cut if it holds more samples of
    /// this signal than `length` allows.
    pub(super) fn finish_into(&mut self, length: usize, out: &mut Vec<f32>) {
        let start = out.len();
        let before = self.emitted;
        self.advance(self.sum.len(), out);
        if length >= before {
            out.resize(start + (length - before), 0.0);
        } else {
            out.truncate(start.saturating_sub(before - length));
        }
        self.position = self.plan.grid.range(0).start;
        self.emitted = 0;
    }

    /// Return the first `hop` samples, unless they lie in the leading padding, and move on. A hop
    /// beyond the frame leaves a gap of silence.
    fn advance(&mut self, hop: usize, out: &mut Vec<f32>) {
        let frame = self.sum.len();
        let padding = (-self.position).clamp(0, hop as i64) as usize;
        let settled = hop.min(frame);
        let before = out.len();
        for at in padding.min(settled)..settled {
            out.push(normalized(self.sum[at], self.envelope[at]));
        }
        out.resize(before + hop - padding, 0.0);
        self.emitted += hop - padding;
        for buffer in [&mut self.sum, &mut self.envelope] {
            buffer.copy_within(settled.., 0);
            buffer[frame - settled..].fill(0.0);
        }
        self.position += hop as i64;
    }
}
