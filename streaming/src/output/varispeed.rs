//! Mono audio with a ratio that may change at any time: rubato's asynchronous resampler, which can
//! begin in the middle of audio that went past it.

use rubato::audioadapter_buffers::direct::SequentialSliceOfVecs;
use rubato::{
    Adjustable, Async, FixedAsync, Resampler, Resizable, SincInterpolationParameters,
    WindowFunction,
};

use crate::error::{Error, Result};

/// Length of the filter in frames: at 48 kHz, half of it is a delay of 1.3 ms.
const FILTER: usize = 128;
/// Frames before the change that [`Varispeed::after`] needs to go on without a break.
pub(super) const HISTORY: usize = 2 * FILTER;
/// Frames that are worked on at once.
const BLOCK: usize = 1024;
/// Ratios from one over this to this.
const MOST: f64 = 1.01;

/// Stretches audio.
pub(super) struct Varispeed {
    resampler: Async<f32>,
    /// Frames at the start that were played already.
    known: usize,
    input: Vec<Vec<f32>>,
    output: Vec<Vec<f32>>,
}

impl Varispeed {
    /// Goes on behind `history`, the last [`HISTORY`] frames that were played without it.
    pub(super) fn after(history: &[f32]) -> Result<Self> {
        let filter = SincInterpolationParameters::new(FILTER, WindowFunction::BlackmanHarris2);
        let resampler = Async::new_sinc(1.0, MOST, &filter, BLOCK, 1, FixedAsync::Input)
            .map_err(|error| fault(&error))?;
        let output = vec![vec![0.0; resampler.output_frames_max()]];
        // At a ratio of one, rubato's outputs are a frame earlier than half of the filter.
        let known = history.len() + FILTER / 2 - 1;
        let mut speed = Self { resampler, known, input: vec![Vec::new()], output };
        speed.push(history, 1.0)?;
        Ok(speed)
    }

    /// The next audio, at a ratio that is reached by the end of a block.
    pub(super) fn push(&mut self, samples: &[f32], ratio: f64) -> Result<Vec<f32>> {
        let mut all = Vec::with_capacity(samples.len() + samples.len() / 50 + 8);
        self.resampler
            .set_resample_ratio(ratio.clamp(1.0 / MOST, MOST), true)
            .map_err(|error| fault(&error))?;
        for block in samples.chunks(BLOCK) {
            let made = self.step(block).map_err(|error| fault(&error))?;
            let known = self.known.min(made);
            self.known -= known;
            all.extend_from_slice(&self.output[0][known..made]);
        }
        Ok(all)
    }

    /// What the filter still holds.
    pub(super) fn finish(mut self, ratio: f64) -> Result<Vec<f32>> {
        self.push(&[0.0; FILTER / 2], ratio)
    }

    fn step(&mut self, block: &[f32]) -> std::result::Result<usize, rubato::ResampleError> {
        self.resampler.set_chunk_size(block.len())?;
        self.input[0].clear();
        self.input[0].extend_from_slice(block);
        let room = self.output[0].len();
        let wrong =
            |_| rubato::ResampleError::InvalidChunkSize { max: room, requested: block.len() };
        let input = SequentialSliceOfVecs::new(&self.input, 1, block.len()).map_err(wrong)?;
        let mut output =
            SequentialSliceOfVecs::new_mut(&mut self.output, 1, room).map_err(wrong)?;
        let (_, made) = self.resampler.process_into_buffer(&input, &mut output, None)?;
        Ok(made)
    }
}

/// Sizes and ratios are chosen here, so that none of them can be wrong.
fn fault(_: &dyn std::error::Error) -> Error {
    Error::Fault("play")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(from: usize, to: usize) -> Vec<f32> {
        (from..to).map(|n| 0.5 * (n as f32 * 0.3).sin()).collect()
    }

    #[test]
    fn audio_goes_on_where_it_was() {
        for size in [1, 160, 700, 5000] {
            let mut speed = Varispeed::after(&tone(1000 - HISTORY, 1000)).expect("sizes");
            let mut out = Vec::new();
            for block in tone(1000, 11_000).chunks(size) {
                out.extend(speed.push(block, 1.0).expect("runs"));
            }
            out.extend(speed.finish(1.0).expect("runs"));
            assert!(out.len().abs_diff(10_000) <= 2, "{size}: {}", out.len());
            let expected = tone(1000, 10_900);
            let error = out.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(error < 2e-3, "{size}: {error}");
        }
    }

    #[test]
    fn ratios_change_the_length() {
        let mut speed = Varispeed::after(&[0.0; HISTORY]).expect("sizes");
        let audio = tone(0, 100_000);
        let slower = speed.push(&audio, 1.001).expect("runs").len();
        let faster = speed.push(&audio, 0.999).expect("runs").len();
        assert!(slower.abs_diff(100_100) < 80 && faster.abs_diff(99_900) < 80, "{slower} {faster}");
    }
}
