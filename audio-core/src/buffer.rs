//! Samples in memory: an owned planar buffer and a borrowed view of it.
//!
//! Lengths are whole frames (one sample of every channel); seconds appear only in `duration`.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::layout::ChannelLayout;

/// What a stretch of audio is: its sample rate and its channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudioSpec {
    /// Sample rate in Hz, never zero in a buffer.
    pub rate: u32,
    /// Channel layout.
    pub layout: ChannelLayout,
}

impl AudioSpec {
    /// One channel at `rate` Hz.
    #[must_use]
    pub fn mono(rate: u32) -> Self {
        Self { rate, layout: ChannelLayout::Mono }
    }

    /// Number of channels.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.layout.count()
    }
}

/// Owned planar audio, `f32` samples nominally in [-1, 1]: all of channel 0, then all of channel 1.
#[derive(Debug, Clone, PartialEq)]
pub struct AudioBuf {
    spec: AudioSpec,
    frames: usize,
    data: Vec<f32>, // [channels, frames]
}

impl AudioBuf {
    /// Silence of `frames` frames.
    #[must_use]
    pub fn silence(spec: AudioSpec, frames: usize) -> Self {
        Self { spec, frames, data: vec![0.0; spec.channels() * frames] }
    }

    /// One channel from its samples.
    #[must_use]
    pub fn from_mono(rate: u32, samples: Vec<f32>) -> Self {
        Self { spec: AudioSpec::mono(rate), frames: samples.len(), data: samples }
    }

    /// Planar data `[channels, frames]` in one vector.
    ///
    /// # Errors
    /// [`Error::Shape`] when the length is no multiple of the channel count.
    pub fn from_planar(spec: AudioSpec, data: Vec<f32>) -> Result<Self> {
        let channels = spec.channels();
        if channels == 0 || !data.len().is_multiple_of(channels) {
            return Err(Error::Shape {
                what: "planar samples",
                expected: format!("a multiple of {channels} channels"),
                found: format!("{} samples", data.len()),
            });
        }
        Ok(Self { spec, frames: data.len() / channels, data })
    }

    /// Interleaved samples (left, right, left, ...), as most files store them.
    ///
    /// # Errors
    /// [`Error::Shape`] when the length is no multiple of the channel count.
    pub fn from_interleaved(spec: AudioSpec, samples: &[f32]) -> Result<Self> {
        let channels = spec.channels();
        if channels == 0 || !samples.len().is_multiple_of(channels) {
            return Err(Error::Shape {
                what: "interleaved samples",
                expected: format!("a multiple of {channels} channels"),
                found: format!("{} samples", samples.len()),
            });
        }
        let frames = samples.len() / channels;
        let mut data = Vec::with_capacity(samples.len());
        for channel in 0..channels {
            data.extend(samples.iter().skip(channel).step_by(channels));
        }
        Ok(Self { spec, frames, data })
    }

    /// Rate and layout.
    #[must_use]
    pub fn spec(&self) -> AudioSpec {
        self.spec
    }

    /// Sample rate in Hz.
    #[must_use]
    pub fn rate(&self) -> u32 {
        self.spec.rate
    }

    /// Number of channels.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.spec.channels()
    }

    /// Length in frames.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// Whether there is no frame at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frames == 0
    }

    /// Length in seconds.
    #[must_use]
    pub fn duration(&self) -> f64 {
        self.frames as f64 / f64::from(self.spec.rate)
    }

    /// Samples of one channel.
    ///
    /// # Panics
    /// When `channel` is not below [`AudioBuf::channels`].
    #[must_use]
    pub fn channel(&self, channel: usize) -> &[f32] {
        &self.data[channel * self.frames..(channel + 1) * self.frames]
    }

    /// Samples of one channel, to change in place.
    ///
    /// # Panics
    /// When `channel` is not below [`AudioBuf::channels`].
    pub fn channel_mut(&mut self, channel: usize) -> &mut [f32] {
        &mut self.data[channel * self.frames..(channel + 1) * self.frames]
    }

    /// All samples, `[channels, frames]`.
    #[must_use]
    pub fn as_planar(&self) -> &[f32] {
        &self.data
    }

    /// All samples, `[channels, frames]`, to change in place.
    pub fn as_planar_mut(&mut self) -> &mut [f32] {
        &mut self.data
    }

    /// The samples as one vector, `[channels, frames]`.
    #[must_use]
    pub fn into_planar(self) -> Vec<f32> {
        self.data
    }

    /// Borrow the whole buffer.
    #[must_use]
    pub fn view(&self) -> AudioView<'_> {
        AudioView {
            spec: self.spec,
            start: 0,
            frames: self.frames,
            stride: self.frames,
            data: &self.data,
        }
    }

    /// All parts, one after the other.
    ///
    /// # Errors
    /// [`Error::Empty`] without a part, [`Error::Shape`] for parts of different rates or layouts.
    pub fn concat(parts: &[Self]) -> Result<Self> {
        let spec = parts.first().ok_or(Error::Empty)?.spec;
        if let Some(other) = parts.iter().find(|part| part.spec != spec) {
            return Err(mismatch(spec, other.spec));
        }
        let channels = (0..spec.channels()).flat_map(|channel| {
            parts.iter().flat_map(move |part| part.channel(channel).iter().copied())
        });
        Self::from_planar(spec, channels.collect())
    }

    /// Append another buffer of the same spec.
    ///
    /// # Errors
    /// [`Error::Shape`] when rate or layout differ.
    pub fn append(&mut self, other: &AudioView<'_>) -> Result<()> {
        if other.spec != self.spec {
            return Err(mismatch(self.spec, other.spec));
        }
        let frames = self.frames + other.frames;
        let mut data = Vec::with_capacity(frames * self.channels());
        for channel in 0..self.channels() {
            data.extend_from_slice(self.channel(channel));
            data.extend_from_slice(other.channel(channel));
        }
        self.data = data;
        self.frames = frames;
        Ok(())
    }
}

/// A borrowed stretch of an [`AudioBuf`].
#[derive(Debug, Clone, Copy)]
pub struct AudioView<'a> {
    spec: AudioSpec,
    start: usize,
    frames: usize,
    stride: usize,
    data: &'a [f32],
}

impl<'a> AudioView<'a> {
    /// One channel of plain samples.
    #[must_use]
    pub fn from_mono(rate: u32, samples: &'a [f32]) -> Self {
        Self {
            spec: AudioSpec::mono(rate),
            start: 0,
            frames: samples.len(),
            stride: samples.len(),
            data: samples,
        }
    }

    /// Rate and layout.
    #[must_use]
    pub fn spec(&self) -> AudioSpec {
        self.spec
    }

    /// Sample rate in Hz.
    #[must_use]
    pub fn rate(&self) -> u32 {
        self.spec.rate
    }

    /// Number of channels.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.spec.channels()
    }

    /// Length in frames.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// Whether there is no frame at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frames == 0
    }

    /// Length in seconds.
    #[must_use]
    pub fn duration(&self) -> f64 {
        self.frames as f64 / f64::from(self.spec.rate)
    }

    /// Samples of one channel.
    ///
    /// # Panics
    /// When `channel` is not below [`AudioView::channels`].
    #[must_use]
    pub fn channel(&self, channel: usize) -> &'a [f32] {
        assert!(channel < self.channels(), "channel {channel} of {}", self.channels());
        let at = channel * self.stride + self.start;
        &self.data[at..at + self.frames]
    }

    /// The frames of `range`, which is cut to what exists.
    #[must_use]
    pub fn slice(&self, range: std::ops::Range<usize>) -> Self {
        let from = range.start.min(self.frames);
        let to = range.end.clamp(from, self.frames);
        Self { start: self.start + from, frames: to - from, ..*self }
    }

    /// Copy into an owned buffer.
    #[must_use]
    pub fn to_owned(&self) -> AudioBuf {
        let mut data = Vec::with_capacity(self.channels() * self.frames);
        for channel in 0..self.channels() {
            data.extend_from_slice(self.channel(channel));
        }
        AudioBuf { spec: self.spec, frames: self.frames, data }
    }

    /// Interleaved copy of the samples (left, right, left, ...).
    #[must_use]
    pub fn to_interleaved(&self) -> Vec<f32> {
        let channels = self.channels();
        let mut out = vec![0.0; channels * self.frames];
        for channel in 0..channels {
            for (frame, &sample) in self.channel(channel).iter().enumerate() {
                out[frame * channels + channel] = sample;
            }
        }
        out
    }

    /// All channels mixed to one with [`ChannelLayout::mono_weights`].
    #[must_use]
    pub fn to_mono(&self) -> Vec<f32> {
        if self.channels() == 1 {
            return self.channel(0).to_vec();
        }
        let mut out = vec![0.0f32; self.frames];
        for (channel, weight) in self.spec.layout.mono_weights().into_iter().enumerate() {
            if weight != 0.0 {
                for (sum, &sample) in out.iter_mut().zip(self.channel(channel)) {
                    *sum += weight * sample;
                }
            }
        }
        out
    }
}

fn mismatch(expected: AudioSpec, found: AudioSpec) -> Error {
    Error::Shape {
        what: "audio to append",
        expected: format!("{} Hz {}", expected.rate, expected.layout),
        found: format!("{} Hz {}", found.rate, found.layout),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stereo() -> AudioBuf {
        let spec = AudioSpec { rate: 8000, layout: ChannelLayout::Stereo };
        AudioBuf::from_interleaved(spec, &[1.0, -1.0, 2.0, -2.0, 3.0, -3.0]).expect("even length")
    }

    #[test]
    fn interleaved_round_trip() {
        let buf = stereo();
        assert_eq!(buf.channel(0), [1.0, 2.0, 3.0]);
        assert_eq!(buf.view().slice(1..9).to_interleaved(), [2.0, -2.0, 3.0, -3.0]);
        assert_eq!(buf.view().slice(1..2).to_owned().channel(1), [-2.0]);
    }

    #[test]
    fn append_keeps_channels_apart() {
        let mut buf = stereo();
        let tail = stereo();
        buf.append(&tail.view().slice(2..3)).expect("same spec");
        assert_eq!(buf.channel(0), [1.0, 2.0, 3.0, 3.0]);
        assert_eq!(buf.channel(1), [-1.0, -2.0, -3.0, -3.0]);
        assert!(buf.append(&AudioView::from_mono(8000, &[0.0])).is_err());
    }

    #[test]
    fn concat_is_append_of_all() {
        let (a, b) = (stereo(), stereo().view().slice(1..2).to_owned());
        let mut wanted = a.clone();
        wanted.append(&b.view()).expect("same spec");
        assert_eq!(AudioBuf::concat(&[a.clone(), b]).expect("same spec"), wanted);
        assert!(AudioBuf::concat(&[]).is_err());
        assert!(AudioBuf::concat(&[a, AudioBuf::from_mono(8000, vec![0.0])]).is_err());
    }

    #[test]
    fn odd_lengths_are_refused() {
        let spec = AudioSpec { rate: 8000, layout: ChannelLayout::Stereo };
        assert!(AudioBuf::from_interleaved(spec, &[0.0; 3]).is_err());
        assert!(AudioBuf::from_planar(spec, vec![0.0; 5]).is_err());
    }

    #[test]
    fn stereo_mixes_to_the_mean() {
        assert_eq!(stereo().view().to_mono(), [0.0, 0.0, 0.0]);
    }
}
