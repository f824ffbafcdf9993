//! A FLAC frame of 24 bits whose samples have zeros in their lower eight, as those of a 16-bit
//! recording have: it is coded as 16 bits with "wasted bits" (RFC 9639, section 9.2.2).

use flacenc::bitsink::{BitSink, ByteSink};
use flacenc::component::{BitRepr, Frame};
use flacenc::error::OutputError;

use crate::flac::{crc8, crc16};

/// The lower bits that are zero.
pub(super) const WASTED_BITS: usize = 8;
/// The sample size of 24 bits in a frame header, in place.
const SIZE_24: u8 = 6 << 1;

/// Whether all samples have zeros in their lower bits.
pub(super) fn is_shifted(samples: &[i32]) -> bool {
    samples.iter().all(|sample| sample.trailing_zeros() as usize >= WASTED_BITS)
}

/// The bytes of a 24-bit frame; `frame` holds the upper 16 bits of the samples, not as the mean of
/// two channels.
pub(super) fn widen(frame: Frame) -> Result<Vec<u8>, OutputError<ByteSink>> {
    let (header, subframes) = frame.into_parts();
    let mut start = ByteSink::new();
    header.write(&mut start)?;
    let mut out = start.into_inner();
    out.pop(); // the checksum
    out[3] = out[3] & 0xf1 | SIZE_24;
    out.push(crc8(&out));
    let mut bits = ByteSink::new();
    for subframe in subframes {
        let mut part = ByteSink::new();
        subframe.write(&mut part)?;
        let (kind, coded) = part.as_slice().split_first().unwrap_or((&0, &[]));
        // The kind with the flag of wasted bits, then their number less one in the unary code.
        write(&mut bits, kind | 1, 8);
        write(&mut bits, 1, WASTED_BITS);
        let mut left = subframe.count_bits() - 8;
        for byte in coded {
            let count = left.min(8);
            write(&mut bits, byte >> (8 - count), count);
            left -= count;
        }
    }
    out.extend(bits.into_inner());
    let crc = crc16(0, &out);
    out.extend(crc.to_be_bytes());
    Ok(out)
}

/// Appends the lower `count` bits; memory takes them always.
fn write(sink: &mut ByteSink, value: u8, count: usize) {
    let Ok(()) = sink.write_lsbs(value, count);
}
