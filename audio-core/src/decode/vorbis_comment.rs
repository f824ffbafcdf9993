//! The comments of Vorbis, Opus and FLAC (Vorbis I, section 5): a list of `NAME=text`.

use crate::tags::{Tags, decode_text};

/// Comments and the names that they have here.
const NAMES: [(&str, &str); 19] = [
    ("title", "title"),
    ("artist", "artist"),
    ("album", "album"),
    ("albumartist", "album_artist"),
    ("album_artist", "album_artist"),
    ("composer", "composer"),
    ("genre", "genre"),
    ("comment", "comment"),
    ("description", "description"),
    ("date", "date"),
    ("tracknumber", "track"),
    ("track", "track"),
    ("discnumber", "disc"),
    ("copyright", "copyright"),
    ("isrc", "isrc"),
    ("encoder", "encoder"),
    ("originator", "originator"),
    ("time_reference", "time_reference"),
    ("origination_date", "origination_date"),
];

/// The comment for a name of [`Tags`].
pub(crate) fn name_of(tag: &str) -> String {
    let known = NAMES.iter().find(|(_, name)| *name == tag);
    known.map_or(tag, |(comment, _)| *comment).to_ascii_uppercase()
}

/// The name that a comment has here.
pub(crate) fn known(comment: &str) -> Option<&'static str> {
    NAMES.iter().find(|(name, _)| comment.eq_ignore_ascii_case(name)).map(|(_, name)| *name)
}

/// The comment in which a FLAC file keeps its loudspeaker mask.
pub(crate) const MASK: &str = "WAVEFORMATEXTENSIBLE_CHANNEL_MASK";

/// Read comments as far as they go; the loudspeaker mask, if one is told.
pub(crate) fn read(body: &[u8], tags: &mut Tags) -> Option<u64> {
    fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
        let (size, tail) = rest.split_first_chunk::<4>()?;
        let (text, tail) = tail.split_at_checked(u32::from_le_bytes(*size) as usize)?;
        *rest = tail;
        Some(text)
    }
    let mut rest = body;
    text(&mut rest)?; // the program that wrote it
    let (_, mut rest) = rest.split_first_chunk::<4>()?;
    let mut mask = None;
    while let Some(comment) = text(&mut rest) {
        let comment = decode_text(comment);
        let Some((name, value)) = comment.split_once('=') else { continue };
        if name.eq_ignore_ascii_case(MASK) {
            let digits = value.trim_start_matches("0x").trim_start_matches("0X");
            mask = u64::from_str_radix(digits, 16).ok();
        }
        if let Some(name) = known(name) {
            tags.push(name, value);
        }
    }
    mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_read_as_far_as_they_go() {
        let mut body = b"\x03\0\0\0abc\x04\0\0\0".to_vec();
        body.extend(b"\x07\0\0\0TITLE=x\x08\0\0\0artist=y\x08\0\0\0ARTIST=z");
        body.extend(b"\xff\xff\xff\x7fALBUM=n");
        let mut tags = Tags::default();
        assert_eq!(read(&body, &mut tags), None);
        assert_eq!(tags, [("title", "x"), ("artist", "y"), ("artist", "z")].into_iter().collect());
        assert_eq!(name_of("track"), "TRACKNUMBER");
        assert_eq!(name_of("originator_reference"), "ORIGINATOR_REFERENCE");
    }
}
