//! What is drawn over a spectrogram: words at their times, and the contour of the pitch.

use super::axis::Axis;
use super::canvas::{Anchor, Canvas, Rect};
use super::color::Rgb;
use super::font::TextStyle;
use super::sound::shorten;

const LIGHT: Rgb = [255, 255, 255];
const DARK: Rgb = [16, 16, 24];
/// Stands out from all colours of levels.
const PITCH: Rgb = [96, 224, 255];
/// Height of the strip of words.
const STRIP: i32 = 18;

/// A word and its time.
#[derive(Debug, Clone, PartialEq)]
pub struct WordMark {
    /// Where it begins, in seconds.
    pub start: f64,
    /// Where it ends.
    pub end: f64,
    /// The word.
    pub text: String,
}

/// What is drawn over the spectrograms of a sound.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Overlay {
    /// Words, in a strip along the top.
    pub words: Vec<WordMark>,
    /// Seconds and pitch in Hz; none where there is no pitch, which breaks the line.
    pub pitch: Vec<(f64, Option<f64>)>,
}

impl Overlay {
    /// Draws into a panel of these axes of time and frequency.
    pub(super) fn draw(&self, canvas: &mut Canvas, rect: Rect, (time, frequency): (Axis, Axis)) {
        if rect.height <= 0 {
            return;
        }
        let x = |at: f64| rect.x as f32 + (time.position(at) * f64::from(rect.width)) as f32;
        let y = |hz: f64| {
            rect.bottom() as f32 - (frequency.position(hz) * f64::from(rect.height)) as f32
        };
        for stretch in self.pitch.split(|(_, hz)| hz.is_none()) {
            let points: Vec<(f32, f32)> =
                stretch.iter().filter_map(|&(at, hz)| hz.map(|hz| (x(at), y(hz)))).collect();
            if points.len() > 1 {
                canvas.polyline(&points, 3.4, DARK, rect);
                canvas.polyline(&points, 1.6, PITCH, rect);
            }
        }
        for word in &self.words {
            let (start, end) = (x(word.start).round() as i32, x(word.end).round() as i32);
            let (start, end) = (start.max(rect.x), end.min(rect.right()));
            if end <= start {
                continue;
            }
            let strip = Rect { x: start, y: rect.y, width: end - start, height: STRIP };
            canvas.fill(strip, DARK, 0.6);
            for edge in [start, end - 1] {
                canvas.fill(Rect { x: edge, width: 1, ..rect }, LIGHT, 0.45);
            }
            let room = (end - start) as f32;
            let label = shorten(&word.text, TextStyle::SMALL, room);
            // Where there is no room for a letter, the strip alone tells of the word.
            if TextStyle::SMALL.width(&label) <= room {
                let middle = ((start + end) as f32 / 2.0, (rect.y + STRIP - 5) as f32);
                canvas.text(middle, Anchor::Middle, TextStyle::SMALL, LIGHT, &label);
            }
        }
    }
}
