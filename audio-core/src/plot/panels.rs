//! The parts of a picture: waveform, spectrogram, colour bar and axes, each in its rectangle.

use super::axis::Axis;
use super::canvas::{Anchor, Canvas, Rect};
use super::color::{EMPTY, GREY, GRID, INK, Rgb, palette};
use super::font::TextStyle;
use super::trace::SoundTrace;

/// Levels at or below this are not told apart from silence.
pub(super) const FLOOR_DB: f32 = -200.0;

/// Decibels `[height, width]`, the top row first; NaN where there is no data.
pub(super) struct Grid {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) db: Vec<f32>,
}

impl Grid {
    /// Resample the spectrum of a channel to the pixels of `rect`: mean power over time, and over frequency the
    /// strongest bin where several share a row, so that thin lines neither vanish nor flicker.
    pub(super) fn of(
        trace: &SoundTrace,
        channel: usize,
        time: Axis,
        frequency: Axis,
        rect: Rect,
    ) -> Self {
        let (width, height) = (rect.width.max(0) as usize, rect.height.max(0) as usize);
        let mut db = vec![f32::NAN; width * height];
        let bins = trace.bins();
        let columns = trace.power(channel);
        let count = columns.data.len() / bins;
        let rate = f64::from(trace.spec().rate);
        let nyquist = rate / 2.0;
        let to_column =
            |pixel: usize| time.value(pixel as f64 / width as f64) * rate / columns.hop as f64;
        let rows: Vec<Option<(f64, f64)>> = (0..height)
            .map(|row| {
                let edge = |r: usize| frequency.value(1.0 - r as f64 / height as f64);
                let (low, high) = (edge(row + 1), edge(row));
                let to_bin = |f: f64| f / nyquist * (bins - 1) as f64;
                ((low + high) / 2.0 <= nyquist).then(|| (to_bin(low), to_bin(high)))
            })
            .collect();
        let mut levels = vec![0.0f32; bins];
        for x in 0..width {
            let (from, to) = (to_column(x), to_column(x + 1));
            if (from + to) / 2.0 * columns.hop as f64 >= trace.frames() as f64 || count == 0 {
                continue;
            }
            mix_columns(&columns.data, bins, count, (from, to), &mut levels);
            for (y, row) in rows.iter().enumerate() {
                if let Some(range) = row {
                    db[y * width + x] = pick(&levels, *range);
                }
            }
        }
        Self { width, height, db }
    }

    pub(super) fn max(&self) -> f32 {
        self.db.iter().copied().fold(FLOOR_DB, f32::max)
    }

    pub(super) fn draw(&self, canvas: &mut Canvas, rect: Rect, color: impl Fn(f32) -> Rgb) {
        canvas.fill(rect, EMPTY, 1.0);
        let rect = canvas.pixels(rect);
        for y in 0..self.height {
            for x in 0..self.width {
                let db = self.db[y * self.width + x];
                if !db.is_nan() {
                    canvas.blend(rect.x + x as i32, rect.y + y as i32, color(db), 1.0);
                }
            }
        }
    }
}

/// Level of each bin over the columns `from..to`: their mean power, or an interpolation in
/// decibels where a pixel is narrower than a column.
fn mix_columns(data: &[f32], bins: usize, count: usize, (from, to): (f64, f64), out: &mut [f32]) {
    let db = |power: f32| (10.0 * power.max(1e-20).log10()).max(FLOOR_DB);
    let column = |index: usize| &data[index * bins..(index + 1) * bins];
    if to - from < 1.0 {
        let centre = ((from + to) / 2.0 - 0.5).clamp(0.0, (count - 1) as f64);
        let left = centre.floor() as usize;
        let (a, b) = (column(left), column((left + 1).min(count - 1)));
        let share = (centre - left as f64) as f32;
        for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
            *out = db(a) + (db(b) - db(a)) * share;
        }
        return;
    }
    out.fill(0.0);
    let mut total = 0.0f32;
    for index in from.floor().max(0.0) as usize..(to.ceil() as usize).min(count) {
        let weight = (to.min((index + 1) as f64) - from.max(index as f64)).max(0.0) as f32;
        total += weight;
        for (sum, &power) in out.iter_mut().zip(column(index)) {
            *sum += weight * power;
        }
    }
    for value in out.iter_mut() {
        *value = db(*value / total.max(1e-9));
    }
}

fn pick(levels: &[f32], (low, high): (f64, f64)) -> f32 {
    let last = levels.len() - 1;
    let (first, end) = ((low + 0.5).floor() as usize, (high + 0.5).floor() as usize);
    if end > first + 1 {
        return levels[first.min(last)..end.min(levels.len()).max(first.min(last) + 1)]
            .iter()
            .copied()
            .fold(FLOOR_DB, f32::max);
    }
    let centre = ((low + high) / 2.0).clamp(0.0, last as f64);
    let left = centre.floor() as usize;
    let share = (centre - left as f64) as f32;
    levels[left] + (levels[(left + 1).min(last)] - levels[left]) * share
}

/// Peaks as a light band, RMS as a dark one; single samples become a line when there is room.
pub(super) fn waveform(
    canvas: &mut Canvas,
    rect: Rect,
    trace: &SoundTrace,
    channel: usize,
    time: Axis,
    limit: f32,
) {
    canvas.fill(rect, EMPTY, 1.0);
    let middle = rect.y as f32 + rect.height as f32 / 2.0;
    canvas.fill(Rect { y: middle as i32, height: 1, ..rect }, GRID, 1.0);
    let columns = trace.envelope(channel);
    if columns.data.is_empty() {
        return;
    }
    let reach = rect.height as f32 / 2.0 - 1.0;
    let to_y = |value: f32| middle - (value / limit).clamp(-1.0, 1.0) * reach;
    let per_second = f64::from(trace.spec().rate) / columns.hop as f64;
    let pixels = canvas.pixels(rect);
    let to_column =
        |pixel: i32| time.value(f64::from(pixel) / f64::from(pixels.width)) * per_second;
    let color = palette(0);
    if columns.hop == 1 && to_column(1) < 0.5 {
        let points: Vec<(f32, f32)> = columns
            .data
            .iter()
            .enumerate()
            .map(|(index, extent)| {
                let at = time.position((index as f64 + 0.5) / per_second);
                (rect.x as f32 + (at * f64::from(rect.width)) as f32, to_y(extent.max))
            })
            .collect();
        canvas.polyline(&points, 1.4, color, rect);
        return;
    }
    for x in 0..pixels.width {
        let (from, to) = (to_column(x), to_column(x + 1));
        let first = from.floor() as usize;
        let end = (to.ceil() as usize).max(first + 1).min(columns.data.len());
        if first >= end {
            break;
        }
        let part = &columns.data[first..end];
        let max = part.iter().map(|e| e.max).fold(f32::MIN, f32::max);
        let min = part.iter().map(|e| e.min).fold(f32::MAX, f32::min);
        let rms = (part.iter().map(|e| e.energy).sum::<f32>() / part.len() as f32).sqrt();
        let (top, bottom) = (to_y(max) - 0.5, to_y(min) + 0.5);
        canvas.column(pixels.x + x, top, bottom, color, 0.45);
        let (top, bottom) = (to_y(rms.min(max)), to_y((-rms).max(min)));
        canvas.column(pixels.x + x, top, bottom, color, 0.75);
    }
}

/// Ticks and labels along the bottom of `rect`.
pub(super) fn bottom_axis(canvas: &mut Canvas, rect: Rect, axis: Axis, name: &str) {
    let style = TextStyle::SMALL;
    let base = rect.bottom() as f32 + 7.0 + style.height();
    let name_start = rect.right() as f32 - style.width(name);
    for tick in axis.ticks(f64::from(rect.width), 88.0) {
        let x = rect.x as f32 + (axis.position(tick.at) * f64::from(rect.width)) as f32;
        canvas.fill(Rect { x: x as i32, y: rect.bottom() + 1, width: 1, height: 4 }, GREY, 1.0);
        if x + style.width(&tick.label) / 2.0 + 8.0 < name_start {
            canvas.text((x, base), Anchor::Middle, style, INK, &tick.label);
        }
    }
    canvas.text((rect.right() as f32, base), Anchor::Right, style, GREY, name);
}

/// Ticks and labels along the left of `rect`, at least `gap` apart, with the unit in the corner above.
pub(super) fn left_axis(canvas: &mut Canvas, rect: Rect, axis: Axis, unit: &str, gap: f64) {
    for at in axis.minor() {
        left_mark(canvas, rect, axis.position(at), 2);
    }
    let ticks = axis.ticks(f64::from(rect.height), gap);
    left_ticks(
        canvas,
        rect,
        ticks.into_iter().map(|tick| (axis.position(tick.at), tick.label)),
        unit,
    );
}

/// Labels at places between 0 and 1 along the left of `rect`.
pub(super) fn left_ticks(
    canvas: &mut Canvas,
    rect: Rect,
    ticks: impl IntoIterator<Item = (f64, String)>,
    unit: &str,
) {
    let style = TextStyle::SMALL;
    let half = style.height() / 2.0;
    for (position, label) in ticks {
        let y = left_mark(canvas, rect, position, 4);
        let y = (y + half).clamp(rect.y as f32 + style.height() - 1.0, rect.bottom() as f32 + 1.0);
        canvas.text((rect.x as f32 - 9.0, y), Anchor::Right, style, INK, &label);
    }
    if !unit.is_empty() {
        let at = (rect.x as f32 - 9.0, rect.y as f32 - 6.0);
        canvas.text(at, Anchor::Right, style, GREY, unit);
    }
}

/// A short line left of `rect`; its height on the canvas.
fn left_mark(canvas: &mut Canvas, rect: Rect, position: f64, length: i32) -> f32 {
    let y = rect.bottom() as f32 - (position * f64::from(rect.height)) as f32;
    let x = rect.x - 1 - length;
    canvas.fill(Rect { x, y: y as i32, width: length, height: 1 }, GREY, 1.0);
    y
}

/// A vertical ramp with its scale, right of a panel.
pub(super) fn color_bar(
    canvas: &mut Canvas,
    rect: Rect,
    axis: Axis,
    unit: &str,
    color: impl Fn(f64) -> Rgb,
) {
    let style = TextStyle::SMALL;
    for y in 0..rect.height {
        let value = axis.value(1.0 - (f64::from(y) + 0.5) / f64::from(rect.height));
        canvas.fill(Rect { y: rect.y + y, height: 1, ..rect }, color(value), 1.0);
    }
    canvas.outline(rect, GREY);
    for tick in axis.ticks(f64::from(rect.height), 32.0) {
        let y = rect.bottom() as f32 - (axis.position(tick.at) * f64::from(rect.height)) as f32;
        canvas.fill(Rect { x: rect.right() + 1, y: y as i32, width: 4, height: 1 }, GREY, 1.0);
        let y = (y + style.height() / 2.0)
            .clamp(rect.y as f32 + style.height() - 1.0, rect.bottom() as f32 + 1.0);
        let at = (rect.right() as f32 + 8.0, y);
        canvas.text(at, Anchor::Left, style, INK, &tick.label);
    }
    if !unit.is_empty() {
        let at = (rect.x as f32, rect.y as f32 - 6.0);
        canvas.text(at, Anchor::Left, style, GREY, unit);
    }
}
