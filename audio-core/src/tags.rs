//! Texts that travel with a recording: title, artists, and the broadcast chunk of WAV.

use std::collections::BTreeMap;

use encoding_rs::{SHIFT_JIS, WINDOWS_1252};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// Names that may stand for several values; of the others the first one counts.
const SEVERAL: [&str; 4] = ["artist", "album_artist", "composer", "genre"];

/// Title, artist and the like by lower-case name, and the broadcast chunk if there is one.
///
/// Names that files are read and written with: `title`, `artist`, `album`, `album_artist`,
/// `composer`, `genre`, `comment`, `date`, `track`, `disc`, `copyright`, `isrc`, `encoder`; and of
/// the broadcast chunk `description`, `originator`, `originator_reference`, `origination_date`,
/// `origination_time` and `time_reference`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tags {
    texts: BTreeMap<String, Vec<String>>,
    broadcast: Option<Broadcast>,
}

/// A `bext` chunk (EBU Tech 3285) as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broadcast {
    /// The chunk's body.
    pub(crate) body: Vec<u8>,
    /// The rate that its time reference counts in.
    pub(crate) rate: u32,
}

/// The chunks of a `LIST INFO` and the names that they have here.
pub(crate) const INFO: [(&[u8; 4], &str); 15] = [
    (b"INAM", "title"),
    (b"IART", "artist"),
    (b"IPRD", "album"),
    (b"IAAR", "album_artist"),
    (b"IMUS", "composer"),
    (b"IGNR", "genre"),
    (b"ICMT", "comment"),
    (b"ICRD", "date"),
    (b"ITRK", "track"),
    (b"IPRT", "track"),
    (b"ICOP", "copyright"),
    (b"ISRC", "isrc"),
    (b"ISFT", "encoder"),
    (b"IDIS", "disc"),
    (b"TRCK", "track"),
];

/// Where the time reference lies in the chunk's body.
const TIME_REFERENCE: std::ops::Range<usize> = 338..346;

impl Tags {
    /// Add a text. Empty ones and repetitions are left out, and so is a second value where a name
    /// stands for one.
    pub fn push(&mut self, name: &str, value: &str) {
        let value = value.trim_matches(|c: char| c.is_whitespace() || c == '\0');
        if value.is_empty() {
            return;
        }
        let name = name.to_ascii_lowercase();
        let several = SEVERAL.contains(&name.as_str());
        let values = self.texts.entry(name).or_default();
        if values.is_empty() || (several && !values.iter().any(|known| known == value)) {
            values.push(value.to_owned());
        }
    }

    /// The first value of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).first().map(String::as_str)
    }

    /// All values of a name.
    #[must_use]
    pub fn all(&self, name: &str) -> &[String] {
        self.texts.get(name).map_or(&[], Vec::as_slice)
    }

    /// Names and values, by name; a name with several values comes several times.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts.iter().flat_map(|(name, values)| {
            values.iter().map(move |value| (name.as_str(), value.as_str()))
        })
    }

    /// Each name with its values joined by `; `.
    pub fn joined(&self) -> impl Iterator<Item = (&str, String)> {
        self.texts.iter().map(|(name, values)| (name.as_str(), values.join("; ")))
    }

    /// Whether there is nothing to keep.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty() && self.broadcast.is_none()
    }

    /// Keep a `bext` chunk and add what it says as texts.
    pub(crate) fn set_broadcast(&mut self, body: Vec<u8>, rate: u32) {
        let fields = [
            ("description", 0..256),
            ("originator", 256..288),
            ("originator_reference", 288..320),
            ("origination_date", 320..330),
            ("origination_time", 330..338),
        ];
        for (name, range) in fields {
            if let Some(field) = body.get(range) {
                self.push(name, &decode_text(field));
            }
        }
        if let Some(field) = body.get(TIME_REFERENCE).and_then(|field| field.try_into().ok()) {
            self.push("time_reference", &u64::from_le_bytes(field).to_string());
            self.broadcast = Some(Broadcast { body, rate });
        }
    }

    /// The `bext` chunk for a file of `rate`, its time reference counted in that rate.
    pub(crate) fn broadcast_at(&self, rate: u32) -> Option<Vec<u8>> {
        let Broadcast { body, rate: own } = self.broadcast.as_ref()?;
        let mut body = body.clone();
        if let Some(field) = body.get_mut(TIME_REFERENCE)
            && rate != *own
            && let Ok(bytes) = <[u8; 8]>::try_from(&*field)
        {
            let time = u128::from(u64::from_le_bytes(bytes)) * u128::from(rate);
            let time = (time + u128::from(*own) / 2) / u128::from((*own).max(1));
            field.copy_from_slice(&u64::try_from(time).unwrap_or(u64::MAX).to_le_bytes());
        }
        Some(body)
    }
}

impl<N: AsRef<str>, V: AsRef<str>> FromIterator<(N, V)> for Tags {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(texts: I) -> Self {
        let mut tags = Self::default();
        texts.into_iter().for_each(|(name, value)| tags.push(name.as_ref(), value.as_ref()));
        tags
    }
}

impl<'a> IntoIterator for &'a Tags {
    type Item = (&'a str, &'a str);
    type IntoIter = Box<dyn Iterator<Item = Self::Item> + 'a>;

    fn into_iter(self) -> Self::IntoIter {
        Box::new(self.iter())
    }
}

impl Serialize for Tags {
    /// A map from names to texts; several values are joined by `; `.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.texts.len()))?;
        for (name, values) in self.joined() {
            map.serialize_entry(name, &values)?;
        }
        map.end()
    }
}

/// The text up to the first NUL: UTF-16 where every other byte shows it, UTF-8 where it is valid, else Shift-JIS where it looks Japanese,
/// else Windows-1252, in which every byte is a character.
pub(crate) fn decode_text(bytes: &[u8]) -> String {
    if let Some(text) = utf16(bytes) {
        return text;
    }
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    let bytes = &bytes[..end];
    if let Ok(text) = std::str::from_utf8(bytes) {
        return text.to_owned();
    }
    let japanese = SHIFT_JIS.decode_without_bom_handling_and_without_replacement(bytes);
    if let Some(text) = japanese.filter(|text| is_japanese(text)) {
        return text.into_owned();
    }
    WINDOWS_1252.decode_without_bom_handling(bytes).0.into_owned()
}

/// The text of UTF-16 that a byte order mark tells, or little-endian Western letters of which each
/// has a zero behind it: at least two, since one letter may be a whole text.
fn utf16(bytes: &[u8]) -> Option<String> {
    let big = bytes.starts_with(&[0xfe, 0xff]);
    let marked = big || bytes.starts_with(&[0xff, 0xfe]);
    let (pairs, _) = bytes[if marked { 2 } else { 0 }..].as_chunks::<2>();
    let read = if big { u16::from_be_bytes } else { u16::from_le_bytes };
    let units: Vec<u16> =
        pairs.iter().map(|&pair| read(pair)).take_while(|&unit| unit != 0).collect();
    if !marked && (units.len() < 2 || units.iter().any(|&unit| unit > 0xff)) {
        return None;
    }
    String::from_utf16(&units).ok()
}

/// Whether most letters are Japanese. A Western text that happens to be valid Shift-JIS has few
/// such letters between its plain ones.
fn is_japanese(text: &str) -> bool {
    let is_wide = |c: char| matches!(c, '\u{3000}'..='\u{30ff}' | '\u{4e00}'..='\u{9fff}');
    let letters = text.chars().filter(|c| !c.is_ascii_punctuation() && !c.is_whitespace()).count();
    let wide = text.chars().filter(|&c| is_wide(c)).count();
    let kana = text.chars().any(|c| matches!(c, '\u{3041}'..='\u{30fa}'));
    wide * 2 > letters || (kana && wide * 4 > letters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_some_names_have_several_values() {
        let tags: Tags = [("ARTIST", "A"), ("artist", "B"), ("artist", "A"), ("title", "x")]
            .into_iter()
            .chain([("title", "y"), ("genre", " ")])
            .collect();
        assert_eq!(
            tags.iter().collect::<Vec<_>>(),
            [("artist", "A"), ("artist", "B"), ("title", "x")]
        );
        let json = serde_json::to_value(&tags).expect("a map");
        assert_eq!(json, serde_json::json!({"artist": "A; B", "title": "x"}));
    }

    #[test]
    fn old_encodings_are_told_apart() {
        assert_eq!(decode_text("Żółw\0rest".as_bytes()), "Żółw");
        assert_eq!(decode_text(b"Fr\xe9d\xe9ric"), "Frédéric");
        assert_eq!(decode_text(b"G\0r\0\xfc\0n\0\0\0x\0"), "Grün");
        assert_eq!(decode_text(b"\xff\xfe\x1f\x04"), "П");
        assert_eq!(decode_text(b"\xfe\xff\x04\x1f\0a"), "Пa");
        assert_eq!((decode_text(b"A\0b"), decode_text(b"A\0\0\0")), ("A".into(), "A".into()));
        assert_eq!(decode_text(b"It\x92s M\xfcller"), "It’s Müller");
        assert_eq!(decode_text(b"\xc4\xd6\xdc"), "ÄÖÜ");
        assert_eq!(decode_text(b"\x93\x8c\x8b\x9e"), "東京");
        assert_eq!(decode_text(b"\x83e\x83X\x83g Vol.1"), "テスト Vol.1");
    }

    #[test]
    fn a_time_reference_follows_the_rate() {
        let mut body = vec![0; 602];
        body[..4].copy_from_slice(b"take");
        body[TIME_REFERENCE].copy_from_slice(&48_000u64.to_le_bytes());
        let mut tags = Tags::default();
        tags.set_broadcast(body.clone(), 48_000);
        assert_eq!(
            (tags.get("description"), tags.get("time_reference")),
            (Some("take"), Some("48000"))
        );
        assert_eq!(tags.broadcast_at(48_000), Some(body));
        let other = tags.broadcast_at(16_000).expect("kept");
        assert_eq!(other[TIME_REFERENCE], 16_000u64.to_le_bytes());
    }
}
