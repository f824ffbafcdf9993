//! Conventions of the transform, and whole signals.

use std::sync::Arc;

use ndarray::{Array2, ArrayView2};
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};
use serde::{Deserialize, Serialize};

use super::stream::{IstftStream, StftStream};
use crate::chunk::{Edges, FrameGrid, Known, Padding};
use crate::error::{Error, Result};
use crate::window::{Symmetry, Window};

/// A complex bin.
pub type Complex32 = realfft::num_complex::Complex<f32>;

/// Factor of the forward transform; the inverse undoes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scaling {
    /// One.
    #[default]
    None,
    /// 1 / sqrt(n_fft): torch's `normalized=True`.
    Orthonormal,
    /// 1 / sqrt(sum of the squared window): torchaudio's `normalized="window"`.
    Window,
}

/// A short-time Fourier transform. The default is torch's and librosa's: periodic Hann windows,
/// centred on multiples of the hop, the ends mirrored.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StftConfig {
    /// Transform length.
    pub n_fft: usize,
    /// Window length; a shorter window stands in the middle of the transform, or at its start
    /// with [`Edges::Snip`] and [`Edges::HalfHop`].
    pub win_length: usize,
    /// Samples from frame to frame.
    pub hop_length: usize,
    /// Window, of analysis and synthesis alike.
    pub window: Window,
    /// Kind of window.
    pub symmetry: Symmetry,
    /// Frames at the ends of the signal.
    pub edges: Edges,
    /// Factor.
    pub scaling: Scaling,
}

impl Default for StftConfig {
    fn default() -> Self {
        Self {
            n_fft: 2048,
            win_length: 2048,
            hop_length: 512,
            window: Window::Hann,
            symmetry: Symmetry::Periodic,
            edges: Edges::Center { padding: Padding::Reflect },
            scaling: Scaling::None,
        }
    }
}

/// Least sum of squared windows that a sample is divided by. Where it is less, no frame has seen
/// the sample, and the inverse returns silence.
const LEAST_ENVELOPE: f32 = 1e-11;

/// A transform ready for use. Cloning shares window and tables.
///
/// ```
/// use formant_audio_core::stft::{StftConfig, StftPlan};
///
/// let plan = StftPlan::new(&StftConfig { hop_length: 441, ..StftConfig::default() })?;
/// let wave: Vec<f32> = (0..44_100).map(|n| (n as f32 * 0.05).sin()).collect();
/// let spectrum = plan.forward(&wave);
/// assert_eq!(spectrum.dim(), (101, 1025));
/// let back = plan.inverse(spectrum.view(), Some(wave.len()))?;
/// assert!(wave.iter().zip(&back).all(|(a, b)| (a - b).abs() < 1e-5));
/// # Ok::<(), formant_audio_core::Error>(())
/// ```
#[derive(Clone)]
pub struct StftPlan {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) config: StftConfig,
    pub(super) grid: FrameGrid,
    /// Window times the factor of the forward transform.
    analysis: Vec<f32>,
    /// Window divided by that factor and the inverse transform's own `n_fft`.
    synthesis: Vec<f32>,
    squared: Vec<f32>,
    forward: Arc<dyn RealToComplex<f32>>,
    inverse: Arc<dyn ComplexToReal<f32>>,
}

/// Buffers of one frame in work.
pub(super) struct Scratch {
    time: Vec<f32>,
    bins: Vec<Complex32>,
    work: Vec<Complex32>,
}

impl std::fmt::Debug for StftPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StftPlan").field("config", &self.inner.config).finish_non_exhaustive()
    }
}

impl StftPlan {
    /// Check `config` and plan it.
    ///
    /// # Errors
    /// [`Error::Config`] when a length is zero, out of range, or the window longer than the
    /// transform.
    pub fn new(config: &StftConfig) -> Result<Self> {
        if config.n_fft < 2 || config.n_fft > 1 << 20 {
            return Err(Error::config("n_fft", format!("{} is not in 2..=2^20", config.n_fft)));
        }
        let grid =
            FrameGrid::new(config.win_length, config.n_fft, config.hop_length, config.edges)?;
        let window = config.window.samples_f64(config.win_length, config.symmetry);
        let energy: f64 = window.iter().map(|w| w * w).sum();
        let factor = match config.scaling {
            Scaling::None => 1.0,
            Scaling::Orthonormal => 1.0 / (config.n_fft as f64).sqrt(),
            Scaling::Window => 1.0 / energy.sqrt(),
        };
        let back = 1.0 / (factor * config.n_fft as f64);
        let mut planner = RealFftPlanner::new();
        let inner = Inner {
            config: *config,
            grid,
            analysis: window.iter().map(|w| (w * factor) as f32).collect(),
            synthesis: window.iter().map(|w| (w * back) as f32).collect(),
            squared: window.iter().map(|w| (w * w) as f32).collect(),
            forward: planner.plan_fft_forward(config.n_fft),
            inverse: planner.plan_fft_inverse(config.n_fft),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The conventions.
    #[must_use]
    pub fn config(&self) -> &StftConfig {
        &self.inner.config
    }

    /// Bins of a frame, `n_fft / 2 + 1`.
    #[must_use]
    pub fn bins(&self) -> usize {
        self.inner.bins()
    }

    /// Where the frames lie on the signal.
    #[must_use]
    pub fn grid(&self) -> &FrameGrid {
        &self.inner.grid
    }

    /// Frames of a signal of `samples` samples.
    #[must_use]
    pub fn num_frames(&self, samples: usize) -> usize {
        self.inner.grid.num_frames(samples)
    }

    /// Samples that the inverse of `frames` frames has when no length is asked for; torch's rule.
    #[must_use]
    pub fn num_samples(&self, frames: usize) -> usize {
        self.inner.grid.covered_samples(frames)
    }

    /// Spectrum of a whole signal, `[frames, bins]`.
    #[must_use]
    pub fn forward(&self, samples: &[f32]) -> Array2<Complex32> {
        let mut spectrum = Vec::new();
        let frames = self.forward_into(samples, &mut spectrum);
        Array2::from_shape_vec((frames, self.bins()), spectrum).expect("only whole rows")
    }

    /// As [`StftPlan::forward`], but appends the rows to `out` and returns their number. Whoever
    /// transforms many signals saves the system's work for fresh memory by using one vector.
    pub fn forward_into(&self, samples: &[f32], out: &mut Vec<Complex32>) -> usize {
        let frames = self.num_frames(samples.len());
        out.reserve(frames * self.bins());
        let mut scratch = self.inner.scratch();
        for frame in 0..frames {
            out.extend_from_slice(self.inner.analyze(frame, Known::whole(samples), &mut scratch));
        }
        frames
    }

    /// Signal of a spectrum `[frames, bins]`: overlap-add with the window, divided by the sum of
    /// its squares. With a `length` the signal is cut or continued by silence.
    ///
    /// # Errors
    /// [`Error::Shape`] when the bins don't fit.
    pub fn inverse(
        &self,
        spectrum: ArrayView2<'_, Complex32>,
        length: Option<usize>,
    ) -> Result<Vec<f32>> {
        let frames = spectrum.nrows();
        let length = length.unwrap_or_else(|| self.num_samples(frames));
        let mut stream = self.inverse_stream();
        let mut samples = Vec::with_capacity(length + self.inner.config.hop_length);
        stream.push_into(spectrum, &mut samples)?;
        stream.finish_into(length, &mut samples);
        Ok(samples)
    }

    /// Frames of a signal that arrives in pieces.
    #[must_use]
    pub fn stream(&self) -> StftStream {
        StftStream::new(Arc::clone(&self.inner))
    }

    /// Samples of a spectrum that arrives in pieces.
    #[must_use]
    pub fn inverse_stream(&self) -> IstftStream {
        IstftStream::new(Arc::clone(&self.inner))
    }
}

impl Inner {
    pub(super) fn bins(&self) -> usize {
        self.config.n_fft / 2 + 1
    }

    pub(super) fn scratch(&self) -> Scratch {
        let work = self.forward.get_scratch_len().max(self.inverse.get_scratch_len());
        Scratch {
            time: vec![0.0; self.config.n_fft],
            bins: vec![Complex32::default(); self.bins()],
            work: vec![Complex32::default(); work],
        }
    }

    /// Spectrum of frame number `frame`.
    pub(super) fn analyze<'a>(
        &self,
        frame: usize,
        known: Known<'_>,
        scratch: &'a mut Scratch,
    ) -> &'a [Complex32] {
        let inset = self.grid.inset();
        let end = inset + self.grid.frame_length();
        scratch.time[..inset].fill(0.0);
        scratch.time[end..].fill(0.0);
        let samples = &mut scratch.time[inset..end];
        self.grid.read(frame, known, samples);
        for (sample, weight) in samples.iter_mut().zip(&self.analysis) {
            *sample *= weight;
        }
        self.forward
            .process_with_scratch(&mut scratch.time, &mut scratch.bins, &mut scratch.work)
            .expect("buffers come from `scratch`, which made them for this transform");
        &scratch.bins
    }

    /// Add the windowed samples of a frame's bins to `sum`, and the squared window to `envelope`.
    /// Both start where the frame does. The imaginary parts of the first bin, and of the last at
    /// even lengths, are ignored, as in torch.
    pub(super) fn synthesize(
        &self,
        row: impl Iterator<Item = Complex32>,
        scratch: &mut Scratch,
        sum: &mut [f32],
        envelope: &mut [f32],
    ) {
        for (bin, value) in scratch.bins.iter_mut().zip(row) {
            *bin = value;
        }
        scratch.bins[0].im = 0.0;
        if self.config.n_fft.is_multiple_of(2) {
            scratch.bins[self.config.n_fft / 2].im = 0.0;
        }
        self.inverse
            .process_with_scratch(&mut scratch.bins, &mut scratch.time, &mut scratch.work)
            .expect("buffers come from `scratch`, and the real bins have no imaginary part");
        let samples = &scratch.time[self.grid.inset()..];
        for ((sum, sample), weight) in sum.iter_mut().zip(samples).zip(&self.synthesis) {
            *sum += sample * weight;
        }
        for (envelope, squared) in envelope.iter_mut().zip(&self.squared) {
            *envelope += squared;
        }
    }
}

/// A sample of the overlap-added signal.
pub(super) fn normalized(sum: f32, envelope: f32) -> f32 {
    if envelope > LEAST_ENVELOPE { sum / envelope } else { 0.0 }
}

/// Check a spectrum's width.
pub(super) fn check_bins(found: usize, expected: usize) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::Shape {
        what: "spectrum",
        expected: format!("{expected} bins a frame"),
        found: format!("{found}"),
    })
}
