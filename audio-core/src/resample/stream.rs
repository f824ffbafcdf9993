//! Conversion of a signal that arrives in pieces.
//!
//! Blocks lie on a grid that depends on the signal's start alone, never on how it was split.

use std::sync::Arc;

use super::plan::Scratch;
use super::{Quality, ResamplePlan, output_frames};
use crate::buffer::{AudioBuf, AudioSpec, AudioView};
use crate::error::{Error, Result};

/// Converts pieces of one signal; all channels go together.
///
/// ```
/// use formant_audio_core::resample::{Quality, StreamResampler};
/// use formant_audio_core::{AudioSpec, AudioView};
///
/// let mut stream = StreamResampler::new(AudioSpec::mono(48_000), 16_000, Quality::Fast)?;
/// let mut frames = 0;
/// for _ in 0..100 {
///     frames += stream.push(&AudioView::from_mono(48_000, &[0.0; 480]))?.frames();
/// }
/// frames += stream.finish()?.frames();
/// assert_eq!(frames, 16_000);
/// # Ok::<(), formant_audio_core::Error>(())
/// ```
pub struct StreamResampler {
    plan: Option<Arc<ResamplePlan>>,
    spec: AudioSpec,
    to_rate: u32,
    scratch: Option<Scratch>,
    /// Samples from the next block's margin on, one vector a channel.
    pending: Vec<Vec<f32>>,
    received: u64,
    emitted: u64,
}

impl StreamResampler {
    /// A stream whose output equals [`super::resample`]'s to the byte.
    ///
    /// # Errors
    /// [`Error::Config`] when a rate is zero, there is no channel, or the ratio needs too long a
    /// transform.
    pub fn new(spec: AudioSpec, to_rate: u32, quality: Quality) -> Result<Self> {
        Self::start(spec, to_rate, |from, to| ResamplePlan::new(from, to, quality))
    }

    /// A stream that holds back as little as the filter allows, for live audio. Its output equals
    /// [`super::resample`]'s up to rounding.
    ///
    /// # Errors
    /// As for [`StreamResampler::new`].
    pub fn low_latency(spec: AudioSpec, to_rate: u32, quality: Quality) -> Result<Self> {
        Self::start(spec, to_rate, |from, to| ResamplePlan::low_latency(from, to, quality))
    }

    fn start(
        spec: AudioSpec,
        to_rate: u32,
        plan: impl Fn(u32, u32) -> Result<ResamplePlan>,
    ) -> Result<Self> {
        let same = spec.rate == to_rate && to_rate > 0;
        let plan = if same { None } else { Some(Arc::new(plan(spec.rate, to_rate)?)) };
        if spec.channels() == 0 {
            return Err(Error::config("channels", "there must be at least one"));
        }
        let margin = plan.as_ref().map_or(0, |plan| plan.margin());
        Ok(Self {
            scratch: plan.as_ref().map(|plan| plan.scratch()),
            plan,
            spec,
            to_rate,
            pending: vec![vec![0.0; margin]; spec.channels()],
            received: 0,
            emitted: 0,
        })
    }

    /// Rate and layout of what comes out.
    #[must_use]
    pub fn output_spec(&self) -> AudioSpec {
        AudioSpec { rate: self.to_rate, layout: self.spec.layout }
    }

    /// Take the next piece and return what is settled by now.
    ///
    /// # Errors
    /// [`Error::Shape`] when the piece has another rate or layout than the stream.
    pub fn push(&mut self, piece: &AudioView<'_>) -> Result<AudioBuf> {
        if piece.spec() != self.spec {
            return Err(Error::Shape {
                what: "audio for the resampler",
                expected: format!("{} Hz {}", self.spec.rate, self.spec.layout),
                found: format!("{} Hz {}", piece.rate(), piece.spec().layout),
            });
        }
        self.received += piece.frames() as u64;
        let Some(plan) = self.plan.clone() else {
            self.emitted = self.received;
            return Ok(piece.to_owned());
        };
        let available = self.pending[0].len() + piece.frames();
        let (block, hop) = (plan.block(), plan.hop());
        let blocks = if available < block { 0 } else { 1 + (available - block) / hop };
        let per_block = output_frames(hop as u64, self.spec.rate, self.to_rate) as usize;
        let mut out = Vec::with_capacity(blocks * per_block * self.spec.channels());
        self.convert(&plan, blocks, |channel| piece.channel(channel), &mut out);
        self.emitted += (blocks * per_block) as u64;
        AudioBuf::from_planar(self.output_spec(), out)
    }

    /// As [`StreamResampler::push`], for a stream of one channel.
    ///
    /// # Errors
    /// [`Error::Shape`] when the stream has more channels.
    pub fn push_mono(&mut self, samples: &[f32]) -> Result<Vec<f32>> {
        Ok(self.push(&AudioView::from_mono(self.spec.rate, samples))?.into_planar())
    }

    /// The longest that a sample is held back, in seconds.
    #[must_use]
    pub fn max_delay(&self) -> f64 {
        let samples = self.plan.as_ref().map_or(0, |plan| plan.max_delay());
        samples as f64 / f64::from(self.spec.rate.max(1))
    }

    /// End the signal and return the rest, so that everything together has exactly
    /// [`output_frames`] frames. The stream is then ready for another signal.
    ///
    /// # Errors
    /// None at present.
    pub fn finish(&mut self) -> Result<AudioBuf> {
        let total = output_frames(self.received, self.spec.rate, self.to_rate);
        let rest = (total - self.emitted.min(total)) as usize;
        let channels = self.spec.channels();
        let mut out = Vec::with_capacity(rest * channels);
        if let Some(plan) = self.plan.clone() {
            let per_block = output_frames(plan.hop() as u64, self.spec.rate, self.to_rate) as usize;
            let blocks = rest.div_ceil(per_block);
            let silence = vec![0.0; blocks * plan.hop() + plan.block()];
            let mut whole = Vec::new();
            self.convert(&plan, blocks, |_| &silence, &mut whole);
            for channel in 0..channels {
                let start = channel * blocks * per_block;
                out.extend_from_slice(&whole[start..start + rest]);
            }
            for pending in &mut self.pending {
                pending.clear();
                pending.resize(plan.margin(), 0.0);
            }
        }
        (self.received, self.emitted) = (0, 0);
        AudioBuf::from_planar(self.output_spec(), out)
    }

    /// The whole signal at once: the same blocks without the detour over pieces.
    pub(super) fn whole(&mut self, audio: &AudioView<'_>) -> Result<AudioBuf> {
        let (Some(plan), Some(scratch)) = (&self.plan, &mut self.scratch) else {
            return Ok(audio.to_owned());
        };
        let total = output_frames(audio.frames() as u64, self.spec.rate, self.to_rate) as usize;
        let mut out = Vec::with_capacity(total * self.spec.channels());
        for channel in 0..self.spec.channels() {
            let samples = audio.channel(channel);
            let end = out.len() + total;
            let mut start = 0;
            while out.len() < end {
                fill_block(samples, start, plan.margin(), &mut scratch.input);
                let converted = plan.convert(scratch);
                out.extend_from_slice(&converted[..converted.len().min(end - out.len())]);
                start += plan.hop();
            }
        }
        AudioBuf::from_planar(self.output_spec(), out)
    }

    /// Convert `blocks` blocks of every channel from what is pending and `piece`, append them to
    /// `out` channel by channel, and keep what the next block needs.
    fn convert<'a>(
        &mut self,
        plan: &ResamplePlan,
        blocks: usize,
        piece: impl Fn(usize) -> &'a [f32],
        out: &mut Vec<f32>,
    ) {
        let Some(scratch) = &mut self.scratch else { return };
        for (channel, pending) in self.pending.iter_mut().enumerate() {
            let fresh = piece(channel);
            for block in 0..blocks {
                copy_joined(pending, fresh, block * plan.hop(), &mut scratch.input);
                out.extend_from_slice(plan.convert(scratch));
            }
            let done = blocks * plan.hop();
            if done >= pending.len() {
                let from = done - pending.len();
                pending.clear();
                pending.extend_from_slice(&fresh[from..]);
            } else {
                pending.drain(..done);
                pending.extend_from_slice(fresh);
            }
        }
    }
}

/// Fill `out` from position `start` of `first` followed by `second`.
fn copy_joined(first: &[f32], second: &[f32], start: usize, out: &mut [f32]) {
    let from_first = first.len().saturating_sub(start).min(out.len());
    let (head, tail) = out.split_at_mut(from_first);
    if from_first > 0 {
        head.copy_from_slice(&first[start..start + from_first]);
    }
    if !tail.is_empty() {
        let offset = (start + from_first) - first.len();
        tail.copy_from_slice(&second[offset..offset + tail.len()]);
    }
}

/// Fill `out` from position `start - margin` of `samples` on; silence stands beyond the ends.
fn fill_block(samples: &[f32], start: usize, margin: usize, out: &mut [f32]) {
    let before = margin.saturating_sub(start).min(out.len());
    let first = (start + before).saturating_sub(margin).min(samples.len());
    let inside = (out.len() - before).min(samples.len() - first);
    out[..before].fill(0.0);
    out[before..before + inside].copy_from_slice(&samples[first..first + inside]);
    out[before + inside..].fill(0.0);
}
