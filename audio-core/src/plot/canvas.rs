//! An RGB picture with the few things that a plot needs: rectangles, smooth lines, text, PNG.
//!
//! Whatever falls outside the picture is cut off; drawing cannot fail.

use super::color::Rgb;
use super::font::{TextStyle, glyph};
use crate::error::{Error, Result};

/// A finished picture, eight bits for each of red, green and blue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    width: u32,
    height: u32,
    pixels: Vec<u8>, // [height, width, 3]
}

impl Image {
    /// Width in pixels.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The pixels row by row, three bytes each.
    #[must_use]
    pub fn as_rgb(&self) -> &[u8] {
        &self.pixels
    }

    /// The picture as the bytes of a PNG file.
    ///
    /// # Errors
    /// [`Error::Config`] when the encoder refuses the size.
    pub fn to_png(&self) -> Result<Vec<u8>> {
        let refused = |error: png::EncodingError| Error::config("picture", error.to_string());
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, self.width, self.height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header().map_err(refused)?;
        writer.write_image_data(&self.pixels).map_err(refused)?;
        writer.finish().map_err(refused)?;
        Ok(bytes)
    }
}

/// A rectangle in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rect {
    pub(super) x: i32,
    pub(super) y: i32,
    pub(super) width: i32,
    pub(super) height: i32,
}

impl Rect {
    pub(super) fn right(&self) -> i32 {
        self.x + self.width
    }

    pub(super) fn bottom(&self) -> i32 {
        self.y + self.height
    }
}

/// Which part of a text its coordinates name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Left,
    Middle,
    Right,
}

/// Coordinates are units of the layout, of which `density` pixels are drawn in each direction.
pub(super) struct Canvas {
    image: Image,
    density: i32,
}

impl Canvas {
    pub(super) fn new(width: u32, height: u32, background: Rgb) -> Self {
        Self::dense(width, height, 1, background)
    }

    /// A canvas with `density` pixels for a unit.
    pub(super) fn dense(width: u32, height: u32, density: u32, background: Rgb) -> Self {
        let (width, height) = (width * density, height * density);
        let pixels = background.repeat(width as usize * height as usize);
        Self { image: Image { width, height, pixels }, density: density as i32 }
    }

    pub(super) fn finish(self) -> Image {
        self.image
    }

    /// `rect` in pixels.
    pub(super) fn pixels(&self, rect: Rect) -> Rect {
        let Rect { x, y, width, height } = rect;
        let [x, y, width, height] = [x, y, width, height].map(|unit| unit * self.density);
        Rect { x, y, width, height }
    }

    /// Lay `color` over a pixel; `alpha` 1 covers it.
    pub(super) fn blend(&mut self, x: i32, y: i32, color: Rgb, alpha: f32) {
        let (Ok(column), Ok(row)) = (u32::try_from(x), u32::try_from(y)) else { return };
        if column >= self.image.width || row >= self.image.height || alpha <= 0.0 {
            return;
        }
        let at = (row as usize * self.image.width as usize + column as usize) * 3;
        let alpha = alpha.min(1.0);
        for (pixel, &value) in self.image.pixels[at..at + 3].iter_mut().zip(&color) {
            let old = f32::from(*pixel);
            *pixel = (old + (f32::from(value) - old) * alpha).round() as u8;
        }
    }

    pub(super) fn fill(&mut self, rect: Rect, color: Rgb, alpha: f32) {
        let rect = self.pixels(rect);
        for y in rect.y.max(0)..rect.bottom().min(self.image.height as i32) {
            for x in rect.x.max(0)..rect.right().min(self.image.width as i32) {
                self.blend(x, y, color, alpha);
            }
        }
    }

    /// A frame of one unit just outside `rect`.
    pub(super) fn outline(&mut self, rect: Rect, color: Rgb) {
        let Rect { x, y, width, height } = rect;
        for (x, y, width, height) in [
            (x - 1, y - 1, width + 2, 1),
            (x - 1, y + height, width + 2, 1),
            (x - 1, y, 1, height),
            (x + width, y, 1, height),
        ] {
            self.fill(Rect { x, y, width, height }, color, 1.0);
        }
    }

    /// Column `x` of pixels from `top` to `bottom`, in units, with soft ends.
    pub(super) fn column(&mut self, x: i32, top: f32, bottom: f32, color: Rgb, alpha: f32) {
        let (top, bottom) = (top * self.density as f32, bottom * self.density as f32);
        for y in top.floor() as i32..bottom.ceil() as i32 {
            let cover = (bottom.min(y as f32 + 1.0) - top.max(y as f32)).clamp(0.0, 1.0);
            self.blend(x, y, color, cover * alpha);
        }
    }

    /// A line with round joins through `points`, given in units (the centres of the first pixels of
    /// a plain canvas lie at 0.5).
    pub(super) fn polyline(&mut self, points: &[(f32, f32)], width: f32, color: Rgb, clip: Rect) {
        let density = self.density as f32;
        let (radius, clip) = (density * width / 2.0, self.pixels(clip));
        let points: Vec<_> = points.iter().map(|&(x, y)| (x * density, y * density)).collect();
        for part in connected(&points) {
            let xs = part.iter().map(|p| p.0);
            let ys = part.iter().map(|p| p.1);
            let reach = radius + 1.0;
            let from = xs.clone().fold(f32::MAX, f32::min) - reach;
            let to = xs.fold(f32::MIN, f32::max) + reach;
            let top = ys.clone().fold(f32::MAX, f32::min) - reach;
            let bottom = ys.fold(f32::MIN, f32::max) + reach;
            let rows = (top.floor() as i32).max(clip.y)..(bottom.ceil() as i32).min(clip.bottom());
            for y in rows {
                let columns =
                    (from.floor() as i32).max(clip.x)..(to.ceil() as i32).min(clip.right());
                for x in columns {
                    let centre = (x as f32 + 0.5, y as f32 + 0.5);
                    let cover = radius + 0.5 - distance(part, centre);
                    self.blend(x, y, color, cover);
                }
            }
        }
    }

    /// A line of text with its base line at `y`.
    pub(super) fn text(
        &mut self,
        (x, y): (f32, f32),
        anchor: Anchor,
        style: TextStyle,
        color: Rgb,
        text: &str,
    ) {
        let width = style.width(text);
        let start = match anchor {
            Anchor::Left => x,
            Anchor::Middle => x - width / 2.0,
            Anchor::Right => x - width,
        };
        let everything =
            Rect { x: 0, y: 0, width: self.image.width as i32, height: self.image.height as i32 };
        // Stems on whole units then cover whole pixels.
        let (mut pen, base) = (start.round() + 0.5, y.round() - 0.5);
        for character in text.chars() {
            let glyph = glyph(character);
            for stroke in &glyph.strokes {
                let points: Vec<(f32, f32)> = stroke
                    .iter()
                    .map(|&(gx, gy)| (pen + gx * style.unit, base - gy * style.unit))
                    .collect();
                self.polyline(&points, style.weight, color, everything);
            }
            pen += style.advance(&glyph);
        }
    }
}

/// Pieces of a polyline that are short enough to be tested as a whole; they share end points.
fn connected(points: &[(f32, f32)]) -> impl Iterator<Item = &[(f32, f32)]> {
    const PIECE: usize = 16;
    let count = points.len().saturating_sub(1).div_ceil(PIECE).max(1);
    (0..count)
        .map(move |piece| &points[piece * PIECE..points.len().min(piece * PIECE + PIECE + 1)])
        .filter(|part| !part.is_empty())
}

fn distance(points: &[(f32, f32)], at: (f32, f32)) -> f32 {
    let squared = |a: (f32, f32), b: (f32, f32)| {
        let (dx, dy) = (b.0 - a.0, b.1 - a.1);
        let length = dx * dx + dy * dy;
        let along = ((at.0 - a.0) * dx + (at.1 - a.1) * dy) / length.max(1e-12);
        let along = along.clamp(0.0, 1.0);
        let (x, y) = (a.0 + along * dx - at.0, a.1 + along * dy - at.1);
        x * x + y * y
    };
    let first = points.first().copied().unwrap_or(at);
    let nearest = points.windows(2).map(|w| squared(w[0], w[1])).fold(f32::MAX, f32::min);
    nearest.min(squared(first, first)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn png_round_trip() {
        let mut canvas = Canvas::new(9, 5, [255, 255, 255]);
        canvas.fill(Rect { x: -3, y: 1, width: 5, height: 99 }, [10, 20, 30], 1.0);
        canvas.text((0.0, 4.0), Anchor::Left, TextStyle::SMALL, [0, 0, 0], "x語");
        let image = canvas.finish();
        let bytes = image.to_png().expect("a valid size");
        let mut reader =
            png::Decoder::new(std::io::Cursor::new(bytes)).read_info().expect("a valid PNG");
        let mut pixels = vec![0; reader.output_buffer_size().expect("small")];
        reader.next_frame(&mut pixels).expect("one frame");
        assert_eq!(pixels, image.as_rgb());
        assert_eq!(pixels[0..3], [255, 255, 255]);
    }

    #[test]
    fn dense_canvases_have_the_same_layout() {
        let draw = |density| {
            let mut canvas = Canvas::dense(40, 11, density, [0, 0, 0]);
            let clip = Rect { x: 0, y: 0, width: 40, height: 11 };
            canvas.polyline(&[(5.0, 5.5), (35.0, 5.5)], 3.0, [255, 255, 255], clip);
            canvas.fill(Rect { x: 38, y: 0, width: 2, height: 11 }, [255, 255, 255], 1.0);
            canvas.finish()
        };
        let (plain, dense) = (draw(1), draw(3));
        assert_eq!((dense.width(), dense.height()), (120, 33));
        for (x, y) in [(20, 5), (20, 8), (39, 3), (2, 2)] {
            let at = |image: &Image, x: usize, y: usize| {
                image.as_rgb()[(y * image.width() as usize + x) * 3]
            };
            assert_eq!(at(&plain, x, y), at(&dense, 3 * x + 1, 3 * y + 1), "{x} {y}");
        }
    }

    #[test]
    fn a_line_covers_its_width() {
        let mut canvas = Canvas::new(40, 11, [0, 0, 0]);
        let clip = Rect { x: 0, y: 0, width: 40, height: 11 };
        canvas.polyline(&[(5.0, 5.5), (35.0, 5.5)], 3.0, [255, 255, 255], clip);
        let image = canvas.finish();
        let column: u32 = (0..11).map(|y| u32::from(image.as_rgb()[(y * 40 + 20) * 3])).sum();
        assert_eq!(column, 3 * 255);
    }
}
