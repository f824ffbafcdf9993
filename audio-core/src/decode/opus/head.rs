//! The identification header of Opus (RFC 7845, section 5.1).

use crate::layout::ChannelLayout;

/// What the header says about the packets that follow.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::decode) struct OpusHead {
    pub(in crate::decode) channels: u8,
    /// Frames at 48 kHz to drop from the start.
    pub(in crate::decode) pre_skip: u16,
    /// Linear gain to apply to the output.
    pub(in crate::decode) gain: f32,
    pub(in crate::decode) streams: u8,
    pub(in crate::decode) coupled: u8,
    /// For each output channel its decoded channel, or 255 for silence.
    pub(in crate::decode) mapping: Vec<u8>,
    pub(in crate::decode) layout: ChannelLayout,
}

impl OpusHead {
    /// Read the header of MP4 (`dOps`, "Encapsulation of Opus in ISO Base Media File Format"
    /// section 4.3.2) with the magic word put before it: version 0, and numbers in the other byte
    /// order.
    pub(in crate::decode) fn parse_mp4(packet: &[u8]) -> Result<Self, String> {
        let mut packet = packet.to_vec();
        for number in [10..12, 12..16, 16..18] {
            if let Some(bytes) = packet.get_mut(number) {
                bytes.reverse();
            }
        }
        Self::parse(&packet)
    }

    /// Read the header packet; the error says what is wrong with it.
    pub(in crate::decode) fn parse(packet: &[u8]) -> Result<Self, String> {
        let Some(body) = packet.strip_prefix(b"OpusHead").filter(|body| body.len() >= 11) else {
            return Err("the Opus header is cut short".to_owned());
        };
        if body[0] & 0xf0 != 0 {
            return Err(format!("version {} of the Opus header is not known", body[0]));
        }
        let channels = body[1];
        let pre_skip = u16::from_le_bytes([body[2], body[3]]);
        let gain_db = f32::from(i16::from_le_bytes([body[8], body[9]])) / 256.0;
        let family = body[10];
        if channels == 0 {
            return Err("the Opus header gives zero channels".to_owned());
        }
        let (streams, coupled, mapping) = match (family, channels) {
            (0, 1 | 2) => (1, channels - 1, (0..channels).collect()),
            (0, n) => return Err(format!("Opus mapping family 0 does not allow {n} channels")),
            (1 | 2 | 255, _) => {
                let table = body.get(11..13 + usize::from(channels));
                let table = table.ok_or("the Opus channel mapping table is cut short")?;
                (table[0], table[1], table[2..].to_vec())
            }
            (other, _) => return Err(format!("Opus mapping family {other} is not supported")),
        };
        let decoded = u16::from(streams) + u16::from(coupled);
        if streams == 0
            || coupled > streams
            || decoded > 255
            || mapping.iter().any(|&m| m != 255 && u16::from(m) >= decoded)
        {
            return Err("the Opus channel mapping table is not valid".to_owned());
        }
        let (layout, mapping) = match family {
            0 | 1 => wave_order(channels, &mapping),
            _ => (ChannelLayout::Discrete(channels.into()), mapping),
        };
        let gain = 10f32.powf(gain_db / 20.0);
        Ok(Self { channels, pre_skip, gain, streams, coupled, mapping, layout })
    }
}

/// Bring the channels from the order of Vorbis (RFC 7845, section 5.1.1.2) to that of WAV.
fn wave_order(channels: u8, mapping: &[u8]) -> (ChannelLayout, Vec<u8>) {
    let order: &[usize] = match channels {
        3 => &[0, 2, 1],                // L C R
        5 => &[0, 2, 1, 3, 4],          // L C R BL BR
        6 => &[0, 2, 1, 5, 3, 4],       // L C R BL BR LFE
        8 => &[0, 2, 1, 7, 5, 6, 3, 4], // L C R SL SR BL BR LFE
        _ => &[],
    };
    let layout = match channels {
        7 | 9.. => ChannelLayout::Discrete(channels.into()),
        n => ChannelLayout::from_count(n.into()),
    };
    if order.is_empty() {
        return (layout, mapping.to_vec());
    }
    (layout, order.iter().map(|&from| mapping[from]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(channels: u8, family: u8, table: &[u8]) -> Vec<u8> {
        let mut packet = b"OpusHead\x01".to_vec();
        packet.push(channels);
        packet.extend([0x38, 0x01]); // pre-skip 312
        packet.extend(48_000u32.to_le_bytes());
        packet.extend((-1536i16).to_le_bytes()); // -6 dB
        packet.push(family);
        packet.extend(table);
        packet
    }

    #[test]
    fn stereo_header() {
        let head = OpusHead::parse(&head(2, 0, &[])).expect("valid");
        assert_eq!((head.streams, head.coupled, head.pre_skip), (1, 1, 312));
        assert!((head.gain - 0.501_187).abs() < 1e-5);
        assert_eq!(head.layout, ChannelLayout::Stereo);
    }

    #[test]
    fn numbers_of_mp4_are_big_endian() {
        let mut packet = head(2, 0, &[]);
        packet[8] = 0;
        packet[10..12].copy_from_slice(&312u16.to_be_bytes());
        packet[12..16].copy_from_slice(&44_100u32.to_be_bytes());
        packet[16..18].copy_from_slice(&(-1536i16).to_be_bytes());
        let head = OpusHead::parse_mp4(&packet).expect("valid");
        assert_eq!(head.pre_skip, 312);
        assert!((head.gain - 0.501_187).abs() < 1e-5);
        assert!(OpusHead::parse_mp4(b"OpusHead\0\x02\x38").is_err());
    }

    #[test]
    fn surround_comes_in_wave_order() {
        let head = OpusHead::parse(&head(6, 1, &[4, 2, 0, 4, 1, 2, 3, 5])).expect("valid");
        assert_eq!(head.layout, ChannelLayout::Surround5_1);
        assert_eq!(head.mapping, [0, 1, 4, 5, 2, 3]); // L R C LFE and the surrounds
    }

    #[test]
    fn broken_headers_are_refused() {
        assert!(OpusHead::parse(b"OpusHead").is_err());
        assert!(OpusHead::parse(&head(0, 0, &[])).is_err());
        assert!(OpusHead::parse(&head(3, 0, &[])).is_err());
        assert!(OpusHead::parse(&head(6, 1, &[4, 2, 0, 4, 1, 2, 3])).is_err());
        assert!(OpusHead::parse(&head(1, 1, &[1, 0, 7])).is_err());
        assert!(OpusHead::parse(&head(1, 255, &[0, 0, 0])).is_err());
    }
}
