//! What Matroska says about the padding after the last packet: `DiscardPadding` (RFC 9559).
//!
//! Symphonia unpacks Matroska and WebM but does not hand this element on, so the headers of the
//! blocks are read here as well. The delay at the start is in the codec's own header.

use std::io::{self, BufReader, Read, Seek, SeekFrom};

use super::source::Source;

const SEGMENT: u32 = 0x1853_8067;
const CLUSTER: u32 = 0x1f43_b675;
const BLOCK_GROUP: u32 = 0xa0;
const BLOCK: u32 = 0xa1;
const SIMPLE_BLOCK: u32 = 0xa3;
const DISCARD_PADDING: u32 = 0x75a2;

/// The padding that a track's last block is to lose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Padding {
    pub(super) track: u32,
    pub(super) nanoseconds: u64,
}

/// The padding of each track that has some, read from the source's current position; the source is
/// back at its start afterwards.
pub(super) fn read_paddings(source: &mut Source) -> io::Result<Vec<Padding>> {
    let paddings = scan(&mut BufReader::with_capacity(1 << 16, &mut *source))?;
    source.seek(SeekFrom::Start(0))?;
    Ok(paddings)
}

/// Goes through the elements, into those that hold blocks and over all others.
fn scan(reader: &mut (impl Read + SeekRelative)) -> io::Result<Vec<Padding>> {
    let mut paddings: Vec<Padding> = Vec::new();
    let mut track = None;
    while let Some((id, size)) = element(reader)? {
        let Some(size) = size else {
            // Only a segment and a cluster may have no size; their parts follow.
            if matches!(id, SEGMENT | CLUSTER) {
                continue;
            }
            break;
        };
        match id {
            SEGMENT | CLUSTER | BLOCK_GROUP => {}
            BLOCK | SIMPLE_BLOCK => {
                let Some((number, read)) = vint(reader, Marker::Dropped)? else { break };
                track = number.and_then(|number| u32::try_from(number).ok());
                // A later block of the track takes the place of what was last so far.
                paddings.retain(|padding| Some(padding.track) != track);
                if !skip(reader, size.saturating_sub(read))? {
                    break;
                }
            }
            DISCARD_PADDING if size <= 8 => {
                let Some(value) = signed(reader, size)? else { break };
                if let (Some(track), Ok(nanoseconds @ 1..)) = (track, u64::try_from(value)) {
                    paddings.push(Padding { track, nanoseconds });
                }
            }
            _ => {
                if !skip(reader, size)? {
                    break;
                }
            }
        }
    }
    Ok(paddings)
}

/// Whether the length marker of a variable-size integer belongs to its value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Marker {
    Kept,
    Dropped,
}

/// Identifier and size of the next element; no size means "unknown", no element the end of the data
/// or something that is no element.
fn element(reader: &mut impl Read) -> io::Result<Option<(u32, Option<u64>)>> {
    let Some((Some(id), length)) = vint(reader, Marker::Kept)? else { return Ok(None) };
    let (Ok(id), 1..=4) = (u32::try_from(id), length) else { return Ok(None) };
    let Some((size, _)) = vint(reader, Marker::Dropped)? else { return Ok(None) };
    Ok(Some((id, size)))
}

/// A variable-size integer and the bytes that it took; the value with all bits set is no number.
fn vint(reader: &mut impl Read, marker: Marker) -> io::Result<Option<(Option<u64>, u64)>> {
    let Some(first) = byte(reader)? else { return Ok(None) };
    let length = first.leading_zeros() + 1;
    if length > 8 {
        return Ok(None);
    }
    let mut value = u64::from(first);
    for _ in 1..length {
        let Some(next) = byte(reader)? else { return Ok(None) };
        value = value << 8 | u64::from(next);
    }
    let mask = (1u64 << (7 * length)) - 1;
    let number = match marker {
        Marker::Kept => Some(value),
        Marker::Dropped => Some(value & mask).filter(|&value| value != mask),
    };
    Ok(Some((number, length.into())))
}

/// A big-endian two's complement number of `size` bytes.
fn signed(reader: &mut impl Read, size: u64) -> io::Result<Option<i64>> {
    let mut value = 0i64;
    for at in 0..size {
        let Some(next) = byte(reader)? else { return Ok(None) };
        value = if at == 0 { i64::from(next.cast_signed()) } else { value << 8 | i64::from(next) };
    }
    Ok(Some(value))
}

fn byte(reader: &mut impl Read) -> io::Result<Option<u8>> {
    let mut byte = [0];
    match reader.read_exact(&mut byte) {
        Ok(()) => Ok(Some(byte[0])),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// Moving on without losing what is buffered.
trait SeekRelative {
    fn seek_relative(&mut self, offset: i64) -> io::Result<()>;
}

impl<R: Read + Seek> SeekRelative for BufReader<R> {
    fn seek_relative(&mut self, offset: i64) -> io::Result<()> {
        BufReader::seek_relative(self, offset)
    }
}

/// Go over `count` bytes; `false` where no file is that long.
fn skip(reader: &mut impl SeekRelative, count: u64) -> io::Result<bool> {
    let Ok(count) = i64::try_from(count) else { return Ok(false) };
    match reader.seek_relative(count) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn scan_bytes(bytes: &[u8]) -> Vec<Padding> {
        scan(&mut BufReader::new(Cursor::new(bytes.to_vec()))).expect("memory")
    }

    /// A segment of unknown size with one cluster of unknown size, as a live writer makes them.
    fn segment(blocks: &[&[u8]]) -> Vec<u8> {
        let mut bytes = vec![0x18, 0x53, 0x80, 0x67, 0xff, 0x1f, 0x43, 0xb6, 0x75, 0xff];
        bytes.extend(blocks.concat());
        bytes
    }

    /// Track 2, then 1.5 ms of padding.
    const PADDED: &[u8] =
        &[0xa0, 0x8d, 0xa1, 0x85, 0x82, 0, 0, 0, 7, 0x75, 0xa2, 0x83, 0x16, 0xe3, 0x60];
    const PLAIN: &[u8] = &[0xa3, 0x85, 0x82, 0, 0, 0, 7];

    #[test]
    fn the_last_block_of_a_track_counts() {
        let expected = [Padding { track: 2, nanoseconds: 1_500_000 }];
        assert_eq!(scan_bytes(&segment(&[PLAIN, PADDED])), expected);
        assert_eq!(scan_bytes(&segment(&[PADDED, PLAIN])), []);
        let other_track: &[u8] = &[0xa3, 0x85, 0x81, 0, 0, 0, 7];
        assert_eq!(scan_bytes(&segment(&[PADDED, other_track])), expected);
    }

    #[test]
    fn negative_padding_and_rubbish_say_nothing() {
        let mut negative = PADDED.to_vec();
        negative[12] = 0xf0;
        assert_eq!(scan_bytes(&segment(&[&negative])), []);
        let whole = segment(&[PLAIN, PADDED]);
        for end in 0..whole.len() {
            assert_eq!(scan_bytes(&whole[..end]), [], "cut after {end} bytes");
        }
        assert_eq!(scan_bytes(&[0; 40]), []);
        let endless = segment(&[&[0xec, 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe]]);
        assert_eq!(scan_bytes(&endless), []);
    }
}
