//! Tar archives (ustar, GNU and pax long names), plain or gzip-compressed. Members of a plain
//! archive stay in the file; compressed ones are unpacked into memory.

use std::io::Read;

use super::fault::{Fault, Outcome, within};
use super::source::Source;

const BLOCK: u64 = 512;
/// Most members; a `.nemo` file has about ten.
const MAX_MEMBERS: u64 = 10_000;
/// Longest member name.
const MAX_NAME: u64 = 64 << 10;

/// Whether the bytes look like a tar archive, plain or compressed.
pub(crate) fn matches(source: &Source) -> bool {
    let is_gzip = source.read_at(0, 2).is_ok_and(|head| head == [0x1f, 0x8b]);
    is_gzip || source.read_at(257, 5).is_ok_and(|magic| magic == b"ustar")
}

/// Names (without a leading `./`) and contents of all ordinary files.
pub(crate) fn members(source: &Source) -> Outcome<Vec<(String, Source)>> {
    let unpacked;
    let source = if source.read_at(0, 2)? == [0x1f, 0x8b] {
        unpacked = gunzip(source)?;
        &unpacked
    } else {
        source
    };
    let mut members = Vec::new();
    let mut long_name = None;
    let mut at = 0;
    while at < source.len() {
        let header = source.read_at(at, BLOCK as usize)?;
        if header.iter().all(|byte| *byte == 0) {
            break;
        }
        check(&header)?;
        let size = number(&header[124..136])?;
        let content = source.slice(at + BLOCK, size).ok_or_else(|| {
            Fault::damaged("the tar archive is cut off in the middle of a member")
        })?;
        match header[156] {
            b'0' | 0 => {
                let name = long_name.take().unwrap_or_else(|| short_name(&header));
                members.push((name.trim_start_matches("./").to_owned(), content));
                within("number of archive members", members.len() as u64, MAX_MEMBERS)?;
            }
            b'L' => long_name = Some(text(&content.read_all(MAX_NAME)?)),
            b'x' => long_name = pax_path(&content.read_all(MAX_NAME)?).or(long_name),
            _ => long_name = None, // folders, links and devices are no files
        }
        // `size` lies inside the source, so this can't overflow.
        at += BLOCK + size.div_ceil(BLOCK) * BLOCK;
    }
    Ok(members)
}

fn gunzip(source: &Source) -> Outcome<Source> {
    // Weights hardly shrink, so a large ratio is an attack.
    let limit = source.len().saturating_mul(16).saturating_add(64 << 20);
    let mut data = Vec::new();
    flate2::read::MultiGzDecoder::new(source.open()?)
        .take(limit.saturating_add(1))
        .read_to_end(&mut data)?;
    within("size of the unpacked archive", data.len() as u64, limit)?;
    Ok(Source::Bytes(data.into()))
}

fn check(header: &[u8]) -> Outcome<()> {
    let declared = number(&header[148..156])?;
    // The sum counts its own field as blanks.
    let sum: u64 = header
        .iter()
        .enumerate()
        .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u64::from(*byte) })
        .sum();
    if sum == declared {
        Ok(())
    } else {
        Err(Fault::damaged("the tar archive has a broken header"))
    }
}

/// An octal number, or a big-endian one with the top bit set.
fn number(field: &[u8]) -> Outcome<u64> {
    let odd = || Fault::damaged("the tar archive has a broken number");
    if field[0] & 0x80 != 0 {
        let mut bytes = field.to_vec();
        bytes[0] &= 0x7f;
        let (high, low) = bytes.split_at(bytes.len() - 8); // fields have 8 or 12 bytes
        if high.iter().any(|byte| *byte != 0) {
            return Err(odd());
        }
        return Ok(low.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)));
    }
    let digits = text(field);
    let digits = digits.trim_matches(|c: char| c == ' ' || c == '\0');
    if digits.is_empty() {
        return Ok(0);
    }
    u64::from_str_radix(digits, 8).map_err(|_| odd())
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

fn short_name(header: &[u8]) -> String {
    let (name, prefix) = (text(&header[..100]), text(&header[345..500]));
    let is_posix = header[257..263] == *b"ustar\0";
    if is_posix && !prefix.is_empty() { format!("{prefix}/{name}") } else { name }
}

/// The `path` record of a pax header: lines of `length key=value`.
fn pax_path(records: &[u8]) -> Option<String> {
    let records = String::from_utf8_lossy(records);
    let path = records.lines().find_map(|line| line.split_once(' ')?.1.strip_prefix("path="))?;
    Some(path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_both_forms() {
        assert_eq!(number(b"0000755\0").expect("octal"), 0o755);
        assert_eq!(number(b"        ").expect("nothing"), 0);
        assert_eq!(number(&[0x80, 0, 0, 0, 0, 0, 1, 2]).expect("binary"), 258);
        assert_eq!(number(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2]).expect("binary"), 258);
        for broken in [&b"12x45678"[..], &[0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], &[0xff; 12]] {
            assert!(number(broken).is_err(), "{broken:?}");
        }
    }
}
