//! A feature matrix as a picture: frames to the right, bins upwards.

use std::ops::Range;

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use super::axis::{Axis, AxisScale, Unit, hertz_ticks};
use super::canvas::{Anchor, Canvas, Image, Rect};
use super::color::{EMPTY, GREY, INK, PAPER, sequential};
use super::font::TextStyle;
use super::panels;
use super::sound::shorten;
use crate::error::{Error, Result};
use crate::spool::SpooledRows;

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
    /// The frequency at the middle of each bin in Hz, rising, if bins have one; the axis then shows
    /// it.
    pub bin_hz: Vec<f64>,
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
            bin_hz: Vec::new(),
            unit: String::new(),
            range: None,
        }
    }
}

/// A matrix that is read row by row, from the first to the last, as often as it is needed.
pub trait MatrixRows {
    /// Rows and columns.
    fn dim(&self) -> (usize, usize);

    /// Shows all rows to `take`.
    ///
    /// # Errors
    /// What reading them says.
    fn each(&mut self, take: &mut dyn FnMut(&[f32])) -> Result<()>;
}

impl MatrixRows for ArrayView2<'_, f32> {
    fn dim(&self) -> (usize, usize) {
        ArrayView2::dim(self)
    }

    fn each(&mut self, take: &mut dyn FnMut(&[f32])) -> Result<()> {
        self.rows().into_iter().for_each(|row| take(&row.to_vec()));
        Ok(())
    }
}

impl MatrixRows for SpooledRows {
    fn dim(&self) -> (usize, usize) {
        SpooledRows::dim(self)
    }

    fn each(&mut self, take: &mut dyn FnMut(&[f32])) -> Result<()> {
        SpooledRows::each(self, |row| {
            take(row);
            Ok(())
        })
    }
}

/// Draw a matrix `[frames, bins]`. Cells that share a pixel are averaged; values that are not
/// finite stay blank.
///
/// # Errors
/// [`Error::Empty`] for a matrix without values, [`Error::Config`] for a size out of range, and what
/// reading the rows says.
pub fn render_matrix(
    title: &str,
    mut matrix: impl MatrixRows,
    options: &MatrixOptions,
) -> Result<Image> {
    let (frames, bins) = matrix.dim();
    if frames == 0 || bins == 0 {
        return Err(Error::Empty);
    }
    if !(400..=8000).contains(&options.width) || !(40..=4000).contains(&options.height) {
        let size = format!("{} x {}", options.width, options.height);
        return Err(Error::config("size", format!("{size} is not in 400..=8000 x 40..=4000")));
    }
    let (low, high) = match options.range {
        Some(range) => range,
        None => usual_range(&mut matrix)?,
    };
    let value = Axis::new(f64::from(low), f64::from(high), AxisScale::Linear, Unit::Number);
    let mut canvas = Canvas::new(options.width, options.height + (TOP + BOTTOM) as u32, PAPER);
    let rect = Rect {
        x: LEFT,
        y: TOP,
        width: options.width as i32 - LEFT - RIGHT,
        height: options.height as i32,
    };
    canvas.fill(rect, EMPTY, 1.0);
    pooled(&mut matrix, rect.width as usize, rect.height as usize, |x, y, mean| {
        let color = sequential(value.position(mean) as f32);
        canvas.blend(rect.x + x as i32, rect.bottom() - 1 - y as i32, color, 1.0);
    })?;
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
    if options.bin_hz.len() == bins {
        let ticks = hertz_ticks(&options.bin_hz, f64::from(rect.height), 20.0);
        panels::left_ticks(&mut canvas, rect, ticks, "Hz");
    } else {
        let upwards = Axis::new(0.0, bins as f64, AxisScale::Linear, Unit::Number);
        panels::left_axis(&mut canvas, rect, upwards, &options.bins, 28.0);
    }
    let bar = Rect { x: rect.right() + 14, width: 12, ..rect };
    panels::color_bar(&mut canvas, bar, value, &options.unit, |v| {
        sequential(value.position(v) as f32)
    });
    Ok(canvas.finish())
}

/// For each of `pixels` the range of cells that it shows.
fn shares(cells: usize, pixels: usize) -> Vec<Range<usize>> {
    (0..pixels)
        .map(|pixel| {
            let first = pixel * cells / pixels;
            first..((pixel + 1) * cells).div_ceil(pixels).clamp(first + 1, cells.max(first + 1))
        })
        .collect()
}

/// A column of pixels under construction.
struct Column {
    x: usize,
    /// The frame behind its last one.
    end: usize,
    /// Sum and number of the values of each pixel.
    sums: Vec<(f64, u32)>,
}

impl Column {
    fn add(&mut self, row: &[f32], shares: &[Range<usize>]) {
        for ((sum, count), share) in self.sums.iter_mut().zip(shares) {
            for &value in row[share.clone()].iter().filter(|value| value.is_finite()) {
                *sum += f64::from(value);
                *count += 1;
            }
        }
    }
}

/// Calls `draw` with the mean of the cells of every pixel that has any. A few columns are in memory at
/// a time.
fn pooled(
    matrix: &mut impl MatrixRows,
    width: usize,
    height: usize,
    mut draw: impl FnMut(usize, usize, f64),
) -> Result<()> {
    let (frames, bins) = matrix.dim();
    let (across, upwards) = (shares(frames, width), shares(bins, height));
    let mut coming = across.into_iter().enumerate().peekable();
    let mut open: Vec<Column> = Vec::new();
    let mut frame = 0;
    matrix.each(&mut |row| {
        // Adds the row; whether the column is open still.
        let mut grow = |column: &mut Column| {
            column.add(row, &upwards);
            if column.end > frame + 1 {
                return true;
            }
            for (y, (sum, count)) in column.sums.iter().enumerate().filter(|(_, (_, n))| *n > 0) {
                draw(column.x, y, sum / f64::from(*count));
            }
            false
        };
        open.retain_mut(&mut grow);
        while let Some((x, share)) = coming.next_if(|(_, share)| share.start <= frame) {
            let mut column = Column { x, end: share.end, sums: vec![(0.0, 0); height] };
            if grow(&mut column) {
                open.push(column);
            }
        }
        frame += 1;
    })
}

/// What leaves out the most extreme 0.2 % of the values at either end, found by counting: the first
/// time by the upper half of the bits of a value, the second time by the lower half.
fn usual_range(matrix: &mut impl MatrixRows) -> Result<(f32, f32)> {
    let finite = |row: &[f32], count: &mut dyn FnMut(u32)| {
        row.iter().filter(|value| value.is_finite()).for_each(|&value| count(order(value)));
    };
    let mut upper = vec![0u64; 1 << 16];
    matrix.each(&mut |row| finite(row, &mut |key| upper[(key >> 16) as usize] += 1))?;
    let values: u64 = upper.iter().sum();
    if values == 0 {
        return Ok((0.0, 1.0));
    }
    let edge = values / 500;
    let places = [edge, values - 1 - edge].map(|rank| place(&upper, rank));
    let mut lower = [vec![0u64; 1 << 16], vec![0u64; 1 << 16]];
    matrix.each(&mut |row| {
        finite(row, &mut |key| {
            for (counts, (half, _)) in lower.iter_mut().zip(&places) {
                if (key >> 16) as usize == *half {
                    counts[(key & 0xffff) as usize] += 1;
                }
            }
        });
    })?;
    let found = |end: usize| {
        let (half, rank) = places[end];
        value((half as u32) << 16 | place(&lower[end], rank).0 as u32)
    };
    Ok((found(0), found(1)))
}

/// Which count the value of this rank is in, and its rank there.
fn place(counts: &[u64], mut rank: u64) -> (usize, u64) {
    for (at, &count) in counts.iter().enumerate() {
        if rank < count {
            return (at, rank);
        }
        rank -= count;
    }
    (counts.len() - 1, 0)
}

/// A number that is in the order of the values.
fn order(value: f32) -> u32 {
    let bits = value.to_bits();
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}

/// The value that [`order`] made a number of.
fn value(order: u32) -> f32 {
    f32::from_bits(if order >> 31 == 1 { order & !(1 << 31) } else { !order })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn u2_the_usual_range_is_that_of_sorted_values() {
        for count in [1usize, 3, 500, 1001, 12_000] {
            let values: Vec<f32> =
                (0..count).map(|n| ((n * 7919 % 1013) as f32 - 400.0) * 0.37e-3).collect();
            let mut sorted = values.clone();
            sorted.sort_by(f32::total_cmp);
            let edge = count / 500;
            let wanted = (sorted[edge], sorted[count - 1 - edge]);
            let mut view = ArrayView2::from_shape((count, 1), &values).expect("a column");
            assert_eq!(usual_range(&mut view).expect("in memory"), wanted, "{count}");
        }
    }

    #[test]
    fn u2_pixels_are_the_means_of_their_cells() {
        let (width, height) = (50, 20);
        for (frames, bins) in [(1, 1), (7, 3), (50, 20), (51, 21), (1999, 80)] {
            let values: Vec<f32> = (0..frames * bins)
                .map(|n| if n % 13 == 5 { f32::NAN } else { (n % 97) as f32 })
                .collect();
            let mut view = ArrayView2::from_shape((frames, bins), &values).expect("a matrix");
            let mut found = vec![None; width * height];
            let draw = |x: usize, y: usize, mean: f64| found[x * height + y] = Some(mean);
            pooled(&mut view, width, height, draw).expect("in memory");
            let (across, upwards) = (shares(frames, width), shares(bins, height));
            for (x, columns) in across.iter().enumerate() {
                for (y, rows) in upwards.iter().enumerate() {
                    let cells = columns.clone().flat_map(|f| rows.clone().map(move |b| (f, b)));
                    let cells: Vec<f64> = cells
                        .map(|(frame, bin)| f64::from(values[frame * bins + bin]))
                        .filter(|value| value.is_finite())
                        .collect();
                    let mean = cells.iter().sum::<f64>() / cells.len() as f64;
                    let wanted = (!cells.is_empty()).then_some(mean);
                    assert_eq!(found[x * height + y], wanted, "{frames} x {bins}: {x}, {y}");
                }
            }
        }
    }
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
