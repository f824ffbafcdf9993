//! The audio that is worked on: generated, the same for every program and every time.

use std::f64::consts::TAU;
use std::fs;
use std::path::Path;

use super::ffmpeg::Ffmpeg;
use crate::problem::{Problem, Result};

const SECONDS: usize = 60;

/// Files that ffmpeg makes from `music_44k.wav`.
const ENCODED: &[(&str, &[&str])] = &[
    ("music_44k.mp3", &["-c:a", "libmp3lame", "-b:a", "192k"]),
    ("music_44k.m4a", &["-c:a", "aac", "-b:a", "192k"]),
    ("music_44k.flac", &["-c:a", "flac"]),
];

/// Writes what is not there yet.
pub(super) fn write(folder: &Path, ffmpeg: Option<&Ffmpeg>) -> Result<()> {
    let done = |result: std::io::Result<()>, path: &Path| {
        result.map_err(|error| {
            Problem::new(format!("{}: {error}", path.display()), "see that it can be written")
        })
    };
    done(fs::create_dir_all(folder), folder)?;
    let save = |name: &str, bytes: Vec<u8>| {
        let path = folder.join(name);
        done(fs::write(&path, bytes), &path)
    };
    let raw = |samples: &[f32]| samples.iter().flat_map(|s| s.to_le_bytes()).collect();
    let (left, right) = (tune(44_100, 1), tune(44_100, 2));
    save("speech_16k.f32", raw(&tune(16_000, 3)))?;
    save("music_left_44k.f32", raw(&left))?;
    save("music_right_44k.f32", raw(&right))?;
    let source = folder.join("music_44k.wav");
    save("music_44k.wav", wav(44_100, &left, &right))?;
    let Some(ffmpeg) = ffmpeg else { return Ok(()) };
    for (name, options) in ENCODED {
        let target = folder.join(name);
        if !target.is_file() {
            ffmpeg.encode(&source, &target, options)?;
        }
    }
    Ok(())
}

/// Notes of four partials that begin every quarter of a second and die away, over soft noise:
/// something between a tone and noise, as codecs meet it.
fn tune(rate: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    let mut random = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(state >> 8) / f64::from(1 << 24)
    };
    let mut samples: Vec<f64> =
        (0..SECONDS * rate).map(|_| 0.02 * (random() + random() - 1.0)).collect();
    for start in (0..samples.len()).step_by(rate / 4) {
        let pitch = 110.0 * 2f64.powf((random() * 36.0).floor() / 12.0);
        let loudness = 0.05 + 0.1 * random();
        let note = samples[start..].iter_mut().take(rate);
        for (n, sample) in note.enumerate() {
            let time = n as f64 / rate as f64;
            let partials =
                (1..=4).map(|k| (TAU * pitch * f64::from(k) * time).sin() / f64::from(k));
            *sample += loudness * (-4.0 * time).exp() * (1.0 - time) * partials.sum::<f64>();
        }
    }
    samples.into_iter().map(|sample| sample as f32).collect()
}

/// A WAV file of 16-bit stereo.
fn wav(rate: u32, left: &[f32], right: &[f32]) -> Vec<u8> {
    let size = 4 * left.len().min(right.len()) as u32;
    let mut bytes = Vec::with_capacity(size as usize + 44);
    bytes.extend(b"RIFF");
    bytes.extend((size + 36).to_le_bytes());
    bytes.extend(b"WAVEfmt ");
    bytes.extend(16u32.to_le_bytes());
    bytes.extend([1u16, 2].map(u16::to_le_bytes).as_flattened());
    bytes.extend([rate, 4 * rate].map(u32::to_le_bytes).as_flattened());
    bytes.extend([4u16, 16].map(u16::to_le_bytes).as_flattened());
    bytes.extend(b"data");
    bytes.extend(size.to_le_bytes());
    for (&left, &right) in left.iter().zip(right) {
        for sample in [left, right] {
            bytes.extend(((sample.clamp(-1.0, 1.0) * 32_767.0).round() as i16).to_le_bytes());
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wav_has_its_header() {
        let bytes = wav(44_100, &[0.0, 1.0], &[-1.0, 0.5]);
        assert_eq!(bytes.len(), 44 + 8);
        assert_eq!(&bytes[..4], b"RIFF");
        assert_eq!(&bytes[36..44], b"data\x08\0\0\0");
        assert_eq!(bytes[46..48], (-32_767i16).to_le_bytes());
    }
}
