//! Where one known voice follows another in speech without pauses.
//!
//! Short windows of speech are compared with all voices. What speaks for another voice than the
//! present one adds up (a cumulative sum, E. S. Page, "Continuous Inspection Schemes", Biometrika
//! 1954), so that one window alone changes nothing.

/// Sum of differences, in standard deviations, from which a change is believed.
const BELIEVED: f64 = 6.0;
/// What a single window may say for or against a voice, in standard deviations.
const LOUDEST: f64 = 4.0;

/// Follows who speaks.
#[derive(Debug, Default)]
pub(super) struct Turns {
    current: Option<usize>,
    rivals: Vec<Rival>,
}

#[derive(Debug, Clone, Copy)]
struct Rival {
    gain: f64,
    /// Sample since which its gain has been growing.
    since: u64,
}

impl Turns {
    /// Hears a window: the scores of all voices, in standard deviations above the threshold; that of
    /// an unknown voice is 0. `from` is the middle between this window and the one before. Where
    /// another voice took over, if one did.
    pub(super) fn hear(&mut self, scores: impl IntoIterator<Item = f64>, from: u64) -> Option<u64> {
        let scores: Vec<f64> =
            scores.into_iter().chain([0.0]).map(|score| score.clamp(-LOUDEST, LOUDEST)).collect();
        let best = |values: &dyn Fn(usize) -> f64| {
            (0..scores.len()).max_by(|&a, &b| values(a).total_cmp(&values(b)))
        };
        let Some(current) = self.current else {
            self.current = best(&|voice| scores[voice]);
            self.rivals = vec![Rival { gain: 0.0, since: from }; scores.len()];
            return None;
        };
        for (rival, score) in self.rivals.iter_mut().zip(&scores) {
            if rival.gain == 0.0 {
                rival.since = from;
            }
            rival.gain = (rival.gain + score - scores[current]).max(0.0);
        }
        let strongest = best(&|voice| self.rivals[voice].gain)?;
        let Rival { gain, since } = self.rivals[strongest];
        if gain <= BELIEVED {
            return None;
        }
        self.current = Some(strongest);
        self.rivals.fill(Rival { gain: 0.0, since: from });
        Some(since)
    }

    /// Whether the last windows speak for another voice.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.rivals.iter().any(|rival| rival.gain > 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(windows: &[[f64; 2]]) -> Vec<(usize, u64)> {
        let mut turns = Turns::default();
        let change =
            |(n, scores): (usize, &[f64; 2])| turns.hear(*scores, n as u64).map(|since| (n, since));
        windows.iter().enumerate().filter_map(change).collect()
    }

    #[test]
    fn changes_are_where_another_voice_begins_to_win() {
        let (a, b, neither) = ([2.0, -2.0], [-2.0, 2.0], [-3.0, -3.0]);
        assert_eq!(heard(&[a; 9]), []);
        assert_eq!(heard(&[a, a, a, b, b, b, a, a]), [(4, 3), (7, 6)]);
        // A single strange window changes nothing.
        assert_eq!(heard(&[a, a, b, a, a, neither, a, a]), []);
        // Nor does a voice that is only slightly more alike, for a while.
        assert_eq!(heard(&[a, [1.0, 1.5], [1.0, 1.5], a, a]), []);
        assert_eq!(heard(&[a, a, neither, neither, neither, neither]), [(4, 2)]);
        // Scores that are no numbers, as no voice has, are not followed.
        assert_eq!(heard(&[a, [f64::INFINITY, -2.0], a]), []);
    }

    #[test]
    fn without_voices_nothing_changes() {
        let mut turns = Turns::default();
        assert!((0..9).all(|n| turns.hear([], n).is_none()));
        assert!(!turns.is_in_doubt());
    }
}
