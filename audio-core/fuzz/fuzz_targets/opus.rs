#![no_main]
//! Ogg Opus pages with valid checksums: the first byte of each piece sets flags, the next eight
//! the position, the next one the size.

use formant_audio_core_fuzz::decode;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut file = Vec::new();
    let mut rest = bytes;
    let mut sequence = 0u32;
    while let Some((head, tail)) = rest.split_first_chunk::<10>() {
        let (body, tail) = tail.split_at(tail.len().min(head[9].into()));
        let mut page = b"OggS\0".to_vec();
        page.push(head[0] & 7 | if sequence == 0 { 2 } else { 0 });
        page.extend(&head[1..9]);
        page.extend(1u32.to_le_bytes());
        page.extend(sequence.to_le_bytes());
        page.extend([0; 4]);
        let body = if sequence == 0 { [b"OpusHead", body].concat() } else { body.to_vec() };
        let lacing = vec![255; body.len() / 255].into_iter().chain([(body.len() % 255) as u8]);
        page.push((body.len() / 255 + 1) as u8);
        page.extend(lacing);
        page.extend(body);
        let crc = checksum(&page);
        page[22..26].copy_from_slice(&crc.to_le_bytes());
        file.extend(page);
        sequence += 1 + u32::from(head[0] >> 7);
        rest = tail;
    }
    decode(file, &Default::default());
});

fn checksum(page: &[u8]) -> u32 {
    page.iter().fold(0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte) << 24, |crc, _| {
            if crc >> 31 == 1 { crc << 1 ^ 0x04c1_1db7 } else { crc << 1 }
        })
    })
}
