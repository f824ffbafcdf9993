//! Prefix beam search: the probability of a text is the sum over all paths that spell it.
//!
//! Sources: Hannun et al., "First-Pass Large Vocabulary Continuous Speech Recognition using
//! Bi-Directional Recurrent DNNs" (arXiv 1408.2873); which tokens are followed, and times by the
//! best single path, as in WeNet's search.

use std::collections::HashMap;

use indexmap::IndexMap;
use ndarray::{ArrayView1, ArrayView2};

use super::context::{Context, Place};

/// A text that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Its tokens.
    pub tokens: Vec<u32>,
    /// The frame of each token on the best single path.
    pub times: Vec<usize>,
    /// Natural logarithm of its probability by sound.
    pub acoustic: f64,
    /// The same with language model and hot words, by which candidates are sorted.
    pub score: f64,
}

/// A prefix by its parent and last token; the root is its own parent.
type Key = (u32, u32);

const ROOT: Key = (u32::MAX, u32::MAX);

/// The token before a frame, and its own predecessor in the list of times.
struct Time {
    before: u32,
    frame: u32,
}

const NO_TIME: u32 = u32::MAX;

/// A prefix that survived.
#[derive(Clone, Copy)]
struct Prefix {
    key: Key,
    node: u32,
    scores: Scores,
    place: Place,
}

#[derive(Clone, Copy)]
struct Scores {
    /// Of all paths that end in a blank, and of those that do not.
    blank: f64,
    token: f64,
    /// Of the best single path of either kind, with its times.
    best_blank: f64,
    best_token: f64,
    times_blank: u32,
    times_token: u32,
    /// Highest probability of the last token in this frame.
    token_prob: f64,
}

impl Scores {
    const NONE: Self = Self {
        blank: f64::NEG_INFINITY,
        token: f64::NEG_INFINITY,
        best_blank: f64::NEG_INFINITY,
        best_token: f64::NEG_INFINITY,
        times_blank: NO_TIME,
        times_token: NO_TIME,
        token_prob: f64::NEG_INFINITY,
    };

    fn total(&self) -> f64 {
        log_add(self.blank, self.token)
    }

    fn best(&self) -> (f64, u32) {
        match self.best_blank > self.best_token {
            true => (self.best_blank, self.times_blank),
            false => (self.best_token, self.times_token),
        }
    }
}

fn log_add(a: f64, b: f64) -> f64 {
    let (high, low) = if a > b { (a, b) } else { (b, a) };
    match low == f64::NEG_INFINITY {
        true => high,
        false => high + (low - high).exp().ln_1p(),
    }
}

/// Everything that grows during a search.
struct Search<'a> {
    context: Context<'a>,
    nodes: Vec<Key>,
    ids: HashMap<Key, u32>,
    times: Vec<Time>,
}

/// The `nbest` most probable texts of `log_probs` `[frames, vocabulary]`, the best first. In every
/// frame the `beam` most probable tokens are followed, and as many prefixes are kept.
///
/// # Panics
/// When `blank` is not in the vocabulary.
#[must_use]
pub fn prefix_search(
    log_probs: ArrayView2<'_, f32>,
    blank: u32,
    beam: usize,
    nbest: usize,
    context: Context<'_>,
) -> Vec<Candidate> {
    let beam = beam.max(1);
    let mut search =
        Search { context, nodes: vec![ROOT], ids: HashMap::from([(ROOT, 0)]), times: Vec::new() };
    let scores = Scores { blank: 0.0, best_blank: 0.0, best_token: 0.0, ..Scores::NONE };
    let mut prefixes = vec![Prefix { key: ROOT, node: 0, scores, place: context.begin() }];
    for (frame, row) in log_probs.outer_iter().enumerate() {
        prefixes = search.step(&prefixes, frame, row, blank, beam);
    }
    let mut candidates: Vec<Candidate> = prefixes
        .iter()
        // Too short a signal leaves room in the beam for what no path spells.
        .filter(|prefix| prefix.scores.total() > f64::NEG_INFINITY)
        .map(|prefix| {
            let acoustic = prefix.scores.total();
            Candidate {
                tokens: search.tokens(prefix.node),
                times: search.times(prefix.scores.best().1),
                acoustic,
                score: acoustic + context.end(prefix.place),
            }
        })
        .collect();
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
    candidates.truncate(nbest.max(1));
    candidates
}

impl Search<'_> {
    fn step(
        &mut self,
        prefixes: &[Prefix],
        frame: usize,
        row: ArrayView1<'_, f32>,
        blank: u32,
        beam: usize,
    ) -> Vec<Prefix> {
        let mut next: IndexMap<Key, (Scores, Place)> =
            IndexMap::with_capacity(prefixes.len() * (beam + 1));
        for token in most_probable(row, beam) {
            let prob = f64::from(row[token as usize]);
            for prefix in prefixes {
                let Prefix { key, node, scores: old, place } = prefix;
                if token == blank {
                    let (new, _) = next.entry(*key).or_insert((Scores::NONE, *place));
                    new.blank = log_add(new.blank, old.total() + prob);
                    let (best, times) = old.best();
                    (new.best_blank, new.times_blank) = (best + prob, times);
                    continue;
                }
                let repeats = key.1 == token && *key != ROOT;
                if repeats {
                    // The token goes on.
                    let (new, _) = next.entry(*key).or_insert((Scores::NONE, *place));
                    new.token = log_add(new.token, old.token + prob);
                    if new.best_token < old.best_token + prob {
                        new.best_token = old.best_token + prob;
                        if new.token_prob < prob {
                            new.token_prob = prob;
                            let before = self.before(old.times_token);
                            new.times_token = push_time(&mut self.times, before, frame);
                        }
                    }
                }
                // The token is new; after itself it needs a blank in between.
                let (sum, (best, times)) = match repeats {
                    true => (old.blank, (old.best_blank, old.times_blank)),
                    false => (old.total(), old.best()),
                };
                let longer = (*node, token);
                let context = self.context;
                let (new, _) = next
                    .entry(longer)
                    .or_insert_with(|| (Scores::NONE, context.push(*place, token)));
                new.token = log_add(new.token, sum + prob);
                if new.best_token < best + prob {
                    new.best_token = best + prob;
                    new.token_prob = prob;
                    new.times_token = push_time(&mut self.times, times, frame);
                }
            }
        }
        let mut ranked: Vec<(f64, Key, Scores, Place)> = next
            .into_iter()
            .map(|(key, (scores, place))| (scores.total() + place.bonus, key, scores, place))
            .collect();
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
        ranked.truncate(beam);
        ranked
            .into_iter()
            .map(|(_, key, scores, place)| Prefix { key, node: self.node(key), scores, place })
            .collect()
    }

    /// The number of a prefix.
    fn node(&mut self, key: Key) -> u32 {
        let fresh = self.nodes.len() as u32;
        let node = *self.ids.entry(key).or_insert(fresh);
        if node == fresh {
            self.nodes.push(key);
        }
        node
    }

    fn before(&self, times: u32) -> u32 {
        self.times.get(times as usize).map_or(NO_TIME, |time| time.before)
    }

    fn tokens(&self, mut node: u32) -> Vec<u32> {
        let mut tokens = Vec::new();
        while let Some(&(parent, token)) = self.nodes.get(node as usize).filter(|key| **key != ROOT)
        {
            tokens.push(token);
            node = parent;
        }
        tokens.reverse();
        tokens
    }

    fn times(&self, mut at: u32) -> Vec<usize> {
        let mut frames = Vec::new();
        while let Some(time) = self.times.get(at as usize) {
            frames.push(time.frame as usize);
            at = time.before;
        }
        frames.reverse();
        frames
    }
}

fn push_time(times: &mut Vec<Time>, before: u32, frame: usize) -> u32 {
    times.push(Time { before, frame: frame as u32 });
    times.len() as u32 - 1
}

/// The `count` most probable tokens, the best first; among equals the first one.
fn most_probable(row: ArrayView1<'_, f32>, count: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..row.len() as u32).collect();
    let by_probability =
        |a: &u32, b: &u32| row[*b as usize].total_cmp(&row[*a as usize]).then(a.cmp(b));
    if count < order.len() {
        order.select_nth_unstable_by(count, by_probability);
        order.truncate(count);
    }
    order.sort_by(by_probability);
    order
}

#[cfg(test)]
mod tests;
