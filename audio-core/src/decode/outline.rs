//! What a container's own tables say about its audio tracks, before anything is unpacked.

use std::io;

use super::options::TrackChoice;
use super::source::Source;
use crate::tags::Tags;

/// Nanoseconds in a second.
pub(super) const NANOS: u64 = 1_000_000_000;

/// The audio tracks of a container, in its order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Outline {
    pub(super) tracks: Vec<TrackOutline>,
    /// Where another file begins, when several were joined.
    pub(super) end: Option<u64>,
    /// What has to be shown in the place of the file's own bytes, and from where on.
    pub(super) patches: Vec<(u64, Vec<u8>)>,
    /// Whether the file ends before the end that its headers tell.
    pub(super) cut: bool,
    /// Texts that belong to the whole.
    pub(super) tags: Tags,
}

/// One audio track. Times are in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct TrackOutline {
    /// The container's number of it.
    pub(super) id: u32,
    pub(super) codec: String,
    pub(super) language: Option<String>,
    /// Whether the container marks it to be played.
    pub(super) default: bool,
    /// Where its first audible sample lies on the file's clock.
    pub(super) start: i64,
    /// What to drop from its start; `None` when nothing tells.
    pub(super) delay: Option<u64>,
    /// What to keep after that; `None` when only the end of the data tells.
    pub(super) length: Option<u64>,
    /// What to drop from its end.
    pub(super) padding: u64,
    /// Where its packets end, counted from the first one; later times are damage.
    pub(super) end: Option<u64>,
    /// From which tick of its packets on how many nanoseconds they are later than they say.
    pub(super) shifts: Vec<(u64, i64)>,
    /// The sample entry that its first samples have, where the container knows several.
    pub(super) entry: usize,
    /// From which tick of its packets on another sample entry counts.
    pub(super) changes: Vec<(u64, usize)>,
    /// Whether the edit list has more parts than the one that is followed.
    pub(super) complex: bool,
    /// Whether samples of a kind that is usually little-endian are big-endian.
    pub(super) big_endian: bool,
    /// Rate and channels of unsigned samples of 8 bits.
    pub(super) unsigned_bytes: Option<(u32, u16)>,
    /// Nearly all of its packets begin at least this time after the one before.
    pub(super) step: Option<u64>,
    /// What was repaired in its header.
    pub(super) repaired: Option<String>,
}

impl TrackOutline {
    pub(super) fn new(id: u32) -> Self {
        Self { id, ..Self::default() }
    }
}

impl Outline {
    /// A file up to where another begins, with what has to be shown instead of its own bytes.
    pub(super) fn show(&self, source: &Source) -> io::Result<Source> {
        let mut part = source.section(0, self.end.unwrap_or(u64::MAX))?;
        self.patches.iter().for_each(|(at, bytes)| part.overlay(*at, bytes.clone()));
        Ok(part)
    }

    /// The tracks to try, the best first, by their places in [`Outline::tracks`]: the one that was
    /// chosen, or the default ones and then the others.
    pub(super) fn candidates(&self, choice: Option<&TrackChoice>) -> Result<Vec<usize>, String> {
        let all = 0..self.tracks.len();
        match choice {
            None => {
                let (first, then): (Vec<_>, Vec<_>) = all.partition(|&at| self.tracks[at].default);
                Ok([first, then].concat())
            }
            Some(TrackChoice::Number(number)) => match number.checked_sub(1) {
                Some(at) if at < self.tracks.len() => Ok(vec![at]),
                _ => Err(format!("there is no audio track {number}; {}", self.list())),
            },
            Some(TrackChoice::Language(wanted)) => {
                let found: Vec<_> = all
                    .filter(|&at| {
                        let language = self.tracks[at].language.as_deref();
                        language.is_some_and(|language| is_language(language, wanted))
                    })
                    .collect();
                match found.is_empty() {
                    true => {
                        Err(format!("no audio track has the language `{wanted}`; {}", self.list()))
                    }
                    false => Ok(found),
                }
            }
        }
    }

    /// The tracks in words.
    fn list(&self) -> String {
        let tracks: Vec<String> = self
            .tracks
            .iter()
            .enumerate()
            .map(|(at, track)| {
                let language = track.language.as_deref().map(|name| format!(", {name}"));
                format!("{} ({}{})", at + 1, track.codec, language.unwrap_or_default())
            })
            .collect();
        match self.tracks.len() {
            0 | 1 => "there is one audio track".to_owned(),
            _ => format!("the audio tracks are {}", tracks.join(", ")),
        }
    }
}

/// Codes of ISO 639-1 and the two kinds of ISO 639-2 that stand for the same language.
const LANGUAGES: [[&str; 3]; 24] = [
    ["ar", "ara", "ara"],
    ["cs", "ces", "cze"],
    ["da", "dan", "dan"],
    ["de", "deu", "ger"],
    ["el", "ell", "gre"],
    ["en", "eng", "eng"],
    ["es", "spa", "spa"],
    ["fa", "fas", "per"],
    ["fi", "fin", "fin"],
    ["fr", "fra", "fre"],
    ["he", "heb", "heb"],
    ["hi", "hin", "hin"],
    ["hu", "hun", "hun"],
    ["it", "ita", "ita"],
    ["ja", "jpn", "jpn"],
    ["ko", "kor", "kor"],
    ["nl", "nld", "dut"],
    ["pl", "pol", "pol"],
    ["pt", "por", "por"],
    ["ru", "rus", "rus"],
    ["sv", "swe", "swe"],
    ["tr", "tur", "tur"],
    ["uk", "ukr", "ukr"],
    ["zh", "zho", "chi"],
];

/// Whether two codes stand for the same language; a region behind a hyphen counts only where both
/// have one.
fn is_language(language: &str, wanted: &str) -> bool {
    let (language, wanted) = (language.to_ascii_lowercase(), wanted.to_ascii_lowercase());
    if language == wanted {
        return true;
    }
    let primary = |code: &str| code.split('-').next().unwrap_or_default().to_owned();
    if language.contains('-') && wanted.contains('-') {
        return false;
    }
    let (language, wanted) = (primary(&language), primary(&wanted));
    let same = |codes: &[&str; 3]| codes.contains(&&*language) && codes.contains(&&*wanted);
    language == wanted || LANGUAGES.iter().any(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outline() -> Outline {
        let track = |id, language: &str, default| TrackOutline {
            language: Some(language.to_owned()),
            codec: "AAC".to_owned(),
            default,
            ..TrackOutline::new(id)
        };
        let tracks = vec![track(4, "ger", false), track(9, "en-US", true), track(2, "fre", false)];
        Outline { tracks, ..Outline::default() }
    }

    #[test]
    fn the_default_track_comes_first() {
        assert_eq!(outline().candidates(None), Ok(vec![1, 0, 2]));
        assert_eq!(Outline::default().candidates(None), Ok(vec![]));
    }

    #[test]
    fn tracks_are_chosen_by_number_and_language() {
        let choose = |text: &str| outline().candidates(Some(&text.parse().expect("a choice")));
        assert_eq!(choose("3"), Ok(vec![2]));
        for (language, place) in
            [("de", 0), ("deu", 0), ("GER", 0), ("eng", 1), ("en-us", 1), ("fr", 2)]
        {
            assert_eq!(choose(language), Ok(vec![place]), "{language}");
        }
        let error = choose("4").expect_err("three tracks");
        assert!(error.contains("1 (AAC, ger), 2 (AAC, en-US)"), "{error}");
        assert!(choose("en-gb").is_err() && choose("it").is_err());
        for bad in ["", "0", "1x", "-1", "x"] {
            assert!(bad.parse::<TrackChoice>().is_err(), "{bad}");
        }
    }
}
