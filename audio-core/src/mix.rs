//! A mono mix that notices when it falls silent although its channels don't.

use crate::buffer::AudioView;
use crate::layout::{ChannelLayout, Position};
use crate::warning::Warning;

/// Time over which powers are averaged, in seconds.
const AVERAGE: f64 = 0.1;
/// Time for which channels have to cancel before one of them is used, in seconds.
const PATIENCE: f64 = 0.02;
/// Time constant of the change from the mix to one channel and back, in seconds.
const FADE: f64 = 0.005;
/// The mix is lost below this share of the power that independent channels would give, and back
/// above ten times as much.
const LOST: f32 = 0.01;
/// Powers below this are silence (-70 dBFS).
const SILENCE: f32 = 1e-7;
/// The share of the sound that has to be affected before a warning is worth it.
const WORTH_TELLING: f64 = 0.05;

/// Mixes a stream to one channel with [`ChannelLayout::mono_weights`], and uses the loudest channel
/// where the channels cancel each other, as in a stereo recording with one side inverted.
///
/// The result does not depend on the sizes of the blocks, and equals
/// [`AudioView::to_mono`] for as long as nothing cancels.
#[derive(Debug, Clone)]
pub struct MonoMixer {
    weights: Vec<f32>,
    lfe: Option<usize>,
    smoothing: f32,
    fade: f32,
    patience: u32,
    powers: Vec<f32>, // of each channel, averaged
    mixed: f32,       // of the mix, averaged
    lost_for: u32,
    /// Whether the mix stays what it is even where it is lost.
    obedient: bool,
    /// The channel to use instead of the mix, and how far the change has gone.
    instead: Option<usize>,
    share: f32,
    sounding: u64,
    replaced: Vec<u64>, // frames for which each channel took the place of the mix
    energy: (f64, f64), // of all channels without the LFE, and of the LFE
}

impl MonoMixer {
    /// A mixer for a stream.
    #[must_use]
    pub fn new(rate: u32, layout: ChannelLayout) -> Self {
        let smooth = |seconds: f64| (1.0 / (f64::from(rate) * seconds)).min(1.0) as f32;
        Self {
            weights: layout.mono_weights(),
            lfe: layout.positions().iter().position(|&position| position == Position::Lfe),
            smoothing: smooth(AVERAGE),
            fade: smooth(FADE),
            patience: (f64::from(rate) * PATIENCE) as u32,
            powers: vec![0.0; layout.count()],
            mixed: 0.0,
            lost_for: 0,
            obedient: false,
            instead: None,
            share: 0.0,
            sounding: 0,
            replaced: vec![0; layout.count()],
            energy: (0.0, 0.0),
        }
    }

    /// A mixer for a stream of which the plain mix is wanted: it says so where channels cancel, and
    /// changes nothing.
    #[must_use]
    pub fn obedient(rate: u32, layout: ChannelLayout) -> Self {
        Self { obedient: true, ..Self::new(rate, layout) }
    }

    /// The mix of the next block, which has the channels of the stream.
    #[must_use]
    pub fn push(&mut self, block: &AudioView<'_>) -> Vec<f32> {
        let mut out = block.to_mono();
        if block.channels() < 2 || block.channels() != self.weights.len() {
            return out;
        }
        for (frame, mixed) in out.iter_mut().enumerate() {
            self.measure(block, frame, *mixed);
            if self.obedient {
                continue;
            }
            let target = if self.instead.is_some() { 1.0 } else { 0.0 };
            self.share += (target - self.share) * self.fade;
            if self.instead.is_none() && self.share < 1e-3 {
                self.share = 0.0;
            }
            if self.share > 0.0 {
                let channel = self.instead.unwrap_or_else(|| self.loudest());
                let sample = block.channel(channel)[frame];
                *mixed += (sample - *mixed) * self.share;
            }
        }
        out
    }

    fn measure(&mut self, block: &AudioView<'_>, frame: usize, mixed: f32) {
        let mut independent = 0.0;
        for (channel, power) in self.powers.iter_mut().enumerate() {
            let now = block.channel(channel)[frame].powi(2);
            *power += (now - *power) * self.smoothing;
            independent += self.weights[channel].powi(2) * *power;
            let energy =
                if Some(channel) == self.lfe { &mut self.energy.1 } else { &mut self.energy.0 };
            *energy += f64::from(now);
        }
        self.mixed += (mixed.powi(2) - self.mixed) * self.smoothing;
        if independent < SILENCE {
            return;
        }
        self.sounding += 1;
        if self.mixed < LOST * independent {
            self.lost_for = self.lost_for.saturating_add(1);
            if self.lost_for > self.patience && self.instead.is_none() {
                self.instead = Some(self.loudest());
            }
        } else if self.mixed > 10.0 * LOST * independent {
            self.lost_for = 0;
            self.instead = None;
        }
        if let Some(channel) = self.instead {
            self.replaced[channel] += 1;
        }
    }

    /// The loudest channel that the mix contains.
    fn loudest(&self) -> usize {
        let heard = (0..self.powers.len()).filter(|&channel| self.weights[channel] > 0.0);
        heard.max_by(|&a, &b| self.powers[a].total_cmp(&self.powers[b])).unwrap_or(0)
    }

    /// What the listener should know about the mix so far.
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        let mut warnings = Vec::new();
        let replaced: u64 = self.replaced.iter().sum();
        if replaced > 0 && replaced as f64 >= WORTH_TELLING * self.sounding as f64 {
            let most = (0..self.replaced.len()).max_by_key(|&channel| self.replaced[channel]);
            warnings.push(match self.obedient {
                true => Warning::MixCancels,
                false => Warning::ChannelsCancel { channel: most.unwrap_or(0) + 1 },
            });
        }
        let (others, lfe) = self.energy;
        if let Some(channel) = self.lfe
            && lfe > 0.0
            && others < 1e-6 * lfe
        {
            warnings.push(Warning::OnlyLfe { channel: channel + 1 });
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::{AudioBuf, AudioSpec};

    const RATE: u32 = 16_000;

    fn tone(frames: usize) -> Vec<f32> {
        (0..frames).map(|at| 0.5 * (at as f32 * 0.2).sin()).collect()
    }

    fn stereo(left: &[f32], right: &[f32]) -> AudioBuf {
        let spec = AudioSpec { rate: RATE, layout: ChannelLayout::Stereo };
        AudioBuf::from_planar(spec, [left, right].concat()).expect("two channels")
    }

    fn mix(audio: &AudioBuf, block: usize) -> (Vec<f32>, Vec<Warning>) {
        let mut mixer = MonoMixer::new(audio.rate(), audio.spec().layout);
        let starts = (0..audio.frames()).step_by(block);
        let out = starts.flat_map(|at| mixer.push(&audio.view().slice(at..at + block))).collect();
        (out, mixer.warnings())
    }

    #[test]
    fn w1_channels_that_cancel_give_the_louder_one() {
        let left = tone(16_000);
        let right: Vec<f32> = left.iter().map(|sample| -sample).collect();
        let audio = stereo(&left, &right);
        let (out, warnings) = mix(&audio, 160);
        let settled = RATE as usize / 5;
        let used = usize::from((out[settled + 5] - left[settled + 5]).abs() > 0.01);
        for (found, wanted) in out.iter().zip(audio.channel(used)).skip(settled) {
            assert!((found - wanted).abs() < 1e-3, "{found} {wanted}");
        }
        assert_eq!(warnings, [Warning::ChannelsCancel { channel: used + 1 }]);
        assert_eq!(mix(&audio, 16_000), (out.clone(), warnings.clone()));
        assert_eq!(mix(&audio, 7), (out, warnings), "blocks do not matter");
        let mut obedient = MonoMixer::obedient(RATE, ChannelLayout::Stereo);
        assert!(obedient.push(&audio.view()).iter().all(|&sample| sample == 0.0));
        assert_eq!(obedient.warnings(), [Warning::MixCancels]);
    }

    #[test]
    fn w1_ordinary_stereo_is_the_plain_mean() {
        let left = tone(16_000);
        let delayed: Vec<f32> = [vec![0.0; 9], left[..15_991].to_vec()].concat();
        for right in [left.clone(), delayed, vec![0.0; 16_000]] {
            let audio = stereo(&left, &right);
            assert_eq!(mix(&audio, 333), (audio.view().to_mono(), vec![]));
        }
    }

    #[test]
    fn w1_sound_in_the_lfe_alone_is_told() {
        let spec = AudioSpec { rate: RATE, layout: ChannelLayout::Surround5_1 };
        let mut audio = AudioBuf::silence(spec, 1600);
        audio.channel_mut(3).copy_from_slice(&tone(1600));
        let (out, warnings) = mix(&audio, 100);
        assert!(out.iter().all(|&sample| sample == 0.0));
        assert_eq!(warnings, [Warning::OnlyLfe { channel: 4 }]);
    }
}
