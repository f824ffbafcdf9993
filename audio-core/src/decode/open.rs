//! Finding out what a source holds.

use std::path::PathBuf;

use super::backend::Backend;
use super::info::SourceInfo;
use super::joined::Joined;
use super::options::DecodeOptions;
use super::outline::{Outline, TrackOutline};
use super::source::Source;
use super::{aiff, caf, flac, mpeg, names, ogg, symphonia_backend, wav};
use crate::error::{Error, Result};

/// Bytes at the start that decide.
const HEAD_BYTES: usize = 512;

/// Formats that tell by their first bytes what they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Wav,
    Ogg,
    Flac,
    Aiff,
    Caf,
    Matroska,
    Mp4,
}

/// Boxes that an MP4 or MOV file may start with.
const MP4_BOXES: [&[u8]; 12] = [
    b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"PICT", b"uuid", b"styp",
    b"sidx", b"moof",
];

fn recognise(head: &[u8]) -> Option<Kind> {
    Some(match head {
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', ..]
        | [b'R', b'F', b'6', b'4', ..]
        | [b'B', b'W', b'6', b'4', ..] => Kind::Wav,
        [b'O', b'g', b'g', b'S', ..] => Kind::Ogg,
        [b'f', b'L', b'a', b'C', ..] => Kind::Flac,
        [b'F', b'O', b'R', b'M', _, _, _, _, b'A', b'I', b'F', ..] => Kind::Aiff,
        [b'c', b'a', b'f', b'f', ..] => Kind::Caf,
        [0x1a, 0x45, 0xdf, 0xa3, ..] => Kind::Matroska,
        [_, _, _, _, kind @ ..] if MP4_BOXES.iter().any(|name| kind.starts_with(name)) => Kind::Mp4,
        _ => return None,
    })
}

/// Whether a recording begins here that tells by its first bytes what it is, beyond doubt.
pub(super) fn is_recording(head: &[u8]) -> bool {
    let kind = recognise(head);
    kind.is_some_and(|kind| !matches!(kind, Kind::Mp4 | Kind::Flac))
        || head.starts_with(b"fLaC\0\0\0\x22")
        || head.starts_with(b"fLaC\x80\0\0\x22")
}

/// Open the recording at the source's position; others that follow it in the same source are read
/// as well.
pub(super) fn open_backend(
    source: Source,
    path: PathBuf,
    options: &DecodeOptions,
) -> Result<Box<dyn Backend>> {
    match options.raw {
        Some(raw) => wav::open_raw(source, path, raw),
        None => Ok(Box::new(Joined::new(open_one(source, path, options)?, options))),
    }
}

fn open_one(
    mut source: Source,
    path: PathBuf,
    options: &DecodeOptions,
) -> Result<Box<dyn Backend>> {
    let head = source.peek(HEAD_BYTES).map_err(|e| Error::io(&path, e))?;
    if head.is_empty() {
        return Err(Error::unreadable(&path, "the input is empty (zero bytes)"));
    }
    let kind = recognise(&head);
    if !matches!(kind, Some(Kind::Mp4 | Kind::Matroska | Kind::Ogg)) {
        // The other formats hold one track.
        let only = Outline { tracks: vec![TrackOutline::new(0)], ..Outline::default() };
        only.candidates(options.track.as_ref())
            .map_err(|reason| Error::unreadable(&path, reason))?;
    }
    match kind {
        Some(Kind::Ogg) if names::foreign_ogg(&head).is_some() => {
            Err(names::refuse(&path, names::foreign_ogg(&head).unwrap_or_default()))
        }
        Some(kind) => open_kind(kind, source, path, options),
        None => match names::foreign(&head) {
            Some(name) => Err(names::refuse(&path, name)),
            None => open_mpeg(source, path),
        },
    }
}

/// Open the recording that follows another one; `None` when the bytes are none that tells what it
/// is.
pub(super) fn open_next(
    mut source: Source,
    path: PathBuf,
    options: &DecodeOptions,
) -> Result<Option<Box<dyn Backend>>> {
    let head = source.peek(HEAD_BYTES).map_err(|e| Error::io(&path, e))?;
    match recognise(&head) {
        Some(kind) => open_kind(kind, source, path, options).map(Some),
        None => Ok(None),
    }
}

fn open_kind(
    kind: Kind,
    source: Source,
    path: PathBuf,
    options: &DecodeOptions,
) -> Result<Box<dyn Backend>> {
    match kind {
        Kind::Wav => wav::open(source, path),
        Kind::Ogg => ogg::open(source, path, options),
        Kind::Aiff => aiff::open(source, path),
        Kind::Flac => flac::open(source, SourceInfo::new(path, "flac", "flac")),
        Kind::Caf => caf::open(source, path),
        Kind::Matroska => symphonia_backend::open_matroska(source, path, options),
        Kind::Mp4 => symphonia_backend::open_mp4(source, path, options),
    }
}

/// MPEG audio or AAC, whose frames have no magic number, perhaps behind an ID3 tag; FLAC behind
/// one.
fn open_mpeg(mut source: Source, path: PathBuf) -> Result<Box<dyn Backend>> {
    let mut info = SourceInfo::new(path, "mpeg", "");
    let io_error = |info: &SourceInfo, e| Error::io(&info.path, e);
    mpeg::read_id3(&mut source, &mut info).map_err(|e| io_error(&info, e))?;
    let head = source.peek(16).map_err(|e| io_error(&info, e))?;
    if head.starts_with(b"fLaC") {
        return flac::open(source, info);
    }
    if recognise(&head) == Some(Kind::Wav) {
        let mut backend = wav::open(source, info.path)?;
        for (name, value) in &info.tags {
            backend.info().tags.push(name, value);
        }
        return Ok(backend);
    }
    mpeg::read_id3v1(&mut source, &mut info).map_err(|e| io_error(&info, e))?;
    if mpeg::probe(&mut source).map_err(|e| io_error(&info, e))?.is_some() {
        return mpeg::open(source, info);
    }
    match names::perhaps_foreign(&head) {
        Some(name) => Err(names::refuse(&info.path, name)),
        None => Err(Error::unreadable(
            &info.path,
            "this is no audio format that formant knows (`formant formats` lists them); headerless samples need --raw",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_decide() {
        assert_eq!(recognise(b"RIFF\0\0\0\0WAVEfmt "), Some(Kind::Wav));
        assert_eq!(recognise(b"RIFF\0\0\0\0AVI LIST"), None);
        assert_eq!(recognise(b"FORM\0\0\0\0AIFC"), Some(Kind::Aiff));
        assert_eq!(recognise(b"\0\0\0\x1cftypisom"), Some(Kind::Mp4));
        assert_eq!(recognise(b"ID3\x04"), None);
    }
}
