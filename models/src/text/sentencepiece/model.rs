//! The `.model` file: a protocol buffer with pieces, trainer settings and normaliser settings. Only
//! the fields that matter for using a model are read.

use super::super::protobuf::Fields;

/// Largest file; the largest published ones have 10 MB.
pub(super) const MAX_BYTES: usize = 64 << 20;
/// Most pieces.
const MAX_PIECES: usize = 1 << 20;
/// Longest piece in bytes.
const MAX_PIECE: usize = 4096;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PieceType {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Unused,
    Byte,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Piece {
    pub(super) text: String,
    pub(super) score: f32,
    pub(super) kind: PieceType,
}

/// The normaliser's settings; defaults are those of the format.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct NormalizerSettings {
    pub(super) charsmap: Vec<u8>,
    pub(super) add_dummy_prefix: bool,
    pub(super) remove_extra_whitespaces: bool,
    pub(super) escape_whitespaces: bool,
    pub(super) whitespace_as_suffix: bool,
}

impl Default for NormalizerSettings {
    fn default() -> Self {
        Self {
            charsmap: Vec::new(),
            add_dummy_prefix: true,
            remove_extra_whitespaces: true,
            escape_whitespaces: true,
            whitespace_as_suffix: false,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct ModelFile {
    pub(super) pieces: Vec<Piece>,
    /// 1 unigram, 2 BPE, 3 words, 4 characters.
    pub(super) model_type: i64,
    pub(super) byte_fallback: bool,
    pub(super) unknown_surface: String,
    pub(super) normalizer: NormalizerSettings,
}

impl ModelFile {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut file = Self {
            pieces: Vec::new(),
            model_type: 1,
            byte_fallback: false,
            unknown_surface: " \u{2047} ".to_owned(),
            normalizer: NormalizerSettings::default(),
        };
        for field in Fields::new(bytes) {
            match field? {
                (1, _) if file.pieces.len() == MAX_PIECES => {
                    return Err(format!("more than {MAX_PIECES} pieces"));
                }
                (1, field) => file.pieces.push(piece(field.bytes()?)?),
                (2, field) => file.trainer(field.bytes()?)?,
                (3, field) => file.normalizer(field.bytes()?)?,
                _ => {}
            }
        }
        if file.pieces.is_empty() {
            return Err("it has no pieces".to_owned());
        }
        Ok(file)
    }

    fn trainer(&mut self, message: &[u8]) -> Result<(), String> {
        for field in Fields::new(message) {
            match field? {
                (3, field) => self.model_type = field.integer()?,
                (24, field) => self.normalizer.whitespace_as_suffix = field.boolean()?,
                (35, field) => self.byte_fallback = field.boolean()?,
                (44, field) => field.text()?.clone_into(&mut self.unknown_surface),
                _ => {}
            }
        }
        Ok(())
    }

    fn normalizer(&mut self, message: &[u8]) -> Result<(), String> {
        let settings = &mut self.normalizer;
        for field in Fields::new(message) {
            match field? {
                (2, field) => settings.charsmap = field.bytes()?.to_vec(),
                (3, field) => settings.add_dummy_prefix = field.boolean()?,
                (4, field) => settings.remove_extra_whitespaces = field.boolean()?,
                (5, field) => settings.escape_whitespaces = field.boolean()?,
                _ => {}
            }
        }
        Ok(())
    }
}

fn piece(message: &[u8]) -> Result<Piece, String> {
    let mut piece = Piece { text: String::new(), score: 0.0, kind: PieceType::Normal };
    for field in Fields::new(message) {
        match field? {
            (1, field) => field.text()?.clone_into(&mut piece.text),
            (2, field) => piece.score = field.float()?,
            (3, field) => {
                piece.kind = match field.integer()? {
                    1 => PieceType::Normal,
                    2 => PieceType::Unknown,
                    3 => PieceType::Control,
                    4 => PieceType::UserDefined,
                    5 => PieceType::Unused,
                    6 => PieceType::Byte,
                    other => return Err(format!("a piece of the unknown type {other}")),
                };
            }
            _ => {}
        }
    }
    if piece.text.is_empty() || piece.text.len() > MAX_PIECE {
        return Err(format!("a piece of {} bytes", piece.text.len()));
    }
    if piece.score.is_nan() {
        return Err(format!("the score of `{}` is no number", piece.text));
    }
    Ok(piece)
}
