//! WAV files made byte by byte, independent of the writer that is tested.
#![allow(dead_code, reason = "each test binary uses a part")]

/// A sine as exact numbers.
pub(crate) fn sine(frames: usize, hertz: f64, rate: u32, amplitude: f64) -> Vec<f64> {
    (0..frames)
        .map(|i| amplitude * (std::f64::consts::TAU * hertz * i as f64 / f64::from(rate)).sin())
        .collect()
}

/// Integers of `bits`, left-justified in `container` little-endian bytes; 8 bits are unsigned.
pub(crate) fn store(samples: &[f64], bits: u32, container: usize) -> Vec<u8> {
    let scale = 2f64.powi(bits as i32 - 1);
    let shift = 8 * container as u32 - bits;
    samples
        .iter()
        .flat_map(|&sample| {
            let value = ((sample * scale).round() as i64) << shift;
            let value = if bits == 8 { value + 128 } else { value };
            value.to_le_bytes()[..container].to_vec()
        })
        .collect()
}

/// A chunk with its padding byte.
pub(crate) fn chunk(name: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut out = name.to_vec();
    out.extend((body.len() as u32).to_le_bytes());
    out.extend(body);
    out.resize(out.len() + body.len() % 2, 0);
    out
}

/// A whole file around chunks.
pub(crate) fn riff(chunks: &[u8]) -> Vec<u8> {
    let mut out = b"RIFF".to_vec();
    out.extend((4 + chunks.len() as u32).to_le_bytes());
    out.extend(b"WAVE");
    out.extend(chunks);
    out
}

/// The 16-byte format chunk; `align` is the size of a frame in bytes.
pub(crate) fn fmt(tag: u16, channels: u16, rate: u32, align: u16, bits: u16) -> Vec<u8> {
    let align =
        if channels > 1 && align == bits / 8 { align.wrapping_mul(channels) } else { align };
    let mut out = tag.to_le_bytes().to_vec();
    out.extend(channels.to_le_bytes());
    out.extend(rate.to_le_bytes());
    out.extend(rate.wrapping_mul(align.into()).to_le_bytes());
    out.extend(align.to_le_bytes());
    out.extend(bits.to_le_bytes());
    out
}

/// The 40-byte extensible format chunk.
pub(crate) fn extensible(
    tag: u16,
    channels: u16,
    rate: u32,
    align: u16,
    bits: u16,
    valid: u16,
    mask: u32,
) -> Vec<u8> {
    let mut out = fmt(0xfffe, channels, rate, align, bits);
    out.extend(22u16.to_le_bytes());
    out.extend(valid.to_le_bytes());
    out.extend(mask.to_le_bytes());
    out.extend(tag.to_le_bytes());
    out.extend([0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71]);
    out
}

/// A plain file.
pub(crate) struct Wav {
    channels: u16,
    rate: u32,
}

impl Wav {
    /// 16-bit integers with the classic header of 44 bytes.
    pub(crate) fn s16(channels: u16, rate: u32) -> Self {
        Self { channels, rate }
    }

    /// The file.
    pub(crate) fn bytes(&self, samples: &[f64]) -> Vec<u8> {
        let format = fmt(1, self.channels, self.rate, 2 * self.channels, 16);
        riff(&[chunk(b"fmt ", &format), chunk(b"data", &store(samples, 16, 2))].concat())
    }
}
