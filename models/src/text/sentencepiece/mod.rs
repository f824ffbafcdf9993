//! SentencePiece models: the file, normalisation, and both ways between text and pieces.
//!
//! Sources: Kudo and Richardson, "SentencePiece" (EMNLP 2018), and its `sentencepiece_model.proto`.
//! Unigram and BPE models are read; training is not done here.

mod bpe;
mod model;
mod normalizer;
mod unigram;

use std::collections::HashMap;
use std::path::Path;

use crate::error::{Error, Result};
use model::{ModelFile, PieceType};
use normalizer::Normalizer;

/// What stands for a space inside pieces.
pub(super) const SPACE: char = '\u{2581}';

/// How text is cut into pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// The most likely sequence of pieces.
    Unigram,
    /// Pairs are merged, the best pair first.
    Bpe,
}

/// A SentencePiece model, ready for use.
#[derive(Debug, Clone)]
pub struct SentencePiece {
    algorithm: Algorithm,
    pieces: Vec<model::Piece>,
    /// Pieces that text may contain.
    in_text: HashMap<String, u32>,
    all: HashMap<String, u32>,
    user_defined: Vec<String>,
    bytes: Option<Box<[u32; 256]>>,
    unknown: u32,
    unknown_surface: String,
    normalizer: Normalizer,
    longest: usize,
}

impl SentencePiece {
    /// Reads the content of a `.model` file; `path` is for messages.
    ///
    /// # Errors
    /// [`Error::Damaged`] for what is no such file, [`Error::Unsupported`] for the word and
    /// character models that no recogniser uses, [`Error::Limit`] for more than a million pieces.
    pub fn parse(bytes: &[u8], path: &Path) -> Result<Self> {
        let damaged = |reason| Error::Damaged { path: path.to_owned(), reason };
        if bytes.len() > model::MAX_BYTES {
            return Err(Error::Limit {
                path: path.to_owned(),
                what: "size in bytes",
                found: bytes.len() as u64,
                limit: model::MAX_BYTES as u64,
            });
        }
        let file = ModelFile::parse(bytes)
            .map_err(|reason| damaged(format!("no SentencePiece model: {reason}")))?;
        let algorithm = match file.model_type {
            1 => Algorithm::Unigram,
            2 => Algorithm::Bpe,
            other => {
                let reason = format!("SentencePiece models of type {other} are not supported");
                return Err(Error::unsupported(path, reason));
            }
        };
        Self::of(algorithm, file).map_err(damaged)
    }

    fn of(algorithm: Algorithm, file: ModelFile) -> std::result::Result<Self, String> {
        let ModelFile { pieces, normalizer, unknown_surface, byte_fallback, .. } = file;
        let mut in_text = HashMap::with_capacity(pieces.len());
        let (mut user_defined, mut unknown) = (Vec::new(), None);
        let mut bytes = Box::new([u32::MAX; 256]);
        for (id, piece) in pieces.iter().enumerate() {
            let id = id as u32;
            match piece.kind {
                PieceType::Normal | PieceType::UserDefined | PieceType::Unused => {
                    in_text.insert(piece.text.clone(), id);
                    if piece.kind == PieceType::UserDefined {
                        user_defined.push(piece.text.clone());
                    }
                }
                PieceType::Unknown => unknown = Some(id),
                PieceType::Byte => {
                    let value = byte_value(&piece.text)
                        .ok_or_else(|| format!("`{}` stands for no byte", piece.text))?;
                    bytes[usize::from(value)] = id;
                }
                PieceType::Control => {}
            }
        }
        if byte_fallback && bytes.contains(&u32::MAX) {
            return Err("some of the 256 pieces for bytes are missing".to_owned());
        }
        // The longest match is tried first.
        user_defined.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        let all = pieces.iter().zip(0..).map(|(piece, id)| (piece.text.clone(), id)).collect();
        let longest = in_text.keys().map(String::len).max().unwrap_or(0);
        let normalizer = Normalizer::new(normalizer, user_defined.clone())?;
        Ok(Self {
            algorithm,
            unknown: unknown.ok_or("there is no unknown piece")?,
            pieces,
            in_text,
            all,
            user_defined,
            bytes: byte_fallback.then_some(bytes),
            unknown_surface,
            normalizer,
            longest,
        })
    }

    /// How text is cut into pieces.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
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
        self.pieces.get(id as usize).map(|piece| piece.text.as_str())
    }

    /// The id of the unknown piece.
    #[must_use]
    pub fn unknown(&self) -> u32 {
        self.unknown
    }

    /// Ids of the pieces of `text`. What no piece covers becomes bytes where the model has them,
    /// else one unknown piece a stretch.
    #[must_use]
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let text = self.normalizer.normalize(text);
        let parts = match self.algorithm {
            Algorithm::Unigram => self.unigram(&text),
            Algorithm::Bpe => self.bpe(&text),
        };
        let mut ids: Vec<u32> = Vec::with_capacity(parts.len());
        let mut was_unknown = false;
        for (part, id) in parts {
            let is_unknown = id == self.unknown;
            match &self.bytes {
                Some(bytes) if is_unknown => {
                    ids.extend(part.bytes().map(|byte| bytes[usize::from(byte)]));
                }
                _ if is_unknown && was_unknown => {}
                _ => ids.push(id),
            }
            was_unknown = is_unknown;
        }
        ids
    }

    /// The text of `ids`: pieces joined, [U+2581] as spaces, bytes put together. Ids beyond the
    /// vocabulary stand for nothing.
    #[must_use]
    pub fn decode(&self, ids: &[u32]) -> String {
        let mut text = String::new();
        let mut bytes = Vec::new();
        let mut space_taken = false;
        for &id in ids {
            let Some(piece) = self.pieces.get(id as usize) else { continue };
            if piece.kind == PieceType::Byte {
                bytes.extend(byte_value(&piece.text));
                continue;
            }
            push_bytes(&mut text, &mut bytes);
            match piece.kind {
                PieceType::Control => {}
                PieceType::Unknown => text += &self.unknown_surface,
                _ => {
                    let mut part = piece.text.as_str();
                    if text.is_empty()
                        && !space_taken
                        && self.normalizer.strips_first_space()
                        && let Some(rest) = part.strip_prefix(SPACE)
                    {
                        part = rest;
                        space_taken = !self.normalizer.removes_extra_spaces();
                    }
                    text.extend(part.chars().map(|c| if c == SPACE { ' ' } else { c }));
                }
            }
        }
        push_bytes(&mut text, &mut bytes);
        text
    }

    /// What a piece contributes to text, spaces included; `None` for bytes, whose text depends on
    /// their neighbours.
    #[must_use]
    pub fn surface(&self, id: u32) -> Option<String> {
        let piece = self.pieces.get(id as usize)?;
        match piece.kind {
            PieceType::Byte => None,
            PieceType::Control => Some(String::new()),
            PieceType::Unknown => Some(self.unknown_surface.clone()),
            _ => Some(piece.text.replace(SPACE, " ")),
        }
    }

    /// The id of a piece of any type.
    pub(super) fn id(&self, piece: &str) -> Option<u32> {
        self.all.get(piece).copied()
    }

    /// Length of the user-defined piece that `text` starts with; 0 without one.
    fn user_defined_at(&self, text: &str) -> usize {
        self.user_defined.iter().find(|piece| text.starts_with(*piece)).map_or(0, String::len)
    }
}

/// Appends the text of collected bytes; each that is no part of UTF-8 becomes U+FFFD.
pub(super) fn push_bytes(text: &mut String, bytes: &mut Vec<u8>) {
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| '\u{fffd}'));
    }
    bytes.clear();
}

/// The byte of a piece such as `<0x0A>`.
pub(super) fn byte_value(piece: &str) -> Option<u8> {
    let digits = piece.strip_prefix("<0x")?.strip_suffix('>')?;
    (digits.len() == 2).then(|| u8::from_str_radix(digits, 16).ok()).flatten()
}

#[cfg(test)]
mod tests;
