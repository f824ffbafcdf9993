//! A FLAC frame of plain samples, for the last few frames of a file, which the encoder refuses, and
//! for samples that it can't make smaller.

use crate::flac::{crc8, crc16};

/// The frame's bytes; `samples` are interleaved, at most 65,536 frames of 16 or 24 bits.
///
/// Layout after RFC 9639, section 9; everything in it is a whole number of bytes.
pub(super) fn frame(samples: &[i32], channels: usize, bits: usize, number: u32) -> Vec<u8> {
    let frames = samples.len() / channels;
    let size_code = if bits == 16 { 4 } else { 6 };
    let mut out = vec![0xff, 0xf8, 0x70, ((channels - 1) << 4) as u8 | size_code << 1];
    push_number(&mut out, number);
    out.extend((frames as u16).wrapping_sub(1).to_be_bytes());
    out.push(crc8(&out));
    for channel in 0..channels {
        out.push(0x02); // verbatim, no wasted bits
        for sample in samples.iter().skip(channel).step_by(channels) {
            out.extend(&sample.to_be_bytes()[4 - bits / 8..]);
        }
    }
    let crc = crc16(0, &out);
    out.extend(crc.to_be_bytes());
    out
}

/// The frame number in the extended UTF-8 code of FLAC.
fn push_number(out: &mut Vec<u8>, number: u32) {
    if number < 0x80 {
        out.push(number as u8);
        return;
    }
    // Each further byte takes six bits; the first one keeps what its marker leaves.
    let more = (1..5).find(|more| number >> (5 * more + 6) == 0).unwrap_or(5);
    let marker = !(0x7fu8 >> more);
    out.push(marker | (number >> (6 * more)) as u8);
    for at in (0..more).rev() {
        out.push(0x80 | (number >> (6 * at) & 0x3f) as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_coded_like_utf_8() {
        for number in [0x7f, 0x80, 0x7ff, 0x800, 0xffff, 0x1_0000, 0x1f_ffff] {
            let mut out = Vec::new();
            push_number(&mut out, number);
            if let Some(character) = char::from_u32(number) {
                assert_eq!(out, character.to_string().as_bytes(), "{number:#x}");
            }
        }
        let mut out = Vec::new();
        push_number(&mut out, 0x7fff_ffff);
        assert_eq!(out, [0xfd, 0xbf, 0xbf, 0xbf, 0xbf, 0xbf]);
        out.clear();
        push_number(&mut out, 0x20_0000);
        assert_eq!(out, [0xf8, 0x88, 0x80, 0x80, 0x80]);
    }
}
