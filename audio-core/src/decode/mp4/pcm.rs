//! What a sample entry says about plain samples: their rate and their byte order.

use super::{boxes, entry_boxes, find, huge, long};

/// The rate of the first sample entry of an `stsd` box; `None` where it is zero.
pub(super) fn rate(stsd: &[u8]) -> Option<u32> {
    let (_, _, entry) = boxes(stsd, 8..stsd.len()).next()?;
    let entry = &stsd[entry];
    let rate = match entry.get(8..10)? {
        [0, 2] => f64::from_bits(huge(entry, 32)?) as u32,
        _ => long(entry, 24)? >> 16,
    };
    (rate > 0).then_some(rate)
}

/// Whether a sample entry of an `stsd` box has samples in an order of bytes that its kind
/// does not tell, and they are big-endian: so they are unless an `enda` box says otherwise (QuickTime
/// File Format, "Sound sample description extensions").
pub(super) fn is_big_endian(stsd: &[u8], entry: usize) -> bool {
    let Some((kind, _, entry)) = boxes(stsd, 8..stsd.len()).nth(entry) else { return false };
    if ![b"in24", b"in32", b"fl32", b"fl64"].contains(&&kind) {
        return false;
    }
    let Some(parts) = entry_boxes(stsd, &entry) else { return true };
    let order = find(stsd, parts.clone(), &[b"wave", b"enda"]);
    let order = order.or_else(|| find(stsd, parts, &[b"enda"]));
    order.is_none_or(|order| stsd[order].get(..2) != Some(&[0, 1]))
}
