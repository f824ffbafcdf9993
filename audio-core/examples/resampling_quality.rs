//! How good resampling is, formant's own and any other's: tones go through, what comes out is
//! compared with what should.
//!
//! `resampling_quality tones FOLDER` writes the tones, `down.f32` at 44.1 kHz (to be taken to
//! 16 kHz) and `up.f32` at 16 kHz (to 48 kHz). `resampling_quality report FOLDER PNG NAME..` reads
//! `down.NAME.f32` and `up.NAME.f32`, measures them and formant's qualities, prints a table and
//! draws the responses around the edge of the band.

#![allow(clippy::print_stdout, reason = "the table goes to standard output")]

use std::error::Error;
use std::f64::consts::{PI, TAU};
use std::path::Path;

use formant_audio_core::AudioView;
use formant_audio_core::plot::{Chart, ChartAxis, Series};
use formant_audio_core::resample::{Quality, resample};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// The lower Nyquist frequency of both conversions.
const NYQUIST: f64 = 8000.0;
const DOWN: (u32, u32) = (44_100, 16_000);
const UP: (u32, u32) = (16_000, 48_000);
const AMPLITUDE: f64 = 0.5;
/// Up to here everybody should pass tones untouched.
const PASS: f64 = 0.9;
/// From here on everybody should stop them.
const STOP: f64 = 1.05;

fn main() -> Outcome<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["tones", folder] => {
            let folder = Path::new(folder);
            save(&folder.join("down.f32"), &tones(DOWN.0, &down_tones()))?;
            save(&folder.join("up.f32"), &tones(UP.0, &up_tones()))
        }
        ["report", folder, picture, ref names @ ..] => report(Path::new(folder), picture, names),
        _ => Err("usage: resampling_quality tones FOLDER | report FOLDER PNG NAME..".into()),
    }
}

/// Frequencies as fractions of the Nyquist frequency: a few in the pass-band, many around its
/// edge, and the stop-band up to the input's own limit. None becomes DC or Nyquist when it folds.
fn down_tones() -> Vec<f64> {
    let low = (0..21).map(|n| 0.02 + 0.04 * f64::from(n));
    let edge = (0..=100).map(|n| 0.85 + 0.0025 * f64::from(n));
    let high = (0..44).map(|n| 1.12 + 0.0371 * f64::from(n));
    let folded = |x: f64| (x - 2.0 * (x / 2.0).round()).abs();
    low.chain(edge).chain(high).filter(|&x| (0.01..0.9985).contains(&folded(x))).collect()
}

fn up_tones() -> Vec<f64> {
    (0..49).map(|n| 0.02 + 0.02 * f64::from(n)).collect()
}

/// A second for each tone, which swells and fades within the middle half of it.
fn tones(rate: u32, fractions: &[f64]) -> Vec<f32> {
    let mut samples = Vec::new();
    for &fraction in fractions {
        let step = TAU * fraction * NYQUIST / f64::from(rate);
        samples.extend((0..rate).map(|n| {
            let place = 2.0 * f64::from(n) / f64::from(rate) - 0.5;
            let phase = step * (f64::from(n) - f64::from(rate / 2));
            (AMPLITUDE * swell(place)[0] * phase.cos()) as f32
        }));
    }
    samples
}

/// A smooth swell over 0..1 (the eighth power of a sine, whose spectrum falls off fast) and its
/// first two derivatives, by which a sloping response bends it.
fn swell(place: f64) -> [f64; 3] {
    if !(0.0..=1.0).contains(&place) {
        return [0.0; 3];
    }
    let (sine, cosine) = (PI * place).sin_cos();
    let sixth = sine.powi(6);
    [sixth * sine * sine, sixth * sine * cosine, sixth * (7.0 * cosine * cosine - sine * sine)]
}

/// What came of one tone.
struct Tone {
    /// Its frequency over the Nyquist frequency.
    fraction: f64,
    /// Its level, there or where it folds to, in dB.
    level: f64,
    /// It over everything else that came with it, in dB.
    signal_to_noise: f64,
}

fn measure(output: &[f32], rate: u32, fractions: &[f64]) -> Vec<Tone> {
    let second = rate as usize;
    let grid = f64::from(rate);
    let pieces = fractions.iter().zip(output.chunks(second));
    let tone = |(&fraction, piece): (&f64, &[f32])| {
        let hertz = fraction * NYQUIST;
        let folded = (hertz - grid * (hertz / grid).round()).abs();
        let (gain, rest, expected) = fit(piece, second, TAU * folded / grid);
        Tone {
            fraction,
            level: decibels(gain / AMPLITUDE),
            signal_to_noise: decibels((expected / rest).sqrt()),
        }
    };
    pieces.map(tone).collect()
}

/// Least squares of a swelling tone of `step` radians a sample: its amplitude, the energy of what
/// is left, and the energy that a perfect tone has.
fn fit(piece: &[f32], second: usize, step: f64) -> (f64, f64, f64) {
    let basis = |n: usize| -> [f64; 6] {
        let [a, b, c] = swell(2.0 * n as f64 / second as f64 - 0.5);
        let (sine, cosine) = (step * (n as f64 - (second / 2) as f64)).sin_cos();
        [a * cosine, a * sine, b * cosine, b * sine, c * cosine, c * sine]
    };
    let inside = second / 4..(3 * second / 4).min(piece.len());
    let mut system = [[0.0f64; 7]; 6];
    for n in inside.clone() {
        let row = basis(n);
        for (equation, &left) in system.iter_mut().zip(&row) {
            for (entry, right) in equation.iter_mut().zip(row.iter().chain([&f64::from(piece[n])]))
            {
                *entry += left * right;
            }
        }
    }
    let weights = solve(system);
    let (mut rest, mut expected) = (0.0, 0.0);
    for n in inside {
        let row = basis(n);
        let fitted: f64 = row.iter().zip(&weights).map(|(value, weight)| value * weight).sum();
        rest += (f64::from(piece[n]) - fitted).powi(2);
        expected += (AMPLITUDE * row[0]).powi(2);
    }
    (weights[0].hypot(weights[1]), rest, expected)
}

/// Gaussian elimination with the largest pivots.
fn solve(mut system: [[f64; 7]; 6]) -> [f64; 6] {
    for at in 0..6 {
        let size = |row: &usize| system[*row][at].abs();
        let pivot = (at..6).max_by(|a, b| size(a).total_cmp(&size(b))).unwrap_or(at);
        system.swap(at, pivot);
        let top = system[at];
        for (row, equation) in system.iter_mut().enumerate() {
            if row != at {
                let factor = equation[at] / top[at];
                equation.iter_mut().zip(top).for_each(|(entry, above)| *entry -= factor * above);
            }
        }
    }
    std::array::from_fn(|at| system[at][6] / system[at][at])
}

fn decibels(ratio: f64) -> f64 {
    20.0 * ratio.max(1e-12).log10()
}

/// One converter, in both directions.
struct Converter {
    name: String,
    down: Vec<Tone>,
    up: Vec<Tone>,
}

fn report(folder: &Path, picture: &str, names: &[&str]) -> Outcome<()> {
    let (down, up) = (load(&folder.join("down.f32"))?, load(&folder.join("up.f32"))?);
    let mut converters = Vec::new();
    for quality in [Quality::Fast, Quality::High, Quality::Best] {
        let convert = |samples: &[f32], (from, to): (u32, u32)| {
            resample(&AudioView::from_mono(from, samples), to, quality)
        };
        converters.push(Converter {
            name: format!("formant {quality:?}").to_lowercase(),
            down: measure(convert(&down, DOWN)?.channel(0), DOWN.1, &down_tones()),
            up: measure(convert(&up, UP)?.channel(0), UP.1, &up_tones()),
        });
    }
    for name in names {
        let file = |direction: &str| folder.join(format!("{direction}.{name}.f32"));
        converters.push(Converter {
            name: name.replacen('-', " ", 1),
            down: measure(&load(&file("down"))?, DOWN.1, &down_tones()),
            up: measure(&load(&file("up"))?, UP.1, &up_tones()),
        });
    }
    print!("{}", table(&converters));
    std::fs::write(picture, chart(&converters).render()?.to_png()?)?;
    Ok(())
}

fn table(converters: &[Converter]) -> String {
    let mut text = String::from(
        "| converter | within 0.1 dB up to | ripple up to 0.9, dB | 100 dB down from \
         | highest from 1.05 on, dB | SNR 44.1 to 16 kHz, dB | SNR 16 to 48 kHz, dB |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for Converter { name, down, up } in converters {
        let flat = down.iter().take_while(|tone| tone.level.abs() <= 0.1).last();
        let stopped = down.iter().rev().take_while(|tone| tone.level <= -100.0).last();
        let edge = |tone: Option<&Tone>| {
            tone.map_or_else(|| "-".to_owned(), |tone| format!("{:.3}", tone.fraction))
        };
        let passed = || down.iter().filter(|tone| tone.fraction <= PASS);
        let ripple = passed().map(|tone| tone.level.abs()).fold(0.0, f64::max);
        let highest = down.iter().filter(|tone| tone.fraction >= STOP);
        let highest = highest.map(|tone| tone.level).fold(f64::NEG_INFINITY, f64::max);
        let worst = |tones: &mut dyn Iterator<Item = &Tone>| {
            tones.map(|tone| tone.signal_to_noise).fold(f64::INFINITY, f64::min)
        };
        let snr_down = worst(&mut passed());
        let snr_up = worst(&mut up.iter().filter(|tone| tone.fraction <= PASS));
        text += &format!(
            "| {name} | {} | {ripple:.6} | {} | {highest:.0} | {snr_down:.0} | {snr_up:.0} |\n",
            edge(flat),
            edge(stopped),
        );
    }
    text
}

fn chart(converters: &[Converter]) -> Chart {
    let series = converters.iter().map(|converter| Series {
        name: converter.name.clone(),
        points: converter
            .down
            .iter()
            .filter(|tone| (0.85..=1.1).contains(&tone.fraction))
            .map(|tone| (tone.fraction, tone.level))
            .collect(),
        ..Series::default()
    });
    Chart {
        title: "Tones taken from 44.1 to 16 kHz".into(),
        x: ChartAxis {
            label: "frequency of the tone over 8 kHz, the new Nyquist frequency".into(),
            range: Some((0.85, 1.1)),
            ..ChartAxis::default()
        },
        y: ChartAxis { label: "dB".into(), range: Some((-190.0, 5.0)), ..ChartAxis::default() },
        series: series.collect(),
        ..Chart::default()
    }
}

fn load(path: &Path) -> Outcome<Vec<f32>> {
    let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let (samples, _) = bytes.as_chunks::<4>();
    Ok(samples.iter().map(|&sample| f32::from_le_bytes(sample)).collect())
}

fn save(path: &Path, samples: &[f32]) -> Outcome<()> {
    let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    std::fs::write(path, bytes).map_err(|error| format!("{}: {error}", path.display()).into())
}
