//! From the answers of a recogniser to text and words, and from text to the answers that it
//! should give.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::sentencepiece::{SPACE, SentencePiece, byte_value, push_bytes};

/// How the pieces of a vocabulary become text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PieceKind {
    /// SentencePiece: joined, `▁` is a space.
    #[default]
    SentencePiece,
    /// WordPiece: joined, `##` continues a word.
    WordPiece,
    /// Characters, the space among them.
    Characters,
}

/// A word and the tokens that it consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpokenWord {
    /// The word.
    pub text: String,
    /// The first of its tokens, counted in the sequence.
    pub first: usize,
    /// The last of its tokens.
    pub last: usize,
}

/// Pieces by id, and what they mean.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    kind: PieceKind,
    pieces: Vec<String>,
    ids: HashMap<String, u32>,
    model: Option<SentencePiece>,
    /// What a piece adds to text; `None` for single bytes.
    surfaces: Vec<Option<String>>,
    /// Longest piece in characters.
    longest: usize,
}

impl Tokenizer {
    /// The pieces of a vocabulary by id. With the SentencePiece model that they come from, text is
    /// cut as in training; without, into as few pieces as possible.
    #[must_use]
    pub fn new(kind: PieceKind, pieces: Vec<String>, model: Option<SentencePiece>) -> Self {
        let mut ids = HashMap::with_capacity(pieces.len());
        for (id, piece) in pieces.iter().enumerate() {
            ids.entry(piece.clone()).or_insert(id as u32);
        }
        let from_model: HashMap<&str, u32> = model
            .iter()
            .flat_map(|model| (0..model.len() as u32).filter_map(|id| Some((model.piece(id)?, id))))
            .collect();
        let surface = |piece: &String| match from_model.get(piece.as_str()).zip(model.as_ref()) {
            Some((&id, model)) => model.surface(id),
            None => surface(kind, piece),
        };
        let surfaces = pieces.iter().map(surface).collect();
        let longest = pieces.iter().map(|piece| piece.chars().count()).max().unwrap_or(0);
        Self { kind, ids, surfaces, longest, pieces, model }
    }

    /// An alphabet: one piece a character.
    #[must_use]
    pub fn characters(alphabet: &str) -> Self {
        Self::new(PieceKind::Characters, alphabet.chars().map(String::from).collect(), None)
    }

    /// Number of pieces.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pieces.len()
    }

    /// Whether there are no pieces.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// The piece of an id.
    #[must_use]
    pub fn piece(&self, id: u32) -> Option<&str> {
        self.pieces.get(id as usize).map(String::as_str)
    }

    /// What a piece adds to text, spaces included; nothing for a byte of a longer character.
    #[must_use]
    pub fn surface(&self, id: u32) -> &str {
        self.surfaces.get(id as usize).and_then(Option::as_deref).unwrap_or("")
    }

    /// Whether a word begins with this piece, or ends before it.
    #[must_use]
    pub fn starts_word(&self, id: u32) -> bool {
        let first = self.surface(id).chars().next();
        first.is_some_and(|c| c.is_whitespace() || is_ideograph(c))
    }

    /// The text of a sequence of ids; ids without a piece, such as blanks, stand for nothing.
    #[must_use]
    pub fn decode(&self, ids: &[u32]) -> String {
        if let Some(model) = &self.model {
            // The vocabulary may number the pieces of the model in its own way.
            let own = ids.iter().filter_map(|&id| self.model_id(model, id)).collect::<Vec<_>>();
            return model.decode(&own);
        }
        let mut text = String::new();
        for (part, _, _) in self.parts(ids) {
            text += &part;
        }
        let start = text.len() - text.trim_start_matches(' ').len();
        text.split_off(start)
    }

    fn model_id(&self, model: &SentencePiece, id: u32) -> Option<u32> {
        let piece = self.piece(id)?;
        match model.piece(id) == Some(piece) {
            true => Some(id),
            false => model.id(piece),
        }
    }

    /// The words of a sequence of ids: what stands between spaces, and each ideograph by itself.
    #[must_use]
    pub fn words(&self, ids: &[u32]) -> Vec<SpokenWord> {
        let mut words: Vec<SpokenWord> = Vec::new();
        let mut open = false;
        for (part, first, last) in self.parts(ids) {
            for letter in part.chars() {
                if letter.is_whitespace() {
                    open = false;
                    continue;
                }
                let alone = is_ideograph(letter);
                match words.last_mut().filter(|_| open && !alone) {
                    Some(word) => {
                        word.text.push(letter);
                        word.last = last;
                    }
                    None => words.push(SpokenWord { text: letter.to_string(), first, last }),
                }
                open = !alone;
            }
        }
        words
    }

    /// Text by pieces, with the places of the first and the last token of each; bytes are put
    /// together.
    fn parts(&self, ids: &[u32]) -> Vec<(String, usize, usize)> {
        let mut parts = Vec::with_capacity(ids.len());
        let (mut bytes, mut first_byte) = (Vec::new(), 0);
        for (at, &id) in ids.iter().enumerate() {
            let Some(surface) = self.surfaces.get(id as usize) else { continue };
            let Some(surface) = surface else {
                if bytes.is_empty() {
                    first_byte = at;
                }
                bytes.extend(byte_value(&self.pieces[id as usize]));
                continue;
            };
            if !bytes.is_empty() {
                let mut text = String::new();
                push_bytes(&mut text, &mut bytes);
                parts.push((text, first_byte, at - 1));
            }
            parts.push((surface.clone(), at, at));
        }
        if !bytes.is_empty() {
            let mut text = String::new();
            push_bytes(&mut text, &mut bytes);
            parts.push((text, first_byte, ids.len() - 1));
        }
        parts
    }

    /// Text as this vocabulary writes it: in capitals or small letters where it has only these.
    #[must_use]
    pub fn fit_case(&self, text: &str) -> String {
        let letters = || self.pieces.iter().filter(|piece| !piece.starts_with(['<', '[']));
        let has_lower = letters().any(|piece| piece.chars().any(char::is_lowercase));
        let has_upper = letters().any(|piece| piece.chars().any(char::is_uppercase));
        match (has_lower, has_upper) {
            (true, false) => text.to_lowercase(),
            (false, true) => text.to_uppercase(),
            _ => text.to_owned(),
        }
    }

    /// Ids of one word that follows others (or begins the text, when `first`). Characters that the
    /// vocabulary does not have are left out.
    #[must_use]
    pub fn encode_word(&self, word: &str, first: bool) -> Vec<u32> {
        let word = self.fit_case(word).replace('\u{2019}', "'");
        if let Some(model) = &self.model {
            let known = |&id: &u32| id != model.unknown();
            let piece = |id: u32| self.ids.get(model.piece(id)?).copied();
            return model.encode(&word).into_iter().filter(known).filter_map(piece).collect();
        }
        match self.kind {
            PieceKind::SentencePiece => self.fewest(&format!("{SPACE}{word}"), ""),
            PieceKind::WordPiece => self.fewest(&word, "##"),
            PieceKind::Characters => {
                let ids = self.fewest(&word, "");
                let space = [" ", "▁", "<space>"].iter().find_map(|space| self.ids.get(*space));
                let between = space.copied().filter(|_| !first && !ids.is_empty());
                between.into_iter().chain(ids).collect()
            }
        }
    }

    /// The fewest pieces that cover `word`; all but the first are looked up behind `inner`.
    fn fewest(&self, word: &str, inner: &str) -> Vec<u32> {
        let letters: Vec<char> = word.chars().collect();
        // Cost and way to get to each character; leaving one out costs more than any covering.
        let omission = letters.len() + 1;
        let mut best: Vec<(usize, usize, Option<u32>)> =
            vec![(usize::MAX, 0, None); letters.len() + 1];
        best[0].0 = 0;
        for start in 0..letters.len() {
            let so_far = best[start].0;
            if so_far + omission < best[start + 1].0 {
                best[start + 1] = (so_far + omission, start, None);
            }
            let mut piece = if start == 0 { String::new() } else { inner.to_owned() };
            for end in start + 1..=letters.len().min(start + self.longest) {
                piece.push(letters[end - 1]);
                if let Some(&id) = self.ids.get(&piece)
                    && so_far + 1 < best[end].0
                {
                    best[end] = (so_far + 1, start, Some(id));
                }
            }
        }
        let mut ids = Vec::new();
        let mut end = letters.len();
        while end > 0 {
            ids.extend(best[end].2);
            end = best[end].1;
        }
        ids.reverse();
        ids
    }
}

/// What a piece of a vocabulary without a model adds to text.
fn surface(kind: PieceKind, piece: &str) -> Option<String> {
    if matches!(piece, "<unk>" | "<UNK>" | "[UNK]") {
        return Some(" \u{2047} ".to_owned());
    }
    if matches!(piece, "<space>" | "<SPACE>") {
        return Some(" ".to_owned());
    }
    let is_sign = piece.len() > 2
        && (piece.starts_with('<') && piece.ends_with('>')
            || piece.starts_with('[') && piece.ends_with(']'));
    match kind {
        PieceKind::SentencePiece if byte_value(piece).is_some() => None,
        _ if is_sign => Some(String::new()),
        PieceKind::WordPiece => Some(match piece.strip_prefix("##") {
            Some(rest) => rest.to_owned(),
            None => format!(" {piece}"),
        }),
        _ => Some(piece.replace(SPACE, " ")),
    }
}

/// Letters of scripts that are written without spaces, each of which counts as a word.
pub(crate) fn is_ideograph(c: char) -> bool {
    matches!(c,
        '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(kind: PieceKind, list: &[&str]) -> Tokenizer {
        Tokenizer::new(kind, list.iter().map(|piece| (*piece).to_owned()).collect(), None)
    }

    fn spoken(tokenizer: &Tokenizer, ids: &[u32]) -> Vec<(String, usize, usize)> {
        let words = tokenizer.words(ids);
        words.into_iter().map(|word| (word.text, word.first, word.last)).collect()
    }

    #[test]
    fn letters() {
        let tokenizer = Tokenizer::characters("abc' ");
        let ids = tokenizer.encode_word("Ba", true);
        assert_eq!(ids, [1, 0]);
        let all: Vec<u32> =
            ids.into_iter().chain(tokenizer.encode_word("c\u{2019}x", false)).collect();
        assert_eq!(all, [1, 0, 4, 2, 3]); // x is not in the alphabet
        assert_eq!(tokenizer.decode(&all), "ba c'");
        assert_eq!(spoken(&tokenizer, &all), [("ba".into(), 0, 1), ("c'".into(), 3, 4)]);
        assert!(tokenizer.starts_word(4) && !tokenizer.starts_word(0));
        assert_eq!(tokenizer.decode(&[4, 0, 99]), "a");
    }

    #[test]
    fn sentence_pieces_without_their_model() {
        let list = ["<blank>", "<unk>", "▁th", "e", "▁", "<0xC3>", "<0xA9>", "▁the"];
        let tokenizer = pieces(PieceKind::SentencePiece, &list);
        assert_eq!(tokenizer.encode_word("the", true), [7]);
        assert_eq!(tokenizer.encode_word("e", false), [4, 3]);
        assert_eq!(tokenizer.decode(&[2, 3, 0, 4, 5, 6, 3]), "the ée");
        assert_eq!(
            spoken(&tokenizer, &[2, 3, 4, 5, 6, 3]),
            [("the".into(), 0, 1), ("ée".into(), 3, 5)]
        );
        assert_eq!(tokenizer.decode(&[7, 1, 7]), "the \u{2047}  the");
    }

    #[test]
    fn word_pieces() {
        let tokenizer = pieces(PieceKind::WordPiece, &["[UNK]", "talk", "##ing", "##s", "##talk"]);
        let ids = tokenizer.encode_word("talking", true);
        assert_eq!(ids, [1, 2]);
        assert_eq!(tokenizer.decode(&[1, 2, 1, 3]), "talking talks");
        assert_eq!(spoken(&tokenizer, &[1, 2, 1])[1], ("talk".into(), 2, 2));
    }

    #[test]
    fn ideographs_are_words() {
        let tokenizer = pieces(PieceKind::Characters, &["你", "好", "▁ok", "a"]);
        assert_eq!(tokenizer.decode(&[0, 1, 2, 3]), "你好 oka");
        let words: Vec<String> =
            spoken(&tokenizer, &[0, 1, 2, 3]).into_iter().map(|word| word.0).collect();
        assert_eq!(words, ["你", "好", "oka"]);
    }

    #[test]
    fn capitals() {
        assert_eq!(Tokenizer::characters("AB ").encode_word("ab", true), [0, 1]);
        assert_eq!(Tokenizer::characters("abA ").fit_case("aB"), "aB");
    }
}
