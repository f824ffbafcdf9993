//! Frame indices and sample positions.
//!
//! [`FrameGrid`] is the only place where one is turned into the other; no spectrum is computed
//! here.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::Known;
use crate::error::{Error, Result};

/// What stands before the first and after the last sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Padding {
    /// Silence.
    Zero,
    /// The signal mirrored without repeating the end sample: `c b | a b c | b a`.
    #[default]
    Reflect,
    /// The signal mirrored with the end sample repeated: `b a | a b c | c b`.
    Symmetric,
    /// The end sample repeated: `a a | a b c | c c`.
    Edge,
}

impl Padding {
    /// Index of the sample that stands at position `at` of a signal of `length` samples, or
    /// `None` for silence. Mirrors fold as often as needed, so that any length has an answer.
    #[must_use]
    pub fn index(self, at: i64, length: usize) -> Option<usize> {
        let n = length as i64;
        if n == 0 {
            return None;
        }
        if (0..n).contains(&at) {
            return Some(at as usize);
        }
        let index = match self {
            Self::Zero => return None,
            Self::Edge => at.clamp(0, n - 1),
            Self::Reflect if n == 1 => 0,
            Self::Reflect => {
                let folded = at.rem_euclid(2 * n - 2);
                folded.min(2 * n - 2 - folded)
            }
            Self::Symmetric => {
                let folded = at.rem_euclid(2 * n);
                folded.min(2 * n - 1 - folded)
            }
        };
        Some(index as usize)
    }
}

/// How the first and the last frames lie relative to the ends of the signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edges {
    /// Frames of the window's length that fit into the signal; Kaldi's `snip_edges`.
    Snip,
    /// Frames of the transform's length that fit into the signal, the window in their middle;
    /// torch's `center=False`.
    Valid,
    /// Frame `m` is centred on sample `m * hop`; torch's and librosa's `center=True`.
    Center {
        /// What stands beyond the ends.
        padding: Padding,
    },
    /// Frame `m` is centred on sample `(m + 1/2) * hop` of the mirrored signal; Kaldi without
    /// `snip_edges`.
    HalfHop,
    /// `samples` of padding at both ends and then frames of the transform's length; the GAN
    /// vocoders use `(n_fft - hop) / 2`.
    Pad {
        /// Padding at each end.
        samples: usize,
        /// What stands there.
        padding: Padding,
    },
}

/// Most samples of a frame, a hop or a padding: far beyond use, and far from overflow.
const LONGEST: usize = 1 << 30;

/// Frames of a fixed length and hop over a signal: the arithmetic between frame numbers and
/// sample positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameGrid {
    frame_length: usize,
    hop_length: usize,
    span: usize,
    inset: usize,
    origin: i64,
    edges: Edges,
}

impl FrameGrid {
    /// A grid of frames of `win_length` samples, each in the middle of `n_fft` samples where
    /// `edges` counts in transform lengths.
    ///
    /// # Errors
    /// [`Error::Config`] for a zero length or hop, or a window longer than the transform.
    pub fn new(win_length: usize, n_fft: usize, hop_length: usize, edges: Edges) -> Result<Self> {
        if win_length == 0 || win_length > n_fft {
            return Err(Error::config(
                "win_length",
                format!("{win_length} is not between 1 and n_fft = {n_fft}"),
            ));
        }
        if hop_length == 0 || hop_length > LONGEST {
            return Err(Error::config("hop_length", format!("{hop_length} is not in 1..=2^30")));
        }
        let padded = matches!(edges, Edges::Pad { samples, .. } if samples > LONGEST);
        if n_fft > LONGEST || padded {
            return Err(Error::config("n_fft, padding", "more than 2^30 samples"));
        }
        let centred = ((n_fft - win_length) / 2) as i64;
        let (span, origin) = match edges {
            Edges::Snip => (win_length, 0),
            Edges::Valid => (n_fft, centred),
            Edges::Center { .. } => (n_fft, centred - (n_fft / 2) as i64),
            Edges::HalfHop => (win_length, (hop_length / 2) as i64 - (win_length / 2) as i64),
            Edges::Pad { samples, .. } => (n_fft, centred - samples as i64),
        };
        let inset = if span == n_fft { centred as usize } else { 0 };
        Ok(Self { frame_length: win_length, hop_length, span, inset, origin, edges })
    }

    /// Samples that one frame covers.
    #[must_use]
    pub fn frame_length(&self) -> usize {
        self.frame_length
    }

    /// Zeros before the window in the transform's input: Kaldi puts the window first, the others
    /// put it in the middle.
    #[must_use]
    pub fn inset(&self) -> usize {
        self.inset
    }

    /// Samples from one frame to the next.
    #[must_use]
    pub fn hop_length(&self) -> usize {
        self.hop_length
    }

    /// What stands beyond the ends of the signal.
    #[must_use]
    pub fn padding(&self) -> Padding {
        match self.edges {
            Edges::Snip | Edges::Valid => Padding::Zero,
            Edges::Center { padding } | Edges::Pad { padding, .. } => padding,
            Edges::HalfHop => Padding::Symmetric,
        }
    }

    /// Frames of a signal of `samples` samples. Nothing has no frames, whatever the edges.
    #[must_use]
    pub fn num_frames(&self, samples: usize) -> usize {
        if samples == 0 {
            return 0;
        }
        let padded = match self.edges {
            Edges::Snip | Edges::Valid => samples,
            Edges::Center { .. } => samples + 2 * (self.span / 2),
            Edges::HalfHop => return (samples + self.hop_length / 2) / self.hop_length,
            Edges::Pad { samples: pad, .. } => samples + 2 * pad,
        };
        if padded < self.span { 0 } else { 1 + (padded - self.span) / self.hop_length }
    }

    /// Samples between the ends of `frames` frames, less the padding: what an inverse transform
    /// returns when no length is asked for.
    #[must_use]
    pub fn covered_samples(&self, frames: usize) -> usize {
        if frames == 0 {
            return 0;
        }
        let whole = self.span + (frames - 1) * self.hop_length;
        match self.edges {
            Edges::Snip | Edges::Valid => whole,
            Edges::Center { .. } => whole.saturating_sub(2 * (self.span / 2)),
            Edges::HalfHop => frames * self.hop_length,
            Edges::Pad { samples, .. } => whole.saturating_sub(2 * samples),
        }
    }

    /// The samples that frame `frame` covers; parts before 0 or past the end are padding.
    #[must_use]
    pub fn range(&self, frame: usize) -> Range<i64> {
        let start = self.origin + (frame * self.hop_length) as i64;
        start..start + self.frame_length as i64
    }

    /// The sample on which frame `frame` is centred, for time stamps.
    #[must_use]
    pub fn center(&self, frame: usize) -> i64 {
        self.range(frame).start + (self.frame_length / 2) as i64
    }

    /// Frames that are settled once `samples` samples are known, however the signal goes on.
    #[must_use]
    pub fn settled_frames(&self, samples: usize) -> usize {
        let needed_ahead = match self.padding() {
            Padding::Zero => 0,
            Padding::Edge => 1,
            Padding::Reflect => 1 - self.origin.min(0),
            Padding::Symmetric => -self.origin.min(0),
        };
        let room = samples as i64 - self.origin - self.frame_length as i64;
        if samples == 0 || room < 0 || (samples as i64) < needed_ahead {
            return 0;
        }
        (1 + room as usize / self.hop_length).min(self.num_frames(samples))
    }

    /// First sample that is still needed when `samples` samples are known and all frames before
    /// `next_frame` are done.
    #[must_use]
    pub fn keep_from(&self, samples: usize, next_frame: usize) -> usize {
        // A mirrored end reaches back as far as the last frame reaches beyond it.
        let mirror = (samples as i64) - self.overhang() - 1;
        self.range(next_frame).start.min(mirror).clamp(0, samples as i64) as usize
    }

    /// The most samples by which a frame may reach beyond the end.
    fn overhang(&self) -> i64 {
        match self.edges {
            Edges::Snip | Edges::Valid => 0,
            Edges::Center { .. } => (self.span / 2) as i64,
            Edges::HalfHop => self.frame_length as i64,
            Edges::Pad { samples, .. } => samples as i64,
        }
    }

    /// Copy frame `frame` into `out`, padding included.
    ///
    /// # Panics
    /// When `out` is not one frame long.
    pub fn read(&self, frame: usize, known: Known<'_>, out: &mut [f32]) {
        assert_eq!(out.len(), self.frame_length, "out must hold one frame");
        let range = self.range(frame);
        if range.start >= known.base as i64 && range.end <= known.length as i64 {
            let from = (range.start - known.base as i64) as usize;
            if let Some(samples) = known.samples.get(from..from + self.frame_length) {
                out.copy_from_slice(samples);
                return;
            }
        }
        let padding = self.padding();
        for (sample, at) in out.iter_mut().zip(range) {
            let index = padding.index(at, known.length).and_then(|i| i.checked_sub(known.base));
            *sample = index.and_then(|i| known.samples.get(i)).copied().unwrap_or(0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_of_a_short_signal() {
        let row = |padding: Padding, n: usize| -> Vec<i64> {
            (-4..n as i64 + 4).map(|at| padding.index(at, n).map_or(-1, |i| i as i64)).collect()
        };
        // numpy.pad([0, 1, 2], 4, mode) with "reflect", "symmetric" and "edge".
        assert_eq!(row(Padding::Reflect, 3), [0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2]);
        assert_eq!(row(Padding::Symmetric, 3), [2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0]);
        assert_eq!(row(Padding::Edge, 3), [0, 0, 0, 0, 0, 1, 2, 2, 2, 2, 2]);
        assert_eq!(row(Padding::Zero, 3), [-1, -1, -1, -1, 0, 1, 2, -1, -1, -1, -1]);
        assert_eq!(row(Padding::Reflect, 1), [0; 9]);
        assert_eq!(Padding::Edge.index(3, 0), None);
    }

    #[test]
    fn frame_counts_of_the_conventions() {
        let count = |edges, n| FrameGrid::new(400, 512, 160, edges).expect("valid").num_frames(n);
        assert_eq!(count(Edges::Snip, 399), 0);
        assert_eq!(count(Edges::Snip, 400), 1);
        assert_eq!(count(Edges::Snip, 16000), 98);
        assert_eq!(count(Edges::Valid, 511), 0);
        assert_eq!(count(Edges::Center { padding: Padding::Zero }, 16000), 101);
        assert_eq!(count(Edges::Center { padding: Padding::Zero }, 1), 1);
        assert_eq!(count(Edges::HalfHop, 16000), 100);
        assert_eq!(count(Edges::HalfHop, 79), 0);
        assert_eq!(count(Edges::HalfHop, 80), 1);
        let pad = Edges::Pad { samples: 176, padding: Padding::Reflect };
        assert_eq!(count(pad, 160), 1);
        assert_eq!(count(pad, 0), 0);
    }

    #[test]
    fn settled_frames_never_change() {
        for edges in [
            Edges::Snip,
            Edges::Valid,
            Edges::HalfHop,
            Edges::Center { padding: Padding::Reflect },
            Edges::Center { padding: Padding::Edge },
            Edges::Pad { samples: 6, padding: Padding::Reflect },
        ] {
            let grid = FrameGrid::new(10, 16, 4, edges).expect("valid");
            let signal: Vec<f32> = (0..60).map(|n| n as f32 + 1.0).collect();
            for known in 0..60 {
                for frame in 0..grid.settled_frames(known) {
                    let (mut now, mut later) = ([0.0; 10], [0.0; 10]);
                    grid.read(frame, Known::whole(&signal[..known]), &mut now);
                    grid.read(frame, Known::whole(&signal), &mut later);
                    assert_eq!(now, later, "{edges:?}, frame {frame}, {known} known");
                }
            }
        }
    }

    #[test]
    fn wrong_sizes_are_refused() {
        assert!(FrameGrid::new(0, 16, 4, Edges::Snip).is_err());
        assert!(FrameGrid::new(17, 16, 4, Edges::Snip).is_err());
        assert!(FrameGrid::new(16, 16, 0, Edges::Snip).is_err());
        assert!(FrameGrid::new(16, 16, usize::MAX, Edges::Snip).is_err());
        let endless = Edges::Pad { samples: usize::MAX, padding: Padding::Zero };
        assert!(FrameGrid::new(16, 16, 4, endless).is_err());
    }
}
