//! Which sample entry describes which samples of a track: joined and edited files have several.

use std::ops::Range;

use super::{boxes, child, long};

/// More changes are not followed.
const MAX_CHANGES: usize = 1000;

/// The sample entries of an `stsd` box, each with its head.
pub(super) fn entries(bytes: &[u8], stsd: Range<usize>) -> Vec<Range<usize>> {
    let count = long(bytes, stsd.start + 4).unwrap_or(0) as usize;
    let start = stsd.start.saturating_add(8);
    boxes(bytes, start..stsd.end).take(count).map(|(_, start, body)| start..body.end).collect()
}

/// From which tick on which sample entry counts, the first one from the start; entries of the same
/// bytes are one.
pub(super) fn changes(stbl: &[u8]) -> Vec<(u64, usize)> {
    let Some(stsd) = child(stbl, &[b"stsd"]) else { return Vec::new() };
    let entries = entries(stsd, 0..stsd.len());
    let same = |entry: usize| {
        let bytes = entries.get(entry).map(|range| &stsd[range.clone()]);
        entries.iter().position(|range| Some(&stsd[range.clone()]) == bytes)
    };
    let mut changes: Vec<(u64, usize)> = Vec::new();
    let runs = child(stbl, &[b"stsc"]).and_then(runs).unwrap_or_default();
    for (sample, entry) in runs {
        let Some(entry) = entry.checked_sub(1).and_then(same) else { continue };
        if changes.last().is_none_or(|(_, last)| *last != entry) && changes.len() < MAX_CHANGES {
            changes.push((ticks(stbl, sample), entry));
        }
    }
    changes
}

/// First sample and entry number of each line of an `stsc` box.
fn runs(body: &[u8]) -> Option<Vec<(u64, usize)>> {
    let (lines, _) = body.get(8..)?.as_chunks::<12>();
    let lines = &lines[..lines.len().min(long(body, 4)? as usize)];
    let mut sample = 0u64;
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        found.push((sample, long(line, 8)? as usize));
        let next = lines.get(at + 1).and_then(|next| long(next, 0));
        let chunks = u64::from(next.unwrap_or(0).saturating_sub(long(line, 0)?));
        sample = sample.saturating_add(chunks * u64::from(long(line, 4)?));
    }
    Some(found)
}

/// When a sample begins, by the `stts` box.
fn ticks(stbl: &[u8], sample: u64) -> u64 {
    let (lines, _) =
        child(stbl, &[b"stts"]).and_then(|body| body.get(8..)).unwrap_or_default().as_chunks::<8>();
    let (mut left, mut ticks) = (sample, 0u64);
    for line in lines {
        let samples = left.min(long(line, 0).unwrap_or(0).into());
        ticks = ticks.saturating_add(samples * u64::from(long(line, 4).unwrap_or(0)));
        left -= samples;
    }
    ticks
}
