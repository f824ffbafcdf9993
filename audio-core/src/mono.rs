//! Several channels to one on a stream, with an eye on channels that cancel each other.
//!
//! [`AudioView::to_mono`] is the plain mix. Where the same sound is in two channels with opposite
//! signs (one wire swapped, or a "karaoke" effect) it is silence, and whoever listens for speech
//! hears none. [`MonoMixer`] follows the level of the mix and of the channels from sample to sample,
//! so that it makes no difference where blocks end, and takes the loudest channel while the mix is
//! far below it.

use crate::buffer::{AudioSpec, AudioView};
use crate::layout::ChannelLayout;

/// Seconds over which levels are measured.
const MEASURED: f32 = 0.05;
/// Seconds from the mix to a channel, or back.
const FADE: f32 = 0.005;
/// The mix is this much weaker than a channel where channels cancel (-30 dB in power), and not any
/// more above this (-20 dB).
const CANCELS: f32 = 1e-3;
const SOUNDS: f32 = 1e-2;
/// Power of a channel below which nothing is to be heard (-80 dBFS).
const AUDIBLE: f32 = 1e-8;

/// Mixes the blocks of one stream.
#[derive(Debug, Clone, Default)]
pub struct MonoMixer {
    stream: Option<Stream>,
}

#[derive(Debug, Clone)]
struct Stream {
    weights: Vec<f32>,
    lfe: Option<usize>,
    decay: f32,
    fade: f32,
    /// Smoothed power of the mix and of the channels.
    mix: f32,
    powers: Vec<f32>,
    /// The channel that is taken, and its share.
    channel: usize,
    cancels: bool,
    share: f32,
    /// What was seen so far.
    replaced: Option<usize>,
    heard: f32,
    heard_lfe: f32,
}

impl MonoMixer {
    /// The samples of a block as one channel.
    pub fn push(&mut self, block: &AudioView<'_>) -> Vec<f32> {
        let mut mono = block.to_mono();
        if block.channels() > 1 {
            self.stream.get_or_insert_with(|| Stream::new(block.spec())).watch(block, &mut mono);
        }
        mono
    }

    /// The channel, from 1, that was used in place of a mix in which channels cancel.
    #[must_use]
    pub fn replaced_by(&self) -> Option<usize> {
        self.stream.as_ref()?.replaced
    }

    /// The channel for low frequencies, from 1, where it is the only one with sound.
    #[must_use]
    pub fn only_lfe(&self) -> Option<usize> {
        let stream = self.stream.as_ref()?;
        let alone = stream.heard < AUDIBLE && stream.heard_lfe >= AUDIBLE;
        stream.lfe.filter(|_| alone).map(|channel| channel + 1)
    }
}

impl Stream {
    fn new(spec: AudioSpec) -> Self {
        let rate = spec.rate.max(1) as f32;
        let weights = spec.layout.mono_weights();
        Self {
            lfe: lfe(spec.layout),
            decay: 1.0 / (MEASURED * rate).max(1.0),
            fade: 1.0 / (FADE * rate).max(1.0),
            mix: 0.0,
            powers: vec![0.0; weights.len()],
            channel: 0,
            cancels: false,
            share: 0.0,
            replaced: None,
            heard: 0.0,
            heard_lfe: 0.0,
            weights,
        }
    }

    fn watch(&mut self, block: &AudioView<'_>, mono: &mut [f32]) {
        for (frame, mixed) in mono.iter_mut().enumerate() {
            self.mix += self.decay * (*mixed * *mixed - self.mix);
            let (mut loudest, mut most) = (0, 0.0);
            for (channel, power) in self.powers.iter_mut().enumerate() {
                let sample = block.channel(channel)[frame];
                *power += self.decay * (sample * sample - *power);
                if self.weights[channel] == 0.0 {
                    self.heard_lfe = self.heard_lfe.max(*power);
                } else if *power > most {
                    (loudest, most) = (channel, *power);
                }
            }
            self.heard = self.heard.max(most);
            if self.cancels {
                self.cancels = self.mix <= SOUNDS * most;
            } else if most > AUDIBLE && self.mix < CANCELS * most {
                (self.cancels, self.channel) = (true, loudest);
                self.replaced.get_or_insert(loudest + 1);
            }
            let step = if self.cancels { self.fade } else { -self.fade };
            self.share = (self.share + step).clamp(0.0, 1.0);
            if self.share > 0.0 {
                let other = block.channel(self.channel)[frame];
                *mixed += self.share * (other - *mixed);
            }
        }
    }
}

fn lfe(layout: ChannelLayout) -> Option<usize> {
    layout.mono_weights().iter().position(|&weight| weight == 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::AudioBuf;

    fn tone(frames: usize) -> Vec<f32> {
        (0..frames).map(|n| 0.3 * (n as f32 * 0.17).sin()).collect()
    }

    fn audio(layout: ChannelLayout, channels: &[Vec<f32>]) -> AudioBuf {
        AudioBuf::from_planar(AudioSpec { rate: 16_000, layout }, channels.concat()).expect("whole")
    }

    fn mixed(audio: &AudioBuf, block: usize) -> (Vec<f32>, MonoMixer) {
        let mut mixer = MonoMixer::default();
        let mut all = Vec::new();
        for at in (0..audio.frames()).step_by(block) {
            let end = audio.frames().min(at + block);
            all.extend(mixer.push(&audio.view().slice(at..end)));
        }
        (all, mixer)
    }

    #[test]
    fn w1_channels_in_anti_phase_are_heard() {
        let left = tone(16_000);
        let right: Vec<f32> = left.iter().map(|x| -0.9 * x).collect();
        let audio = audio(ChannelLayout::Stereo, &[left.clone(), right]);
        let (mono, mixer) = mixed(&audio, 997);
        assert_eq!(mixer.replaced_by(), None, "the mix is a twentieth, which is -26 dB");
        assert_eq!(mono, audio.view().to_mono());
        let right: Vec<f32> = left.iter().map(|x| -x).collect();
        let audio = self::audio(ChannelLayout::Stereo, &[left.clone(), right]);
        for block in [1, 997, 16_000] {
            let (mono, mixer) = mixed(&audio, block);
            assert_eq!(mixer.replaced_by(), Some(1), "blocks of {block}");
            assert_eq!(mono[200..], left[200..], "after the fade");
        }
    }

    #[test]
    fn w1_a_stretch_in_anti_phase_is_replaced_and_the_rest_is_the_mix() {
        let left = tone(48_000);
        let right: Vec<f32> = left
            .iter()
            .enumerate()
            .map(|(n, x)| if (16_000..32_000).contains(&n) { -x } else { *x })
            .collect();
        let audio = audio(ChannelLayout::Stereo, &[left.clone(), right]);
        let (mono, _) = mixed(&audio, 4096);
        assert_eq!(mono[..16_000], left[..16_000]);
        let off = |range: std::ops::Range<usize>| {
            mono[range.clone()]
                .iter()
                .zip(&left[range])
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f32::max)
        };
        assert!(off(25_000..31_000) < 1e-6 && off(40_000..48_000) < 1e-6);
        assert_eq!(mixed(&audio, 1).0, mono);
    }

    #[test]
    fn w1_usual_stereo_and_silence_are_the_plain_mix() {
        let (left, right) = (tone(8000), tone(9000)[1000..].to_vec());
        for channels in
            [[left.clone(), right], [left, vec![0.0; 8000]], [vec![0.0; 8000], vec![0.0; 8000]]]
        {
            let audio = audio(ChannelLayout::Stereo, &channels);
            let (mono, mixer) = mixed(&audio, 100);
            assert_eq!(mono, audio.view().to_mono());
            assert_eq!((mixer.replaced_by(), mixer.only_lfe()), (None, None));
        }
    }

    #[test]
    fn w1_a_sound_in_the_low_frequency_channel_alone_is_noted() {
        let mut channels = vec![vec![0.0; 8000]; 6];
        channels[3] = tone(8000);
        let (_, mixer) = mixed(&audio(ChannelLayout::Surround5_1, &channels), 512);
        assert_eq!(mixer.only_lfe(), Some(4));
        channels[0] = tone(8000);
        let (_, mixer) = mixed(&audio(ChannelLayout::Surround5_1, &channels), 512);
        assert_eq!(mixer.only_lfe(), None);
    }
}
