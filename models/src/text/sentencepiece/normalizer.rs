//! What happens to text before it is cut: characters are mapped, spaces made regular and visible.

use super::SPACE;
use super::model::NormalizerSettings;

#[derive(Debug, Clone)]
pub(super) struct Normalizer {
    settings: NormalizerSettings,
    /// The double-array trie of the character map; empty without one.
    trie: Vec<u32>,
    /// Where the replacements start in the map.
    replacements: usize,
    user_defined: Vec<String>,
}

impl Normalizer {
    pub(super) fn new(
        settings: NormalizerSettings,
        user_defined: Vec<String>,
    ) -> Result<Self, String> {
        let map = &settings.charsmap;
        let (trie, replacements) = match map.first_chunk::<4>() {
            None if map.is_empty() => (Vec::new(), 0),
            None => return Err("the character map is cut short".to_owned()),
            Some(size) => {
                let size = u32::from_le_bytes(*size) as usize;
                let units = map[4..].get(..size).filter(|_| size.is_multiple_of(4));
                let units = units.ok_or("the character map is cut short")?;
                let unit = |b: &[u8]| u32::from_le_bytes([b[0], b[1], b[2], b[3]]);
                (units.chunks_exact(4).map(unit).collect(), 4 + size)
            }
        };
        Ok(Self { settings, trie, replacements, user_defined })
    }

    /// Whether text loses the space at its start when pieces are joined.
    pub(super) fn strips_first_space(&self) -> bool {
        self.settings.add_dummy_prefix || self.settings.remove_extra_whitespaces
    }

    pub(super) fn removes_extra_spaces(&self) -> bool {
        self.settings.remove_extra_whitespaces
    }

    pub(super) fn normalize(&self, text: &str) -> String {
        let settings = &self.settings;
        let trims = settings.remove_extra_whitespaces;
        let space = if settings.escape_whitespaces { SPACE } else { ' ' };
        let mut body = String::with_capacity(text.len() + 8);
        let mut after_space = trims;
        let mut rest = text;
        while !rest.is_empty() {
            let (mut part, taken) = self.prefix(rest);
            while after_space && let Some(trimmed) = part.strip_prefix(' ') {
                part = trimmed;
            }
            if !part.is_empty() {
                body.extend(part.chars().map(|c| if c == ' ' { space } else { c }));
                after_space = trims && part.ends_with(' ');
            }
            rest = &rest[taken..];
        }
        if trims {
            body.truncate(body.trim_end_matches(space).len());
        }
        if body.is_empty() || !settings.add_dummy_prefix {
            return body;
        }
        match settings.whitespace_as_suffix {
            true => body.push(space),
            false => body.insert(0, space),
        }
        body
    }

    /// What the start of `text` becomes, and how many bytes of it were used: a user-defined piece
    /// as it is, else the longest entry of the map, else one character.
    fn prefix<'a>(&'a self, text: &'a str) -> (&'a str, usize) {
        if let Some(piece) = self.user_defined.iter().find(|piece| text.starts_with(*piece)) {
            return (&text[..piece.len()], piece.len());
        }
        if let Some((at, length)) = self.longest(text.as_bytes())
            && text.is_char_boundary(length)
            && let Some(replacement) = self.replacement(at)
        {
            return (replacement, length);
        }
        let length = text.chars().next().map_or(0, char::len_utf8);
        (&text[..length], length)
    }

    /// Value and length of the longest key of the trie that `text` starts with. The layout of the
    /// units is that of the Darts-clone library.
    fn longest(&self, text: &[u8]) -> Option<(usize, usize)> {
        let offset = |unit: u32| ((unit >> 10) << ((unit & (1 << 9)) >> 6)) as usize;
        let mut node = offset(*self.trie.first()?);
        let mut found = None;
        for (index, &byte) in text.iter().enumerate() {
            node ^= usize::from(byte);
            let Some(&unit) = self.trie.get(node) else { break };
            if unit & (1 << 31 | 0xff) != u32::from(byte) {
                break;
            }
            node ^= offset(unit);
            if unit & (1 << 8) != 0
                && let Some(leaf) = self.trie.get(node)
            {
                found = Some(((leaf & (u32::MAX >> 1)) as usize, index + 1));
            }
        }
        found
    }

    /// The replacement at a place of the map; it ends with a zero.
    fn replacement(&self, at: usize) -> Option<&str> {
        let rest = self.settings.charsmap.get(self.replacements.checked_add(at)?..)?;
        let end = rest.iter().position(|&byte| byte == 0)?;
        std::str::from_utf8(&rest[..end]).ok()
    }
}
