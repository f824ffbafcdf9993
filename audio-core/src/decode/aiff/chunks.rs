//! The chunks of AIFF as they are, where their sizes are wrong: files that are cut, that were never
//! completed, or that another recording follows.

use std::io::{self, Seek, SeekFrom};

use crate::decode::open::is_recording;
use crate::decode::outline::Outline;
use crate::decode::source::Source;

/// Chunks to look at before giving up.
const MAX_CHUNKS: usize = 10_000;
/// Offset and block size in front of the samples.
const SOUND_HEAD_BYTES: u64 = 8;
/// The head of the file itself.
const FORM_BYTES: u64 = 12;

/// What has to be shown instead of wrong sizes, and where another recording begins; what was repaired
/// in words. The source is back at its start afterwards.
pub(super) fn read(source: &mut Source) -> io::Result<(Outline, Option<String>)> {
    let file = source.size().unwrap_or(0);
    let mut outline = Outline::default();
    let mut repaired = None;
    let mut at = FORM_BYTES;
    let mut form = at;
    for _ in 0..MAX_CHUNKS {
        source.seek(SeekFrom::Start(at))?;
        let head = source.peek(20)?;
        if is_recording(&head) {
            outline.end = Some(at);
            break;
        }
        let Some((kind, told)) = chunk(&head) else { break };
        let left = file.saturating_sub(at + 8);
        let mut size = u64::from(told);
        if &kind == b"SSND" {
            source.seek(SeekFrom::Start(at + 8 + SOUND_HEAD_BYTES))?;
            let next = source.peek(8)?;
            let open = size <= SOUND_HEAD_BYTES
                && left > SOUND_HEAD_BYTES
                && !next.is_empty()
                && chunk(&next).is_none_or(|(kind, _)| !is_known(kind))
                && !is_recording(&next);
            if open {
                repaired = Some(format!(
                    "the header was never completed (sound size {told}); everything to the end was read"
                ));
            } else if size > left {
                outline.cut = true;
            }
            if open || size > left {
                size = left;
                let short = u32::try_from(size).unwrap_or(u32::MAX);
                outline.patches.push((at + 4, short.to_be_bytes().to_vec()));
            }
        } else if size > left {
            outline.cut |= is_known(kind);
            break;
        }
        form = at + 8 + size;
        at = form + size % 2;
    }
    if outline.cut || repaired.is_some() {
        let size = u32::try_from(form - 8).unwrap_or(u32::MAX);
        outline.patches.push((4, size.to_be_bytes().to_vec()));
    }
    source.rewind()?;
    Ok((outline, repaired))
}

/// Kind and size of a chunk.
fn chunk(head: &[u8]) -> Option<([u8; 4], u32)> {
    let &[a, b, c, d, size @ ..] = head.first_chunk::<8>()?;
    Some(([a, b, c, d], u32::from_be_bytes(size)))
}

/// Whether a chunk of this kind is part of the format.
fn is_known(kind: [u8; 4]) -> bool {
    const KNOWN: [&[u8; 4]; 16] = [
        b"COMM", b"SSND", b"MARK", b"INST", b"MIDI", b"AESD", b"APPL", b"COMT", b"NAME", b"AUTH",
        b"(c) ", b"ANNO", b"FVER", b"CHAN", b"ID3 ", b"id3 ",
    ];
    KNOWN.contains(&&kind)
}
