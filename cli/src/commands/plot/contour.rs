//! The contour of the pitch while a recording is read: memory does not grow with its length.

use formant_audio_core::AudioView;
use formant_audio_core::pitch::{PitchFrame, PitchOptions, pitch};

use crate::failure::Failure;

/// Seconds that are worked on at once.
const PIECE: usize = 20;
/// Frames with more noise than this have no pitch.
const VOICED: f64 = 0.25;

/// Follows the pitch of the mix of all channels.
pub(super) struct Contour {
    options: PitchOptions,
    rate: u32,
    /// Samples from a multiple of the hop on, and the frame at the first of them.
    waiting: Vec<f32>,
    first: usize,
    /// The next frame to be told.
    next: usize,
    points: Vec<(f64, Option<f64>)>,
}

impl Contour {
    /// Begins at the start of a recording.
    pub(super) fn new(rate: u32) -> Self {
        let options = PitchOptions::speech(rate);
        Self { options, rate, waiting: Vec::new(), first: 0, next: 0, points: Vec::new() }
    }

    /// Takes the next block.
    pub(super) fn push(&mut self, block: &AudioView<'_>) -> Result<(), Failure> {
        let mono = block.to_mono();
        self.waiting.extend(mono.iter().map(|x| if x.is_finite() { *x } else { 0.0 }));
        let margin = self.options.frame_length / 2;
        if self.waiting.len() > PIECE * self.rate as usize + 2 * margin {
            let whole = (self.waiting.len() - margin) / self.options.hop_length;
            self.work(self.first + whole)?;
            let kept = self.next.saturating_sub(margin.div_ceil(self.options.hop_length));
            self.waiting.drain(..(kept - self.first) * self.options.hop_length);
            self.first = kept;
        }
        Ok(())
    }

    /// Seconds and pitch of all frames.
    pub(super) fn finish(mut self) -> Result<Vec<(f64, Option<f64>)>, Failure> {
        self.work(usize::MAX)?;
        Ok(self.points)
    }

    /// Tells frames up to `end`.
    fn work(&mut self, end: usize) -> Result<(), Failure> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let frames = pitch(&self.waiting, self.rate, &self.options)?;
        for (at, PitchFrame { hz, aperiodicity }) in frames.into_iter().enumerate() {
            let frame = self.first + at;
            if frame < self.next || frame >= end {
                continue;
            }
            let seconds = (frame * self.options.hop_length) as f64 / f64::from(self.rate);
            self.points.push((seconds, (aperiodicity < VOICED).then_some(hz)));
            self.next = frame + 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_make_no_difference_and_tones_are_found() {
        let rate = 8000;
        let tone = |n: usize| {
            let hertz = if n < 200_000 { 110.0 } else { 220.0 };
            (n as f32 * hertz * std::f32::consts::TAU / rate as f32).sin()
        };
        let samples: Vec<f32> = (0..400_000).map(tone).chain([0.0; 8000]).collect();
        let followed = |block: usize| {
            let mut contour = Contour::new(rate);
            for block in samples.chunks(block) {
                contour.push(&AudioView::from_mono(rate, block)).expect("finite");
            }
            contour.finish().expect("finite")
        };
        let points = followed(samples.len());
        assert_eq!(points.len(), samples.len() / 80 + 1);
        assert!(points == followed(3000));
        let at = |seconds: f64| points[(seconds * 100.0) as usize];
        for (seconds, expected) in [(10.0, 110.0), (40.0, 220.0)] {
            let (time, Some(hz)) = at(seconds) else { panic!("voiced") };
            assert!(time == seconds && (hz / expected - 1.0).abs() < 0.02, "{hz}");
        }
        assert_eq!(at(50.5).1, None);
    }
}
