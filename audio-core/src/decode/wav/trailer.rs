//! The chunks behind WAV samples, up to the end or to another recording.

use std::io::{self, Seek, SeekFrom};

use super::header::{MAX_TEXT_BYTES, is_chunk, read_body, read_list};
use crate::decode::info::SourceInfo;
use crate::decode::open::is_recording;
use crate::decode::source::{Source, skip};

/// Read the texts behind a file's samples, of which `data` bytes follow here; the source stays where
/// it is. Streams tell what is behind only when they get there.
pub(super) fn look_ahead(source: &mut Source, info: &mut SourceInfo, data: u64) -> io::Result<()> {
    let Some(size) = source.size() else { return Ok(()) };
    let start = source.stream_position()?;
    let Some(end) = start.checked_add(data).filter(|&end| end < size) else { return Ok(()) };
    source.seek(SeekFrom::Start(end))?;
    read(source, info, data)?;
    source.seek(SeekFrom::Start(start))?;
    Ok(())
}

/// Read chunks from the end of `data` bytes of samples on, up to another recording or more samples.
pub(super) fn read(source: &mut Source, info: &mut SourceInfo, data: u64) -> io::Result<()> {
    pad(source, data)?;
    loop {
        let head = source.peek(12)?;
        if is_recording(&head) || head.starts_with(b"data") || !is_chunk(&head, u64::MAX) {
            return Ok(());
        }
        let size = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
        skip(source, 8)?;
        match &head[..4] {
            b"LIST" => read_list(&read_body(source, size, MAX_TEXT_BYTES)?, info),
            b"bext" => {
                let body = read_body(source, size, MAX_TEXT_BYTES)?;
                info.tags.set_broadcast(body, info.rate);
            }
            _ => {
                skip(source, size.into())?;
            }
        }
        pad(source, size.into())?;
    }
}

/// Go over the byte that makes sizes even, which some writers forget.
fn pad(source: &mut Source, size: u64) -> io::Result<()> {
    let next = source.peek(1)?;
    if size % 2 == 1 && next.first().is_some_and(|byte| !byte.is_ascii_alphabetic()) {
        skip(source, 1)?;
    }
    Ok(())
}
