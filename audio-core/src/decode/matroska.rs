//! What Matroska says about trimming: `CodecDelay` and `DiscardPadding` (RFC 9559).
//!
//! Symphonia unpacks Matroska and WebM but does not hand these elements on, so the headers of
//! tracks and blocks are read here as well.

use std::io::{self, BufReader, Read, Seek, SeekFrom};

use super::source::Source;

const SEGMENT: u32 = 0x1853_8067;
const TRACKS: u32 = 0x1654_ae6b;
const TRACK_ENTRY: u32 = 0xae;
const TRACK_NUMBER: u32 = 0xd7;
const CODEC_DELAY: u32 = 0x56aa;
const CLUSTER: u32 = 0x1f43_b675;
const BLOCK_GROUP: u32 = 0xa0;
const BLOCK: u32 = 0xa1;
const SIMPLE_BLOCK: u32 = 0xa3;
const DISCARD_PADDING: u32 = 0x75a2;

/// More tracks are not looked at.
const MAX_TRACKS: usize = 127;

/// What one track is to lose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MatroskaTrim {
    pub(super) track: u32,
    /// Nanoseconds at its start; `None` when nothing tells.
    pub(super) delay: Option<u64>,
    /// Nanoseconds at its end.
    pub(super) padding: u64,
}

/// The trimming of each track, read from the source's current position; the source is back at its
/// start afterwards.
pub(super) fn read_trims(source: &mut Source) -> io::Result<Vec<MatroskaTrim>> {
    let trims = scan(&mut BufReader::with_capacity(1 << 16, &mut *source))?;
    source.seek(SeekFrom::Start(0))?;
    Ok(trims)
}

/// Goes through the elements, into those that hold tracks and blocks and over all others.
fn scan(reader: &mut (impl Read + SeekRelative)) -> io::Result<Vec<MatroskaTrim>> {
    let mut trims: Vec<MatroskaTrim> = Vec::new();
    let mut current = None; // the track whose entry or block was seen last
    while let Some((id, size)) = element(reader)? {
        let Some(size) = size else {
            // Only a segment and a cluster may have no size; their parts follow.
            if matches!(id, SEGMENT | CLUSTER) {
                continue;
            }
            break;
        };
        match id {
            SEGMENT | TRACKS | TRACK_ENTRY | CLUSTER | BLOCK_GROUP => {}
            TRACK_NUMBER if size <= 8 => {
                let Some(number) = signed(reader, size)? else { break };
                if let Ok(track) = u32::try_from(number)
                    && trims.len() < MAX_TRACKS
                {
                    current = Some(trims.len());
                    trims.push(MatroskaTrim { track, delay: None, padding: 0 });
                }
            }
            CODEC_DELAY if size <= 8 => {
                let Some(delay) = signed(reader, size)? else { break };
                if let Some(trim) = current.and_then(|at| trims.get_mut(at)) {
                    trim.delay = u64::try_from(delay).ok();
                }
            }
            BLOCK | SIMPLE_BLOCK => {
                let Some((number, read)) = vint(reader, Marker::Dropped)? else { break };
                current = trims.iter().position(|trim| Some(trim.track.into()) == number);
                // A later block of the track takes the place of what was last so far.
                if let Some(trim) = current.and_then(|at| trims.get_mut(at)) {
                    trim.padding = 0;
                }
                if !skip(reader, size.saturating_sub(read))? {
                    break;
                }
            }
            DISCARD_PADDING if size <= 8 => {
                let Some(padding) = signed(reader, size)? else { break };
                if let Some(trim) = current.and_then(|at| trims.get_mut(at)) {
                    trim.padding = u64::try_from(padding).unwrap_or(0);
                }
            }
            _ => {
                if !skip(reader, size)? {
                    break;
                }
            }
        }
    }
    Ok(trims)
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

    fn scan_bytes(bytes: &[u8]) -> Vec<MatroskaTrim> {
        scan(&mut BufReader::new(Cursor::new(bytes.to_vec()))).expect("memory")
    }

    /// A segment of unknown size with tracks 1 and 2, the latter 6.5 ms late, and one cluster of
    /// unknown size, as a live writer makes them.
    fn segment(blocks: &[&[u8]]) -> Vec<u8> {
        let mut bytes = vec![0x18, 0x53, 0x80, 0x67, 0xff, 0x16, 0x54, 0xae, 0x6b, 0x90];
        bytes.extend([0xae, 0x83, 0xd7, 0x81, 1]);
        bytes.extend([0xae, 0x89, 0xd7, 0x81, 2, 0x56, 0xaa, 0x83, 0x63, 0x2e, 0xa0]);
        bytes.extend([0x1f, 0x43, 0xb6, 0x75, 0xff]);
        bytes.extend(blocks.concat());
        bytes
    }

    const FIRST: MatroskaTrim = MatroskaTrim { track: 1, delay: None, padding: 0 };
    const SECOND: MatroskaTrim = MatroskaTrim { track: 2, delay: Some(6_500_000), padding: 0 };
    /// Track 2, then 1.5 ms of padding.
    const PADDED: &[u8] =
        &[0xa0, 0x8d, 0xa1, 0x85, 0x82, 0, 0, 0, 7, 0x75, 0xa2, 0x83, 0x16, 0xe3, 0x60];
    const PLAIN: &[u8] = &[0xa3, 0x85, 0x82, 0, 0, 0, 7];

    #[test]
    fn the_last_block_of_a_track_counts() {
        let padded = [FIRST, MatroskaTrim { padding: 1_500_000, ..SECOND }];
        assert_eq!(scan_bytes(&segment(&[PLAIN, PADDED])), padded);
        assert_eq!(scan_bytes(&segment(&[PADDED, PLAIN])), [FIRST, SECOND]);
        let other_track: &[u8] = &[0xa3, 0x85, 0x81, 0, 0, 0, 7];
        assert_eq!(scan_bytes(&segment(&[PADDED, other_track])), padded);
    }

    #[test]
    fn negative_padding_and_rubbish_say_nothing() {
        let mut negative = PADDED.to_vec();
        negative[12] = 0xf0;
        assert_eq!(scan_bytes(&segment(&[&negative])), [FIRST, SECOND]);
        let whole = segment(&[PLAIN, PADDED]);
        for end in 0..whole.len() {
            let trims = scan_bytes(&whole[..end]);
            assert!(trims.iter().all(|trim| trim.padding == 0), "cut after {end} bytes");
        }
        assert_eq!(scan_bytes(&[0; 40]), []);
        let endless = segment(&[&[0xec, 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe]]);
        assert_eq!(scan_bytes(&endless), [FIRST, SECOND]);
    }
}
