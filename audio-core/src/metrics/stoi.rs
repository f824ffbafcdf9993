//! Short-time objective intelligibility: how well the envelopes of clean speech survive.
//!
//! Classic: Taal et al., IEEE TASLP 19(7), 2011. Extended: Jensen and Taal, IEEE TASLP 24(11), 2016.
//! Everything happens at 10 kHz; other rates are resampled with the 60 dB Kaiser filter that the
//! authors' code uses, so that figures can be compared.

use realfft::RealFftPlanner;
use serde::{Deserialize, Serialize};

use super::check_pair;
use crate::error::{Error, Result};

const RATE: u32 = 10_000;
const FRAME: usize = 256;
const HOP: usize = FRAME / 2;
const N_FFT: usize = 512;
const BANDS: usize = 15;
const LOWEST_CENTRE: f64 = 150.0;
/// Frames of a segment (384 ms).
const SEGMENT: usize = 30;
/// Frames this far below the loudest clean frame are silence.
const DYNAMIC_RANGE_DB: f64 = 40.0;
/// Lowest signal-to-distortion ratio that an envelope sample can have.
const CLIP_DB: f64 = -15.0;

/// Which of the two measures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoiKind {
    /// STOI of 2011.
    #[default]
    Classic,
    /// ESTOI of 2016, which also works for noise that fluctuates.
    Extended,
}

/// Intelligibility of `estimate` given the clean `reference`, about 0 to 1. `None` when less than
/// 384 ms of the reference are not silent.
///
/// # Errors
/// [`Error::Shape`] for different lengths, [`Error::Empty`] without samples, [`Error::Config`]
/// for samples that are not finite and rates outside 1000 to 384000 Hz.
pub fn stoi(reference: &[f32], estimate: &[f32], rate: u32, kind: StoiKind) -> Result<Option<f64>> {
    check_pair(reference, estimate)?;
    if !(1000..=384_000).contains(&rate) {
        return Err(Error::config("rate", format!("{rate} Hz is not in 1000..=384000")));
    }
    let clean = to_10_khz(reference, rate);
    let noisy = to_10_khz(estimate, rate);
    let (clean, noisy) = without_silence(&clean, &noisy);
    let (clean, noisy) = (envelopes(&clean), envelopes(&noisy));
    if clean.len() < SEGMENT {
        return Ok(None);
    }
    let segments = clean.windows(SEGMENT).zip(noisy.windows(SEGMENT));
    let count = segments.len() as f64;
    let total: f64 = segments
        .map(|(clean, noisy)| match kind {
            StoiKind::Classic => classic(clean, noisy),
            StoiKind::Extended => extended(clean, noisy),
        })
        .sum();
    Ok(Some(total / count))
}

type Bands = [f64; BANDS];

/// Mean over the bands of the correlation of clean and limited noisy envelopes.
fn classic(clean: &[Bands], noisy: &[Bands]) -> f64 {
    let most = 1.0 + 10f64.powf(-CLIP_DB / 20.0);
    let correlation = |band: usize| {
        let mut x: Vec<f64> = clean.iter().map(|frame| frame[band]).collect();
        let mut y: Vec<f64> = noisy.iter().map(|frame| frame[band]).collect();
        let gain = norm(&x) / (norm(&y) + f64::EPSILON);
        for (y, x) in y.iter_mut().zip(&x) {
            *y = (*y * gain).min(x * most);
        }
        centre(&mut x);
        centre(&mut y);
        dot(&x, &y) / ((norm(&x) + f64::EPSILON) * (norm(&y) + f64::EPSILON))
    };
    (0..BANDS).map(correlation).sum::<f64>() / BANDS as f64
}

/// Mean over the frames of the correlation of spectra whose bands were normalised over time.
fn extended(clean: &[Bands], noisy: &[Bands]) -> f64 {
    let (x, y) = (normalized(clean), normalized(noisy));
    x.iter().zip(&y).map(|(x, y)| dot(x, y)).sum::<f64>() / SEGMENT as f64
}

/// Zero mean and unit norm over time for each band, then over bands for each frame.
fn normalized(segment: &[Bands]) -> Vec<Bands> {
    let mut out = segment.to_vec();
    for band in 0..BANDS {
        let mut row: Vec<f64> = segment.iter().map(|frame| frame[band]).collect();
        standardize(&mut row);
        for (frame, value) in out.iter_mut().zip(row) {
            frame[band] = value;
        }
    }
    for frame in &mut out {
        standardize(frame);
    }
    out
}

fn standardize(values: &mut [f64]) {
    centre(values);
    let norm = norm(values);
    if norm > 0.0 {
        values.iter_mut().for_each(|v| *v /= norm);
    }
}

fn centre(values: &mut [f64]) {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    values.iter_mut().for_each(|v| *v -= mean);
}

fn norm(values: &[f64]) -> f64 {
    dot(values, values).sqrt()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// A Hann window without its zeros.
fn window() -> [f64; FRAME] {
    let step = std::f64::consts::TAU / (FRAME + 1) as f64;
    std::array::from_fn(|n| 0.5 - 0.5 * (step * (n + 1) as f64).cos())
}

/// Starts of the frames; the last possible one is left out, as in the authors' code.
fn frame_starts(length: usize) -> impl Iterator<Item = usize> {
    (0..length.saturating_sub(FRAME)).step_by(HOP)
}

/// Both signals without the frames in which the clean one is silent, put together again by
/// overlap-add.
fn without_silence(clean: &[f64], noisy: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let window = window();
    let windowed = |samples: &[f64], start: usize| -> [f64; FRAME] {
        std::array::from_fn(|n| samples[start + n] * window[n])
    };
    let level = |start: usize| 20.0 * (norm(&windowed(clean, start)) + f64::EPSILON).log10();
    let loudest = frame_starts(clean.len()).map(level).fold(f64::NEG_INFINITY, f64::max);
    let kept: Vec<usize> =
        frame_starts(clean.len()).filter(|&s| level(s) > loudest - DYNAMIC_RANGE_DB).collect();
    let join = |samples: &[f64]| {
        let mut out = vec![0.0; if kept.is_empty() { 0 } else { (kept.len() - 1) * HOP + FRAME }];
        for (index, &start) in kept.iter().enumerate() {
            let frame = windowed(samples, start);
            for (sum, value) in out[index * HOP..].iter_mut().zip(frame) {
                *sum += value;
            }
        }
        out
    };
    (join(clean), join(noisy))
}

/// Magnitudes in third-octave bands for each frame.
fn envelopes(samples: &[f64]) -> Vec<Bands> {
    let window = window();
    let edges = band_edges();
    let fft = RealFftPlanner::<f64>::new().plan_fft_forward(N_FFT);
    let mut input = fft.make_input_vec();
    let mut spectrum = fft.make_output_vec();
    frame_starts(samples.len())
        .map(|start| {
            input.fill(0.0);
            for n in 0..FRAME {
                input[n] = samples[start + n] * window[n];
            }
            // All buffers come from the plan, so lengths agree.
            let _ = fft.process(&mut input, &mut spectrum);
            edges
                .clone()
                .map(|bins| spectrum[bins].iter().map(|value| value.norm_sqr()).sum::<f64>().sqrt())
        })
        .collect()
}

/// The bins of each band: edges a sixth of an octave around the centre, at the nearest bin.
fn band_edges() -> [std::ops::Range<usize>; BANDS] {
    let bin = |frequency: f64| (frequency * N_FFT as f64 / f64::from(RATE)).round() as usize;
    std::array::from_fn(|band| {
        let edge = |sixths: f64| LOWEST_CENTRE * 2f64.powf((2.0 * band as f64 + sixths) / 6.0);
        bin(edge(-1.0))..bin(edge(1.0))
    })
}

/// Polyphase resampling with a Kaiser-windowed sinc: 60 dB rejection, roll-off a tenth of the
/// pass band, no delay, `ceil` of the exact length.
fn to_10_khz(samples: &[f32], rate: u32) -> Vec<f64> {
    const REJECTION_DB: f64 = 60.0;
    if rate == RATE {
        return samples.iter().map(|&s| f64::from(s)).collect();
    }
    let divisor = gcd(rate, RATE);
    let (up, down) = ((RATE / divisor) as usize, (rate / divisor) as usize);
    let cutoff = 1.0 / (2 * up.max(down)) as f64;
    let half = ((REJECTION_DB - 8.0) / (28.714 * cutoff / 10.0)).ceil() as usize;
    let beta = 0.1102 * (REJECTION_DB - 8.7);
    let mut taps: Vec<f64> = (0..=2 * half)
        .map(|n| {
            let t = n as f64 - half as f64;
            let x = std::f64::consts::TAU * cutoff * t;
            let sinc = if t == 0.0 { 1.0 } else { x.sin() / x };
            let place = t / half as f64;
            sinc * bessel_i0(beta * (1.0 - place * place).max(0.0).sqrt())
        })
        .collect();
    let sum: f64 = taps.iter().sum();
    taps.iter_mut().for_each(|tap| *tap *= up as f64 / sum);
    (0..(samples.len() * up).div_ceil(down))
        .map(|m| {
            let centre = half + m * down;
            // Sample j meets tap centre - j * up.
            let first = (centre.saturating_sub(2 * half)).div_ceil(up);
            let last = (centre / up).min(samples.len() - 1);
            (first..=last).map(|j| f64::from(samples[j]) * taps[centre - j * up]).sum()
        })
        .collect()
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Modified Bessel function of order zero, by its power series.
fn bessel_i0(x: f64) -> f64 {
    let (mut term, mut sum) = (1.0, 1.0);
    for n in 1..100 {
        term *= (x / (2.0 * f64::from(n))).powi(2);
        sum += term;
        if term < sum * 1e-17 {
            break;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::super::signals::gated;
    use super::*;

    /// pystoi 0.4.1 (scipy 1.17.1 resamples).
    #[test]
    fn equals_pystoi() {
        let (clean, noisy) = gated();
        let check = |length: usize, rate, kind, want: f64| {
            let value = stoi(&clean[..length], &noisy[..length], rate, kind);
            let value = value.expect("comparable").expect("long enough");
            assert!((value - want).abs() < 1e-6, "{value} is not {want} at {rate} Hz");
        };
        check(40_000, 10_000, StoiKind::Classic, 0.296_656_136_36);
        check(40_000, 10_000, StoiKind::Extended, 0.230_486_864_722);
        check(40_000, 16_000, StoiKind::Classic, 0.346_821_285_454);
        check(40_000, 16_000, StoiKind::Extended, 0.295_394_088_079);
        check(20_000, 8000, StoiKind::Classic, 0.207_457_976_895);
        check(40_000, 44_100, StoiKind::Classic, 0.307_152_989_991);
        check(40_000, 48_000, StoiKind::Classic, 0.364_772_746_377);
    }

    #[test]
    fn itself_is_fully_intelligible_and_little_is_undefined() {
        let (clean, _) = gated();
        for kind in [StoiKind::Classic, StoiKind::Extended] {
            let value = stoi(&clean, &clean, 16_000, kind).expect("comparable");
            assert!((value.expect("long enough") - 1.0).abs() < 1e-9);
            assert_eq!(stoi(&clean[..1], &clean[..1], 16_000, kind).expect("finite"), None);
            assert_eq!(stoi(&clean[..3000], &clean[..3000], 16_000, kind).expect("finite"), None);
            let zeros = stoi(&[0.0; 40_000], &clean, 16_000, kind).expect("finite");
            assert!(zeros.is_none_or(f64::is_finite));
        }
        assert!(stoi(&[0.0], &[0.0], 10, StoiKind::Classic).is_err());
    }
}
