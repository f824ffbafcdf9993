//! N-gram language models in the ARPA format, plain or gzipped, with back-off.
//!
//! Source: the `ngram-format` page of SRILM. Probabilities are logarithms to base 10 throughout.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use crate::error::{Error, Result};

/// Longest n-gram.
const MAX_ORDER: usize = 12;
/// Most n-grams of all lengths; they take some 50 bytes each.
const MAX_NGRAMS: u64 = 200_000_000;
/// Longest line in bytes.
const MAX_LINE: u64 = 1 << 16;

/// The words that count for what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NgramState(u32);

/// No words.
const EMPTY: u32 = 0;

impl NgramState {
    /// No words, as before the first word of a model without `<s>`.
    pub(super) const EMPTY: Self = Self(EMPTY);
}

#[derive(Debug, Clone, Copy)]
struct Node {
    /// NaN for a sequence that only occurs at the beginning of longer ones.
    probability: f32,
    backoff: f32,
    /// The same sequence without its first word.
    suffix: u32,
    length: u8,
}

/// A language model over words.
#[derive(Debug, Clone)]
pub struct NgramModel {
    order: usize,
    words: HashMap<String, u32>,
    nodes: Vec<Node>,
    /// From a sequence and a word to the longer sequence.
    children: HashMap<(u32, u32), u32>,
}

impl NgramModel {
    /// Reads an ARPA file; gzip is recognised by its content.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Damaged`] naming the line; [`Error::Limit`].
    pub fn read(path: &Path) -> Result<Self> {
        let file = formant_audio_core::text::open(path)?;
        Self::parse(BufReader::new(file), path)
    }

    /// Reads an ARPA file from anywhere; `path` is for messages.
    ///
    /// # Errors
    /// As [`NgramModel::read`].
    pub fn parse(mut source: impl BufRead, path: &Path) -> Result<Self> {
        let head = source.fill_buf().map_err(|error| Error::io(path, error))?;
        if head.starts_with(&[0x1f, 0x8b]) {
            let mut lines = Lines::new(BufReader::new(MultiGzDecoder::new(source)), path);
            Self::of_lines(&mut lines)
        } else {
            Self::of_lines(&mut Lines::new(source, path))
        }
    }

    fn of_lines(lines: &mut Lines<'_, impl BufRead>) -> Result<Self> {
        let counts = header(lines)?;
        let root = Node { probability: f32::NAN, backoff: 0.0, suffix: EMPTY, length: 0 };
        let mut model = Self {
            order: counts.len(),
            words: HashMap::new(),
            nodes: vec![root],
            children: HashMap::new(),
        };
        for (index, &count) in counts.iter().enumerate() {
            model.section(index + 1, count, lines)?;
        }
        while lines.next()? {
            match lines.line.trim() {
                "" => {}
                "\\end\\" => return Ok(model),
                other => return Err(lines.damaged(&format!("`{other}` where \\end\\ belongs"))),
            }
        }
        Err(lines.damaged("the file ends before \\end\\"))
    }

    /// The n-grams of one length.
    fn section(&mut self, n: usize, count: u64, lines: &mut Lines<'_, impl BufRead>) -> Result<()> {
        let title = format!("\\{n}-grams:");
        while lines.next()? && lines.line.trim().is_empty() {}
        if lines.line.trim() != title {
            return Err(lines.damaged(&format!("`{title}` is missing")));
        }
        for _ in 0..count {
            loop {
                if !lines.next()? {
                    return Err(lines.damaged("the file ends inside of the n-grams"));
                }
                if !lines.line.trim().is_empty() {
                    break;
                }
            }
            if lines.line.starts_with('\\') {
                let reason = format!("fewer {n}-grams than the {count} of the header");
                return Err(lines.damaged(&reason));
            }
            let line = std::mem::take(&mut lines.line);
            self.ngram(n, &line).map_err(|reason| lines.damaged(&reason))?;
            lines.line = line;
        }
        Ok(())
    }

    fn ngram(&mut self, n: usize, line: &str) -> std::result::Result<(), String> {
        let number = |text: &str| {
            let value: Option<f32> = text.parse().ok();
            value.filter(|value| !value.is_nan()).ok_or_else(|| format!("`{text}` is no number"))
        };
        let mut cells = line.split_whitespace();
        let probability = number(cells.next().unwrap_or_default())?;
        let mut context = EMPTY;
        for at in 1..=n {
            let text = cells.next().ok_or_else(|| format!("fewer than {n} words"))?;
            let word = match self.words.get(text) {
                Some(&word) => word,
                None if n == 1 => {
                    let word = self.words.len() as u32;
                    self.words.insert(text.to_owned(), word);
                    word
                }
                None => return Err(format!("`{text}` is not among the 1-grams")),
            };
            context = self.child_or_new(context, word, at)?;
        }
        let backoff = cells.next().map(number).transpose()?.unwrap_or(0.0);
        if cells.next().is_some() {
            return Err(format!("more than {n} words"));
        }
        let node = &mut self.nodes[context as usize];
        node.probability = probability;
        node.backoff = backoff;
        Ok(())
    }

    fn child_or_new(
        &mut self,
        parent: u32,
        word: u32,
        length: usize,
    ) -> std::result::Result<u32, String> {
        if let Some(&child) = self.children.get(&(parent, word)) {
            return Ok(child);
        }
        let id = u32::try_from(self.nodes.len()).map_err(|_| "too many n-grams".to_owned())?;
        let mut context = parent;
        let suffix = loop {
            if context == EMPTY {
                break EMPTY;
            }
            context = self.nodes[context as usize].suffix;
            if let Some(&child) = self.children.get(&(context, word)) {
                break child;
            }
        };
        self.nodes.push(Node { probability: f32::NAN, backoff: 0.0, suffix, length: length as u8 });
        self.children.insert((parent, word), id);
        Ok(id)
    }

    /// Words of the longest n-grams.
    #[must_use]
    pub fn order(&self) -> usize {
        self.order
    }

    /// The number of a word; `None` for one that the model does not know.
    #[must_use]
    pub fn word(&self, text: &str) -> Option<u32> {
        self.words.get(text).copied()
    }

    /// All words with their numbers, marks such as `<s>` among them.
    pub fn words(&self) -> impl Iterator<Item = (&str, u32)> {
        self.words.iter().map(|(text, &word)| (text.as_str(), word))
    }

    /// The state before the first word of a sentence.
    #[must_use]
    pub fn begin(&self) -> NgramState {
        let begin = self.word("<s>").and_then(|word| self.children.get(&(EMPTY, word)));
        NgramState(begin.copied().filter(|_| self.order > 1).unwrap_or(EMPTY))
    }

    /// Log-probability (base 10) of a word after a state, and the state after it. Words without
    /// a probability of their own have that of `<unk>`, or `None` where there is none.
    #[must_use]
    pub fn score(&self, state: NgramState, word: Option<u32>) -> (Option<f32>, NgramState) {
        let known = word.filter(|word| self.children.contains_key(&(EMPTY, *word)));
        let Some(word) = known.or_else(|| self.word("<unk>").or_else(|| self.word("<UNK>"))) else {
            return (None, NgramState(EMPTY));
        };
        let (mut context, mut backoff) = (state.0, 0.0);
        loop {
            let child = self.children.get(&(context, word)).copied();
            if let Some(child) = child
                && let node = &self.nodes[child as usize]
                && !node.probability.is_nan()
            {
                let next = self.shortened(child);
                return (Some(backoff + node.probability), next);
            }
            if context == EMPTY {
                return (None, NgramState(EMPTY));
            }
            backoff += self.nodes[context as usize].backoff;
            context = self.nodes[context as usize].suffix;
        }
    }

    /// Log-probability (base 10) of the end of a sentence.
    #[must_use]
    pub fn end(&self, state: NgramState) -> Option<f32> {
        self.word("</s>").and_then(|word| self.score(state, Some(word)).0)
    }

    /// The longest part of a sequence that can have a word after it.
    fn shortened(&self, mut node: u32) -> NgramState {
        while usize::from(self.nodes[node as usize].length) >= self.order {
            node = self.nodes[node as usize].suffix;
        }
        NgramState(node)
    }
}

/// Numbers of n-grams by length.
fn header(lines: &mut Lines<'_, impl BufRead>) -> Result<Vec<u64>> {
    loop {
        if !lines.next()? {
            return Err(lines.damaged("no ARPA language model: `\\data\\` is missing"));
        }
        if lines.line.trim_start_matches('\u{feff}').trim() == "\\data\\" {
            break;
        }
        if lines.number > 1000 {
            return Err(lines.damaged("no ARPA language model: `\\data\\` is missing"));
        }
    }
    let mut counts = Vec::new();
    while lines.next()? {
        let line = lines.line.trim();
        if line.is_empty() {
            break;
        }
        let entry = line.strip_prefix("ngram ").and_then(|entry| entry.split_once('='));
        let entry = entry.and_then(|(n, count)| {
            Some((n.trim().parse::<usize>().ok()?, count.trim().parse::<u64>().ok()?))
        });
        match entry {
            Some((n, count)) if n == counts.len() + 1 && n <= MAX_ORDER => counts.push(count),
            _ => return Err(lines.damaged(&format!("`{line}` is not `ngram N=COUNT`"))),
        }
    }
    let total = counts.iter().fold(0u64, |sum, &count| sum.saturating_add(count));
    if total > MAX_NGRAMS {
        return Err(Error::Limit {
            path: lines.path.to_owned(),
            what: "number of n-grams",
            found: total,
            limit: MAX_NGRAMS,
        });
    }
    if counts.is_empty() {
        return Err(lines.damaged("the header names no n-grams"));
    }
    Ok(counts)
}

/// Lines of bounded length.
struct Lines<'a, R> {
    source: R,
    path: &'a Path,
    line: String,
    number: u64,
}

impl<'a, R: BufRead> Lines<'a, R> {
    fn new(source: R, path: &'a Path) -> Self {
        Self { source, path, line: String::new(), number: 0 }
    }

    /// Reads the next line; false at the end.
    fn next(&mut self) -> Result<bool> {
        let mut bytes = std::mem::take(&mut self.line).into_bytes();
        bytes.clear();
        let read = (&mut self.source).take(MAX_LINE).read_until(b'\n', &mut bytes);
        let length = match read {
            Ok(length) => length as u64,
            // What a broken gzip stream says.
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(self.damaged(&error.to_string()));
            }
            Err(error) => return Err(Error::io(self.path, error)),
        };
        self.number += 1;
        if length == MAX_LINE {
            return Err(self.damaged("the line is too long"));
        }
        self.line = match String::from_utf8(bytes) {
            Ok(line) => line,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        };
        Ok(length > 0)
    }

    fn damaged(&self, reason: &str) -> Error {
        let reason = format!("line {}: {reason}", self.number);
        Error::Damaged { path: self.path.to_owned(), reason }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::*;

    const ARPA: &str = "\\data\\\nngram 1=5\nngram 2=4\nngram 3=2\n\n\
        \\1-grams:\n-1.0\t<unk>\n-99\t<s>\t-0.4\n-1.2\t</s>\n-0.7\ta\t-0.3\n-0.9\tb\t-0.2\n\n\
        \\2-grams:\n-0.3\t<s> a\t-0.1\n-0.5\ta b\t-0.25\n-0.6\tb a\n-0.2\tb </s>\n\n\
        \\3-grams:\n-0.15\t<s> a b\n-0.05\ta b </s>\n\n\\end\\\n";

    fn parse(text: &str) -> Result<NgramModel> {
        NgramModel::parse(text.as_bytes(), Path::new("lm.arpa"))
    }

    /// Scores of the words of a sentence and of its end.
    fn scores(model: &NgramModel, sentence: &str) -> Vec<f32> {
        let mut state = model.begin();
        let mut scores = Vec::new();
        for word in sentence.split_whitespace() {
            let (score, next) = model.score(state, model.word(word));
            scores.push(score.expect("there is an unknown word"));
            state = next;
        }
        scores.push(model.end(state).expect("sentences end"));
        scores
    }

    /// KenLM 0.3.0: `full_scores`.
    #[test]
    fn scores_equal_kenlm() {
        let model = parse(ARPA).expect("sound");
        assert_eq!(model.order(), 3);
        for (sentence, wanted) in [
            ("a b", &[-0.3, -0.15, -0.05][..]),
            ("b a", &[-1.3, -0.6, -1.5]),
            ("x a b a", &[-1.4, -0.7, -0.5, -0.85, -1.5]),
            ("a a x", &[-0.3, -1.1, -1.3, -1.2]),
            ("", &[-1.6]),
        ] {
            let found = scores(&model, sentence);
            let same = found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-5);
            assert!(same && found.len() == wanted.len(), "{sentence}: {found:?}");
        }
    }

    #[test]
    fn gzip_and_models_without_an_unknown_word() {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(ARPA.as_bytes()).expect("in memory");
        let packed = packed.finish().expect("in memory");
        let model = NgramModel::parse(packed.as_slice(), Path::new("lm.arpa.gz")).expect("sound");
        assert_eq!(scores(&model, "a b").len(), 3);
        let cut = NgramModel::parse(&packed[..packed.len() / 2], Path::new("lm.arpa.gz"));
        assert!(matches!(cut, Err(Error::Damaged { .. })));
        let plain = "\\data\\\nngram 1=1\n\n\\1-grams:\n-1 a\n\n\\end\\\n";
        let model = parse(plain).expect("sound");
        assert_eq!(model.score(model.begin(), None).0, None);
        assert_eq!(model.end(model.begin()), None);
    }

    #[test]
    fn faults_name_their_line() {
        for (from, to, wanted) in [
            ("\\data\\", "data", "`\\data\\` is missing"),
            ("ngram 2=4", "ngram 3=4", "line 3"),
            ("ngram 1=5", "ngram 1=6", "fewer 1-grams than the 6"),
            ("ngram 1=5", "ngram 1=4", "`\\2-grams:` is missing"),
            ("a b </s>", "a b", "fewer than 3 words"),
            ("<s> a b", "<s> a b -1 b", "more than 3 words"),
            ("<s> a b", "<s> a c", "`c` is not among"),
            ("-0.15", "x", "`x` is no number"),
            ("\\end\\", "", "ends before \\end\\"),
            ("ngram 1=5", "ngram 1=999999999999", "over the limit"),
        ] {
            let message = parse(&ARPA.replace(from, to)).expect_err(to).to_string();
            assert!(message.contains(wanted), "{message}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_read(text in "[\\\\a-z0-9 =\\-.:\n\t]{0,200}") {
            let _ = parse(&format!("\\data\\\n{text}"));
        }
    }
}
