//! What the detector looks at, every 10 ms: how far bands rise above their noise floor, how
//! periodic, how flat and how modulated the sound is.
//!
//! Only 100 to 3800 Hz count, so 8 kHz and 16 kHz behave alike. A frame is described once
//! [`LOOK_AHEAD`] later frames are known.

use std::collections::VecDeque;
use std::sync::Arc;

use realfft::num_complex::Complex32;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

/// Frames that must follow before a frame is described.
pub(super) const LOOK_AHEAD: usize = 16;
/// Numbers that describe a frame.
pub(super) const COUNT: usize = 9 + BANDS;

const BANDS: usize = 16;
const LOWEST_HZ: f32 = 100.0;
const HIGHEST_HZ: f32 = 3800.0;
/// Powers below this (about -78 dBFS in a band) are taken for it: quieter sound is silence.
const POWER_FLOOR: f32 = 1.6e-8;
/// A minimum is searched over this many spans ...
const SPANS: usize = 8;
/// ... of this many frames: 1.6 s, longer than a vowel, shorter than most pauses need to be.
const SPAN: usize = 20;
/// Minima of smoothed noise lie below its mean by about this factor.
const MINIMUM_BIAS: f32 = 1.7;
const PITCH_LOW_HZ: f32 = 70.0;
const PITCH_HIGH_HZ: f32 = 400.0;

/// One frame's measurements.
#[derive(Clone, Copy)]
struct Frame {
    log_power: [f32; BANDS],
    periodicity: f32,
    flatness: f32,
    loudest: f32,
}

/// The floor of one band: the minimum of its smoothed power over the last spans.
#[derive(Clone)]
struct Floor {
    smooth: f32,
    current: f32,
    minima: VecDeque<f32>,
}

impl Floor {
    fn push(&mut self, power: f32, frame: u64) {
        self.smooth = if frame == 0 { power } else { 0.7 * self.smooth + 0.3 * power };
        self.current = self.current.min(self.smooth);
        if frame % SPAN as u64 == SPAN as u64 - 1 {
            if self.minima.len() == SPANS {
                self.minima.pop_front();
            }
            self.minima.push_back(self.current);
            self.current = f32::MAX;
        }
    }

    fn level(&self) -> f32 {
        let minimum = self.minima.iter().copied().fold(self.current, f32::min);
        (minimum * MINIMUM_BIAS).max(POWER_FLOOR)
    }
}

pub(super) struct Extractor {
    hop: usize,
    forward: Arc<dyn RealToComplex<f32>>,
    inverse: Arc<dyn ComplexToReal<f32>>,
    window: Vec<f32>,
    /// Autocorrelation of the window, by which that of a frame is divided.
    window_shape: Vec<f32>,
    bands: Vec<std::ops::Range<usize>>,
    lags: std::ops::Range<usize>,
    samples: Vec<f32>,
    input: Vec<f32>,
    spectrum: Vec<Complex32>,
    correlation: Vec<f32>,
    floors: Vec<Floor>,
    count: u64,
    frames: VecDeque<Frame>,
}

impl Extractor {
    /// For 8000 or 16000 Hz.
    pub(super) fn new(rate: u32) -> Self {
        let hop = (rate / 100) as usize;
        let frame = (rate / 125 * 4) as usize; // 32 ms
        let n_fft = (2 * frame).next_power_of_two();
        let mut planner = RealFftPlanner::new();
        let (forward, inverse) = (planner.plan_fft_forward(n_fft), planner.plan_fft_inverse(n_fft));
        let step = std::f32::consts::TAU / frame as f32;
        let window: Vec<f32> = (0..frame).map(|n| 0.5 - 0.5 * (step * n as f32).cos()).collect();
        let shape = |lag: usize| window[lag..].iter().zip(&window).map(|(a, b)| a * b).sum::<f32>();
        let lags = (rate as f32 / PITCH_HIGH_HZ) as usize..(rate as f32 / PITCH_LOW_HZ) as usize;
        let window_shape = (0..lags.end).map(|lag| shape(lag) / shape(0)).collect();
        let bin = |hz: f32| (hz * n_fft as f32 / rate as f32).round() as usize;
        let mel = |hz: f32| (1.0 + hz / 700.0).ln();
        let edge = |band: usize| {
            let share = band as f32 / BANDS as f32;
            let at = mel(LOWEST_HZ) + share * (mel(HIGHEST_HZ) - mel(LOWEST_HZ));
            bin(700.0 * (at.exp() - 1.0))
        };
        let floor =
            Floor { smooth: 0.0, current: f32::MAX, minima: VecDeque::with_capacity(SPANS) };
        Self {
            hop,
            window_shape,
            bands: (0..BANDS).map(|band| edge(band)..edge(band + 1)).collect(),
            lags,
            samples: vec![0.0; frame],
            input: forward.make_input_vec(),
            spectrum: forward.make_output_vec(),
            correlation: inverse.make_output_vec(),
            floors: vec![floor; BANDS],
            count: 0,
            frames: VecDeque::with_capacity(2 * LOOK_AHEAD + 2),
            forward,
            inverse,
            window,
        }
    }

    /// Samples from frame to frame.
    pub(super) fn hop(&self) -> usize {
        self.hop
    }

    /// Take the next 10 ms. From the frame number `LOOK_AHEAD` on, each call describes the frame
    /// of `LOOK_AHEAD` calls before.
    pub(super) fn push(&mut self, hop: &[f32]) -> Option<[f32; COUNT]> {
        self.samples.drain(..hop.len().min(self.samples.len()));
        self.samples.extend_from_slice(hop);
        let frame = self.measure();
        for (floor, log_power) in self.floors.iter_mut().zip(frame.log_power) {
            floor.push(log_power.exp(), self.count);
        }
        self.count += 1;
        if self.frames.len() == 2 * LOOK_AHEAD + 1 {
            self.frames.pop_front();
        }
        self.frames.push_back(frame);
        (self.count > LOOK_AHEAD as u64).then(|| self.describe())
    }

    fn measure(&mut self) -> Frame {
        self.input.fill(0.0);
        for ((out, &sample), &weight) in self.input.iter_mut().zip(&self.samples).zip(&self.window)
        {
            *out = sample * weight;
        }
        // All buffers come from the plans, so lengths agree.
        let _ = self.forward.process(&mut self.input, &mut self.spectrum);
        // A full-scale sine has the power 1.
        let scale = (2.0 / self.window.iter().sum::<f32>()).powi(2);
        let used = self.bands[0].start..self.bands[BANDS - 1].end;
        let power = |bin: usize, spectrum: &[Complex32]| spectrum[bin].norm_sqr() * scale;
        let log_power = std::array::from_fn(|band| {
            let bins = self.bands[band].clone();
            let count = bins.len().max(1) as f32;
            let mean = bins.map(|bin| power(bin, &self.spectrum)).sum::<f32>() / count;
            mean.max(POWER_FLOOR * 0.1).ln()
        });
        let (mut logs, mut sum) = (0.0, 0.0);
        for bin in used.clone() {
            let power = power(bin, &self.spectrum) + POWER_FLOOR * 0.1;
            logs += power.ln();
            sum += power;
        }
        let bins = used.len() as f32;
        let flatness = logs / bins - (sum / bins).ln();
        for (bin, value) in self.spectrum.iter_mut().enumerate() {
            let inside = used.contains(&bin);
            *value = Complex32::new(if inside { value.norm_sqr() } else { 0.0 }, 0.0);
        }
        let _ = self.inverse.process(&mut self.spectrum, &mut self.correlation);
        let energy = self.correlation[0].max(1e-12);
        let periodicity = self
            .lags
            .clone()
            .map(|lag| self.correlation[lag] / (energy * self.window_shape[lag].max(0.05)))
            .fold(0.0f32, f32::max);
        let loudest = log_power.iter().copied().fold(f32::MIN, f32::max);
        Frame { log_power, periodicity: periodicity.min(1.0), flatness, loudest }
    }

    /// The numbers of the frame `LOOK_AHEAD` before the newest.
    fn describe(&self) -> [f32; COUNT] {
        let at = self.frames.len() - 1 - LOOK_AHEAD;
        let floors: [f32; BANDS] = std::array::from_fn(|band| self.floors[band].level().ln());
        let rise = |frame: &Frame| -> [f32; BANDS] {
            std::array::from_fn(|band| (frame.log_power[band] - floors[band]).clamp(-1.0, 6.0))
        };
        let now = &self.frames[at];
        let mut rises = rise(now);
        let mean = |values: &[f32]| values.iter().sum::<f32>() / values.len() as f32;
        let (low, high) = (mean(&rises[2..8]), mean(&rises[11..]));
        let all = mean(&rises);
        rises.sort_by(|a, b| b.total_cmp(a));
        let context: Vec<[f32; BANDS]> = self.frames.iter().map(rise).collect();
        let around = context.iter().map(|rises| mean(rises)).sum::<f32>() / context.len() as f32;
        let spread = self.modulation();
        let near = &context[at.saturating_sub(4)..(at + 5).min(context.len())];
        let near: [f32; BANDS] = std::array::from_fn(|band| {
            near.iter().map(|rises| rises[band]).sum::<f32>() / near.len() as f32
        });
        let voiced: Vec<f32> = self.frames.iter().map(|frame| frame.periodicity).collect();
        let voiced_near = mean(&voiced[at.saturating_sub(3)..(at + 4).min(voiced.len())]);
        // Sound that nobody would hear is no speech, whatever its shape.
        if now.loudest < (POWER_FLOOR * 4.0).ln() {
            rises = [0.0; BANDS];
        }
        let whole = [
            all,
            mean(&rises[..4]),
            low - high,
            mean(&near),
            around,
            voiced_near,
            voiced.iter().copied().fold(0.0, f32::max),
            now.flatness.max(-8.0),
            spread,
        ];
        std::array::from_fn(|n| if n < whole.len() { whole[n] } else { near[n - whole.len()] })
    }

    /// How much the bands move up and down in the frames around, as speech makes them do.
    fn modulation(&self) -> f32 {
        let count = self.frames.len() as f32;
        let floor = POWER_FLOOR.ln();
        let deviation = |band: usize| {
            let values = self.frames.iter().map(|frame| frame.log_power[band].max(floor));
            let mean = values.clone().sum::<f32>() / count;
            (values.map(|v| (v - mean).powi(2)).sum::<f32>() / count).sqrt()
        };
        (0..BANDS).map(deviation).sum::<f32>() / BANDS as f32
    }
}
