//! What the waveform of a recording depends on everywhere, found by reading the recording beforehand.

use formant_audio_core::AudioView;
use formant_audio_core::features::FeatureStream;

use super::flow::Flow;
use super::level::{gain, peak};
use super::synthesis::Synthesis;
use super::{VocodeOptions, Vocoder};
use crate::arch::periodwave::CondNorms;
use crate::error::{Error, Result};
use crate::tasks::intake::{Guard, Pace, resampler};

/// Level and norms of the conditioning of every channel of a recording; nothing of one that a session
/// sees as a whole by itself.
#[derive(Debug, Clone, Default)]
pub struct Survey {
    pub(super) channels: Vec<Surveyed>,
}

/// What a channel depends on.
#[derive(Debug, Clone)]
pub(super) struct Surveyed {
    pub(super) is_silent: bool,
    pub(super) gain: f32,
    pub(super) norms: Option<CondNorms>,
}

/// Reads a recording, and hands on its blocks.
type Read<'a, E> = &'a mut dyn for<'b> FnMut(&'b mut Hear<'b>) -> std::result::Result<(), E>;
type Hear<'a> = dyn FnMut(&AudioView<'_>) -> Result<()> + 'a;

impl Survey {
    pub(super) fn new<E: From<Error>>(
        vocoder: &Vocoder,
        options: &VocodeOptions,
        read: Read<'_, E>,
    ) -> std::result::Result<Self, E> {
        let (rate, mut heard, mut peaks) = (vocoder.sample_rate(), 0, Vec::new());
        pass(rate, read, |channel, samples| {
            peaks.resize(peaks.len().max(channel + 1), 0.0f32);
            peaks[channel] = peaks[channel].max(peak(samples));
            if channel == 0 {
                heard += samples.len();
            }
        })?;
        if heard as f64 <= options.measured_seconds * f64::from(rate) {
            return Ok(Self::default());
        }
        let synthesis = Synthesis::Network(Box::new(vocoder.clone()), *options);
        let plan = synthesis.plan()?;
        let gains: Vec<f32> = peaks.iter().map(|&peak| gain(peak)).collect();
        let mut mels: Vec<Mel> = peaks.iter().map(|_| Mel::new(plan.stream())).collect();
        pass(rate, read, |channel, samples| mels[channel].push(samples, gains[channel]))?;
        let silence = synthesis.whole(heard, &plan) - heard;
        let channel = |((mel, gain), peak): ((Mel, f32), f32)| {
            let is_silent = peak == 0.0;
            let norms = match is_silent {
                true => None,
                false => Flow::norms_of(vocoder, options, &mel.finish(silence))?,
            };
            Ok(Surveyed { is_silent, gain, norms })
        };
        let channels = mels.into_iter().zip(gains).zip(peaks).map(channel);
        Ok(Self { channels: channels.collect::<Result<_>>()? })
    }
}

/// Calls `hear` with a channel and its next samples at `rate`, to the end of a recording.
fn pass<E: From<Error>>(
    rate: u32,
    read: Read<'_, E>,
    mut hear: impl FnMut(usize, &[f32]),
) -> std::result::Result<(), E> {
    let (mut guard, mut forth) = (Guard::default(), None);
    read(&mut |block| {
        let block = guard.take(block)?;
        let forth = match &mut forth {
            Some(forth) => forth,
            none => none.insert(resampler(block.spec(), rate, Pace::Throughput)?),
        };
        let inside = forth.push(&block.view())?;
        (0..inside.channels()).for_each(|channel| hear(channel, inside.channel(channel)));
        Ok(())
    })?;
    if let Some(mut forth) = forth {
        let inside = forth.finish().map_err(Error::from)?;
        (0..inside.channels()).for_each(|channel| hear(channel, inside.channel(channel)));
    }
    Ok(())
}

/// The spectrogram of a channel, all of which is kept.
struct Mel {
    stream: FeatureStream,
    rows: Vec<f32>,
}

impl Mel {
    fn new(stream: FeatureStream) -> Self {
        Self { stream, rows: Vec::new() }
    }

    fn push(&mut self, samples: &[f32], gain: f32) {
        let scaled: Vec<f32> = samples.iter().map(|x| x * gain).collect();
        self.stream.push_into(&scaled, &mut self.rows);
    }

    /// The rows with so much silence behind.
    fn finish(mut self, silence: usize) -> Vec<f32> {
        self.stream.push_into(&vec![0.0; silence], &mut self.rows);
        self.stream.finish_into(&mut self.rows);
        self.rows
    }
}
