//! What MP4 says about its audio tracks: codec, language, edit list, sample durations, and the
//! iTunes gapless tag.
//!
//! Symphonia unpacks and decodes MP4 but drops the edit list and refuses a file for the sake of
//! tracks that nobody asked for, so the boxes are read here as well.

mod entries;
mod fragments;
mod pcm;

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use super::names;
use super::outline::{NANOS, Outline, TrackOutline};
use super::source::Source;
use fragments::Fragment;

/// Larger movie boxes are not read.
const MAX_MOOV_BYTES: u64 = 1 << 26;
/// The ticks of a second that are usual in the header of a movie.
const MOVIE_SCALE: u32 = 1000;
/// Lines with durations of samples that are looked at to find the usual one.
const MAX_DURATIONS: usize = 10_000;
/// Larger boxes of fragments are not read.
const MAX_MOOF_BYTES: u64 = 1 << 22;
/// Top-level boxes to look at before giving up.
const MAX_TOP_BOXES: usize = 100_000;

/// The movie box of a file.
#[derive(Default)]
pub(super) struct Movie {
    /// Where its body lies in the file.
    position: u64,
    body: Vec<u8>,
    /// Whether a box ends behind the end of the file.
    cut: bool,
    /// Place and bytes of the size of a media box that is cut.
    media_size: Option<(u64, Vec<u8>)>,
    fragments: Vec<Fragment>,
    /// Whether a box tells the file's type, which old QuickTime files lack.
    typed: bool,
}

/// Read the movie box and what it says; the source is back at its start afterwards.
pub(super) fn read(source: &mut Source) -> io::Result<(Movie, Outline)> {
    let (movie, end) = find_movie(source)?;
    source.seek(SeekFrom::Start(0))?;
    let tracks = parse_moov(&movie.body, &movie.fragments);
    let (cut, patches) = (movie.cut, movie.media_size.clone().into_iter().collect());
    let outline = Outline { tracks, end, cut, patches, ..Outline::default() };
    Ok((movie, outline))
}

impl Movie {
    /// Whether there is none.
    pub(super) fn is_missing(&self) -> bool {
        self.body.is_empty()
    }

    /// The file as if the track were its only one, with one of its sample entries, so that nothing
    /// in the others is in the way.
    pub(super) fn show_only(&self, source: &mut Source, track: u32, entry: usize) {
        let mut body = self.body.clone();
        hide_others(&mut body, track, entry);
        set_clocks(&mut body);
        source.overlay(self.position, body);
        if !self.typed {
            source.append(b"\0\0\0\x14ftypqt  \0\0\0\0qt  ".to_vec());
        }
    }
}

/// The first movie box, and where another file begins behind the media.
fn find_movie(source: &mut Source) -> io::Result<(Movie, Option<u64>)> {
    let size = source.size().unwrap_or(0);
    let mut movie = Movie::default();
    let mut media = false;
    let mut at = 0u64;
    for _ in 0..MAX_TOP_BOXES {
        source.seek(SeekFrom::Start(at))?;
        let head = source.peek(16)?;
        let Some((kind, header, length)) = box_head(&head) else { break };
        match &kind {
            b"moov" if movie.body.is_empty() => {
                movie.position = at.saturating_add(header);
                source.seek(SeekFrom::Start(movie.position))?;
                let length = length.map_or(MAX_MOOV_BYTES, |length| length.saturating_sub(header));
                source.take(length.min(MAX_MOOV_BYTES)).read_to_end(&mut movie.body)?;
            }
            b"moof" => {
                source.seek(SeekFrom::Start(at.saturating_add(header)))?;
                let length = length.map_or(MAX_MOOF_BYTES, |length| length.saturating_sub(header));
                let mut body = Vec::new();
                source.take(length.min(MAX_MOOF_BYTES)).read_to_end(&mut body)?;
                movie.fragments.extend(fragments::parse(&body));
            }
            b"mdat" => media = true,
            b"ftyp" if media && !movie.body.is_empty() => return Ok((movie, Some(at))),
            b"ftyp" => movie.typed = true,
            _ => {}
        }
        let Some(next) = length.and_then(|length| at.checked_add(length)) else { break };
        if next > size && is_known(&kind) {
            movie.cut = true;
            movie.media_size = (kind == *b"mdat").then(|| (at, shorter(&head, size - at)));
        }
        if next >= size {
            break;
        }
        at = next;
    }
    Ok((movie, None))
}

/// Whether a box of this kind is more than rubbish behind the last one.
fn is_known(kind: &[u8; 4]) -> bool {
    [b"moov", b"mdat", b"moof", b"free", b"skip", b"mfra", b"sidx", b"styp", b"meta"]
        .contains(&kind)
}

/// The head of a box of another size, in the form that it has.
fn shorter(head: &[u8], size: u64) -> Vec<u8> {
    let mut head = head.to_vec();
    if head.len() == 16 && head[..4] == [0, 0, 0, 1] {
        head[8..].copy_from_slice(&size.to_be_bytes());
    } else {
        head = u32::try_from(size).unwrap_or(0).to_be_bytes().to_vec();
    }
    head
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

/// The boxes in a part of `bytes`: kind, where each starts, and where its body lies. A box that
/// runs over the end is cut.
fn boxes(bytes: &[u8], part: Range<usize>) -> impl Iterator<Item = ([u8; 4], usize, Range<usize>)> {
    let mut at = part.start;
    let end = part.end.min(bytes.len());
    std::iter::from_fn(move || {
        let rest = bytes.get(at..end)?;
        let (kind, header, size) = box_head(rest)?;
        let size = size
            .map_or(rest.len(), |size| usize::try_from(size).unwrap_or(usize::MAX))
            .min(rest.len());
        let header = usize::try_from(header).ok().filter(|&header| header <= size)?;
        let start = at;
        at += size;
        Some((kind, start, start + header..at))
    })
}

/// The boxes inside `bytes`.
fn children(bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    boxes(bytes, 0..bytes.len()).map(|(kind, _, body)| (kind, &bytes[body]))
}

/// Where the body of the first box along a path lies.
fn find(bytes: &[u8], part: Range<usize>, path: &[&[u8; 4]]) -> Option<Range<usize>> {
    path.iter().try_fold(part, |part, kind| {
        boxes(bytes, part).find(|(found, ..)| found == *kind).map(|(.., body)| body)
    })
}

fn child<'a>(bytes: &'a [u8], path: &[&[u8; 4]]) -> Option<&'a [u8]> {
    Some(&bytes[find(bytes, 0..bytes.len(), path)?])
}

fn parse_moov(moov: &[u8], fragments: &[Fragment]) -> Vec<TrackOutline> {
    let movie_scale = child(moov, &[b"mvhd"]).and_then(timescale).unwrap_or(MOVIE_SCALE);
    let gapless = child(moov, &[b"udta", b"meta"]).and_then(gapless_tag);
    children(moov)
        .filter(|(kind, _)| kind == b"trak")
        .filter_map(|(_, trak)| {
            let mut track = parse_trak(trak, movie_scale, gapless)?;
            place_fragments(&mut track, trak, moov, fragments);
            Some(track)
        })
        .collect()
}

/// The clock of fragments: where the track starts, and gaps in it.
fn place_fragments(track: &mut TrackOutline, trak: &[u8], moov: &[u8], fragments: &[Fragment]) {
    let scale = track_scale(trak).map_or(1, |(scale, _)| scale);
    let durations = child(trak, &[b"mdia", b"minf", b"stbl", b"stts"]);
    let total = durations.map_or(0, total_duration);
    let Some(clock) = fragments::clock(fragments, track.id, total, moov) else { return };
    let (first, dropped) = (nanos(clock.first, scale), track.delay.unwrap_or(0));
    let late = i64::try_from(first.saturating_sub(dropped)).unwrap_or(i64::MAX);
    track.start = track.start.saturating_add(late);
    track.delay = track.delay.map(|delay| delay.saturating_sub(first));
    track.end = Some(nanos(clock.end.saturating_sub(clock.first), scale));
    let signed = |ticks: i64| {
        i64::try_from(nanos(ticks.unsigned_abs(), scale)).unwrap_or(i64::MAX) * ticks.signum()
    };
    track.shifts = clock.shifts.into_iter().map(|(from, ticks)| (from, signed(ticks))).collect();
}

/// The timescale of an `mvhd` or `mdhd` box.
fn timescale(body: &[u8]) -> Option<u32> {
    let at = if *body.first()? == 1 { 20 } else { 12 };
    long(body, at).filter(|&scale| scale > 0)
}

/// A clock on which a sample lasts this long in nanoseconds is none.
const MAX_SAMPLE: u64 = NANOS / 2;

/// The timescale of a track and, where that of its header can't be, what was wrong with it: then
/// the audio's own rate is the clock.
fn track_scale(trak: &[u8]) -> Option<(u32, Option<String>)> {
    let told = child(trak, &[b"mdia", b"mdhd"]).and_then(timescale);
    let samples = child(trak, &[b"mdia", b"minf", b"stbl"]).unwrap_or_default();
    let step = child(samples, &[b"stts"]).and_then(usual_duration).unwrap_or(0);
    match told {
        Some(scale) if nanos(step, scale) < MAX_SAMPLE => return Some((scale, None)),
        _ => {}
    }
    let rate = child(samples, &[b"stsd"]).and_then(pcm::rate)?;
    if told.is_some_and(|scale| scale >= rate) {
        return told.map(|scale| (scale, None)); // the durations are wrong, and not the clock
    }
    let what = format!(
        "the track's clock of {} ticks a second can't be; the audio's rate of {rate} Hz was used",
        told.unwrap_or(0)
    );
    Some((rate, Some(what)))
}

/// Put clocks that can work into the headers of the movie and its tracks.
fn set_clocks(moov: &mut [u8]) {
    let mut clocks = Vec::new();
    for (kind, _, body) in boxes(moov, 0..moov.len()) {
        match &kind {
            b"mvhd" if timescale(&moov[body.clone()]).is_none() => clocks.push((body, MOVIE_SCALE)),
            b"trak" => {
                let scale = track_scale(&moov[body.clone()]);
                let header = find(moov, body, &[b"mdia", b"mdhd"]);
                clocks.extend(header.zip(scale.map(|(scale, _)| scale)));
            }
            _ => {}
        }
    }
    for (body, scale) in clocks {
        let at = if moov.get(body.start) == Some(&1) { 20 } else { 12 };
        if let Some(field) = moov[body].get_mut(at..at + 4) {
            field.copy_from_slice(&scale.to_be_bytes());
        }
    }
}

/// The number of a track's `tkhd` box.
fn track_id(header: &[u8]) -> Option<u32> {
    long(header, if *header.first()? == 1 { 20 } else { 12 })
}

/// Ticks as nanoseconds.
fn nanos(ticks: u64, scale: u32) -> u64 {
    let nanos = u128::from(ticks) * u128::from(NANOS) / u128::from(scale.max(1));
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

fn parse_trak(trak: &[u8], movie_scale: u32, gapless: Option<(u64, u64)>) -> Option<TrackOutline> {
    if child(trak, &[b"mdia", b"hdlr"])?.get(8..12)? != b"soun" {
        return None;
    }
    let header = child(trak, &[b"tkhd"])?;
    let media = child(trak, &[b"mdia", b"mdhd"])?;
    let (scale, repaired) = track_scale(trak)?;
    let mut track = TrackOutline::new(track_id(header)?);
    track.repaired = repaired;
    track.default = header.get(3).is_some_and(|flags| flags & 1 != 0);
    track.language = language(media);
    let samples = child(trak, &[b"mdia", b"minf", b"stbl"]).unwrap_or_default();
    let mut changes = entries::changes(samples).into_iter();
    track.entry = changes.next().map_or(0, |(_, entry)| entry);
    track.changes = changes.collect();
    let names = child(samples, &[b"stsd"]).map(|stsd| codec(stsd, track.entry));
    track.codec = names.unwrap_or_default();
    let order = child(samples, &[b"stsd"]).map(|stsd| pcm::is_big_endian(stsd, track.entry));
    track.big_endian = order.unwrap_or(false);
    let durations = child(samples, &[b"stts"]);
    track.step = durations.and_then(usual_duration).map(|ticks| nanos(ticks, scale));
    let total = durations.map_or(0, total_duration);
    track.end = media_duration(media).map(|ticks| nanos(ticks, scale));
    let edits = child(trak, &[b"edts", b"elst"]).and_then(edits).unwrap_or_default();
    let pause = edits.iter().take_while(|(_, start)| *start < 0);
    let pause = pause.fold(0u64, |sum, (duration, _)| sum.saturating_add(*duration));
    track.start = i64::try_from(nanos(pause, movie_scale)).unwrap_or(i64::MAX);
    if let Some((delay, length)) = gapless {
        track.delay = Some(nanos(delay, scale));
        track.length = Some(nanos(length, scale));
        return Some(track);
    }
    let mut media = edits.iter().filter(|(_, start)| *start >= 0);
    let Some(&(duration, start)) = media.next() else { return Some(track) };
    track.complex = media.next().is_some();
    let start = start.cast_unsigned();
    track.delay = Some(nanos(start, scale));
    let ticks = u128::from(duration) * u128::from(scale) / u128::from(movie_scale);
    let end = start.saturating_add(u64::try_from(ticks).unwrap_or(u64::MAX));
    // The edit's duration is in coarse movie ticks; the sum of sample durations is exact.
    let tick = u64::from(scale.div_ceil(movie_scale)) + 1;
    let end = if total > 0 && end.abs_diff(total) <= tick { total } else { end };
    track.length = (duration > 0).then(|| nanos(end.saturating_sub(start), scale));
    Some(track)
}

/// The duration of an `mdhd` box in its ticks; `None` when it tells none.
fn media_duration(body: &[u8]) -> Option<u64> {
    let duration = match *body.first()? {
        1 => huge(body, 24)?,
        _ => long(body, 16)?.into(),
    };
    (duration > 0 && duration != u64::MAX && duration != u64::from(u32::MAX)).then_some(duration)
}

/// The language of an `mdhd` box: three letters of five bits each.
fn language(body: &[u8]) -> Option<String> {
    let at = if *body.first()? == 1 { 32 } else { 20 };
    let packed = u16::from_be_bytes(body.get(at..at + 2)?.try_into().ok()?);
    let letters = [packed >> 10, packed >> 5, packed].map(|code| (code & 31) as u8 + 0x60);
    let text = String::from_utf8(letters.to_vec()).ok()?;
    (text.bytes().all(|letter| letter.is_ascii_lowercase()) && text != "und").then_some(text)
}

/// The name of the codec that a sample entry of an `stsd` box tells.
fn codec(body: &[u8], entry: usize) -> String {
    let Some((kind, _, entry)) = boxes(body, 8..body.len()).nth(entry) else {
        return String::new();
    };
    let object = decoder_config(body, entry).and_then(|esds| object_type(&body[esds]));
    names::mp4(&kind, object)
}

/// Where the fields of a sample entry end and its boxes begin, by its version.
fn entry_boxes(bytes: &[u8], entry: &Range<usize>) -> Option<Range<usize>> {
    let version = bytes.get(entry.start + 8..entry.start + 10)?;
    let fields = match version {
        [0, 1] => 28 + 16,
        [0, 2] => 28 + 36,
        _ => 28,
    };
    (entry.start + fields <= entry.end).then_some(entry.start + fields..entry.end)
}

/// The `esds` box of a sample entry, which QuickTime puts into a `wave` box.
fn decoder_config(bytes: &[u8], entry: Range<usize>) -> Option<Range<usize>> {
    let parts = entry_boxes(bytes, &entry)?;
    find(bytes, parts.clone(), &[b"esds"]).or_else(|| find(bytes, parts, &[b"wave", b"esds"]))
}

/// The object type of the decoder configuration (ISO/IEC 14496-1, 7.2.6): descriptor 4 inside
/// descriptor 3.
fn object_type(esds: &[u8]) -> Option<u8> {
    let descriptor = |bytes: &'_ [u8], at: usize, tag: u8| -> Option<usize> {
        if *bytes.get(at)? != tag {
            return None;
        }
        let more =
            bytes.get(at + 1..)?.iter().take(4).take_while(|&&byte| byte & 0x80 != 0).count();
        Some(at + 2 + more)
    };
    let body = descriptor(esds, 4, 3)?;
    let flags = *esds.get(body + 2)?;
    let mut at = body + 3;
    at += if flags & 0x80 != 0 { 2 } else { 0 };
    if flags & 0x40 != 0 {
        at += 1 + usize::from(*esds.get(at)?);
    }
    at += if flags & 0x20 != 0 { 2 } else { 0 };
    esds.get(descriptor(esds, at, 4)?).copied()
}

/// Rename the boxes of all tracks but one to `free`, and bring that one into the form that is
/// usual: one sample entry, which is moved to the front, and the codec's own box outside of a `wave`
/// box.
fn hide_others(moov: &mut [u8], track: u32, entry: usize) {
    let mut hidden = Vec::new();
    let mut kept = None;
    for (kind, start, body) in boxes(moov, 0..moov.len()) {
        match &kind {
            b"trak" => {
                let id = find(moov, body.clone(), &[b"tkhd"]).and_then(|at| track_id(&moov[at]));
                if id == Some(track) && kept.is_none() {
                    kept = Some(body);
                } else {
                    hidden.push(start);
                }
            }
            b"mvex" => hidden.extend(boxes(moov, body).filter_map(|(kind, start, body)| {
                (kind == *b"trex" && long(&moov[body], 4) != Some(track)).then_some(start)
            })),
            _ => {}
        }
    }
    for start in hidden {
        moov[start + 4..start + 8].copy_from_slice(b"free");
    }
    let stsd = kept.and_then(|trak| find(moov, trak, &[b"mdia", b"minf", b"stbl", b"stsd"]));
    let Some(stsd) = stsd.filter(|stsd| stsd.len() >= 16) else { return };
    if let Some(entry) = entries::entries(moov, stsd.clone()).get(entry) {
        moov[stsd.start + 8..entry.end].rotate_right(entry.len());
    }
    if long(moov, stsd.start + 4).is_some_and(|count| count > 1) {
        moov[stsd.start + 4..stsd.start + 8].copy_from_slice(&1u32.to_be_bytes());
    }
    let entry = boxes(moov, stsd.start + 8..stsd.end).next().map(|(.., body)| body);
    let wave = entry.and_then(|entry| entry_boxes(moov, &entry)).and_then(|parts| {
        boxes(moov, parts).find(|(kind, ..)| kind == b"wave").map(|(_, start, body)| (start, body))
    });
    let Some((start, body)) = wave else { return };
    let inner = boxes(moov, body).find(|(kind, ..)| kind == b"alac").map(|(_, start, _)| start);
    if let Some(inner) = inner
        && let Ok(size) = u32::try_from(inner - start)
    {
        // What is in front of the inner box becomes a box without meaning.
        moov[start..start + 4].copy_from_slice(&size.to_be_bytes());
        moov[start + 4..start + 8].copy_from_slice(b"free");
    }
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

/// The duration that nearly all samples of an `stts` box have at least.
fn usual_duration(body: &[u8]) -> Option<u64> {
    let (entries, _) = body.get(8..)?.as_chunks::<8>();
    let count = (long(body, 4)? as usize).min(entries.len()).min(MAX_DURATIONS);
    let line = |entry: &[u8; 8]| Some((long(entry, 4)?, u64::from(long(entry, 0)?)));
    let mut lines: Vec<(u32, u64)> = entries[..count].iter().filter_map(line).collect();
    lines.sort_unstable();
    let total = lines.iter().fold(0u64, |sum, (_, samples)| sum.saturating_add(*samples));
    let mut before = 0u64;
    let usual = lines.iter().find(|(_, samples)| {
        before = before.saturating_add(*samples);
        before > total / 10
    });
    usual.map(|(duration, _)| u64::from(*duration))
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
        let found = &parse_moov(&moov, &[])[0];
        assert_eq!((found.id, found.delay), (7, Some(nanos(1024, 44_100))));
        assert_eq!((found.length, found.complex, found.start), (Some(NANOS), false, 0));
        // An end that is really earlier than the data's is kept.
        let moov = self::moov(&[trak(&[0, 1, 500, 1024, 0x10000], &[0, 1, 44, 1024])]);
        assert_eq!(parse_moov(&moov, &[])[0].length, Some(NANOS / 2));
    }

    #[test]
    fn f4_empty_edits_say_where_the_track_starts() {
        let edits = [0, 3, 1500, u32::MAX, 0x10000, 1000, u32::MAX, 0x10000, 1000, 1024, 0x10000];
        let moov = moov(&[trak(&edits, &[0, 2, 44, 1024, 1, 68])]);
        let found = &parse_moov(&moov, &[])[0];
        assert_eq!((found.start, found.delay), (2_500_000_000, Some(nanos(1024, 44_100))));
        assert!(!found.complex);
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
        let found = &parse_moov(&moov, &[])[0];
        assert_eq!((found.delay, found.length), (Some(nanos(2112, 44_100)), Some(NANOS)));
    }

    #[test]
    fn broken_boxes_are_no_trouble() {
        let moov = moov(&[trak(&[0, u32::MAX, 0, u32::MAX], &[0, u32::MAX, u32::MAX, u32::MAX])]);
        for end in 0..moov.len() {
            parse_moov(&moov[..end], &[]);
            hide_others(&mut moov[..end].to_vec(), 7, 1);
        }
        assert!(parse_moov(b"\0\0\0\x01trak\xff\xff\xff\xff\xff\xff\xff\xff", &[]).is_empty());
    }

    #[test]
    fn other_tracks_are_hidden_in_place() {
        let first = trak(&[0, 0], &[0, 0]);
        let mut second = first.clone();
        let at = second.windows(4).position(|name| name == b"tkhd").expect("a header");
        second[at + 4 + 15] = 8;
        let mut moov = moov(&[first.clone(), second.clone()]);
        let size = moov.len();
        hide_others(&mut moov, 8, 0);
        let kinds: Vec<_> = children(&moov).map(|(kind, _)| kind).collect();
        assert_eq!((kinds, moov.len()), (vec![*b"mvhd", *b"free", *b"trak"], size));
        assert_eq!(parse_moov(&moov, &[])[0].id, 8);
    }
}
