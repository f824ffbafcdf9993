//! Squeezeformer as a recogniser's network: features in front of it, and its vocabulary.

use std::path::Path;

use formant_audio_core::features::FeaturePlan;
use ndarray::Array2;
use tch::{Device, Kind};

use super::network::{BatchPadding, CtcNetwork};
use super::transcriber::Transcriber;
use crate::arch::squeezeformer::{
    CtcCard, FrozenSqueezeformer, NemoRelease, Squeezeformer, SqueezeformerConfig,
    SubsamplingMasks, Vocabulary,
};
use crate::compute::compute;
use crate::error::Result;
use crate::model::{Model, Origin};
use crate::nn::frames::batch;
use crate::source::{LoadOptions, ModelSource};
use crate::text::{SentencePiece, Tokenizer};

#[derive(Debug, Clone)]
struct Recogniser {
    card: CtcCard,
    network: FrozenSqueezeformer,
    device: Device,
    plan: FeaturePlan,
}

impl CtcNetwork for Recogniser {
    fn share(&self) -> Box<dyn CtcNetwork + Send> {
        Box::new(self.clone())
    }

    fn sample_rate(&self) -> u32 {
        self.plan.sample_rate()
    }

    fn samples_per_answer(&self) -> usize {
        self.card.frontend.hop_length * self.card.config.subsampling_factor()
    }

    fn blank(&self) -> u32 {
        self.card.blank() as u32
    }

    fn padding(&self) -> BatchPadding {
        match &self.card.config {
            SqueezeformerConfig::Nemo(c) if c.subsampling_masks == SubsamplingMasks::Masked => {
                BatchPadding::Neutral
            }
            // Unmasked padding, and lengths that follow from the longest clip.
            SqueezeformerConfig::Nemo(_) | SqueezeformerConfig::Wenet(_) => {
                BatchPadding::ChangesAnswers
            }
        }
    }

    fn log_probs(&self, clips: &[&[f32]]) -> Result<Vec<Array2<f32>>> {
        let features: Vec<Array2<f32>> = clips
            .iter()
            .map(|clip| self.plan.compute(clip))
            .collect::<std::result::Result<_, _>>()?;
        let lengths: Vec<i64> = features.iter().map(|rows| rows.nrows() as i64).collect();
        let answers = self.card.config.vocabulary() as usize;
        if lengths.iter().all(|&frames| frames == 0) {
            return Ok(vec![Array2::zeros((0, answers)); clips.len()]);
        }
        let batch = batch(&features).to_device(self.device);
        let (log_probs, valid) =
            compute("the recognizer", &batch.size(), || self.network.forward(&batch, &lengths))?; // [batch, answers, vocabulary]
        let log_probs = log_probs.to_device(Device::Cpu).to_kind(Kind::Float);
        let rows = |(row, &valid): (usize, &i64)| {
            let row = log_probs.get(row as i64).narrow(0, 0, valid).contiguous().view([-1]);
            let values = Vec::<f32>::try_from(row)?;
            Ok(Array2::from_shape_fn((valid as usize, answers), |(t, id)| values[t * answers + id]))
        };
        valid.iter().enumerate().map(rows).collect()
    }
}

impl Transcriber {
    /// As [`crate::tasks::Task::load`], with `.nemo` archives behaving as in a release of NeMo.
    ///
    /// # Errors
    /// As [`crate::tasks::Task::load`].
    pub fn load_release(
        source: &ModelSource,
        release: NemoRelease,
        options: &LoadOptions,
    ) -> Result<Self> {
        let mut broken = Ok(());
        let model =
            Model::load_with(source, options.device.resolve()?, |card: &mut CtcCard, origin| {
                if origin == Origin::Foreign {
                    broken = card.behave_like(release);
                }
            })?;
        broken?;
        Self::of_model(model)
    }

    /// A recogniser from a network that is loaded already.
    ///
    /// # Errors
    /// What is wrong with its front end or its SentencePiece model.
    pub fn of_model(model: Model<Squeezeformer>) -> Result<Self> {
        let plan = FeaturePlan::new(&model.card.frontend)?;
        let tokenizer = tokenizer(&model.card.vocabulary)?;
        let provenance = model.card.provenance.clone();
        let device = model.device();
        let Model { card, network, .. } = model;
        let network = FrozenSqueezeformer::new(network);
        Self::new(Box::new(Recogniser { card, network, device, plan }), tokenizer, provenance)
    }
}

fn tokenizer(vocabulary: &Vocabulary) -> Result<Tokenizer> {
    let model = vocabulary.model.as_deref();
    let model = model.map(|bytes| SentencePiece::parse(bytes, Path::new("tokenizer.model")));
    Ok(Tokenizer::new(vocabulary.kind, vocabulary.pieces.clone(), model.transpose()?))
}

#[cfg(test)]
mod tests {
    use formant_audio_core::AudioView;
    use formant_audio_core::features::presets;

    use super::*;
    use crate::arch::squeezeformer::NemoConfig;
    use crate::tasks::task::Task;
    use crate::tasks::transcribe::{Segmentation, TranscribeOptions};
    use crate::text::PieceKind;

    fn transcriber(masks: SubsamplingMasks) -> Transcriber {
        tch::manual_seed(3);
        let config = NemoConfig {
            d_model: 16,
            n_heads: 2,
            n_layers: 3,
            conv_kernel_size: 7,
            num_classes: 28,
            time_reduce_idx: Some(1),
            subsampling_masks: masks,
            ..NemoConfig::default()
        };
        let pieces = "abcdefghijklmnopqrstuvwxyz' ".chars().map(String::from).collect();
        let card = CtcCard {
            config: SqueezeformerConfig::Nemo(config),
            frontend: presets::by_name("nemo").expect("a preset"),
            vocabulary: Vocabulary { kind: PieceKind::Characters, pieces, model: None },
            provenance: serde_json::Value::Null,
        };
        Transcriber::of_model(Model::random(card, Device::Cpu).expect("valid")).expect("valid")
    }

    /// S3: windows of many lengths, one by one and side by side, have the same text.
    #[test]
    fn s3_batches_do_not_change_texts() {
        let mut noise = 7u32;
        let samples: Vec<f32> = (0..16_000 * 13 + 77)
            .map(|n| {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let burst = if n / 6400 % 2 == 0 { 0.3 } else { 0.01 };
                burst * ((noise >> 8) as f32 / (1 << 23) as f32 - 1.0)
            })
            .collect();
        for masks in [SubsamplingMasks::Masked, SubsamplingMasks::Unmasked] {
            let transcriber = transcriber(masks);
            let text = |batch: usize| {
                let options = TranscribeOptions {
                    batch,
                    segmentation: Segmentation::Length,
                    window: 2.0,
                    ..TranscribeOptions::default()
                };
                let audio = AudioView::from_mono(16_000, &samples);
                transcriber.process(&audio, &options).expect("a transcript").0.text
            };
            let alone = text(1);
            assert!(!alone.is_empty());
            for batch in [1, 2, 8] {
                assert_eq!(text(batch), alone);
            }
        }
    }

    /// S8.
    #[test]
    fn s8_short_clips_have_an_answer() {
        let transcriber = transcriber(SubsamplingMasks::Masked);
        let options =
            TranscribeOptions { segmentation: Segmentation::Length, ..Default::default() };
        for length in [0usize, 1, 2, 79, 159, 160, 399, 400, 401, 1023, 1600] {
            let samples = vec![0.3; length];
            let audio = AudioView::from_mono(16_000, &samples);
            transcriber.process(&audio, &options).expect("a transcript");
        }
    }
}
