//! Ogg pages (RFC 3533): framing, checksums, and resynchronisation after damage.

use std::io::{self, Read};

use crate::decode::source::read_full;

const HEADER_BYTES: usize = 27;

/// One page with a valid checksum.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Page {
    pub(super) serial: u32,
    pub(super) sequence: u32,
    /// Position after the last packet that ends here; -1 when none does.
    pub(super) granule: i64,
    pub(super) continued: bool,
    pub(super) first: bool,
    pub(super) last: bool,
    pub(super) lacing: Vec<u8>,
    pub(super) body: Vec<u8>,
}

impl Page {
    /// The pieces of packets on this page; each with whether the packet ends here.
    pub(super) fn pieces(&self) -> Vec<(&[u8], bool)> {
        let mut pieces = Vec::new();
        let (mut start, mut end) = (0, 0);
        for (index, &size) in self.lacing.iter().enumerate() {
            end += usize::from(size);
            let complete = size < 255;
            if complete || index + 1 == self.lacing.len() {
                pieces.push((&self.body[start..end], complete));
                start = end;
            }
        }
        pieces
    }
}

/// Finds pages in a source and steps over what is none.
pub(super) struct PageReader<R> {
    source: R,
    buffer: Vec<u8>,
    at: usize,
    ended: bool,
    /// Bytes that belonged to no valid page.
    pub(super) skipped: u64,
}

impl<R: Read> PageReader<R> {
    pub(super) fn new(source: R) -> Self {
        Self { source, buffer: Vec::new(), at: 0, ended: false, skipped: 0 }
    }

    /// The next valid page, `None` at the end; a page that is cut off counts as skipped.
    pub(super) fn next(&mut self) -> io::Result<Option<Page>> {
        loop {
            if !self.fill(HEADER_BYTES)? {
                self.skipped += (self.buffer.len() - self.at) as u64;
                self.at = self.buffer.len();
                return Ok(None);
            }
            if self.buffer[self.at..].starts_with(b"OggS\0") {
                let segments = usize::from(self.buffer[self.at + 26]);
                if self.fill(HEADER_BYTES + segments)? {
                    let lacing = &self.buffer[self.at + HEADER_BYTES..][..segments];
                    let body: usize = lacing.iter().map(|&size| usize::from(size)).sum();
                    let size = HEADER_BYTES + segments + body;
                    if self.fill(size)? && is_valid(&self.buffer[self.at..self.at + size]) {
                        let page = parse(&self.buffer[self.at..self.at + size], segments);
                        self.at += size;
                        return Ok(Some(page));
                    }
                }
            }
            self.at += 1;
            self.skipped += 1;
        }
    }

    /// Have at least `count` bytes in the buffer, unless the source ends before.
    fn fill(&mut self, count: usize) -> io::Result<bool> {
        let have = self.buffer.len() - self.at;
        if have >= count {
            return Ok(true);
        }
        if self.ended {
            return Ok(false);
        }
        self.buffer.drain(..self.at);
        self.at = 0;
        self.buffer.resize(count.max(8192), 0);
        let got = read_full(&mut self.source, &mut self.buffer[have..])?;
        self.ended = have + got < self.buffer.len();
        self.buffer.truncate(have + got);
        Ok(self.buffer.len() >= count)
    }
}

/// Take a page apart; sizes have been checked.
fn parse(page: &[u8], segments: usize) -> Page {
    let long = |at: usize| u32::from_le_bytes([page[at], page[at + 1], page[at + 2], page[at + 3]]);
    Page {
        serial: long(14),
        sequence: long(18),
        granule: (u64::from(long(6)) | u64::from(long(10)) << 32).cast_signed(),
        continued: page[5] & 1 != 0,
        first: page[5] & 2 != 0,
        last: page[5] & 4 != 0,
        lacing: page[HEADER_BYTES..HEADER_BYTES + segments].to_vec(),
        body: page[HEADER_BYTES + segments..].to_vec(),
    }
}

fn is_valid(page: &[u8]) -> bool {
    let stored = u32::from_le_bytes([page[22], page[23], page[24], page[25]]);
    checksum(page) == stored
}

/// CRC-32 with polynomial 0x04c11db7, no reflection, over the page with its checksum field zero.
pub(super) fn checksum(page: &[u8]) -> u32 {
    const TABLE: [u32; 256] = table();
    page.iter().enumerate().fold(0, |crc, (at, &byte)| {
        let byte = if (22..26).contains(&at) { 0 } else { u32::from(byte) };
        (crc << 8) ^ TABLE[((crc >> 24) ^ byte) as usize & 0xff]
    })
}

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut crc = (index as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc >> 31 == 1 { (crc << 1) ^ 0x04c1_1db7 } else { crc << 1 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A page with a valid checksum.
    fn page(sequence: u32, lacing: &[u8], body: &[u8]) -> Vec<u8> {
        let mut page = b"OggS\0\0".to_vec();
        page.extend(7u64.to_le_bytes());
        page.extend(1u32.to_le_bytes());
        page.extend(sequence.to_le_bytes());
        page.extend([0; 4]);
        page.push(lacing.len() as u8);
        page.extend(lacing);
        page.extend(body);
        let crc = checksum(&page);
        page[22..26].copy_from_slice(&crc.to_le_bytes());
        page
    }

    #[test]
    fn damage_costs_one_page() {
        let mut bytes = page(0, &[3], b"abc");
        let mut broken = page(1, &[3], b"def");
        *broken.last_mut().expect("not empty") ^= 1;
        let broken_len = broken.len() as u64;
        bytes.extend(broken);
        bytes.extend(page(2, &[255, 10], &[9; 265]));
        bytes.extend(&page(3, &[3], b"ghi")[..20]);
        let mut reader = PageReader::new(bytes.as_slice());
        assert_eq!(reader.next().expect("memory").map(|p| p.sequence), Some(0));
        let third = reader.next().expect("memory").expect("a page");
        assert_eq!((third.sequence, third.pieces().len(), third.granule), (2, 1, 7));
        assert_eq!(reader.next().expect("memory"), None);
        assert_eq!(reader.skipped, broken_len + 20);
    }

    #[test]
    fn pieces_split_by_lacing() {
        let bytes = page(0, &[1, 0, 255, 2, 255], &[5; 513]);
        let page = PageReader::new(bytes.as_slice()).next().expect("memory").expect("a page");
        let sizes: Vec<(usize, bool)> =
            page.pieces().iter().map(|(p, end)| (p.len(), *end)).collect();
        assert_eq!(sizes, [(1, true), (0, true), (257, true), (255, false)]);
    }
}
