//! Which channel is which: the layout that travels with every buffer.
//!
//! Down-mix weights live here because they follow from the layout alone; applying them to samples
//! is [`crate::buffer`]'s work.

use serde::{Deserialize, Serialize};

/// Where a channel's loudspeaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Position {
    /// The only channel of a mono signal, or the centre loudspeaker.
    FrontCenter,
    /// Front left.
    FrontLeft,
    /// Front right.
    FrontRight,
    /// Low-frequency effects; left out of every down-mix.
    Lfe,
    /// Side or surround left.
    SideLeft,
    /// Side or surround right.
    SideRight,
    /// Rear left.
    BackLeft,
    /// Rear right.
    BackRight,
    /// Rear centre.
    BackCenter,
    /// Between left and centre.
    FrontLeftOfCenter,
    /// Between right and centre.
    FrontRightOfCenter,
    /// Above the listener.
    TopCenter,
    /// Front left, above.
    TopFrontLeft,
    /// Centre, above.
    TopFrontCenter,
    /// Front right, above.
    TopFrontRight,
    /// Rear left, above.
    TopBackLeft,
    /// Rear centre, above.
    TopBackCenter,
    /// Rear right, above.
    TopBackRight,
    /// A channel without a loudspeaker, as of a field recorder or a microphone array.
    Discrete,
}

/// The channels of a signal, in the order in which they are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChannelLayout {
    /// One channel.
    Mono,
    /// Left, right.
    Stereo,
    /// Left, right, centre.
    Surround3_0,
    /// Left, right, side left, side right.
    Quad,
    /// Left, right, centre, side left, side right.
    Surround5_0,
    /// Left, right, centre, LFE, side left, side right: the order of WAV, FLAC and ITU-R BS.775.
    Surround5_1,
    /// Left, right, centre, LFE, back left, back right, side left, side right.
    Surround7_1,
    /// Any other set of loudspeakers, as a `WAVE_FORMAT_EXTENSIBLE` mask whose bits are all in
    /// [`ChannelLayout::MASK_BITS`]; 0x3f is 5.1 with back instead of side channels.
    Speakers(u32),
    /// This many channels without positions.
    Discrete(u16),
}

/// The bits of a `WAVE_FORMAT_EXTENSIBLE` mask in storage order.
const BITS: [(u32, Position); 18] = [
    (0x1, Position::FrontLeft),
    (0x2, Position::FrontRight),
    (0x4, Position::FrontCenter),
    (0x8, Position::Lfe),
    (0x10, Position::BackLeft),
    (0x20, Position::BackRight),
    (0x40, Position::FrontLeftOfCenter),
    (0x80, Position::FrontRightOfCenter),
    (0x100, Position::BackCenter),
    (0x200, Position::SideLeft),
    (0x400, Position::SideRight),
    (0x800, Position::TopCenter),
    (0x1000, Position::TopFrontLeft),
    (0x2000, Position::TopFrontCenter),
    (0x4000, Position::TopFrontRight),
    (0x8000, Position::TopBackLeft),
    (0x1_0000, Position::TopBackCenter),
    (0x2_0000, Position::TopBackRight),
];

/// The layouts with a name of their own and their masks.
const NAMED: [(ChannelLayout, u32); 7] = [
    (ChannelLayout::Mono, 0x4),
    (ChannelLayout::Stereo, 0x3),
    (ChannelLayout::Surround3_0, 0x7),
    (ChannelLayout::Quad, 0x603),
    (ChannelLayout::Surround5_0, 0x607),
    (ChannelLayout::Surround5_1, 0x60f),
    (ChannelLayout::Surround7_1, 0x63f),
];

impl ChannelLayout {
    /// The bits that [`ChannelLayout::Speakers`] may have.
    pub const MASK_BITS: u32 = 0x3_ffff;

    /// The layout of `channels` channels with a `WAVE_FORMAT_EXTENSIBLE` mask; a mask of another
    /// number of loudspeakers, or with one that has no [`Position`], gives
    /// [`ChannelLayout::Discrete`].
    #[must_use]
    pub fn from_mask(mask: u64, channels: u16) -> Self {
        if channels == 1 {
            return Self::Mono;
        }
        if channels == 2 && mask == 0 {
            return Self::Stereo;
        }
        match u32::try_from(mask) {
            Ok(mask)
                if mask & !Self::MASK_BITS == 0 && mask.count_ones() == u32::from(channels) =>
            {
                let named = NAMED.iter().find(|(_, known)| *known == mask);
                named.map_or(Self::Speakers(mask), |(layout, _)| *layout)
            }
            _ => Self::Discrete(channels),
        }
    }

    /// The `WAVE_FORMAT_EXTENSIBLE` mask; zero for channels without positions.
    #[must_use]
    pub fn mask(self) -> u32 {
        match self {
            Self::Speakers(mask) => mask,
            other => NAMED.iter().find(|(layout, _)| *layout == other).map_or(0, |(_, mask)| *mask),
        }
    }

    /// The layout that a plain file with `channels` channels is taken to have.
    ///
    /// Follows the default channel assignments of FLAC and `WAVE_FORMAT_EXTENSIBLE`; counts
    /// without a usual meaning become [`ChannelLayout::Discrete`].
    #[must_use]
    pub fn from_count(channels: u16) -> Self {
        match channels {
            1 => Self::Mono,
            2 => Self::Stereo,
            3 => Self::Surround3_0,
            4 => Self::Quad,
            5 => Self::Surround5_0,
            6 => Self::Surround5_1,
            8 => Self::Surround7_1,
            n => Self::Discrete(n),
        }
    }

    /// Number of channels.
    #[must_use]
    pub fn count(self) -> usize {
        match self {
            Self::Discrete(n) => usize::from(n),
            other => other.mask().count_ones() as usize,
        }
    }

    /// The named positions in storage order; empty for [`ChannelLayout::Discrete`].
    #[must_use]
    pub fn positions(self) -> Vec<Position> {
        let mask = self.mask();
        BITS.iter().filter(|(bit, _)| mask & bit != 0).map(|(_, position)| *position).collect()
    }

    /// Weights that mix this layout down to one channel; they sum to one.
    ///
    /// Positions carry the weights of ITU-R BS.775 (centre and surrounds 3 dB below left and
    /// right when folded to stereo, LFE left out), then left and right are averaged. Stereo
    /// therefore becomes the plain mean, and a discrete layout the mean of all channels.
    #[must_use]
    pub fn mono_weights(self) -> Vec<f32> {
        let stereo = self.stereo_weights();
        let sums: Vec<f64> = stereo.iter().map(|&[l, r]| f64::from(l) + f64::from(r)).collect();
        let total: f64 = sums.iter().sum();
        if total == 0.0 {
            return sums.iter().map(|_| 0.0).collect();
        }
        sums.iter().map(|s| (s / total) as f32).collect()
    }

    /// For each channel its weight in left and in right of a stereo fold-down; each side sums to
    /// one, so that full-scale input cannot clip.
    ///
    /// Source: ITU-R BS.775-3, annex 4, table 2 (coefficients 1 and 0.7071), normalised.
    #[must_use]
    pub fn stereo_weights(self) -> Vec<[f32; 2]> {
        const MINUS_3_DB: f64 = std::f64::consts::FRAC_1_SQRT_2;
        if let Self::Discrete(n) = self {
            let share = 1.0 / f32::from(n.max(1));
            return vec![[share, share]; usize::from(n)];
        }
        if self == Self::Mono {
            return vec![[1.0, 1.0]];
        }
        let raw: Vec<[f64; 2]> = self
            .positions()
            .iter()
            .map(|position| match position {
                Position::FrontLeft | Position::FrontLeftOfCenter => [1.0, 0.0],
                Position::FrontRight | Position::FrontRightOfCenter => [0.0, 1.0],
                Position::FrontCenter
                | Position::BackCenter
                | Position::TopCenter
                | Position::TopFrontCenter
                | Position::TopBackCenter => [MINUS_3_DB, MINUS_3_DB],
                Position::SideLeft
                | Position::BackLeft
                | Position::TopFrontLeft
                | Position::TopBackLeft => [MINUS_3_DB, 0.0],
                Position::SideRight
                | Position::BackRight
                | Position::TopFrontRight
                | Position::TopBackRight => [0.0, MINUS_3_DB],
                Position::Lfe | Position::Discrete => [0.0, 0.0],
            })
            .collect();
        let totals = raw.iter().fold([0.0f64; 2], |sum, w| [sum[0] + w[0], sum[1] + w[1]]);
        let share =
            |weight: f64, total: f64| if total > 0.0 { (weight / total) as f32 } else { 0.0 };
        raw.iter().map(|w| [share(w[0], totals[0]), share(w[1], totals[1])]).collect()
    }
}

impl std::fmt::Display for ChannelLayout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Mono => f.write_str("mono"),
            Self::Stereo => f.write_str("stereo"),
            Self::Surround3_0 => f.write_str("3.0"),
            Self::Quad => f.write_str("quad"),
            Self::Surround5_0 => f.write_str("5.0"),
            Self::Surround5_1 => f.write_str("5.1"),
            Self::Surround7_1 => f.write_str("7.1"),
            Self::Speakers(0x33) => f.write_str("quad (back)"),
            Self::Speakers(0x37) => f.write_str("5.0 (back)"),
            Self::Speakers(0x3f) => f.write_str("5.1 (back)"),
            Self::Speakers(0xb) => f.write_str("2.1"),
            Self::Speakers(0xf) => f.write_str("3.1"),
            Self::Speakers(0x107) => f.write_str("4.0"),
            Self::Speakers(mask) => {
                write!(f, "{} channels, loudspeaker mask {mask:#x}", mask.count_ones())
            }
            Self::Discrete(n) => write!(f, "{n} channels"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_round_trip() {
        for n in 1..=12 {
            assert_eq!(ChannelLayout::from_count(n).count(), usize::from(n));
        }
    }

    #[test]
    fn mono_weights_sum_to_one_and_drop_lfe() {
        for n in 1..=9 {
            let weights = ChannelLayout::from_count(n).mono_weights();
            let sum: f32 = weights.iter().sum();
            assert!((sum - 1.0).abs() < 1e-6, "{n} channels sum to {sum}");
        }
        assert_eq!(ChannelLayout::Surround5_1.mono_weights()[3], 0.0);
        assert_eq!(ChannelLayout::Speakers(0x8).mono_weights(), [0.0]);
        let back = ChannelLayout::Speakers(0x3f).mono_weights();
        assert_eq!(back, ChannelLayout::Surround5_1.mono_weights());
        assert_eq!(ChannelLayout::Stereo.mono_weights(), vec![0.5, 0.5]);
    }

    #[test]
    fn d24_masks_round_trip() {
        let plain = [(0x3f, 6), (0x60f, 6), (0x33, 4), (0x37, 5), (0xb, 3), (0x63f, 8)];
        // 7.1 with two loudspeakers more in front, and with four above.
        let wide = [(0xff, 8), (0x2_d63f, 12)];
        for (mask, channels) in plain.into_iter().chain(wide) {
            let layout = ChannelLayout::from_mask(mask, channels);
            assert_eq!((u64::from(layout.mask()), layout.count()), (mask, channels.into()));
            assert_eq!(layout.positions().len(), layout.count());
        }
        assert_eq!(ChannelLayout::from_mask(0x3f, 5), ChannelLayout::Discrete(5));
        assert_eq!(ChannelLayout::from_mask(0x4_0003, 3), ChannelLayout::Discrete(3));
    }
}
