//! The header of an MPEG audio frame: four bytes in layers I to III (ISO/IEC 11172-3 and 13818-3),
//! seven in front of AAC (ADTS, ISO/IEC 14496-3, 1.A.2).

/// Bytes of a frame header in layers I to III.
const HEADER_BYTES: usize = 4;
/// Bytes that any frame header is read from.
pub(super) const MAX_HEADER_BYTES: usize = 7;
/// What stands for AAC in the place of a layer.
pub(super) const AAC: u8 = 0;

/// Rates of MPEG-4 audio by index (ISO/IEC 14496-3, table 1.18).
const AAC_RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8000,
    7350,
];

/// What a valid header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHeader {
    /// 1 for MPEG-1, 2 for MPEG-2, 3 for MPEG-2.5.
    pub(super) version: u8,
    /// 1 to 3, or [`AAC`].
    pub(super) layer: u8,
    pub(super) rate: u32,
    pub(super) channels: u8,
    /// Whole size in bytes, header included.
    pub(super) size: usize,
    /// Frames of audio.
    pub(super) frames: usize,
    crc: bool,
}

impl FrameHeader {
    /// Read a header; reserved values and the free format are refused.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let &[sync, flags, rates, mode, ..] = bytes else { return None };
        if sync != 0xff || flags & 0xe0 != 0xe0 {
            return None;
        }
        let version = match flags >> 3 & 3 {
            0 => 3,
            2 => 2,
            3 => 1,
            _ => return None,
        };
        let layer = match flags >> 1 & 3 {
            0 => return Self::parse_adts(bytes),
            code => 4 - code,
        };
        let kilobits = bitrate(version, layer, rates >> 4)?;
        let base = [44_100, 48_000, 32_000].get(usize::from(rates >> 2 & 3))?;
        let rate = base >> (version - 1);
        let padding = usize::from(rates >> 1 & 1);
        let frames = match (layer, version) {
            (1, _) => 384,
            (3, 2 | 3) => 576,
            _ => 1152,
        };
        let size = match layer {
            1 => 4 * (12_000 * kilobits / rate as usize + padding),
            _ => frames / 8 * 1000 * kilobits / rate as usize + padding,
        };
        Some(Self {
            version,
            layer,
            rate,
            channels: if mode >> 6 == 3 { 1 } else { 2 },
            size,
            frames,
            crc: flags & 1 == 0,
        })
    }

    /// Read the header of an AAC frame; several blocks in one frame are refused.
    fn parse_adts(bytes: &[u8]) -> Option<Self> {
        let &[_, flags, kinds, sizes, size, low, blocks, ..] = bytes else { return None };
        if flags & 0xf0 != 0xf0 || blocks & 3 != 0 {
            return None;
        }
        let configuration = (kinds & 1) << 2 | sizes >> 6;
        let crc = flags & 1 == 0;
        let size = usize::from(sizes & 3) << 11 | usize::from(size) << 3 | usize::from(low >> 5);
        let header = Self {
            version: if flags & 8 == 0 { 1 } else { 2 },
            layer: AAC,
            rate: *AAC_RATES.get(usize::from(kinds >> 2 & 15))?,
            channels: if configuration == 7 { 8 } else { configuration },
            size,
            frames: 1024,
            crc,
        };
        (size > header.payload()).then_some(header)
    }

    /// Where the part begins that the decoder takes.
    pub(super) fn payload(&self) -> usize {
        match (self.layer, self.crc) {
            (AAC, true) => MAX_HEADER_BYTES + 2,
            (AAC, false) => MAX_HEADER_BYTES,
            _ => 0,
        }
    }

    /// Whether another frame can belong to the same stream.
    pub(super) fn matches(&self, other: &Self) -> bool {
        (self.version, self.layer, self.rate) == (other.version, other.layer, other.rate)
    }

    /// Where the side information of layer III ends, which is where an information tag starts.
    pub(super) fn tag_offset(&self) -> usize {
        let side = match (self.version, self.channels) {
            (1, 1) => 17,
            (1, _) => 32,
            (_, 1) => 9,
            _ => 17,
        };
        HEADER_BYTES + side + if self.crc { 2 } else { 0 }
    }
}

/// Bit rate in kbit/s by table.
fn bitrate(version: u8, layer: u8, index: u8) -> Option<usize> {
    const V1_L1: [usize; 14] = [32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448];
    const V1_L2: [usize; 14] = [32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384];
    const V1_L3: [usize; 14] = [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
    const V2_L1: [usize; 14] = [32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256];
    const V2_L23: [usize; 14] = [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
    let table = match (version, layer) {
        (1, 1) => &V1_L1,
        (1, 2) => &V1_L2,
        (1, _) => &V1_L3,
        (_, 1) => &V2_L1,
        _ => &V2_L23,
    };
    table.get(usize::from(index).checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_aac() {
        let bytes = [0xff, 0xf1, 0x50, 0x80, 0x2e, 0x7f, 0xfc];
        let aac = FrameHeader::parse(&bytes).expect("44.1 kHz stereo");
        assert_eq!((aac.layer, aac.rate, aac.channels, aac.size), (AAC, 44_100, 2, 371));
        assert_eq!((aac.frames, aac.payload()), (1024, 7));
        assert_eq!(FrameHeader::parse(&bytes[..6]), None);
        assert_eq!(FrameHeader::parse(&[0xff, 0xf1, 0x50, 0x80, 0, 0xff, 0xfc]), None, "7 bytes");
        assert_eq!(
            FrameHeader::parse(&[0xff, 0xf1, 0x74, 0x80, 0x2e, 0x7f, 0xfc]),
            None,
            "rate 13"
        );
    }

    #[test]
    fn usual_headers() {
        let mp3 = FrameHeader::parse(&[0xff, 0xfb, 0x90, 0x64]).expect("128 kbit/s, 44.1 kHz");
        assert_eq!((mp3.rate, mp3.size, mp3.frames, mp3.channels), (44_100, 417, 1152, 2));
        assert_eq!(mp3.tag_offset(), 36);
        let low = FrameHeader::parse(&[0xff, 0xf3, 0x48, 0xc4]).expect("32 kbit/s, 16 kHz mono");
        assert_eq!((low.rate, low.size, low.frames, low.channels), (16_000, 144, 576, 1));
        let layer1 = FrameHeader::parse(&[0xff, 0xff, 0xc4, 0x04]).expect("384 kbit/s, 48 kHz");
        assert_eq!((layer1.rate, layer1.size, layer1.frames), (48_000, 384, 384));
    }

    #[test]
    fn reserved_values_are_refused() {
        for bytes in [
            [0xff, 0xfb, 0xf0, 0],
            [0xff, 0xfb, 0x9c, 0],
            [0xff, 0xf9, 0x90, 0],
            [0xff, 0xeb, 0x90, 0],
        ] {
            assert_eq!(FrameHeader::parse(&bytes), None, "{bytes:x?}");
        }
        assert_eq!(FrameHeader::parse(&[0xff, 0xfb, 0x00, 0]), None, "free format");
        assert_eq!(FrameHeader::parse(&[0xff, 0xfb]), None);
    }
}
