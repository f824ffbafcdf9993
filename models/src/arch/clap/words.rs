//! From a text to tokens: RoBERTa's byte-level encoding of pairs.
//!
//! Source: Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units" (ACL 2016,
//! arXiv 1508.07909), on bytes as in GPT-2.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokenizers::Tokenizer;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;

use crate::checkpoint::Container;
use crate::error::{Error, Result};

/// Tokens of a text with its begin and its end, as CLAP was trained.
const LONGEST: usize = 77;
/// The tokens around a text.
const BEGIN: &str = "<s>";
const END: &str = "</s>";

/// Pieces of words with their tokens, and pairs of pieces that make one, the most frequent first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WordPieces {
    /// The token of every piece, whose bytes are written as letters.
    pub vocab: BTreeMap<String, u32>,
    /// The pairs.
    pub merges: Vec<(String, String)>,
}

impl WordPieces {
    /// Those beside the weights: `tokenizer.json`, or `vocab.json` and `merges.txt`; `None` where
    /// neither is there.
    ///
    /// # Errors
    /// [`Error::Config`] when they are of another kind; errors of reading.
    pub(super) fn find(container: &Container) -> Result<Option<Self>> {
        if let Some(stated) = container.config("tokenizer.json") {
            let model = &stated["model"];
            return Self::of(&model["vocab"], pairs(&model["merges"])).map(Some);
        }
        let Some(vocab) = container.config("vocab.json") else { return Ok(None) };
        let text = String::from_utf8(container.file("merges.txt")?)
            .map_err(|_| Error::config("merges.txt", "is no UTF-8 text"))?;
        let lines = text.lines().filter(|line| !line.starts_with("#version") && !line.is_empty());
        Self::of(vocab, lines.map(pair).collect()).map(Some)
    }

    fn of(vocab: &Value, merges: Option<Vec<(String, String)>>) -> Result<Self> {
        let vocab = BTreeMap::deserialize(vocab)
            .map_err(|error| Error::config("vocabulary", error.to_string()))?;
        let merges = merges.ok_or_else(|| {
            Error::config("merges", "are no pairs of pieces, as byte-level encodings have them")
        })?;
        Ok(Self { vocab, merges })
    }
}

/// Two pieces with a blank between.
fn pair(text: &str) -> Option<(String, String)> {
    text.split_once(' ').map(|(first, second)| (first.to_owned(), second.to_owned()))
}

fn pairs(merges: &Value) -> Option<Vec<(String, String)>> {
    let one = |merge: &Value| match merge.as_str() {
        Some(text) => pair(text),
        None => <(String, String)>::deserialize(merge).ok(),
    };
    merges.as_array()?.iter().map(one).collect()
}

/// Makes tokens of texts.
#[derive(Debug, Clone)]
pub struct Words {
    tokenizer: Tokenizer,
    begin: i64,
    end: i64,
    longest: usize,
}

impl Words {
    /// For a network that takes `longest` tokens at most.
    ///
    /// # Errors
    /// [`Error::Config`] when the pieces do not belong together.
    pub fn new(pieces: &WordPieces, longest: usize) -> Result<Self> {
        let token = |name: &str| {
            let missing = || Error::config("vocabulary", format!("has no `{name}`"));
            pieces.vocab.get(name).map(|&token| i64::from(token)).ok_or_else(missing)
        };
        let vocab: Vocab = pieces.vocab.clone().into_iter().collect();
        let model = BPE::builder()
            .vocab_and_merges(vocab, pieces.merges.clone())
            .build()
            .map_err(|error| Error::config("merges", error.to_string()))?;
        let mut tokenizer = Tokenizer::new(model);
        tokenizer.with_pre_tokenizer(Some(ByteLevel::new(false, true, true)));
        let longest = LONGEST.min(longest);
        Ok(Self { tokenizer, begin: token(BEGIN)?, end: token(END)?, longest })
    }

    /// Tokens of a text, cut behind as many as CLAP was trained with, and whether that was needed.
    ///
    /// # Errors
    /// [`Error::Config`] when the encoding fails.
    pub fn encode(&self, text: &str) -> Result<(Vec<i64>, bool)> {
        let encoding = self.tokenizer.encode_fast(text, false);
        let encoding = encoding.map_err(|error| Error::config("text", error.to_string()))?;
        let (ids, most) = (encoding.get_ids(), self.longest.saturating_sub(2));
        let inner = ids.iter().take(most).map(|&token| i64::from(token));
        let tokens = [self.begin].into_iter().chain(inner).chain([self.end]).collect();
        Ok((tokens, ids.len() > most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A few words; a blank in front of a piece is the letter that stands for its byte.
    fn pieces() -> WordPieces {
        let merges = ["r a", "i n", "ra in", "Ġ o", "Ġo n", "Ã ©"];
        let merges: Vec<_> = merges.into_iter().filter_map(pair).collect();
        let joined = merges.iter().map(|(first, second)| format!("{first}{second}"));
        let letters = "rainoĠÃ©!'s".chars().map(String::from);
        let names =
            [BEGIN, "<pad>", END].map(str::to_owned).into_iter().chain(letters).chain(joined);
        let vocab = names.zip(0..).collect();
        WordPieces { vocab, merges }
    }

    #[test]
    fn words_are_merged_by_the_rank_of_pairs() {
        let pieces = pieces();
        let words = Words::new(&pieces, 512).expect("sound pieces");
        let names = |text: &str| -> Vec<String> {
            let (tokens, is_cut) = words.encode(text).expect("encoded");
            assert!(!is_cut);
            let name = |token: i64| pieces.vocab.iter().find(|(_, t)| i64::from(**t) == token);
            tokens.into_iter().map(|token| name(token).expect("known").0.clone()).collect()
        };
        assert_eq!(names("rain on"), [BEGIN, "rain", "Ġon", END]);
        assert_eq!(names("no rain's!"), [BEGIN, "n", "o", "Ġ", "rain", "'", "s", "!", END]);
        assert_eq!(names("é"), [BEGIN, "Ã©", END]);
        assert_eq!(names(""), [BEGIN, END]);
        let (tokens, is_cut) = words.encode(&"rain on ".repeat(90)).expect("encoded");
        assert!(tokens.len() == LONGEST && is_cut);
        assert!(Words::new(&WordPieces::default(), 512).is_err());
    }

    #[test]
    fn pieces_are_found_beside_the_weights() {
        let wanted = pieces();
        let lines: Vec<String> = wanted.merges.iter().map(|(a, b)| format!("{a} {b}")).collect();
        for merges in [serde_json::json!(lines), serde_json::json!(wanted.merges)] {
            let vocab = serde_json::to_value(&wanted.vocab).expect("plain data");
            assert_eq!(WordPieces::of(&vocab, pairs(&merges)).expect("pieces"), wanted);
        }
        assert!(WordPieces::of(&serde_json::json!([]), Some(Vec::new())).is_err());
        assert!(WordPieces::of(&serde_json::json!({}), pairs(&serde_json::json!(["x"]))).is_err());
    }
}
