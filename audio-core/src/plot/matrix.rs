//! A feature matrix as a picture: frames to the right, bins upwards.

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use super::axis::{Axis, AxisScale, Unit};
use super::canvas::{Anchor, Canvas, Image, Rect};
use super::color::{EMPTY, GREY, INK, PAPER, sequential};
use super::font::TextStyle;
use super::panels;
use super::sound::shorten;
use crate::error::{Error, Result};

const LEFT: i32 = 58;
const RIGHT: i32 = 78;
const TOP: i32 = 48;
const BOTTOM: i32 = 38;

/// How a matrix is drawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MatrixOptions {
    /// Width of the picture in pixels, 400 to 8000.
    pub width: u32,
    /// Height of the matrix in pixels, 40 to 4000.
    pub height: u32,
    /// Seconds from one frame to the next; without it the axis counts frames.
    pub seconds_per_frame: Option<f64>,
    /// What the bins are, such as `mel`.
    pub bins: String,
    /// Unit of the values, such as `dB` or `ln`.
    pub unit: String,
    /// Values of the darkest and the brightest colour; by default what leaves out the most
    /// extreme 0.2 % at either end.
    pub range: Option<(f32, f32)>,
}

impl Default for MatrixOptions {
    fn default() -> Self {
        Self {
            width: 1200,
            height: 320,
            seconds_per_frame: None,
            bins: "bin".into(),
            unit: String::new(),
            range: None,
        }
    }
}

/// Draw a matrix `[frames, bins]`. Cells that share a pixel are averaged; values that are not
/// finite stay blank.
///
/// # Errors
/// [`Error::Empty`] for a matrix without values, [`Error::Config`] for a size out of range.
pub fn render_matrix(
    title: &str,
    matrix: ArrayView2<'_, f32>,
    options: &MatrixOptions,
) -> Result<Image> {
    if matrix.is_empty() {
        return Err(Error::Empty);
    }
    if !(400..=8000).contains(&options.width) || !(40..=4000).contains(&options.height) {
        let size = format!("{} x {}", options.width, options.height);
        return Err(Error::config("size", format!("{size} is not in 400..=8000 x 40..=4000")));
    }
    let (frames, bins) = matrix.dim();
    let (low, high) = options.range.unwrap_or_else(|| usual_range(matrix));
    let value = Axis::new(f64::from(low), f64::from(high), AxisScale::Linear, Unit::Number);
    let mut canvas = Canvas::new(options.width, options.height + (TOP + BOTTOM) as u32, PAPER);
    let rect = Rect {
        x: LEFT,
        y: TOP,
        width: options.width as i32 - LEFT - RIGHT,
        height: options.height as i32,
    };
    canvas.fill(rect, EMPTY, 1.0);
    let shares_x = shares(frames, rect.width as usize);
    let shares_y = shares(bins, rect.height as usize);
    for (x, columns) in shares_x.iter().enumerate() {
        for (y, rows) in shares_y.iter().enumerate() {
            if let Some(mean) = mean(matrix, columns, rows) {
                let color = sequential(value.position(mean) as f32);
                canvas.blend(rect.x + x as i32, rect.bottom() - 1 - y as i32, color, 1.0);
            }
        }
    }
    canvas.outline(rect, GREY);
    let facts = format!("{frames} frames × {bins} bins");
    let room = rect.width as f32 - TextStyle::SMALL.width(&facts) - 24.0;
    let base = 24.0;
    let title = shorten(title, TextStyle::TITLE, room);
    canvas.text((rect.x as f32, base), Anchor::Left, TextStyle::TITLE, INK, &title);
    canvas.text((rect.right() as f32, base), Anchor::Right, TextStyle::SMALL, GREY, &facts);
    let (length, name, unit) = match options.seconds_per_frame {
        Some(hop) => (frames as f64 * hop, "s", Unit::Time),
        None => (frames as f64, "frame", Unit::Number),
    };
    let name = if unit == Unit::Time && length >= 60.0 { "min:s" } else { name };
    let across = Axis::new(0.0, length, AxisScale::Linear, unit);
    panels::bottom_axis(&mut canvas, rect, across, name);
    let upwards = Axis::new(0.0, bins as f64, AxisScale::Linear, Unit::Number);
    panels::left_axis(&mut canvas, rect, upwards, &options.bins, 28.0);
    let bar = Rect { x: rect.right() + 14, width: 12, ..rect };
    panels::color_bar(&mut canvas, bar, value, &options.unit, |v| {
        sequential(value.position(v) as f32)
    });
    Ok(canvas.finish())
}

/// For each of `pixels` the range of cells that it shows.
fn shares(cells: usize, pixels: usize) -> Vec<std::ops::Range<usize>> {
    (0..pixels)
        .map(|pixel| {
            let first = pixel * cells / pixels;
            first..((pixel + 1) * cells).div_ceil(pixels).clamp(first + 1, cells.max(first + 1))
        })
        .collect()
}

fn mean(
    matrix: ArrayView2<'_, f32>,
    columns: &std::ops::Range<usize>,
    rows: &std::ops::Range<usize>,
) -> Option<f64> {
    let (mut sum, mut count) = (0.0f64, 0u32);
    for frame in columns.clone() {
        for bin in rows.clone() {
            let value = matrix[[frame, bin]];
            if value.is_finite() {
                sum += f64::from(value);
                count += 1;
            }
        }
    }
    (count > 0).then(|| sum / f64::from(count))
}

fn usual_range(matrix: ArrayView2<'_, f32>) -> (f32, f32) {
    let mut values: Vec<f32> = matrix.iter().copied().filter(|v| v.is_finite()).collect();
    if values.is_empty() {
        return (0.0, 1.0);
    }
    values.sort_by(f32::total_cmp);
    let edge = values.len() / 500;
    (values[edge], values[values.len() - 1 - edge])
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    #[test]
    fn matrices_of_any_shape() {
        for shape in [(1, 1), (3, 80), (5000, 2), (1200, 1025)] {
            let matrix = Array2::from_shape_fn(shape, |(t, b)| (t + b) as f32);
            let image = render_matrix("m", matrix.view(), &MatrixOptions::default());
            assert_eq!(image.expect("drawable").height(), 320 + 86);
        }
        let blank = Array2::from_elem((4, 4), f32::NAN);
        assert!(render_matrix("m", blank.view(), &MatrixOptions::default()).is_ok());
        let none = Array2::<f32>::zeros((0, 80));
        assert!(render_matrix("m", none.view(), &MatrixOptions::default()).is_err());
    }

    #[test]
    fn every_cell_is_shown() {
        for (cells, pixels) in [(7, 20), (20, 7), (1000, 999), (1, 5)] {
            let shares = shares(cells, pixels);
            assert_eq!(shares.len(), pixels);
            assert!(shares.windows(2).all(|w| w[1].start <= w[0].end && w[0].start <= w[1].start));
            assert_eq!((shares[0].start, shares[pixels - 1].end), (0, cells));
        }
    }
}
