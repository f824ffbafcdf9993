//! Words and phrases that are expected: hypotheses that spell them are raised letter by letter,
//! and what was given is taken back when the phrase is not completed.
//!
//! The matching is on text, so that it does not matter how a phrase is cut into pieces (Aho and
//! Corasick, "Efficient String Matching", CACM 1975).

use std::collections::{BTreeMap, VecDeque};

use crate::error::{Error, Result};

/// What a letter of a phrase is worth unless said otherwise, as a natural logarithm.
pub const DEFAULT_BOOST: f32 = 1.5;

/// Most letters of all phrases.
const MAX_LETTERS: usize = 1 << 20;

#[derive(Debug, Clone, Default)]
struct Node {
    next: BTreeMap<char, u32>,
    fail: u32,
    /// What has been given for the letters up to here.
    given: f64,
    /// What remains at stake here: nothing of what was given for a completed phrase.
    at_stake: f64,
    ends: bool,
    boost: f64,
}

/// Expected phrases.
#[derive(Debug, Clone)]
pub struct Hotwords {
    nodes: Vec<Node>,
}

impl Hotwords {
    /// The phrases of a list, one a line, each with its boost: `phrase:2.5` has its own. Lines that
    /// begin with `#` are comments.
    #[must_use]
    pub fn listed(list: &str) -> Vec<(&str, f32)> {
        list.lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(|line| match line.rsplit_once(':').map(|(phrase, n)| (phrase, n.trim().parse())) {
                Some((phrase, Ok(boost))) => (phrase, boost),
                _ => (line, DEFAULT_BOOST),
            })
            .collect()
    }

    /// Phrases, each with what one of its letters is worth (a natural logarithm; negative values
    /// make a phrase less likely). Upper and lower case are the same; white space separates words.
    ///
    /// # Errors
    /// [`Error::Config`] for an empty phrase, for a boost that is not between -100 and 100, and for
    /// more than a million letters.
    pub fn new<'a>(phrases: impl IntoIterator<Item = (&'a str, f32)>) -> Result<Self> {
        let mut nodes = vec![Node::default()];
        for (phrase, boost) in phrases {
            let words: Vec<&str> = phrase.split_whitespace().collect();
            if words.is_empty() {
                return Err(Error::config("hotwords", "a phrase is empty"));
            }
            if !(-100.0..=100.0).contains(&boost) {
                let reason = format!("the boost {boost} of `{phrase}` is not between -100 and 100");
                return Err(Error::config("hotwords", reason));
            }
            let letters = format!(" {} ", words.join(" ").to_lowercase());
            if nodes.len() + letters.len() > MAX_LETTERS {
                return Err(Error::config("hotwords", format!("over {MAX_LETTERS} letters")));
            }
            let mut at = 0u32;
            for letter in letters.chars() {
                let fresh = nodes.len() as u32;
                at = *nodes[at as usize].next.entry(letter).or_insert(fresh);
                if at == fresh {
                    nodes.push(Node::default());
                }
                let node = &mut nodes[at as usize];
                let boost = if letter == ' ' { 0.0 } else { f64::from(boost) };
                if boost.abs() > node.boost.abs() {
                    node.boost = boost;
                }
            }
            nodes[at as usize].ends = true;
        }
        let mut hotwords = Self { nodes };
        hotwords.link();
        Ok(hotwords)
    }

    fn link(&mut self) {
        let mut queue = VecDeque::from([0u32]);
        while let Some(at) = queue.pop_front() {
            let (next, at_stake) = {
                let node = &self.nodes[at as usize];
                (node.next.clone(), node.at_stake)
            };
            for (letter, child) in next {
                let fail = match at {
                    0 => 0,
                    _ => self.next(self.nodes[at as usize].fail, letter),
                };
                let after_fail = self.nodes[fail as usize].at_stake;
                let node = &mut self.nodes[child as usize];
                node.fail = fail;
                node.given = at_stake + node.boost;
                node.at_stake = if node.ends { after_fail } else { node.given };
                queue.push_back(child);
            }
        }
    }

    fn next(&self, mut at: u32, letter: char) -> u32 {
        loop {
            let node = &self.nodes[at as usize];
            if let Some(&next) = node.next.get(&letter) {
                return next;
            }
            if at == 0 {
                return 0;
            }
            at = node.fail;
        }
    }

    /// The state at the beginning of a text.
    pub(super) fn begin(&self) -> u32 {
        self.next(0, ' ')
    }

    /// The state after a letter, and the change of the score.
    pub(super) fn step(&self, state: u32, letter: char) -> (u32, f64) {
        let before = self.nodes[state as usize].at_stake;
        let next = self.next(state, letter);
        (next, self.nodes[next as usize].given - before)
    }

    /// The change of the score at the end of a text.
    pub(super) fn end(&self, state: u32) -> f64 {
        let (state, change) = self.step(state, ' ');
        change - self.nodes[state as usize].at_stake
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(hotwords: &Hotwords, text: &str) -> f64 {
        let mut state = hotwords.begin();
        let mut score = 0.0;
        for letter in text.chars() {
            let (next, change) = hotwords.step(state, letter);
            (state, score) = (next, score + change);
        }
        score + hotwords.end(state)
    }

    #[test]
    fn whole_phrases_count() {
        let hotwords = Hotwords::new([("cat", 1.0), ("New  York", 2.0), ("new york city", 2.0)])
            .expect("phrases");
        for (text, wanted) in [
            ("cat", 3.0),
            ("a cat sat", 3.0),
            ("category", 0.0),
            ("concat", 0.0),
            ("cat cat", 6.0),
            ("new york", 14.0),
            ("new york cats", 14.0),
            ("new york city", 22.0),
            ("new new york", 14.0),
            ("new", 0.0),
            ("", 0.0),
        ] {
            assert!((score(&hotwords, text) - wanted).abs() < 1e-9, "{text}");
        }
    }

    #[test]
    fn hope_is_given_early_and_taken_back() {
        let hotwords = Hotwords::new([("cat", 1.0)]).expect("a phrase");
        let (state, first) = hotwords.step(hotwords.begin(), 'c');
        assert_eq!(first, 1.0);
        assert_eq!(hotwords.step(state, 'x').1, -1.0);
        assert_eq!(hotwords.end(state), -1.0);
    }

    #[test]
    fn phrases_are_checked() {
        assert!(Hotwords::new([(" ", 1.0)]).is_err());
        assert!(Hotwords::new([("a", f32::NAN)]).is_err());
        assert!(Hotwords::new([]).is_ok());
    }
}
