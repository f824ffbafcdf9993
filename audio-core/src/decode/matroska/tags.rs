//! Title, artist and the like in Matroska (RFC 9559, section 5.1.8, and the tag registry of it).

use std::io::{self, Read, Seek};

use super::{SeekRelative, integer, skip, text};
use crate::decode::vorbis_comment;
use crate::tags::Tags;

const TITLE: u32 = 0x7ba9;
const TAGS: u32 = 0x1254_c367;
const TAG: u32 = 0x7373;
const TARGETS: u32 = 0x63c0;
const TARGET_TYPE_VALUE: u32 = 0x68ca;
const TRACK_UID: u32 = 0x63c5;
const EDITION_UID: u32 = 0x63c9;
const CHAPTER_UID: u32 = 0x63c4;
const ATTACHMENT_UID: u32 = 0x63c6;
const SIMPLE_TAG: u32 = 0x67c8;
const TAG_NAME: u32 = 0x45a3;
const TAG_STRING: u32 = 0x4487;

/// The target of what belongs to an album instead of one recording, and the names there.
const ALBUM: i64 = 50;
/// Texts longer than this are not read.
const MAX_TEXT_BYTES: u64 = 1 << 16;

/// Collects texts while the elements go by.
#[derive(Default)]
pub(super) struct TagReader {
    /// What the tag is about, where it says so.
    target: Option<i64>,
    /// Whether it is about a part of the file alone.
    part: bool,
    name: String,
    tags: Tags,
}

impl TagReader {
    pub(super) fn knows(&self, id: u32) -> bool {
        matches!(
            id,
            TITLE
                | TAGS
                | TAG
                | TARGETS
                | TARGET_TYPE_VALUE
                | TRACK_UID
                | EDITION_UID
                | CHAPTER_UID
                | ATTACHMENT_UID
                | SIMPLE_TAG
                | TAG_NAME
                | TAG_STRING
        )
    }

    /// Take the body of an element, or go into it; `false` at the end of the data.
    pub(super) fn take(
        &mut self,
        id: u32,
        size: u64,
        reader: &mut (impl Read + Seek + SeekRelative),
    ) -> io::Result<bool> {
        match id {
            TAGS | TARGETS => {}
            TAG => (self.target, self.part) = (None, false),
            SIMPLE_TAG => self.name.clear(),
            TITLE | TAG_NAME | TAG_STRING if size <= MAX_TEXT_BYTES => {
                let Some(text) = text(reader, size)? else { return Ok(false) };
                match id {
                    TITLE => self.tags.push("title", &text),
                    TAG_NAME => self.name = text,
                    _ => self.push(&text),
                }
            }
            TARGET_TYPE_VALUE | TRACK_UID | EDITION_UID | CHAPTER_UID | ATTACHMENT_UID
                if size <= 8 =>
            {
                let Some(value) = integer(reader, size, false)? else { return Ok(false) };
                match id {
                    TARGET_TYPE_VALUE => self.target = Some(value),
                    _ => self.part |= value != 0,
                }
            }
            _ => return skip(reader, size),
        }
        Ok(true)
    }

    fn push(&mut self, value: &str) {
        let album = self.target == Some(ALBUM);
        let name = match self.name.to_ascii_uppercase().as_str() {
            "TITLE" if album => "album",
            "ARTIST" if album => "album_artist",
            "PART_NUMBER" if !album => "track",
            "DATE_RELEASED" | "DATE_RECORDED" => "date",
            other => match vorbis_comment::known(other) {
                Some(name) => name,
                None => return,
            },
        };
        if !self.part {
            self.tags.push(name, value);
        }
    }

    /// What was found; where an album alone has an artist, it is that of the recording too.
    pub(super) fn into_tags(self) -> Tags {
        let mut tags = self.tags;
        if tags.get("artist").is_none() {
            for artist in tags.all("album_artist").to_vec() {
                tags.push("artist", &artist);
            }
        }
        tags
    }
}
