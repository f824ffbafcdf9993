//! What a description asks a transformer for.

use tch::{Device, Tensor};

use super::parts::Parts;
use super::vocabulary::{Vocabulary, listed};
use crate::arch::clap::{ClapText, Words};
use crate::compute::compute;
use crate::error::{Error, Result};

/// Key of the words in the provenance of a transformer.
const WORDS: &str = "words";

/// A description as the transformer takes it.
#[derive(Debug)]
pub struct Described {
    /// `[1, dimensions]`; `None` for any sound.
    pub(super) embedding: Option<Tensor>,
    /// Words of the vocabulary that it means; none where an encoder reads it.
    pub words: Vec<String>,
    /// What was odd about it, in a sentence each.
    pub notes: Vec<String>,
}

/// What makes embeddings of descriptions.
#[derive(Debug, Clone)]
pub(super) enum Describer {
    /// Each word of a vocabulary is an axis.
    Vocabulary(Vocabulary, Device),
    Clap(Box<ClapText>, Box<Words>),
    /// There is neither.
    Nothing,
}

impl Describer {
    /// An encoder that is given, or the words that the transformer was trained with.
    ///
    /// # Errors
    /// [`Error::Config`] for as many words as the transformer has no axes for.
    pub(super) fn new(parts: &Parts) -> Result<Self> {
        if let Some(text) = &parts.text {
            let words = Box::new(text.card.words()?);
            return Ok(Self::Clap(Box::new(text.network.clone()), words));
        }
        let card = &parts.transformer.card;
        let words = card.provenance.get(WORDS).and_then(serde_json::Value::as_array);
        let words = words.map(|all| all.iter().filter_map(|word| word.as_str().map(str::to_owned)));
        let Some(words) = words.map(Iterator::collect::<Vec<_>>) else { return Ok(Self::Nothing) };
        if i64::try_from(words.len()) != Ok(card.config.cond_dim) {
            let (words, axes) = (words.len(), card.config.cond_dim);
            let reason = format!("{words} in the card of a transformer that takes {axes}");
            return Err(Error::config("words", reason));
        }
        Ok(Self::Vocabulary(Vocabulary::new(words), parts.transformer.device()))
    }

    /// The words that can be asked for, where they are so many and no more.
    pub(super) fn words(&self) -> Option<&[String]> {
        match self {
            Self::Vocabulary(vocabulary, _) => Some(vocabulary.words()),
            Self::Clap(..) | Self::Nothing => None,
        }
    }

    /// The meaning of a text; an empty one asks for any sound.
    ///
    /// # Errors
    /// [`Error::Config`] for a text that nothing here can read.
    pub(super) fn describe(&self, text: &str) -> Result<Described> {
        let mut described = Described { embedding: None, words: Vec::new(), notes: Vec::new() };
        if !text.chars().any(char::is_alphanumeric) {
            return Ok(described);
        }
        match self {
            Self::Vocabulary(vocabulary, device) => {
                let meant = vocabulary.meant(text)?;
                if !meant.unknown.is_empty() {
                    described.notes.push(format!("passed over: {}", listed(&meant.unknown)));
                }
                // Of unit length, as the axes are.
                let share = 1.0 / (meant.axes.len() as f32).sqrt();
                let mut axes = vec![0.0; vocabulary.words().len()];
                meant.axes.iter().for_each(|&axis| axes[axis] = share);
                let word = |&axis: &usize| vocabulary.words()[axis].clone();
                described.words = meant.axes.iter().map(word).collect();
                let embedding = Tensor::from_slice(&axes).unsqueeze(0).to_device(*device);
                described.embedding = Some(embedding);
            }
            Self::Clap(network, words) => {
                let (tokens, is_cut) = words.encode(text)?;
                if is_cut {
                    let note = format!("the encoder reads the first {} tokens alone", tokens.len());
                    described.notes.push(note);
                }
                let size = [1, tokens.len() as i64];
                let embedding = compute("the text encoder", &size, || network.embed(&tokens))??;
                described.embedding = Some(embedding);
            }
            Self::Nothing => {
                let reason = "this model has no words of its own; give a CLAP checkpoint as text \
                    encoder, or an empty text for any sound";
                return Err(Error::config("text", reason));
            }
        }
        Ok(described)
    }
}
