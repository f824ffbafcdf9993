//! What the tests of other programs' files share: media, decoding both ways, boxes of MP4.

#![allow(dead_code, reason = "every test file takes a part")]

use std::io::Cursor;
use std::path::PathBuf;

use formant_audio_core::decode::{Clip, DecodeOptions, decode_file, decode_stream};
use formant_audio_core::encode::{SampleFormat, WriteOptions, write_file};
use formant_audio_core::{AudioBuf, Error};

/// One of the files in `tests/media`.
pub(crate) fn media(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/media");
    std::fs::read(folder.join(name)).expect("media")
}

/// Decode bytes as a file and as a stream, which give the same.
pub(crate) fn decode_with(bytes: &[u8], options: &DecodeOptions) -> Result<Clip, Error> {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), bytes).expect("writable");
    let seekable = decode_file(file.path(), options);
    let streamed = decode_stream(Box::new(Cursor::new(bytes.to_vec())), "-", options);
    match (&seekable, &streamed) {
        (Ok(a), Ok(b)) => assert!(a.audio == b.audio, "a file and a stream give the same"),
        (Err(_), Err(_)) => {}
        other => panic!("{other:?}"),
    }
    seekable
}

/// Decode what is readable.
pub(crate) fn decode(bytes: &[u8]) -> Clip {
    decode_with(bytes, &DecodeOptions::default()).expect("decodes")
}

/// The error of what is not.
pub(crate) fn refused(bytes: &[u8]) -> String {
    decode_with(bytes, &DecodeOptions::default()).expect_err("is refused").to_string()
}

/// A file that formant writes.
pub(crate) fn written(name: &str, audio: &AudioBuf, options: &WriteOptions) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    write_file(&path, &audio.view(), options).expect("writes");
    std::fs::read(path).expect("there")
}

/// The box of a kind at a place: start and end.
pub(crate) fn box_at(bytes: &[u8], from: usize, kind: &[u8; 4]) -> (usize, usize) {
    let at = from + bytes[from..].windows(4).position(|name| name == kind).expect("the box") - 4;
    let size = u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize;
    (at, at + size)
}

/// Put bytes into a box, and count them in the boxes around it.
pub(crate) fn insert(bytes: &mut Vec<u8>, at: usize, new: &[u8], around: &[usize]) {
    for &start in around {
        let size = u32::from_be_bytes(bytes[start..start + 4].try_into().expect("four bytes"));
        bytes[start..start + 4].copy_from_slice(&(size + new.len() as u32).to_be_bytes());
    }
    bytes.splice(at..at, new.iter().copied());
}

/// Give a box another kind.
pub(crate) fn rename(bytes: &mut [u8], from: &[u8; 4], to: &[u8; 4]) {
    let at = bytes.windows(4).position(|name| name == from).expect("the box");
    bytes[at..at + 4].copy_from_slice(to);
}

/// 1 s of a sweep-like tone at 44.1 kHz as FLAC of 16 bits, and its samples.
pub(crate) fn flac() -> (Vec<u8>, Vec<f32>) {
    let samples: Vec<f32> = (0..44_100u32)
        .map(|at| {
            let noise = (at.wrapping_mul(2_654_435_761) >> 16) as f32 / 65_536.0 - 0.5;
            0.4 * (at as f32 * 0.01).sin() + 0.1 * noise
        })
        .collect();
    let audio = AudioBuf::from_mono(44_100, samples);
    let options = WriteOptions { format: Some(SampleFormat::S16), ..Default::default() };
    let bytes = written("a.flac", &audio, &options);
    let exact = decode(&bytes).audio.channel(0).to_vec();
    (bytes, exact)
}
