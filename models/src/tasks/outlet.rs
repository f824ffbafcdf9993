//! What becomes of a network's answer on its way out, once for all tasks that return audio: back to
//! the stream's rate, as many samples as went in, and beside the stream itself where that is wanted.

use std::collections::VecDeque;

use formant_audio_core::resample::StreamResampler;

use crate::error::Result;

/// One signal on its way out.
pub(super) struct Outlet {
    back: StreamResampler,
    /// Samples that went in and have not come out.
    due: usize,
    dry: Option<Dry>,
}

/// What went in and has not come out, to be mixed with the answer.
struct Dry {
    samples: VecDeque<f32>,
    wet: f32,
    energy: f64,
    removed: f64,
}

impl Outlet {
    /// Answers that go `back` to the stream's rate.
    pub(super) fn new(back: StreamResampler) -> Self {
        Self { back, due: 0, dry: None }
    }

    /// With `wet` as the answer's share, and the stream's own samples for the rest.
    pub(super) fn beside_stream(mut self, wet: f32) -> Self {
        self.dry = Some(Dry { samples: VecDeque::new(), wet, energy: 0.0, removed: 0.0 });
        self
    }

    /// Samples of the stream went in.
    pub(super) fn expect(&mut self, samples: &[f32]) {
        self.due += samples.len();
        if let Some(dry) = &mut self.dry {
            dry.samples.extend(samples);
        }
    }

    /// As [`Outlet::expect`], where the answer alone comes out.
    pub(super) fn expect_frames(&mut self, frames: usize) {
        self.due += frames;
    }

    /// Takes an answer, and returns what can be given out with it.
    ///
    /// # Errors
    /// What resampling says.
    pub(super) fn push(&mut self, answer: &[f32]) -> Result<Vec<f32>> {
        let answer = self.back.push_mono(answer)?;
        Ok(self.give(answer))
    }

    /// What was held back, and zeros where rounding of lengths left the end short.
    ///
    /// # Errors
    /// What resampling says.
    pub(super) fn finish(&mut self) -> Result<Vec<f32>> {
        let mut rest = self.back.finish()?.into_planar();
        rest.resize(self.due, 0.0);
        Ok(self.give(rest))
    }

    /// Energy of what went in, and of what the answer took away from it.
    pub(super) fn removed(&self) -> (f64, f64) {
        self.dry.as_ref().map_or((0.0, 0.0), |dry| (dry.energy, dry.removed))
    }

    fn give(&mut self, mut answer: Vec<f32>) -> Vec<f32> {
        answer.truncate(self.due);
        self.due -= answer.len();
        if let Some(Dry { samples, wet, energy, removed }) = &mut self.dry {
            let count = answer.len();
            for (y, dry) in answer.iter_mut().zip(samples.drain(..count)) {
                *y = *wet * *y + (1.0 - *wet) * dry;
                *energy += f64::from(dry) * f64::from(dry);
                *removed += f64::from(dry - *y) * f64::from(dry - *y);
            }
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use formant_audio_core::AudioSpec;

    use super::*;
    use crate::tasks::intake::{Pace, resampler};

    fn outlet_alone() -> Outlet {
        let back = resampler(AudioSpec::mono(8000), 8000, Pace::Throughput);
        Outlet::new(back.expect("a sound rate"))
    }

    #[test]
    fn lengths_are_those_of_the_stream_and_shares_add_up() {
        let mut outlet = outlet_alone().beside_stream(0.25);
        outlet.expect(&[1.0; 4]);
        assert_eq!(outlet.push(&[0.0; 3]).expect("no resampling"), [0.75; 3]);
        outlet.expect(&[1.0; 1]);
        assert_eq!(outlet.push(&[0.0; 1]).expect("no resampling"), [0.75; 1]);
        assert_eq!(outlet.finish().expect("no resampling"), [0.75; 1], "the answer was short");
        let (energy, removed) = outlet.removed();
        assert_eq!((energy, removed), (5.0, 5.0 * 0.0625));
        let mut alone = outlet_alone();
        alone.expect_frames(2);
        assert_eq!(alone.push(&[0.5; 9]).expect("no resampling"), [0.5; 2], "the answer was long");
    }
}
