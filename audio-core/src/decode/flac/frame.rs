//! The header of a FLAC frame and the description of a stream (RFC 9639, sections 8.2 and 9.1).

use crate::flac::{crc8, crc16};

/// The longest frame header.
pub(super) const MAX_HEADER_BYTES: usize = 16;

/// What `STREAMINFO` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StreamInfo {
    pub(super) max_block: u32,
    pub(super) rate: u32,
    pub(super) channels: u8,
    pub(super) bits: u32,
    /// Frames of audio; zero when not known.
    pub(super) total: u64,
    /// MD5 of the samples; zeros when not known.
    pub(super) md5: [u8; 16],
}

impl StreamInfo {
    /// Read the block's body.
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        let body: &[u8; 34] = body.first_chunk()?;
        let packed = u64::from_be_bytes(body[10..18].try_into().ok()?);
        Some(Self {
            max_block: u16::from_be_bytes([body[2], body[3]]).into(),
            rate: (packed >> 44) as u32,
            channels: (packed >> 41 & 7) as u8 + 1,
            bits: (packed >> 36 & 31) as u32 + 1,
            total: packed & ((1 << 36) - 1),
            md5: body[18..34].try_into().ok()?,
        })
    }

    /// The most bytes that a frame of `frames` can sensibly take. Encoders whose Rice codes are meant
    /// for 16 bits need up to 64 bytes for a sample of 24; the field for a frame's size has 24 bits.
    pub(super) fn max_frame_bytes(&self, frames: u32) -> usize {
        let samples = frames as usize * usize::from(self.channels);
        (64 * samples + 256).min(1 << 24)
    }
}

/// A frame header whose checksum is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHeader {
    /// Whether the number counts samples instead of frames.
    pub(super) variable: bool,
    pub(super) number: u64,
    /// Frames of audio.
    pub(super) frames: u32,
    pub(super) channels: u8,
    pub(super) rate: Option<u32>,
    pub(super) bits: Option<u32>,
    /// Size of the header with its checksum.
    pub(super) bytes: usize,
}

impl FrameHeader {
    /// Read the header at the start of `bytes`; `None` when there is none.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let &[0xff, sync @ (0xf8 | 0xf9), sizes, kinds, ..] = bytes else { return None };
        let channels = match kinds >> 4 {
            count @ 0..=7 => count + 1,
            8..=10 => 2,
            _ => return None,
        };
        let bits = match kinds >> 1 & 7 {
            0 => None,
            3 => return None,
            code => Some([0, 8, 12, 0, 16, 20, 24, 32][usize::from(code)]),
        };
        if kinds & 1 != 0 {
            return None;
        }
        let (number, mut at) = coded_number(bytes)?;
        let byte = |at: usize| bytes.get(at).map(|&byte| u32::from(byte));
        let word = |at: usize| Some(byte(at)? << 8 | byte(at + 1)?);
        let frames = match sizes >> 4 {
            0 => return None,
            1 => 192,
            code @ 2..=5 => 576 << (code - 2),
            6 => {
                at += 1;
                byte(at - 1)? + 1
            }
            7 => {
                at += 2;
                word(at - 2)? + 1
            }
            code => 256 << (code - 8),
        };
        let rate = match sizes & 15 {
            0 => None,
            code @ 1..=11 => Some(RATES[usize::from(code)]),
            12 => {
                at += 1;
                Some(byte(at - 1)? * 1000)
            }
            13 => {
                at += 2;
                Some(word(at - 2)?)
            }
            14 => {
                at += 2;
                Some(word(at - 2)? * 10)
            }
            _ => return None,
        };
        // Over the header with its stored checksum the checksum is zero.
        if crc8(bytes.get(..=at)?) != 0 {
            return None;
        }
        Some(Self { variable: sync & 1 != 0, number, frames, channels, rate, bits, bytes: at + 1 })
    }

    /// Whether the frame can belong to a stream.
    pub(super) fn fits(&self, info: &StreamInfo) -> bool {
        self.channels == info.channels
            && self.rate.is_none_or(|rate| rate == info.rate)
            && self.bits.is_none_or(|bits| bits == info.bits)
    }

    /// The description of a stream with what the frame says instead of what it said.
    pub(super) fn correct(&self, stream_info: &mut [u8]) {
        let Some(field) = stream_info.get_mut(10..18) else { return };
        let Ok(bytes) = <[u8; 8]>::try_from(&*field) else { return };
        let mut packed = u64::from_be_bytes(bytes);
        let mut set = |value: u32, shift: u32, bits: u32| {
            let mask = ((1u64 << bits) - 1) << shift;
            packed = packed & !mask | u64::from(value) << shift & mask;
        };
        set(u32::from(self.channels) - 1, 41, 3);
        if let Some(rate) = self.rate {
            set(rate, 44, 20);
        }
        if let Some(bits) = self.bits {
            set(bits - 1, 36, 5);
        }
        field.copy_from_slice(&packed.to_be_bytes());
    }

    /// Whether another frame of the same stream may stand a little behind this one.
    pub(super) fn is_before(&self, later: &Self) -> bool {
        const FRAMES: u64 = 64;
        let step = if self.variable { u64::from(self.frames) } else { 1 };
        self.variable == later.variable
            && (self.number + step..=self.number + FRAMES * step).contains(&later.number)
    }
}

const RATES: [u32; 12] =
    [0, 88_200, 176_400, 192_000, 8000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000];

/// The number in the extended UTF-8 code behind the first four bytes, and where it ends.
fn coded_number(bytes: &[u8]) -> Option<(u64, usize)> {
    let first = *bytes.get(4)?;
    let length = match first.leading_ones() {
        0 => return Some((first.into(), 5)),
        1 | 8 => return None,
        ones => ones as usize,
    };
    let head = u64::from(first) & (0x7f >> length);
    let number = bytes.get(5..4 + length)?.iter().try_fold(head, |number, &byte| {
        (byte & 0xc0 == 0x80).then_some(number << 6 | u64::from(byte & 0x3f))
    })?;
    Some((number, 4 + length))
}

/// Whether both checksums of a whole frame are right.
pub(super) fn is_intact(frame: &[u8]) -> bool {
    FrameHeader::parse(frame).is_some_and(|header| frame.len() > header.bytes + 2)
        && crc16(0, frame) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_whole_or_not_at_all() {
        let mut bytes = vec![0xff, 0xf8, 0x69, 0x18, 0xe1, 0x88, 0xb4, 99];
        bytes.push(crc8(&bytes));
        let header = FrameHeader::parse(&bytes).expect("a header");
        assert_eq!((header.number, header.frames, header.channels), (0x1234, 100, 2));
        assert_eq!((header.rate, header.bits, header.bytes), (Some(44_100), Some(16), 9));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            assert_eq!(FrameHeader::parse(&damaged), None, "byte {at}");
            assert_eq!(FrameHeader::parse(&bytes[..at]), None);
        }
    }
}
