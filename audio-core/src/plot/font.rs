//! Text as anti-aliased strokes: parses the glyphs once and places them on whole pixels.
//!
//! Characters without a glyph become an empty box, so no file name can make a picture fail.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::glyphs::{GLYPHS, MISSING, accent, decompose};

/// Space between letters, in units of a tenth of the height of capitals.
const TRACKING: f32 = 2.0;

/// A glyph as polylines in units.
#[derive(Debug, Clone, Default)]
pub(super) struct Glyph {
    pub(super) width: f32,
    pub(super) strokes: Vec<Vec<(f32, f32)>>,
}

/// Size and weight of a text.
#[derive(Debug, Clone, Copy)]
pub(super) struct TextStyle {
    /// Pixels for a unit; capitals are ten units high.
    pub(super) unit: f32,
    /// Width of the strokes in pixels.
    pub(super) weight: f32,
}

impl TextStyle {
    /// Tick labels and notes.
    pub(super) const SMALL: Self = Self { unit: 0.9, weight: 1.15 };
    /// Titles.
    pub(super) const TITLE: Self = Self { unit: 1.1, weight: 1.75 };

    /// Height of capitals in pixels.
    pub(super) fn height(self) -> f32 {
        10.0 * self.unit
    }

    /// Advance of a glyph in whole pixels, so that each letter starts on the pixel grid.
    pub(super) fn advance(self, glyph: &Glyph) -> f32 {
        ((glyph.width + TRACKING) * self.unit).round()
    }

    /// Width of a line of text in pixels.
    pub(super) fn width(self, text: &str) -> f32 {
        text.chars().map(|c| self.advance(&glyph(c))).sum()
    }
}

/// The glyph of a character.
pub(super) fn glyph(character: char) -> Glyph {
    static TABLE: OnceLock<HashMap<char, Glyph>> = OnceLock::new();
    let table = TABLE.get_or_init(|| {
        GLYPHS.iter().map(|&(c, width, path)| (c, Glyph { width, strokes: parse(path) })).collect()
    });
    if let Some(found) = table.get(&character) {
        return found.clone();
    }
    if let Some((base, mark)) = decompose(character)
        && let Some(letter) = table.get(&base)
    {
        let mut glyph = letter.clone();
        let lift = if base.is_uppercase() && mark != '¸' { 3.0 } else { 0.0 };
        let middle = glyph.width / 2.0;
        let shifted = parse(accent(mark)).into_iter().map(|stroke| {
            stroke.into_iter().map(|(x, y)| (x + middle, y + lift)).collect::<Vec<_>>()
        });
        glyph.strokes.extend(shifted);
        return glyph;
    }
    Glyph { width: MISSING.0, strokes: parse(MISSING.1) }
}

fn parse(path: &str) -> Vec<Vec<(f32, f32)>> {
    path.split(';')
        .map(|stroke| {
            let mut points = Vec::new();
            for token in stroke.split_whitespace() {
                let arc = token.strip_prefix('@');
                let numbers: Vec<f32> =
                    arc.unwrap_or(token).split(',').filter_map(|n| n.parse().ok()).collect();
                match (arc, numbers.as_slice()) {
                    (Some(_), &[cx, cy, rx, ry, from, to]) => {
                        let steps = ((to - from).abs() / 12.0).ceil().max(2.0);
                        points.extend((0..=steps as usize).map(|step| {
                            let angle = (from + (to - from) * step as f32 / steps).to_radians();
                            (cx + rx * angle.cos(), cy + ry * angle.sin())
                        }));
                    }
                    (None, &[x, y]) => points.push((x, y)),
                    _ => {}
                }
            }
            points
        })
        .filter(|points| !points.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_parses_completely() {
        let all = GLYPHS.iter().map(|g| g.2).chain([MISSING.1]);
        for path in all.chain("´`¨^ˇ~°¸".chars().map(accent)) {
            for token in path.split([' ', ';']).filter(|t| !t.is_empty()) {
                let arc = token.starts_with('@');
                let numbers = token.trim_start_matches('@').split(',');
                let good = numbers.filter(|n| n.parse::<f32>().is_ok()).count();
                assert_eq!(good, if arc { 6 } else { 2 }, "{token} in {path}");
            }
        }
    }

    #[test]
    fn ascii_is_complete_and_glyphs_stay_in_their_boxes() {
        for c in ' '..='~' {
            assert!(GLYPHS.iter().any(|g| g.0 == c), "no glyph for {c}");
            let glyph = glyph(c);
            for &(x, y) in glyph.strokes.iter().flatten() {
                assert!((-2.6..=glyph.width + 1.0).contains(&x), "{c} at x {x}");
                assert!((-3.1..=11.1).contains(&y), "{c} at y {y}");
            }
        }
    }

    #[test]
    fn accents_and_unknown_characters() {
        assert_eq!(glyph('é').strokes.len(), glyph('e').strokes.len() + 1);
        assert_eq!(glyph('語').width, MISSING.0);
        assert!(TextStyle::SMALL.width("Hz") > 10.0);
    }
}
