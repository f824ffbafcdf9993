//! Lines, points and bars for the numbers of a report: responses, ROC and DET curves, timings.

use super::axis::{Axis, AxisScale, Unit};
use super::canvas::{Anchor, Canvas, Image, Rect};
use super::color::{GREY, GRID, INK, PAPER, palette};
use super::font::TextStyle;
use super::panels;
use super::sound::shorten;
use crate::error::{Error, Result};

const LEFT: i32 = 76;
const RIGHT: i32 = 36;
const BOTTOM: i32 = 58;
const TOP: i32 = 68;

/// One axis of a chart.
#[derive(Debug, Clone, Default)]
pub struct ChartAxis {
    /// What the axis shows, with its unit.
    pub label: String,
    /// Spacing of values. [`AxisScale::Probit`] axes are written in per cent.
    pub scale: AxisScale,
    /// First and last value; by default what the data need.
    pub range: Option<(f64, f64)>,
}

/// How the points of a series are drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SeriesStyle {
    /// A line through the points.
    #[default]
    Line,
    /// A dot at each point.
    Points,
}

/// Points that belong together.
#[derive(Debug, Clone, Default)]
pub struct Series {
    /// Name in the legend; empty leaves it out.
    pub name: String,
    /// Pairs of x and y; pairs that are not finite interrupt the line.
    pub points: Vec<(f64, f64)>,
    /// Line or dots.
    pub style: SeriesStyle,
}

/// A chart of curves or points over two axes.
///
/// ```
/// use formant_audio_core::plot::{Chart, ChartAxis, Series};
///
/// let points = (1..100).map(|i| (f64::from(i), 1.0 / f64::from(i))).collect();
/// let chart = Chart {
///     title: "one over x".into(),
///     x: ChartAxis { label: "x".into(), ..ChartAxis::default() },
///     series: vec![Series { name: "1/x".into(), points, ..Series::default() }],
///     ..Chart::default()
/// };
/// assert_eq!(chart.render().unwrap().width(), 1200);
/// ```
#[derive(Debug, Clone)]
pub struct Chart {
    /// Shown above the chart.
    pub title: String,
    /// The axis to the right.
    pub x: ChartAxis,
    /// The axis upwards.
    pub y: ChartAxis,
    /// The curves.
    pub series: Vec<Series>,
    /// Width in pixels, 200 to 8000.
    pub width: u32,
    /// Height in pixels, 200 to 8000.
    pub height: u32,
}

impl Default for Chart {
    fn default() -> Self {
        Self {
            title: String::new(),
            x: ChartAxis::default(),
            y: ChartAxis::default(),
            series: Vec::new(),
            width: 1200,
            height: 520,
        }
    }
}

impl Chart {
    /// Draw the chart.
    ///
    /// # Errors
    /// [`Error::Config`] when the size is out of range.
    pub fn render(&self) -> Result<Image> {
        let mut canvas = sheet(self.width, self.height, &self.title)?;
        let rect = plot_area(self.width, self.height);
        let all = || self.series.iter().flat_map(|s| s.points.iter().copied()).filter(finite);
        let x = fit(&self.x, all().map(|p| p.0), false);
        let y = fit(&self.y, all().map(|p| p.1), true);
        draw_axes(&mut canvas, rect, (x, &self.x.label), (y, &self.y.label));
        let place = |(px, py): (f64, f64)| {
            let across = (x.position(px) * f64::from(rect.width)).clamp(-1e5, 1e5);
            let up = (y.position(py) * f64::from(rect.height)).clamp(-1e5, 1e5);
            (rect.x as f32 + across as f32, rect.bottom() as f32 - up as f32)
        };
        for (index, series) in self.series.iter().enumerate() {
            let color = palette(index);
            match series.style {
                SeriesStyle::Line => {
                    for run in series.points.split(|point| !finite(point)) {
                        let line: Vec<(f32, f32)> = run.iter().copied().map(place).collect();
                        canvas.polyline(&line, 2.0, color, rect);
                    }
                }
                SeriesStyle::Points => {
                    for &point in series.points.iter().filter(|point| finite(point)) {
                        canvas.polyline(&[place(point)], 7.0, color, rect);
                    }
                }
            }
        }
        canvas.outline(rect, GREY);
        let names = self.series.iter().map(|s| s.name.as_str());
        legend(&mut canvas, rect, names);
        Ok(canvas.finish())
    }
}

/// Groups of bars.
#[derive(Debug, Clone)]
pub struct BarChart {
    /// Shown above the chart.
    pub title: String,
    /// What the bars' heights mean, with the unit.
    pub label: String,
    /// Names of the groups, left to right.
    pub groups: Vec<String>,
    /// Name and one value a group for each series; values that are not finite have no bar.
    pub series: Vec<(String, Vec<f64>)>,
    /// Width in pixels, 200 to 8000.
    pub width: u32,
    /// Height in pixels, 200 to 8000.
    pub height: u32,
}

impl BarChart {
    /// Draw the chart.
    ///
    /// # Errors
    /// [`Error::Config`] when the size is out of range, [`Error::Shape`] when a series has not
    /// one value a group.
    pub fn render(&self) -> Result<Image> {
        for (name, values) in &self.series {
            if values.len() != self.groups.len() {
                return Err(Error::Shape {
                    what: "series of bars",
                    expected: format!("{} values", self.groups.len()),
                    found: format!("{} values in {name}", values.len()),
                });
            }
        }
        let mut canvas = sheet(self.width, self.height, &self.title)?;
        let rect = plot_area(self.width, self.height);
        let values = || self.series.iter().flat_map(|s| s.1.iter().copied());
        let extent = values().filter(|v| v.is_finite()).chain([0.0]);
        let y = fit(&ChartAxis::default(), extent, true);
        let count = self.groups.len().max(1);
        let group = f64::from(rect.width) / count as f64;
        let none = Axis::new(0.0, 1.0, AxisScale::Linear, Unit::Number);
        draw_axes(&mut canvas, rect, (none, ""), (y, &self.label));
        let bar = group * 0.76 / self.series.len().max(1) as f64;
        let to_y = |value: f64| {
            rect.bottom() - (y.position(value) * f64::from(rect.height)).round() as i32
        };
        for (index, (_, values)) in self.series.iter().enumerate() {
            for (at, &value) in values.iter().enumerate().filter(|(_, v)| v.is_finite()) {
                let x = f64::from(rect.x) + group * (at as f64 + 0.12) + bar * index as f64;
                let (top, bottom) = (to_y(value.max(0.0)), to_y(value.min(0.0)));
                let width = (bar.round() as i32 - 2).max(1);
                let bar = Rect { x: x.round() as i32 + 1, y: top, width, height: bottom - top };
                canvas.fill(bar, palette(index), 1.0);
            }
        }
        for (at, name) in self.groups.iter().enumerate() {
            let style = TextStyle::SMALL;
            let x = f64::from(rect.x) + group * (at as f64 + 0.5);
            let y = rect.bottom() as f32 + 8.0 + style.height();
            let name = shorten(name, style, group as f32 - 6.0);
            canvas.text((x as f32, y), Anchor::Middle, style, INK, &name);
        }
        canvas.outline(rect, GREY);
        legend(&mut canvas, rect, self.series.iter().map(|s| s.0.as_str()));
        Ok(canvas.finish())
    }
}

fn finite(point: &(f64, f64)) -> bool {
    point.0.is_finite() && point.1.is_finite()
}

fn sheet(width: u32, height: u32, title: &str) -> Result<Canvas> {
    if !(200..=8000).contains(&width) || !(200..=8000).contains(&height) {
        let size = format!("{width} x {height}");
        return Err(Error::config("size", format!("{size} is not in 200..=8000 x 200..=8000")));
    }
    let mut canvas = Canvas::new(width, height, PAPER);
    let room = width as f32 - (LEFT + RIGHT) as f32;
    let title = shorten(title, TextStyle::TITLE, room);
    canvas.text((LEFT as f32, 26.0), Anchor::Left, TextStyle::TITLE, INK, &title);
    Ok(canvas)
}

fn plot_area(width: u32, height: u32) -> Rect {
    Rect {
        x: LEFT,
        y: TOP,
        width: width as i32 - LEFT - RIGHT,
        height: height as i32 - TOP - BOTTOM,
    }
}

/// The axis that shows all values, with a little air when it is linear and upwards.
fn fit(axis: &ChartAxis, values: impl Iterator<Item = f64>, air: bool) -> Axis {
    let unit = if axis.scale == AxisScale::Probit { Unit::Percent } else { Unit::Number };
    let shown = |v: &f64| v.is_finite() && (axis.scale != AxisScale::Log || *v > 0.0);
    let (min, max) = axis.range.unwrap_or_else(|| {
        let (min, max) = values
            .filter(shown)
            .fold((f64::MAX, f64::MIN), |(min, max), v| (min.min(v), max.max(v)));
        let spare = if air && axis.scale == AxisScale::Linear { 0.05 * (max - min) } else { 0.0 };
        let floor = if min == 0.0 { 0.0 } else { min - spare };
        if min > max { (0.0, 1.0) } else { (floor, if max == 0.0 { 0.0 } else { max + spare }) }
    });
    let (min, max) =
        if axis.scale == AxisScale::Probit { (min.max(5e-4), max.min(0.9995)) } else { (min, max) };
    Axis::new(min, max, axis.scale, unit)
}

fn draw_axes(
    canvas: &mut Canvas,
    rect: Rect,
    (x, x_label): (Axis, &str),
    (y, y_label): (Axis, &str),
) {
    let style = TextStyle::SMALL;
    if !x_label.is_empty() {
        for tick in x.ticks(f64::from(rect.width), 64.0) {
            let at = rect.x + (x.position(tick.at) * f64::from(rect.width)).round() as i32;
            canvas.fill(Rect { x: at, y: rect.y, width: 1, height: rect.height }, GRID, 1.0);
            let base = rect.bottom() as f32 + 8.0 + style.height();
            canvas.text((at as f32, base), Anchor::Middle, style, INK, &tick.label);
        }
        let centre = (rect.x + rect.width / 2) as f32;
        let base = rect.bottom() as f32 + 31.0 + style.height();
        canvas.text((centre, base), Anchor::Middle, style, GREY, x_label);
    }
    for tick in y.ticks(f64::from(rect.height), 36.0) {
        let at = rect.bottom() - (y.position(tick.at) * f64::from(rect.height)).round() as i32;
        canvas.fill(Rect { y: at, height: 1, ..rect }, GRID, 1.0);
    }
    panels::left_axis(canvas, rect, y, "", 36.0);
    canvas.text((rect.x as f32, rect.y as f32 - 9.0), Anchor::Left, style, GREY, y_label);
}

/// Names of the series at the upper right, above the plot.
fn legend<'n>(canvas: &mut Canvas, rect: Rect, names: impl Iterator<Item = &'n str>) {
    let style = TextStyle::SMALL;
    let entries: Vec<(usize, &str)> = names.enumerate().filter(|(_, n)| !n.is_empty()).collect();
    let total: f32 = entries.iter().map(|(_, name)| style.width(name) + 40.0).sum();
    let mut x = rect.right() as f32 - total + 14.0;
    let base = rect.y as f32 - 9.0;
    for (index, name) in entries {
        let swatch = Rect { x: x as i32, y: base as i32 - 6, width: 18, height: 3 };
        canvas.fill(swatch, palette(index), 1.0);
        canvas.text((x + 25.0, base), Anchor::Left, style, INK, name);
        x += style.width(name) + 40.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_data_are_drawn() {
        let lines = [
            vec![],
            vec![(1.0, f64::NAN)],
            vec![(1.0, 2.0)],
            vec![(0.0, 0.0), (1e300, -1e300), (f64::INFINITY, 1.0), (2.0, 3.0)],
        ];
        for points in lines {
            for scale in [AxisScale::Linear, AxisScale::Log, AxisScale::Probit] {
                let axis = ChartAxis { label: "x".into(), scale, range: None };
                let series =
                    vec![Series { name: "a".into(), points: points.clone(), ..Series::default() }];
                let chart = Chart { x: axis.clone(), y: axis, series, ..Chart::default() };
                assert!(chart.render().is_ok());
            }
        }
        assert!(Chart { width: 10, ..Chart::default() }.render().is_err());
    }

    #[test]
    fn bars_need_a_value_a_group() {
        let mut chart = BarChart {
            title: "t".into(),
            label: "ms".into(),
            groups: vec!["a".into(), "b".into()],
            series: vec![("s".into(), vec![1.0, f64::NAN])],
            width: 400,
            height: 300,
        };
        assert!(chart.render().is_ok());
        chart.groups.pop();
        assert!(chart.render().is_err());
    }
}
