//! What Matroska says about its audio tracks: codec, language, times, and the trimming by
//! `CodecDelay` and `DiscardPadding` (RFC 9559).
//!
//! Symphonia unpacks Matroska and WebM but does not hand all of this on, so the headers of tracks
//! and blocks are read here as well.

mod tags;

use std::io::{self, BufReader, Read, Seek, SeekFrom};

use super::names;
use super::outline::{Outline, TrackOutline};
use super::source::Source;
use tags::TagReader;

const EBML: u32 = 0x1a45_dfa3;
const SEGMENT: u32 = 0x1853_8067;
const SEEK_HEAD: u32 = 0x114d_9b74;
const INFO: u32 = 0x1549_a966;
const TIMESTAMP_SCALE: u32 = 0x002a_d7b1;
const TRACKS: u32 = 0x1654_ae6b;
const TRACK_ENTRY: u32 = 0xae;
const TRACK_NUMBER: u32 = 0xd7;
const TRACK_TYPE: u32 = 0x83;
const FLAG_ENABLED: u32 = 0xb9;
const FLAG_DEFAULT: u32 = 0x88;
const CODEC_ID: u32 = 0x86;
const LANGUAGE: u32 = 0x0022_b59c;
const LANGUAGE_BCP47: u32 = 0x0022_b59d;
const CODEC_DELAY: u32 = 0x56aa;
const AUDIO: u32 = 0xe1;
const SAMPLING_FREQUENCY: u32 = 0xb5;
const CHANNELS: u32 = 0x9f;
const BIT_DEPTH: u32 = 0x6264;
const CLUSTER: u32 = 0x1f43_b675;
const TIMESTAMP: u32 = 0xe7;
const BLOCK_GROUP: u32 = 0xa0;
const BLOCK: u32 = 0xa1;
const SIMPLE_BLOCK: u32 = 0xa3;
const DISCARD_PADDING: u32 = 0x75a2;

/// More tracks are not looked at.
const MAX_TRACKS: usize = 127;
/// The most that a block may last, for the end of the last one.
const BLOCK_NANOS: u64 = 1_000_000_000;
/// Blocks of a track whose times are compared.
const MAX_STEPS: usize = 1000;
/// The rate that is shown where the container tells none and the codec has its own.
const ANY_RATE: f64 = 48_000.0;
/// Texts longer than this are not read.
const MAX_TEXT_BYTES: u64 = 256;

/// What the elements say, read from the source's current position; the source is back at its
/// start afterwards.
pub(super) fn read(source: &mut Source) -> io::Result<Outline> {
    let size = source.size().unwrap_or(u64::MAX);
    let outline = scan(&mut BufReader::with_capacity(1 << 16, &mut *source), size)?;
    source.seek(SeekFrom::Start(0))?;
    Ok(outline)
}

/// A track of any kind while it is being read.
struct Entry {
    outline: TrackOutline,
    is_audio: bool,
    enabled: bool,
    /// The times of its first block and of its latest one, in nanoseconds.
    times: Option<(i64, i64)>,
    /// Times between its first packets, in nanoseconds.
    steps: Vec<u64>,
    /// Packets in its latest block.
    packets: u64,
    id: String,
    rate: f64,
    channels: u16,
    bits: u64,
    /// Where the bytes of its rate lie, and how many there are.
    rate_at: Option<(u64, u64)>,
}

impl Entry {
    fn new() -> Self {
        let mut outline = TrackOutline::new(0);
        outline.default = true;
        outline.language = Some("eng".to_owned());
        Self {
            outline,
            is_audio: true,
            enabled: true,
            times: None,
            steps: Vec::new(),
            packets: 1,
            id: String::new(),
            rate: 8000.0, // where nothing is told
            channels: 1,
            bits: 0,
            rate_at: None,
        }
    }

    /// A block of so many packets at a time in nanoseconds.
    fn block(&mut self, time: i64, packets: u64) {
        if let Some((_, last)) = self.times
            && self.steps.len() < MAX_STEPS
        {
            let step = u64::try_from(time.saturating_sub(last)).unwrap_or(0);
            self.steps.push(step / self.packets.max(1));
        }
        self.packets = packets;
        self.times = Some((self.times.map_or(time, |(first, _)| first), time));
    }
}

/// What has to be shown instead of a segment's beginning, where the file ends before it: no size, and
/// no index, which would lead behind the end.
#[derive(Default)]
struct Beginning {
    segment_size: Option<(u64, u64)>, // place and length of the size
    index: Option<(u64, u64, u64)>,   // place, length of the head, size of the body
}

impl Beginning {
    fn patches(&self) -> Vec<(u64, Vec<u8>)> {
        let mut patches = Vec::new();
        if let Some((at, length @ 1..=8)) = self.segment_size {
            let unknown = u64::MAX >> (64 - 7 * length) | 1 << (7 * length);
            patches.push((at, unknown.to_be_bytes()[8 - length as usize..].to_vec()));
        }
        if let Some((at, head @ 5..=12, size)) = self.index {
            // An element without meaning, whose size takes what its shorter name leaves.
            let length = (head - 1).min(8);
            let size = size + (head - 1 - length);
            let field = size | 1 << (7 * length);
            let mut bytes = vec![0xec];
            bytes.extend(&field.to_be_bytes()[8 - length as usize..]);
            patches.push((at, bytes));
        }
        patches
    }
}

/// Goes through the elements, into those that hold tracks and blocks and over all others.
fn scan(reader: &mut (impl Read + Seek + SeekRelative), length: u64) -> io::Result<Outline> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut current = None; // the track whose entry or block was seen last
    let mut scale = 1_000_000; // nanoseconds in a tick
    let mut cluster = 0;
    let mut end = None;
    let mut cut = false;
    let mut beginning = Beginning::default();
    let mut tags = TagReader::default();
    loop {
        let position = reader.stream_position()?;
        let Some((id, size)) = element(reader)? else { break };
        if id == EBML && position > 0 {
            end = Some(position);
            break;
        }
        let body = reader.stream_position()?;
        if id == SEGMENT && beginning.segment_size.is_none() {
            beginning.segment_size = Some((position + 4, body - position - 4));
        } else if id == SEEK_HEAD && beginning.index.is_none() {
            beginning.index = size.map(|size| (position, body - position, size));
        }
        let Some(size) = size else {
            // Only a segment and a cluster may have no size; their parts follow.
            if matches!(id, SEGMENT | CLUSTER) {
                continue;
            }
            break;
        };
        cut |= body.saturating_add(size) > length;
        let entry = current.and_then(|at: usize| entries.get_mut(at));
        match id {
            SEGMENT | INFO | TRACKS | CLUSTER | BLOCK_GROUP | AUDIO => {}
            TRACK_ENTRY => {
                current = None;
                if entries.len() < MAX_TRACKS {
                    current = Some(entries.len());
                    entries.push(Entry::new());
                }
            }
            id if tags.knows(id) => {
                if !tags.take(id, size, reader)? {
                    break;
                }
            }
            SAMPLING_FREQUENCY if size == 4 || size == 8 => {
                let Some(value) = integer(reader, size, false)? else { break };
                if let Some(entry) = entry {
                    let (bits, short) = (value.cast_unsigned(), value as u32);
                    let wide = f64::from(f32::from_bits(short));
                    entry.rate = if size == 4 { wide } else { f64::from_bits(bits) };
                    entry.rate_at = Some((body, size));
                }
            }
            TIMESTAMP_SCALE | TIMESTAMP | TRACK_NUMBER | TRACK_TYPE | FLAG_ENABLED
            | FLAG_DEFAULT | CODEC_DELAY | DISCARD_PADDING | CHANNELS | BIT_DEPTH
                if size <= 8 =>
            {
                let Some(value) = integer(reader, size, id == DISCARD_PADDING)? else { break };
                match (id, entry) {
                    (TIMESTAMP_SCALE, _) => scale = value.max(1),
                    (TIMESTAMP, _) => cluster = value,
                    (TRACK_NUMBER, Some(entry)) => {
                        entry.outline.id = u32::try_from(value).unwrap_or(0);
                    }
                    (TRACK_TYPE, Some(entry)) => entry.is_audio = value == 2,
                    (FLAG_ENABLED, Some(entry)) => entry.enabled = value != 0,
                    (FLAG_DEFAULT, Some(entry)) => entry.outline.default = value != 0,
                    (CHANNELS, Some(entry)) => {
                        entry.channels = u16::try_from(value).unwrap_or(0);
                    }
                    (BIT_DEPTH, Some(entry)) => entry.bits = u64::try_from(value).unwrap_or(0),
                    (CODEC_DELAY, Some(entry)) => entry.outline.delay = u64::try_from(value).ok(),
                    (DISCARD_PADDING, Some(entry)) => {
                        entry.outline.padding = u64::try_from(value).unwrap_or(0);
                    }
                    _ => {}
                }
            }
            CODEC_ID | LANGUAGE | LANGUAGE_BCP47 if size <= MAX_TEXT_BYTES => {
                let Some(text) = text(reader, size)? else { break };
                match entry {
                    Some(entry) if id == CODEC_ID => {
                        entry.outline.codec = names::matroska(&text);
                        entry.id = text;
                    }
                    Some(entry) => entry.outline.language = Some(text).filter(|text| text != "und"),
                    None => {}
                }
            }
            BLOCK | SIMPLE_BLOCK => {
                let Some((number, read)) = vint(reader, Marker::Dropped)? else { break };
                current = entries.iter().position(|e| Some(u64::from(e.outline.id)) == number);
                let mut read = read;
                // A later block of the track takes the place of what was last so far.
                if let Some(entry) = current.and_then(|at| entries.get_mut(at)) {
                    let Some(time) = integer(reader, 2, true)? else { break };
                    let Some(flags) = byte(reader)? else { break };
                    read += 3;
                    let mut packets = 1;
                    if flags & 0x06 != 0 && read < size {
                        let Some(more) = byte(reader)? else { break };
                        read += 1;
                        packets += u64::from(more);
                    }
                    entry.outline.padding = 0;
                    let time = cluster.saturating_add(time).saturating_mul(scale);
                    entry.block(time, packets);
                }
                if !skip(reader, size.saturating_sub(read))? {
                    break;
                }
            }
            _ => {
                if !skip(reader, size)? {
                    break;
                }
            }
        }
    }
    let mut patches = if cut { beginning.patches() } else { Vec::new() };
    patches.extend(entries.iter().filter_map(Entry::other_rate));
    let audio = entries.into_iter().filter(|entry| entry.is_audio && entry.outline.id > 0);
    let tracks = audio.map(finish).collect();
    Ok(Outline { tracks, end, patches, cut, tags: tags.into_tags() })
}

impl Entry {
    /// A rate in the place of an impossible one, where the codec knows the right one.
    fn other_rate(&self) -> Option<(u64, Vec<u8>)> {
        let (at, size) = self.rate_at?;
        if self.rate >= 1.0 || self.outline.codec == "PCM" {
            return None;
        }
        let short = (ANY_RATE as f32).to_be_bytes().to_vec();
        Some((at, if size == 4 { short } else { ANY_RATE.to_be_bytes().to_vec() }))
    }
}

fn finish(mut entry: Entry) -> TrackOutline {
    let mut outline = entry.outline;
    outline.default &= entry.enabled;
    if matches!(outline.codec.as_str(), "Vorbis" | "Opus") {
        // The first packet of Vorbis gives no samples, and that is its delay; Opus tells its own.
        outline.delay = None;
    }
    if entry.id.starts_with("A_PCM/INT/") && entry.bits == 8 {
        outline.unsigned_bytes = Some((entry.rate.round() as u32, entry.channels));
    }
    entry.steps.sort_unstable();
    outline.step = entry.steps.get(entry.steps.len() / 10).copied();
    if let Some((first, last)) = entry.times {
        outline.start = first;
        let length = u64::try_from(last.saturating_sub(first)).unwrap_or(0);
        outline.end = Some(length.saturating_add(BLOCK_NANOS));
    }
    outline
}

/// A text of `size` bytes up to its first NUL.
fn text(reader: &mut impl Read, size: u64) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    reader.take(size).read_to_end(&mut bytes)?;
    let whole = bytes.len() as u64 == size;
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    Ok(whole.then(|| String::from_utf8_lossy(&bytes[..end]).into_owned()))
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

/// A big-endian number of `size` bytes, as two's complement where it is signed; one that is too
/// large is the largest.
fn integer(reader: &mut impl Read, size: u64, signed: bool) -> io::Result<Option<i64>> {
    let mut value = 0u64;
    let mut negative = false;
    for at in 0..size {
        let Some(next) = byte(reader)? else { return Ok(None) };
        negative |= signed && at == 0 && next >= 0x80;
        value = value << 8 | u64::from(next);
    }
    if negative {
        let high = u64::MAX.checked_shl(8 * size as u32).unwrap_or(0);
        return Ok(Some((value | high).cast_signed()));
    }
    Ok(Some(i64::try_from(value).unwrap_or(i64::MAX)))
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

    fn scan_bytes(bytes: &[u8]) -> Outline {
        scan(&mut BufReader::new(Cursor::new(bytes.to_vec())), bytes.len() as u64).expect("memory")
    }

    /// What matters of each track: number, delay and padding.
    fn trims(bytes: &[u8]) -> Vec<(u32, Option<u64>, u64)> {
        let tracks = scan_bytes(bytes).tracks;
        tracks.iter().map(|track| (track.id, track.delay, track.padding)).collect()
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

    const FIRST: (u32, Option<u64>, u64) = (1, None, 0);
    const SECOND: (u32, Option<u64>, u64) = (2, Some(6_500_000), 0);
    /// Track 2, then 1.5 ms of padding.
    const PADDED: &[u8] =
        &[0xa0, 0x8d, 0xa1, 0x85, 0x82, 0, 0, 0, 7, 0x75, 0xa2, 0x83, 0x16, 0xe3, 0x60];
    const PLAIN: &[u8] = &[0xa3, 0x85, 0x82, 0, 0, 0, 7];

    #[test]
    fn the_last_block_of_a_track_counts() {
        let padded = [FIRST, (2, Some(6_500_000), 1_500_000)];
        assert_eq!(trims(&segment(&[PLAIN, PADDED])), padded);
        assert_eq!(trims(&segment(&[PADDED, PLAIN])), [FIRST, SECOND]);
        let other_track: &[u8] = &[0xa3, 0x85, 0x81, 0, 0, 0, 7];
        assert_eq!(trims(&segment(&[PADDED, other_track])), padded);
    }

    #[test]
    fn f4_times_of_the_first_blocks_count_from_zero() {
        let late: &[u8] = &[0xe7, 0x81, 100, 0xa3, 0x85, 0x82, 0x01, 0, 0, 7];
        let early: &[u8] = &[0xe7, 0x81, 0, 0xa3, 0x85, 0x81, 0xfe, 0x0c, 0, 7];
        let tracks = scan_bytes(&segment(&[late, early])).tracks;
        let starts: Vec<i64> = tracks.iter().map(|track| track.start).collect();
        assert_eq!(starts, [-500_000_000, 356_000_000]);
    }

    #[test]
    fn w2_another_header_ends_the_file() {
        let first = segment(&[PLAIN]);
        let second = [&[0x1a, 0x45, 0xdf, 0xa3, 0x80][..], &segment(&[PLAIN])].concat();
        let outline = scan_bytes(&[first.clone(), second].concat());
        assert_eq!((outline.end, outline.tracks.len()), (Some(first.len() as u64), 2));
    }

    #[test]
    fn negative_padding_and_rubbish_say_nothing() {
        let mut negative = PADDED.to_vec();
        negative[12] = 0xf0;
        assert_eq!(trims(&segment(&[&negative])), [FIRST, SECOND]);
        let whole = segment(&[PLAIN, PADDED]);
        for end in 0..whole.len() {
            let trims = trims(&whole[..end]);
            assert!(trims.iter().all(|trim| trim.2 == 0), "cut after {end} bytes");
        }
        assert_eq!(trims(&[0; 40]), []);
        let endless = segment(&[&[0xec, 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe]]);
        assert_eq!(trims(&endless), [FIRST, SECOND]);
    }
}
