//! Choosing channels: the mix, one side, or each channel for itself.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::buffer::{AudioBuf, AudioView};
use crate::error::{Error, Result};
use crate::layout::{ChannelLayout, Position};

/// Which channels of an input to work on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChannelSelect {
    /// All channels mixed to one with the weights of ITU-R BS.775, LFE left out.
    #[default]
    Mix,
    /// The front left channel, or the first one of a layout without positions.
    Left,
    /// The front right channel, or the second one of a layout without positions.
    Right,
    /// Every channel for itself.
    Each,
}

impl ChannelSelect {
    /// The chosen channels, each as a mono buffer; all but [`ChannelSelect::Each`] give one.
    ///
    /// A mono input is its own left and right.
    #[must_use]
    pub fn apply(self, audio: &AudioView<'_>) -> Vec<AudioBuf> {
        let mono =
            |channel: usize| AudioBuf::from_mono(audio.rate(), audio.channel(channel).to_vec());
        match self {
            Self::Mix => vec![AudioBuf::from_mono(audio.rate(), audio.to_mono())],
            Self::Left => vec![mono(find(audio.spec().layout, Position::FrontLeft, 0))],
            Self::Right => vec![mono(find(audio.spec().layout, Position::FrontRight, 1))],
            Self::Each => (0..audio.channels()).map(mono).collect(),
        }
    }
}

fn find(layout: ChannelLayout, position: Position, otherwise: usize) -> usize {
    let named = layout.positions().iter().position(|&found| found == position);
    named.unwrap_or(otherwise).min(layout.count().saturating_sub(1))
}

impl FromStr for ChannelSelect {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "mix" => Ok(Self::Mix),
            "left" => Ok(Self::Left),
            "right" => Ok(Self::Right),
            "each" => Ok(Self::Each),
            other => Err(Error::config(
                "channels",
                format!("`{other}` is none of mix, left, right, each"),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::AudioSpec;

    #[test]
    fn sides_and_mixes() {
        let spec = AudioSpec { rate: 8000, layout: ChannelLayout::Surround5_1 };
        let frame = [0.5, -0.5, 0.25, 1.0, 0.0, 0.125];
        let audio = AudioBuf::from_interleaved(spec, &frame).expect("six channels");
        let get = |select: ChannelSelect| -> Vec<f32> {
            select.apply(&audio.view()).iter().map(|buf| buf.channel(0)[0]).collect()
        };
        assert_eq!(get(ChannelSelect::Left), [0.5]);
        assert_eq!(get(ChannelSelect::Right), [-0.5]);
        assert_eq!(get(ChannelSelect::Each), frame);
        // Per side: L + 0.7071 C + 0.7071 S over 1 + 2 * 0.7071, LFE left out.
        let expected = (2.0 * 0.25 + 0.125) * std::f32::consts::FRAC_1_SQRT_2
            / (2.0 + 4.0 * std::f32::consts::FRAC_1_SQRT_2);
        assert!((get(ChannelSelect::Mix)[0] - expected).abs() < 1e-6);
    }

    #[test]
    fn mono_has_both_sides() {
        let view = AudioView::from_mono(8000, &[0.5]);
        assert_eq!(ChannelSelect::Right.apply(&view)[0].channel(0), [0.5]);
        assert_eq!("each".parse::<ChannelSelect>().expect("a name"), ChannelSelect::Each);
        assert!("middle".parse::<ChannelSelect>().is_err());
    }
}
