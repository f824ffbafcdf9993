//! The tag of 128 bytes at the end of MP3 files.

use std::io::{self, Seek, SeekFrom};

use super::super::info::SourceInfo;
use super::super::source::Source;
use crate::tags::decode_text;

const TAG_BYTES: u64 = 128;

/// Collect the texts of the tag at the end of a file, which stays where it is; what other tags say
/// comes first. Streams tell what is at their end only when they get there.
pub(in crate::decode) fn read(source: &mut Source, info: &mut SourceInfo) -> io::Result<()> {
    let Some(start) = source.size().and_then(|size| size.checked_sub(TAG_BYTES)) else {
        return Ok(());
    };
    let here = source.stream_position()?;
    if here > start {
        return Ok(());
    }
    source.seek(SeekFrom::Start(start))?;
    let tag = source.peek(TAG_BYTES as usize)?;
    source.seek(SeekFrom::Start(here))?;
    let Some(body) = tag.strip_prefix(b"TAG").filter(|body| body.len() == 125) else {
        return Ok(());
    };
    let fields = [("title", 0..30), ("artist", 30..60), ("album", 60..90), ("date", 90..94)];
    for (name, range) in fields {
        info.tags.push(name, &decode_text(&body[range]));
    }
    info.tags.push("comment", &decode_text(&body[94..124]));
    // Version 1.1: a zero, and then the number of the track.
    if let (0, number @ 1..) = (body[122], body[123]) {
        info.tags.push("track", &number.to_string());
    }
    Ok(())
}
