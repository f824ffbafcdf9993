//! Spectrograms of any length to waveforms: the flow, and behind it the correction that brings its
//! waveform nearer to the spectrogram.

use super::correction::Correction;
use super::flow::Flow;
use super::{VocodeOptions, Vocoder};
use crate::arch::periodwave::CondNorms;
use crate::error::Result;

/// One spectrogram on its way to a waveform: rows in, samples out.
pub struct MelStream {
    flow: Flow,
    correction: Correction,
}

impl MelStream {
    /// With the norms of the whole spectrogram, where they are known.
    pub(super) fn new(
        vocoder: &Vocoder,
        options: &VocodeOptions,
        norms: Option<CondNorms>,
    ) -> Result<Self> {
        let flow = Flow::new(vocoder, options, norms)?;
        Ok(Self { correction: correction(vocoder, options)?, flow })
    }

    /// Takes frames, one after the other in `rows`, and returns the samples that are settled by now.
    ///
    /// # Errors
    /// [`Error::Config`](crate::error::Error::Config) for values that are no whole frames; what libtorch
    /// says.
    pub fn push(&mut self, rows: &[f32]) -> Result<Vec<f32>> {
        let samples = self.flow.push(rows)?;
        self.correction.push(rows, samples)
    }

    /// Ends the spectrogram: the rest of the samples, so that there is a hop of them for each frame.
    ///
    /// # Errors
    /// What libtorch says.
    pub fn finish(self) -> Result<Vec<f32>> {
        self.correction.finish(self.flow.finish()?)
    }
}

/// What follows the flow, where something is wanted.
fn correction(vocoder: &Vocoder, options: &VocodeOptions) -> Result<Correction> {
    let passes = options.sampling(&vocoder.card)?.refine;
    Ok(Correction::new(vocoder.card.mel_correction(passes)?.as_ref()))
}

#[cfg(test)]
mod tests {
    use formant_audio_core::features::FeaturePlan;
    use tch::Device;

    use super::*;
    use crate::arch::periodwave::{PeriodWaveCard, PeriodWaveConfig, Variant};

    fn vocoder(variant: Variant) -> Vocoder {
        let config = PeriodWaveConfig { variant, n_mel_channels: 80, ..PeriodWaveConfig::tiny() };
        let card = PeriodWaveCard::published(config).expect("a card");
        tch::manual_seed(11);
        Vocoder::random(card, Device::Cpu).expect("sound sizes")
    }

    /// The spectrogram of harmonics that swell, frame by frame.
    fn rows(frames: usize) -> Vec<f32> {
        let vocoder = vocoder(Variant::Base);
        let plan = FeaturePlan::new(vocoder.front_end().expect("a spectrogram")).expect("sound");
        let sample = |n: usize| {
            let tone: f32 = (1..30).map(|k| (n as f32 * 0.04 * k as f32).sin() / k as f32).sum();
            0.2 * tone * (1.2 + (n as f32 * 1e-4).sin())
        };
        let samples: Vec<f32> = (0..frames * 256).map(sample).collect();
        plan.compute(&samples).expect("defined").into_raw_vec_and_offset().0
    }

    /// Mean distance of the mel values of a waveform to rows.
    fn distance(samples: &[f32], rows: &[f32]) -> f64 {
        let vocoder = vocoder(Variant::Base);
        let plan = FeaturePlan::new(vocoder.front_end().expect("a spectrogram")).expect("sound");
        let found = plan.compute(samples).expect("defined");
        let sum: f64 = found.iter().zip(rows).map(|(a, b)| f64::from((a - b).abs())).sum();
        sum / rows.len() as f64
    }

    /// A spectrogram in blocks of so many frames, by cores of a second; how much came before its end.
    fn run(
        vocoder: &Vocoder,
        rows: &[f32],
        options: &VocodeOptions,
        block: usize,
    ) -> (Vec<f32>, usize) {
        let mut stream = MelStream {
            flow: Flow::of_cores(vocoder, options, None, 1.0).expect("sound"),
            correction: correction(vocoder, options).expect("sound"),
        };
        let mut out = Vec::new();
        for rows in rows.chunks(block * 80) {
            out.extend(stream.push(rows).expect("runs"));
        }
        let early = out.len();
        out.extend(stream.finish().expect("runs"));
        (out, early)
    }

    /// The correction is a stage behind the flow: nearer to the spectrogram the more passes there are,
    /// the same bytes for blocks of any size and lengths around those of cores, and none without passes.
    #[test]
    fn corrections_follow_the_flow_whatever_the_blocks() {
        let vocoder = vocoder(Variant::Base);
        let options = |refine| VocodeOptions {
            steps: Some(1),
            refine,
            measured_seconds: 1.0,
            ..VocodeOptions::default()
        };
        for frames in [1, 2, 40, 700] {
            let rows = rows(frames);
            let [none, one, four] = [None, Some(1), Some(4)].map(|refine| {
                let out = run(&vocoder, &rows, &options(refine), frames).0;
                assert_eq!(out.len(), frames * 256);
                out
            });
            if frames > 2 {
                let [a, b, c] = [&none, &one, &four].map(|samples| distance(samples, &rows));
                assert!(c < b && b < a, "{frames}: {a} {b} {c}");
            }
            assert!(run(&vocoder, &rows, &options(Some(0)), frames).0 == none);
            for block in [1, 113] {
                let (out, early) = run(&vocoder, &rows, &options(Some(4)), block);
                assert_eq!(early > 0, frames == 700, "samples that came on the way");
                assert!(out == four, "{frames} frames in blocks of {block}");
            }
        }
    }

    #[test]
    fn cards_may_ask_for_corrections_and_codecs_have_none() {
        let mut with = vocoder(Variant::Base);
        let rows = rows(30);
        let asked = VocodeOptions { refine: Some(2), ..VocodeOptions::default() };
        let wanted = with.process_mel(&rows, &asked).expect("runs");
        with.card.sampling.refine = 2;
        assert!(with.process_mel(&rows, &VocodeOptions::default()).expect("runs") == wanted);
        assert!(with.start_mel(&VocodeOptions { refine: Some(1001), ..asked }).is_err());
        assert!(vocoder(Variant::Codec).start_mel(&asked).is_err());
    }
}
