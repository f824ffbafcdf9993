//! What CAF says in front of its samples, as far as symphonia trusts it too much: impossible fields
//! are named, and a data chunk whose size is not known gets the one that it has.

use std::io::{self, Seek, SeekFrom};
use std::path::PathBuf;

use super::backend::{Backend, check_bits, checked_spec};
use super::info::SourceInfo;
use super::source::{Source, read_full};
use super::symphonia_backend;
use crate::error::{Error, Result};
use crate::layout::ChannelLayout;
use crate::warning::Warning;

/// Chunks to look at before giving up.
const MAX_CHUNKS: usize = 10_000;
/// The edit count in front of the samples.
const EDIT_COUNT_BYTES: u64 = 4;

/// Open a CAF file; from a stream it is first copied to a temporary file, because its packet table
/// may come last.
pub(super) fn open(source: Source, path: PathBuf) -> Result<Box<dyn Backend>> {
    let mut source = source.spool().map_err(|e| Error::io(&path, e))?;
    let mut info = SourceInfo::new(path, "caf", "");
    let mut at = 8;
    for _ in 0..MAX_CHUNKS {
        let Some((kind, size)) = chunk(&mut source, at).map_err(|e| Error::io(&info.path, e))?
        else {
            break;
        };
        let body = at + 12;
        match &kind {
            b"desc" => {
                let body = source.peek(32).map_err(|e| Error::io(&info.path, e))?;
                check_description(&info, &body)?;
            }
            b"data" => repair_size(&mut source, &mut info, at, size),
            _ => {}
        }
        let Some(next) = u64::try_from(size).ok().and_then(|size| body.checked_add(size)) else {
            break;
        };
        at = next;
    }
    source.rewind().map_err(|e| Error::io(&info.path, e))?;
    let mut backend = symphonia_backend::open(source, info.path)?;
    backend.info().warnings.append(&mut info.warnings);
    Ok(backend)
}

/// Kind and size of the chunk at a place; the source stands at its body afterwards.
fn chunk(source: &mut Source, at: u64) -> io::Result<Option<([u8; 4], i64)>> {
    source.seek(SeekFrom::Start(at))?;
    let mut head = [0; 12];
    if read_full(source, &mut head)? < head.len() {
        return Ok(None);
    }
    let [a, b, c, d, size @ ..] = head;
    Ok(Some(([a, b, c, d], i64::from_be_bytes(size))))
}

/// The audio description (Apple Core Audio Format, "Audio Description Chunk").
fn check_description(info: &SourceInfo, body: &[u8]) -> Result<()> {
    let Some(body) = body.first_chunk::<32>() else { return Ok(()) };
    let [a, b, c, d, e, f, g, h, kind @ ..] = *body;
    let rate = f64::from_be_bytes([a, b, c, d, e, f, g, h]);
    let long = |at: usize| u32::from_be_bytes([kind[at], kind[at + 1], kind[at + 2], kind[at + 3]]);
    let channels = u16::try_from(long(16)).unwrap_or(u16::MAX);
    checked_spec(info, rate.round() as u32, ChannelLayout::Discrete(channels))?;
    let is_float = long(4) & 1 != 0;
    match &kind[..4] {
        b"lpcm" if is_float => check_bits(info, long(20), &[32, 64]),
        b"lpcm" => check_bits(info, long(20), &[16, 24, 32]),
        _ => Ok(()),
    }
}

/// Show the size of the data chunk as it is: to the end of the file, where the header does not know
/// (-1, or 0 of a writer that never came back) or promises more.
fn repair_size(source: &mut Source, info: &mut SourceInfo, at: u64, size: i64) {
    let left = source.size().unwrap_or(0).saturating_sub(at + 12);
    let promised = u64::try_from(size).ok().filter(|&size| size >= EDIT_COUNT_BYTES);
    if promised.is_some_and(|size| size <= left) {
        return;
    }
    if let Some(size) = promised {
        let what = format!("the data chunk promises {size} bytes, {left} were found");
        info.warnings.push(Warning::Repaired { what });
    } else if size != -1 {
        let what = format!(
            "the header was never completed (data size {size}); everything to the end was read"
        );
        info.warnings.push(Warning::Repaired { what });
    }
    source.overlay(at + 4, left.to_be_bytes().to_vec());
}
