//! Choosing channels: the mix, one side, some by number, or each channel for itself.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::options::MAX_CHANNELS;
use crate::buffer::{AudioBuf, AudioSpec, AudioView};
use crate::error::{Error, Result};
use crate::layout::{ChannelLayout, Position};
use crate::mix::MonoMixer;
use crate::warning::Warning;

/// Which channels of an input to work on.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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
    /// The channels with these numbers, from 1, in this order.
    Numbers(Vec<u16>),
}

impl FromStr for ChannelSelect {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Ok(match text {
            "mix" => Self::Mix,
            "left" => Self::Left,
            "right" => Self::Right,
            "each" => Self::Each,
            other => Self::Numbers(
                numbers(other).ok_or_else(|| none_of(other, "mix, left, right, each"))?,
            ),
        })
    }
}

impl ChannelSelect {
    /// Parses a choice for who takes the channels together, and so never [`ChannelSelect::Each`].
    ///
    /// # Errors
    /// [`Error::Config`] with what may be chosen.
    pub fn together(text: &str) -> Result<Self> {
        match text.parse() {
            Ok(Self::Each) | Err(_) => Err(none_of(text, "mix, left, right")),
            chosen => chosen,
        }
    }
}

fn none_of(text: &str, names: &str) -> Error {
    let reason =
        format!("`{text}` is none of {names}, and no list of numbers from 1 such as 2 or 3,4");
    Error::config("channels", reason)
}

/// As it is parsed.
impl fmt::Display for ChannelSelect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mix => f.write_str("mix"),
            Self::Left => f.write_str("left"),
            Self::Right => f.write_str("right"),
            Self::Each => f.write_str("each"),
            Self::Numbers(numbers) => {
                let numbers: Vec<String> = numbers.iter().map(u16::to_string).collect();
                f.write_str(&numbers.join(","))
            }
        }
    }
}

fn numbers(text: &str) -> Option<Vec<u16>> {
    let parts = text.split(',').map(|part| part.trim().parse::<u16>().ok());
    let list = parts.collect::<Option<Vec<u16>>>()?;
    let sane = list.len() <= usize::from(MAX_CHANNELS) && !list.contains(&0);
    sane.then_some(list)
}

/// Every channel as a buffer of its own.
#[must_use]
pub fn split_channels(audio: &AudioView<'_>) -> Vec<AudioBuf> {
    let mono = |channel| AudioBuf::from_mono(audio.rate(), audio.channel(channel).to_vec());
    (0..audio.channels()).map(mono).collect()
}

/// Brings the blocks of a recording to the chosen channels.
pub(super) enum Chooser {
    /// Every channel stays.
    All,
    Mix(Box<MonoMixer>),
    /// Channels by their places, and the layout that they make.
    Some(Vec<usize>, ChannelLayout),
}

impl Chooser {
    /// For a recording with this layout; the error is the number of a channel that it has not.
    pub(super) fn new(
        select: Option<&ChannelSelect>,
        spec: AudioSpec,
    ) -> std::result::Result<Self, u16> {
        let layout = spec.layout;
        Ok(match select {
            None | Some(ChannelSelect::Each) => Self::All,
            Some(ChannelSelect::Mix) => Self::Mix(Box::new(MonoMixer::obedient(spec.rate, layout))),
            Some(ChannelSelect::Left) => Self::one(find(layout, Position::FrontLeft, 0)),
            Some(ChannelSelect::Right) => Self::one(find(layout, Position::FrontRight, 1)),
            Some(ChannelSelect::Numbers(numbers)) => {
                let count = layout.count();
                if let Some(number) = numbers.iter().find(|&&number| usize::from(number) > count) {
                    return Err(*number);
                }
                let places = numbers.iter().map(|&number| usize::from(number) - 1).collect();
                Self::Some(places, chosen_layout(numbers.len() as u16))
            }
        })
    }

    fn one(channel: usize) -> Self {
        Self::Some(vec![channel], ChannelLayout::Mono)
    }

    /// Rate and layout of what is chosen of a recording.
    pub(super) fn spec(&self, spec: AudioSpec) -> AudioSpec {
        match self {
            Self::All => spec,
            Self::Mix(_) => AudioSpec::mono(spec.rate),
            Self::Some(_, layout) => AudioSpec { layout: *layout, ..spec },
        }
    }

    /// What is chosen of a block.
    pub(super) fn push(&mut self, block: AudioBuf) -> AudioBuf {
        let mut out = match self {
            Self::All => return block,
            Self::Mix(mixer) => {
                return AudioBuf::from_mono(block.rate(), mixer.push(&block.view()));
            }
            Self::Some(_, layout) => {
                let spec = AudioSpec { layout: *layout, ..block.spec() };
                AudioBuf::silence(spec, block.frames())
            }
        };
        if let Self::Some(places, _) = self {
            for (to, &from) in places.iter().enumerate() {
                out.channel_mut(to).copy_from_slice(block.channel(from));
            }
        }
        out
    }

    /// What there is to say about the choice so far.
    pub(super) fn warnings(&self) -> Vec<Warning> {
        match self {
            Self::Mix(mixer) => mixer.warnings(),
            _ => Vec::new(),
        }
    }
}

/// Channels that were picked keep no places in the room, but two are a pair.
fn chosen_layout(count: u16) -> ChannelLayout {
    match count {
        1 | 2 => ChannelLayout::from_count(count),
        count => ChannelLayout::Discrete(count),
    }
}

fn find(layout: ChannelLayout, position: Position, otherwise: usize) -> usize {
    let named = layout.positions().iter().position(|&found| found == position);
    named.unwrap_or(otherwise).min(layout.count().saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no_channel(number: u16, count: usize) -> String {
        Error::NoChannel { path: "a.wav".into(), number, count }.to_string()
    }

    /// One frame of 5.1 after a choice.
    fn chosen(select: &str) -> std::result::Result<(Vec<f32>, ChannelLayout), String> {
        let spec = AudioSpec { rate: 8000, layout: ChannelLayout::Surround5_1 };
        let frame = [0.5, -0.5, 0.25, 1.0, 0.0, 0.125];
        let audio = AudioBuf::from_interleaved(spec, &frame).expect("six channels");
        let select: ChannelSelect = select.parse().map_err(|error: Error| error.to_string())?;
        let mut chooser = Chooser::new(Some(&select), spec)
            .map_err(|number| no_channel(number, spec.channels()))?;
        let layout = chooser.spec(spec).layout;
        let out = chooser.push(audio);
        assert_eq!(out.spec().layout, layout);
        Ok((out.as_planar().to_vec(), layout))
    }

    #[test]
    fn sides_and_mixes() {
        let one = |select: &str| chosen(select).expect(select).0;
        assert_eq!(one("left"), [0.5]);
        assert_eq!(one("right"), [-0.5]);
        assert_eq!(one("each"), [0.5, -0.5, 0.25, 1.0, 0.0, 0.125]);
        // Per side: L + 0.7071 C + 0.7071 S over 1 + 2 * 0.7071, LFE left out.
        let expected = (2.0 * 0.25 + 0.125) * std::f32::consts::FRAC_1_SQRT_2
            / (2.0 + 4.0 * std::f32::consts::FRAC_1_SQRT_2);
        assert!((one("mix")[0] - expected).abs() < 1e-6);
    }

    #[test]
    fn w1_channels_are_chosen_by_number() {
        assert_eq!(chosen("4"), Ok((vec![1.0], ChannelLayout::Mono)));
        assert_eq!(chosen("6, 3"), Ok((vec![0.125, 0.25], ChannelLayout::Stereo)));
        assert_eq!(chosen("4,1,1"), Ok((vec![1.0, 0.5, 0.5], ChannelLayout::Discrete(3))));
        let error = chosen("1,7").expect_err("six channels");
        assert!(error.contains("channel 7") && error.contains("6 channels"), "{error}");
        for bad in ["0", "1,0", "", "1,", "-1", "1-2", "middle", "70000"] {
            let error = chosen(bad).expect_err(bad);
            assert!(error.contains("3,4"), "{error}");
        }
    }

    #[test]
    fn who_takes_the_channels_together_is_not_offered_each() {
        assert_eq!(ChannelSelect::together("2").ok(), Some(ChannelSelect::Numbers(vec![2])));
        for bad in ["each", "middle"] {
            let error = ChannelSelect::together(bad).expect_err(bad).to_string();
            assert!(error.contains(bad) && !error.contains("right, each"), "{error}");
        }
    }

    #[test]
    fn mono_has_both_sides() {
        let spec = AudioSpec::mono(8000);
        let mut right = Chooser::new(Some(&ChannelSelect::Right), spec).expect("one channel");
        assert_eq!(right.push(AudioBuf::from_mono(8000, vec![0.5])).channel(0), [0.5]);
        let second = Chooser::new(Some(&ChannelSelect::Numbers(vec![2])), spec);
        assert_eq!(second.err(), Some(2));
        assert!(no_channel(2, 1).contains("one channel"));
    }
}
