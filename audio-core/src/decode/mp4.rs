//! What MP4 says about trimming: edit list, sample durations, and the iTunes gapless tag.
//!
//! Symphonia unpacks and decodes MP4 but drops the edit list, so the boxes are read here as well.

use std::io::{self, Read, Seek, SeekFrom};

use super::source::Source;

/// Larger movie boxes are not read.
const MAX_MOOV_BYTES: u64 = 1 << 26;
/// Top-level boxes to look at before giving up.
const MAX_TOP_BOXES: usize = 100_000;

/// The part of a decoded track that is to be heard, in ticks of `timescale`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mp4Trim {
    pub(super) track: u32,
    pub(super) timescale: u32,
    /// Ticks to drop from the start; `None` when nothing tells.
    pub(super) delay: Option<u64>,
    /// Ticks to keep after that; `None` when only the end of the data tells.
    pub(super) length: Option<u64>,
    /// Whether the edit list has more than the one entry that was followed.
    pub(super) complex: bool,
}

/// Read the trimming of every track; the source is back at its start afterwards.
pub(super) fn read_trims(source: &mut Source) -> io::Result<Vec<Mp4Trim>> {
    let trims = match find_moov(source)? {
        Some(moov) => parse_moov(&moov),
        None => Vec::new(),
    };
    source.seek(SeekFrom::Start(0))?;
    Ok(trims)
}

/// The body of the first `moov` box.
fn find_moov(source: &mut Source) -> io::Result<Option<Vec<u8>>> {
    let mut at = 0u64;
    for _ in 0..MAX_TOP_BOXES {
        source.seek(SeekFrom::Start(at))?;
        let head = source.peek(16)?;
        let Some((kind, header, size)) = box_head(&head) else { return Ok(None) };
        let body = size.map(|size| size.saturating_sub(header));
        if kind == *b"moov" {
            source.seek(SeekFrom::Start(at.saturating_add(header)))?;
            let mut moov = Vec::new();
            source
                .take(body.unwrap_or(MAX_MOOV_BYTES).min(MAX_MOOV_BYTES))
                .read_to_end(&mut moov)?;
            return Ok(Some(moov));
        }
        let Some(next) = size.and_then(|size| at.checked_add(size)) else { return Ok(None) };
        at = next;
    }
    Ok(None)
}

/// Kind, header size and whole size of a box; no size means "to the end".
fn box_head(bytes: &[u8]) -> Option<([u8; 4], u64, Option<u64>)> {
    let kind = bytes.get(4..8)?.try_into().ok()?;
    match long(bytes, 0)? {
        0 => Some((kind, 8, None)),
        1 => Some((kind, 16, Some(huge(bytes, 8)?).filter(|&size| size >= 16))),
        size if size >= 8 => Some((kind, 8, Some(size.into()))),
        _ => None,
    }
}

fn long(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn huge(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

/// The boxes inside `bytes`; a box that runs over the end is cut.
fn children(mut bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let (kind, header, size) = box_head(bytes)?;
        let size = size
            .map_or(bytes.len(), |size| usize::try_from(size).unwrap_or(usize::MAX))
            .min(bytes.len());
        let body = bytes.get(usize::try_from(header).ok()?..size)?;
        bytes = &bytes[size..];
        Some((kind, body))
    })
}

fn child<'a>(bytes: &'a [u8], path: &[&[u8; 4]]) -> Option<&'a [u8]> {
    path.iter().try_fold(bytes, |bytes, kind| {
        children(bytes).find(|(found, _)| found == *kind).map(|(_, body)| body)
    })
}

fn parse_moov(moov: &[u8]) -> Vec<Mp4Trim> {
    let movie_scale = child(moov, &[b"mvhd"]).and_then(timescale).unwrap_or(1000);
    let gapless = child(moov, &[b"udta", b"meta"]).and_then(gapless_tag);
    children(moov)
        .filter(|(kind, _)| kind == b"trak")
        .filter_map(|(_, trak)| parse_trak(trak, movie_scale, gapless))
        .collect()
}

/// The timescale of an `mvhd` or `mdhd` box.
fn timescale(body: &[u8]) -> Option<u32> {
    let at = if *body.first()? == 1 { 20 } else { 12 };
    long(body, at).filter(|&scale| scale > 0)
}

fn parse_trak(trak: &[u8], movie_scale: u32, gapless: Option<(u64, u64)>) -> Option<Mp4Trim> {
    if child(trak, &[b"mdia", b"hdlr"])?.get(8..12)? != b"soun" {
        return None;
    }
    let header = child(trak, &[b"tkhd"])?;
    let track = long(header, if *header.first()? == 1 { 20 } else { 12 })?;
    let scale = timescale(child(trak, &[b"mdia", b"mdhd"])?)?;
    let mut trim = Mp4Trim { track, timescale: scale, delay: None, length: None, complex: false };
    if let Some((delay, length)) = gapless {
        trim.delay = Some(delay);
        trim.length = Some(length);
        return Some(trim);
    }
    let total = child(trak, &[b"mdia", b"minf", b"stbl", b"stts"]).map(total_duration).unwrap_or(0);
    let Some(edits) = child(trak, &[b"edts", b"elst"]).and_then(edits) else { return Some(trim) };
    let mut media = edits.iter().filter(|(_, start)| *start >= 0);
    let &(duration, start) = media.next()?;
    trim.complex = media.next().is_some();
    let start = start.cast_unsigned();
    trim.delay = Some(start);
    let ticks = u128::from(duration) * u128::from(scale) / u128::from(movie_scale);
    let end = start.saturating_add(u64::try_from(ticks).unwrap_or(u64::MAX));
    // The edit's duration is in coarse movie ticks; the sum of sample durations is exact.
    let tick = u64::from(scale.div_ceil(movie_scale)) + 1;
    let end = if total > 0 && end.abs_diff(total) <= tick { total } else { end };
    trim.length = (duration > 0).then(|| end.saturating_sub(start));
    Some(trim)
}

/// The sum of all sample durations of an `stts` box.
fn total_duration(body: &[u8]) -> u64 {
    let (entries, _) = body.get(8..).unwrap_or_default().as_chunks::<8>();
    let count = long(body, 4).unwrap_or(0) as usize;
    entries.iter().take(count).fold(0u64, |sum, entry| {
        let samples = u64::from(long(entry, 0).unwrap_or(0));
        sum.saturating_add(samples * u64::from(long(entry, 4).unwrap_or(0)))
    })
}

/// Duration (movie ticks) and start (media ticks, -1 for a pause) of each edit.
fn edits(body: &[u8]) -> Option<Vec<(u64, i64)>> {
    let version = *body.first()?;
    let count = long(body, 4)? as usize;
    let size = if version == 1 { 20 } else { 12 };
    let edits = body.get(8..)?.chunks_exact(size).take(count).filter_map(|entry| {
        if version == 1 {
            Some((huge(entry, 0)?, huge(entry, 8)?.cast_signed()))
        } else {
            Some((long(entry, 0)?.into(), long(entry, 4)?.cast_signed().into()))
        }
    });
    Some(edits.collect())
}

/// Delay and length in the iTunes tag `iTunSMPB`: hexadecimal numbers in a text.
fn gapless_tag(meta: &[u8]) -> Option<(u64, u64)> {
    let list = child(meta.get(4..)?, &[b"ilst"])?;
    let text = children(list).filter(|(kind, _)| kind == b"----").find_map(|(_, item)| {
        let name = child(item, &[b"name"])?.get(4..)?;
        if name != b"iTunSMPB" {
            return None;
        }
        std::str::from_utf8(child(item, &[b"data"])?.get(8..)?).ok()
    })?;
    let numbers: Vec<u64> = text
        .split_ascii_whitespace()
        .map_while(|word| u64::from_str_radix(word, 16).ok())
        .collect();
    match numbers[..] {
        [_, delay, _, length, ..] if length > 0 => Some((delay, length)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let mut out = (8 + body.len() as u32).to_be_bytes().to_vec();
        out.extend(kind);
        out.extend(body);
        out
    }

    fn longs(values: &[u32]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_be_bytes()).collect()
    }

    fn trak(edit: &[u32], stts: &[u32]) -> Vec<u8> {
        let hdlr = [longs(&[0, 0]), b"soun".to_vec()].concat();
        let stbl = boxed(b"stbl", &boxed(b"stts", &longs(stts)));
        let mdia = [
            boxed(b"mdhd", &longs(&[0, 0, 0, 44_100, 0])),
            boxed(b"hdlr", &hdlr),
            boxed(b"minf", &stbl),
        ];
        let body = [
            boxed(b"tkhd", &longs(&[0, 0, 0, 7])),
            boxed(b"edts", &boxed(b"elst", &longs(edit))),
            boxed(b"mdia", &mdia.concat()),
        ];
        boxed(b"trak", &body.concat())
    }

    fn moov(parts: &[Vec<u8>]) -> Vec<u8> {
        [boxed(b"mvhd", &longs(&[0, 0, 0, 1000, 1000])), parts.concat()].concat()
    }

    #[test]
    fn the_exact_end_wins_over_the_rounded_one() {
        let moov = moov(&[trak(&[0, 1, 1000, 1024, 0x10000], &[0, 2, 44, 1024, 1, 68])]);
        let expected = Mp4Trim {
            track: 7,
            timescale: 44_100,
            delay: Some(1024),
            length: Some(44_100),
            complex: false,
        };
        assert_eq!(parse_moov(&moov), [expected]);
        // An end that is really earlier than the data's is kept.
        let moov = self::moov(&[trak(&[0, 1, 500, 1024, 0x10000], &[0, 1, 44, 1024])]);
        assert_eq!(parse_moov(&moov)[0].length, Some(22_050));
    }

    #[test]
    fn the_itunes_tag_wins() {
        let data =
            [longs(&[1, 0]), b" 00000000 00000840 000001CA 000000000000AC44 0 0".to_vec()].concat();
        let name = [longs(&[0]), b"iTunSMPB".to_vec()].concat();
        let item = boxed(b"----", &[boxed(b"name", &name), boxed(b"data", &data)].concat());
        let meta = [longs(&[0]), boxed(b"ilst", &item)].concat();
        let udta = boxed(b"udta", &boxed(b"meta", &meta));
        let moov = moov(&[trak(&[0, 1, 1000, 1024, 0x10000], &[0, 0]), udta]);
        assert_eq!(
            (parse_moov(&moov)[0].delay, parse_moov(&moov)[0].length),
            (Some(2112), Some(44_100))
        );
    }

    #[test]
    fn broken_boxes_are_no_trouble() {
        let moov = moov(&[trak(&[0, u32::MAX, 0, u32::MAX], &[0, u32::MAX, u32::MAX, u32::MAX])]);
        for end in 0..moov.len() {
            parse_moov(&moov[..end]);
        }
        assert!(parse_moov(b"\0\0\0\x01trak\xff\xff\xff\xff\xff\xff\xff\xff").is_empty());
    }
}
