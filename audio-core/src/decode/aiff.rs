//! The fields of AIFF and AIFF-C that are checked before symphonia reads the file, so that impossible
//! ones are named.

mod chunks;

use std::path::PathBuf;

use super::backend::{Backend, check_bits, checked_spec};
use super::info::SourceInfo;
use super::source::Source;
use super::symphonia_backend;
use crate::error::{Error, Result};
use crate::layout::ChannelLayout;
use crate::warning::Warning;

/// Bytes at the start in which the common chunk is looked for.
const HEAD_BYTES: usize = 1 << 16;

/// Open an AIFF or AIFF-C source; a stream is first copied to a temporary file, because only the end
/// tells whether its sizes are right.
pub(super) fn open(source: Source, path: PathBuf) -> Result<Box<dyn Backend>> {
    let mut source = source.spool().map_err(|e| Error::io(&path, e))?;
    let info = SourceInfo::new(path, "aiff", "");
    let head = source.peek(HEAD_BYTES).map_err(|e| Error::io(&info.path, e))?;
    if let Some(common) = common(&head) {
        check(&info, common)?;
    }
    let (outline, repaired) = chunks::read(&mut source).map_err(|e| Error::io(&info.path, e))?;
    let mut backend = symphonia_backend::open_patched(&source, info.path, &outline)?;
    backend.info().warnings.extend(repaired.map(|what| Warning::Repaired { what }));
    Ok(backend)
}

/// The body of the common chunk.
fn common(head: &[u8]) -> Option<&[u8]> {
    let mut rest = head.get(12..)?;
    loop {
        let (kind, tail) = rest.split_first_chunk::<4>()?;
        let (size, body) = tail.split_first_chunk::<4>()?;
        let size = u32::from_be_bytes(*size) as usize;
        if kind == b"COMM" {
            return Some(&body[..size.min(body.len())]);
        }
        rest = body.get(size.checked_add(size % 2)?..)?;
    }
}

/// Channels, frames, bits, rate, and in AIFF-C the compression.
fn check(info: &SourceInfo, common: &[u8]) -> Result<()> {
    let Some(&[a, b, _, _, _, _, c, d, rate @ ..]) = common.first_chunk::<18>() else {
        return Ok(());
    };
    let (channels, bits) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    checked_spec(info, extended(rate), ChannelLayout::Discrete(channels))?;
    match common.get(18..22) {
        None | Some(b"NONE" | b"twos" | b"sowt") if !(8..=32).contains(&bits) => {
            check_bits(info, bits.into(), &[8, 12, 16, 20, 24, 32])
        }
        _ => Ok(()),
    }
}

/// A number of 80 bits (sign and exponent, then the mantissa with its leading one), rounded and
/// limited to 32 bits.
fn extended(bytes: [u8; 10]) -> u32 {
    let [a, b, mantissa @ ..] = bytes;
    let exponent = i32::from(i16::from_be_bytes([a, b]));
    if exponent < 0 {
        return 0;
    }
    let value = u64::from_be_bytes(mantissa) as f64 * 2f64.powi(exponent - 16_383 - 63);
    value.round() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_80_bits() {
        let number = |exponent: u16, mantissa: u64| {
            let mut bytes = [0; 10];
            bytes[..2].copy_from_slice(&exponent.to_be_bytes());
            bytes[2..].copy_from_slice(&mantissa.to_be_bytes());
            extended(bytes)
        };
        assert_eq!(number(0x400e, 0xac44 << 48), 44_100);
        assert_eq!(number(0x3fff, 1 << 63), 1);
        assert_eq!((number(0, 0), number(0xffff, u64::MAX)), (0, 0));
        assert_eq!(number(0x7fff, u64::MAX), u32::MAX);
    }
}
