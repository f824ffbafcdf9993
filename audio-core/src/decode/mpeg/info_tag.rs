//! The information frame at the start of an MP3: Xing/Info with LAME's extension, or VBRI.

use super::header::FrameHeader;

/// The decoder's own delay in frames, which every encoder's numbers leave out.
const DECODER_DELAY: u64 = 529;

/// What an information frame says about the frames that follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct InfoTag {
    /// Audio frames in all, encoder delay and padding included.
    pub(super) total: Option<u64>,
    /// Audio frames to cut off the start and off the end.
    pub(super) trim: Option<(u64, u64)>,
}

impl InfoTag {
    /// Read the tag; `None` when the frame is ordinary audio.
    pub(super) fn parse(header: &FrameHeader, data: &[u8]) -> Option<Self> {
        if header.layer != 3 {
            return None;
        }
        let frames = header.frames as u64;
        if let Some(vbri) = data.get(36..).and_then(|rest| rest.strip_prefix(b"VBRI")) {
            let count = vbri.get(10..14)?;
            let count = u32::from_be_bytes([count[0], count[1], count[2], count[3]]);
            return Some(Self { total: Some(frames * u64::from(count)), trim: None });
        }
        let tag = data.get(header.tag_offset()..)?;
        let body = tag.strip_prefix(b"Xing").or_else(|| tag.strip_prefix(b"Info"))?;
        let flags = *body.get(3)?;
        let mut at = 4;
        let mut total = None;
        if flags & 1 != 0 {
            let count = body.get(at..at + 4)?;
            total = Some(
                frames * u64::from(u32::from_be_bytes([count[0], count[1], count[2], count[3]])),
            );
            at += 4;
        }
        at += if flags & 2 != 0 { 4 } else { 0 };
        at += if flags & 4 != 0 { 100 } else { 0 };
        at += if flags & 8 != 0 { 4 } else { 0 };
        Some(Self { total, trim: lame_trim(body.get(at..).unwrap_or_default()) })
    }
}

/// Delay and padding of LAME's extension, which other encoders fill in as well.
fn lame_trim(extension: &[u8]) -> Option<(u64, u64)> {
    let encoder = extension.first()?;
    let bytes = extension.get(21..24)?;
    if !encoder.is_ascii_graphic() {
        return None;
    }
    let delay = u64::from(bytes[0]) << 4 | u64::from(bytes[1]) >> 4;
    let padding = u64::from(bytes[1] & 0x0f) << 8 | u64::from(bytes[2]);
    Some((delay + DECODER_DELAY, padding.saturating_sub(DECODER_DELAY)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lame_numbers_include_the_decoder_delay() {
        let header = FrameHeader::parse(&[0xff, 0xfb, 0x90, 0x64]).expect("valid");
        let mut data = vec![0; 417];
        data[36..40].copy_from_slice(b"Info");
        data[43] = 0x0f;
        data[44..48].copy_from_slice(&40u32.to_be_bytes());
        data[156..165].copy_from_slice(b"LAME3.100");
        data[177..180].copy_from_slice(&[0x24, 0x05, 0x7c]); // delay 576, padding 1404
        let tag = InfoTag::parse(&header, &data).expect("a tag");
        assert_eq!(tag, InfoTag { total: Some(40 * 1152), trim: Some((1105, 875)) });
        data[156] = 0;
        assert_eq!(InfoTag::parse(&header, &data).and_then(|tag| tag.trim), None);
        data[36] = 0;
        assert_eq!(InfoTag::parse(&header, &data), None);
    }
}
