//! What AIFF and AIFF-C say in front of their samples, as far as symphonia trusts it too much:
//! impossible fields are named, and the size of the samples is that which the file has.

use std::io::{Seek, SeekFrom};
use std::path::PathBuf;

use super::backend::{Backend, check_bits, checked_spec};
use super::info::SourceInfo;
use super::source::Source;
use super::symphonia_backend;
use crate::error::{Error, Result};
use crate::layout::ChannelLayout;
use crate::warning::Warning;

/// Chunks to look at before giving up.
const MAX_CHUNKS: usize = 10_000;
/// Offset and block size in front of the samples.
const SOUND_HEAD_BYTES: u64 = 8;

/// Open an AIFF or AIFF-C file; from a stream it is first copied to a temporary file, because the
/// size of the samples may be wrong.
pub(super) fn open(source: Source, path: PathBuf) -> Result<Box<dyn Backend>> {
    let mut source = source.spool().map_err(|e| Error::io(&path, e))?;
    let mut info = SourceInfo::new(path, "aiff", "");
    let mut at = 12;
    for _ in 0..MAX_CHUNKS {
        let io_error = |e| Error::io(&info.path, e);
        source.seek(SeekFrom::Start(at)).map_err(io_error)?;
        let head = source.peek(8 + 22).map_err(io_error)?;
        let Some((&[a, b, c, d, size @ ..], body)) = head.split_first_chunk::<8>() else { break };
        let size = u32::from_be_bytes(size);
        match &[a, b, c, d] {
            b"COMM" => check(&info, &body[..body.len().min(size as usize)])?,
            b"SSND" => repair_size(&mut source, &mut info, at, size),
            _ => {}
        }
        at += 8 + u64::from(size) + u64::from(size % 2);
    }
    source.rewind().map_err(|e| Error::io(&info.path, e))?;
    let mut backend = symphonia_backend::open(source, info.path)?;
    backend.info().warnings.append(&mut info.warnings);
    Ok(backend)
}

/// Show the size of the sound chunk as it is: to the end of the file, where the header promises more
/// or was never completed.
fn repair_size(source: &mut Source, info: &mut SourceInfo, at: u64, size: u32) {
    let left = source.size().unwrap_or(0).saturating_sub(at + 8);
    let promised = Some(u64::from(size)).filter(|&size| size >= SOUND_HEAD_BYTES);
    if promised.is_some_and(|size| size <= left) || left < SOUND_HEAD_BYTES {
        return;
    }
    let what = match promised {
        Some(size) => format!("the sound chunk promises {size} bytes, {left} were found"),
        None => format!(
            "the header was never completed (sound size {size}); everything to the end was read"
        ),
    };
    info.warnings.push(Warning::Repaired { what });
    // Nothing follows, and the whole ends where the file does.
    for (place, size) in [(at + 4, left), (4, at + left)] {
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        source.overlay(place, size.to_be_bytes().to_vec());
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
