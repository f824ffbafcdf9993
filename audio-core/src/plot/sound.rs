//! Sounds as pictures: each file a cell with its waveform and spectrogram, all on one scale.

use serde::{Deserialize, Serialize};

use super::axis::{Axis, AxisScale, Unit, clock};
use super::canvas::{Anchor, Canvas, Image, Rect};
use super::color::{GREY, INK, PAPER, sequential};
use super::font::TextStyle;
use super::overlay::Overlay;
use super::panels::{self, Grid};
use super::trace::{SoundTrace, TraceOptions};
use crate::buffer::AudioView;
use crate::error::{Error, Result};

const LEFT: i32 = 58;
const RIGHT: i32 = 74;
const HEADER: i32 = 46;
const FOOTER: i32 = 34;
const GAP: i32 = 22;
const MAX_HEIGHT: i32 = 30_000;

/// How sounds are drawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PlotOptions {
    /// Width of the picture in pixels, 400 to 8000.
    pub width: u32,
    /// Cells beside each other.
    pub columns: usize,
    /// Height of a waveform in pixels; 0 leaves it out.
    pub waveform_height: u32,
    /// Height of a spectrogram in pixels; 0 leaves it out.
    pub spectrogram_height: u32,
    /// Spacing of frequencies.
    pub frequency_scale: AxisScale,
    /// Lowest frequency in Hz; by default 0, or 50 on a logarithmic scale.
    pub min_frequency: Option<f64>,
    /// Highest frequency in Hz; by default half the highest sample rate.
    pub max_frequency: Option<f64>,
    /// Level of the brightest colour in dBFS; by default the loudest that occurs.
    pub top_db: Option<f64>,
    /// Decibels from the brightest colour to the darkest.
    pub range_db: f64,
    /// Window length in samples, even; by default the power of two above 40 ms.
    pub n_fft: Option<usize>,
    /// Pixels for each pixel of the sizes above, 1 to 4: the same picture for denser screens.
    pub density: u32,
}

impl Default for PlotOptions {
    fn default() -> Self {
        Self {
            width: 1200,
            columns: 1,
            waveform_height: 96,
            spectrogram_height: 240,
            frequency_scale: AxisScale::Linear,
            min_frequency: None,
            max_frequency: None,
            top_db: None,
            range_db: 80.0,
            n_fft: None,
            density: 1,
        }
    }
}

/// A sound to draw.
pub struct PlotItem {
    /// Shown above the sound, usually its file name.
    pub title: String,
    /// The sound's finished trace.
    pub trace: SoundTrace,
    /// Drawn over its spectrograms.
    pub overlay: Overlay,
}

impl PlotItem {
    /// The trace of a buffer; longer files are better pushed block by block into a [`SoundTrace`].
    ///
    /// # Errors
    /// [`Error::Config`] when `options.n_fft` is odd or out of range.
    pub fn new(
        title: impl Into<String>,
        audio: &AudioView<'_>,
        options: &PlotOptions,
    ) -> Result<Self> {
        let trace_options = TraceOptions { n_fft: options.n_fft, ..TraceOptions::default() };
        let trace = SoundTrace::of(audio, &trace_options)?;
        Ok(Self { title: title.into(), trace, overlay: Overlay::default() })
    }
}

/// Draw sounds below (and, with [`PlotOptions::columns`], beside) each other, on the same scales
/// of time, frequency and level.
///
/// ```
/// use formant_audio_core::AudioBuf;
/// use formant_audio_core::plot::{PlotItem, PlotOptions, render};
///
/// let tone: Vec<f32> = (0..16_000).map(|n| (n as f32 * 0.4).sin() * 0.5).collect();
/// let audio = AudioBuf::from_mono(16_000, tone);
/// let options = PlotOptions::default();
/// let items = [PlotItem::new("tone.wav", &audio.view(), &options).unwrap()];
/// let png = render(&items, &options).unwrap().to_png().unwrap();
/// assert_eq!(&png[1..4], b"PNG");
/// ```
///
/// # Errors
/// [`Error::Empty`] without items, [`Error::Config`] for options out of range or a picture that
/// would be higher than 30000 pixels.
pub fn render(items: &[PlotItem], options: &PlotOptions) -> Result<Image> {
    let page = Page::new(items, options)?;
    let mut canvas = page.canvas(0);
    let mut grids = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let panels = page.panels(index);
        for (channel, panel) in panels.iter().enumerate() {
            grids.push((page.grid(&item.trace, channel, panel.spectrogram), *panel, index));
        }
        page.draw_frame(&mut canvas, index, item);
    }
    let level = page.level_axis(grids.iter().map(|(grid, ..)| grid));
    for (grid, panel, index) in &grids {
        page.draw_spectrogram(&mut canvas, grid, panel.spectrogram, level);
        let axes = (page.time, page.frequency);
        items[*index].overlay.draw(&mut canvas, panel.spectrogram, axes);
    }
    Ok(canvas.finish())
}

/// The rectangles of one channel.
#[derive(Clone, Copy)]
pub(super) struct ChannelPanels {
    pub(super) waveform: Rect,
    pub(super) spectrogram: Rect,
}

/// Where everything goes, and the scales that all cells share.
pub(super) struct Page<'a> {
    items: &'a [PlotItem],
    options: &'a PlotOptions,
    pub(super) time: Axis,
    pub(super) frequency: Axis,
    limit: f32,
    cell_width: i32,
    waveform: i32,
    spectrogram: i32,
    tops: Vec<i32>,
    bottom: i32,
}

impl<'a> Page<'a> {
    pub(super) fn new(items: &'a [PlotItem], options: &'a PlotOptions) -> Result<Self> {
        check(options)?;
        if items.is_empty() {
            return Err(Error::Empty);
        }
        let columns = options.columns.min(items.len()) as i32;
        let crowd = items.iter().map(|item| item.trace.channels()).max().unwrap_or(1);
        // Many channels are drawn lower each, so that they still fit on a screen.
        let share = |height: u32| {
            let height = f64::from(height);
            if crowd > 1 {
                (height * if crowd > 2 { 0.5 } else { 0.7 }) as i32
            } else {
                height as i32
            }
        };
        let (waveform, spectrogram) =
            (share(options.waveform_height), share(options.spectrogram_height));
        let height_of = |item: &PlotItem| {
            let channels = item.trace.channels().max(1) as i32;
            let gaps =
                if waveform > 0 && spectrogram > 0 { 2 * channels - 1 } else { channels - 1 };
            HEADER + channels * (waveform + spectrogram) + gaps * GAP + FOOTER
        };
        let mut tops = Vec::new();
        let mut y = 4;
        for row in items.chunks(columns as usize) {
            tops.extend(row.iter().map(|_| y));
            y += row.iter().map(height_of).max().unwrap_or(0) + 6;
        }
        let pixels = y * options.density as i32;
        if pixels > MAX_HEIGHT {
            let reason = "pixels are over the limit of";
            let reason = format!("{pixels} {reason} {MAX_HEIGHT}; draw fewer files at once");
            return Err(Error::config("picture height", reason));
        }
        let duration = items.iter().map(|i| i.trace.duration()).fold(0.0, f64::max);
        let nyquist =
            items.iter().map(|i| f64::from(i.trace.spec().rate) / 2.0).fold(0.0, f64::max);
        let low = if options.frequency_scale == AxisScale::Log { 50.0 } else { 0.0 };
        let peak = items.iter().map(|i| i.trace.peak()).fold(0.0, f32::max);
        Ok(Self {
            items,
            options,
            time: Axis::new(0.0, duration.max(1e-4), AxisScale::Linear, Unit::Time),
            frequency: Axis::new(
                options.min_frequency.unwrap_or(low),
                options.max_frequency.unwrap_or(nyquist),
                options.frequency_scale,
                Unit::Number,
            ),
            limit: round_limit(peak),
            cell_width: options.width as i32 / columns,
            waveform,
            spectrogram,
            tops,
            bottom: y,
        })
    }

    /// White paper with `extra` pixels below the cells.
    pub(super) fn canvas(&self, extra: i32) -> Canvas {
        let height = (self.bottom + extra).max(1) as u32;
        Canvas::dense(self.options.width, height, self.options.density, PAPER)
    }

    /// The spectrogram of a channel for a panel.
    pub(super) fn grid(&self, trace: &SoundTrace, channel: usize, rect: Rect) -> Grid {
        let density = self.options.density as i32;
        let (width, height) = (rect.width * density, rect.height * density);
        Grid::of(trace, channel, self.time, self.frequency, Rect { width, height, ..rect })
    }

    /// The panels of every channel of an item, from the top.
    pub(super) fn panels(&self, index: usize) -> Vec<ChannelPanels> {
        let columns = self.options.columns.min(self.items.len());
        let x = (index % columns) as i32 * self.cell_width + LEFT;
        let width = self.cell_width - LEFT - RIGHT;
        let mut y = self.tops[index] + HEADER;
        (0..self.items[index].trace.channels())
            .map(|_| {
                let waveform = Rect { x, y, width, height: self.waveform };
                y += self.waveform + if self.waveform > 0 { GAP } else { 0 };
                let spectrogram = Rect { x, y, width, height: self.spectrogram };
                y += self.spectrogram + if self.spectrogram > 0 { GAP } else { 0 };
                ChannelPanels { waveform, spectrogram }
            })
            .collect()
    }

    /// Everything of a cell but its spectrogram.
    pub(super) fn draw_frame(&self, canvas: &mut Canvas, index: usize, item: &PlotItem) {
        let panels = self.panels(index);
        let Some(first) = panels.first() else { return };
        let x = first.waveform.x as f32;
        let right = first.waveform.right() as f32;
        let facts = describe(&item.trace);
        let room = right - x - TextStyle::SMALL.width(&facts) - 24.0;
        let title = shorten(&item.title, TextStyle::TITLE, room);
        let base = (self.tops[index] + 22) as f32;
        canvas.text((x, base), Anchor::Left, TextStyle::TITLE, INK, &title);
        canvas.text((right, base), Anchor::Right, TextStyle::SMALL, GREY, &facts);
        let limit = f64::from(self.limit);
        let amplitude = Axis::new(-limit, limit, AxisScale::Linear, Unit::Number);
        for (channel, panel) in panels.iter().enumerate() {
            if self.waveform > 0 {
                panels::waveform(
                    canvas,
                    panel.waveform,
                    &item.trace,
                    channel,
                    self.time,
                    self.limit,
                );
                canvas.outline(panel.waveform, GREY);
                // Both ends: a round step would often leave zero alone.
                let ends = if self.waveform < 36 { vec![limit] } else { vec![-limit, 0.0, limit] };
                let ticks =
                    ends.into_iter().map(|at| (amplitude.position(at), amplitude.tick(at).label));
                panels::left_ticks(canvas, panel.waveform, ticks, "");
                if panels.len() > 1 {
                    let at = (right + 12.0, panel.waveform.y as f32 + 13.0);
                    let name = channel_name(&item.trace, channel);
                    canvas.text(at, Anchor::Left, TextStyle::SMALL, INK, &name);
                }
            }
        }
        if let Some(last) = panels.last() {
            let rect = if self.spectrogram > 0 { last.spectrogram } else { last.waveform };
            panels::bottom_axis(canvas, rect, self.time, self.time_name());
        }
    }

    fn time_name(&self) -> &'static str {
        match self.time.max {
            t if t >= 3600.0 => "h:min:s",
            t if t >= 60.0 => "min:s",
            _ => "s",
        }
    }

    /// The range of levels that the colours cover, from the loudest pixel down.
    pub(super) fn level_axis<'g>(&self, grids: impl Iterator<Item = &'g Grid>) -> Axis {
        let loudest = f64::from(grids.map(Grid::max).fold(-100.0, f32::max));
        let top = self.options.top_db.unwrap_or((loudest / 5.0).ceil() * 5.0);
        Axis::new(top - self.options.range_db, top, AxisScale::Linear, Unit::Number)
    }

    pub(super) fn draw_spectrogram(
        &self,
        canvas: &mut Canvas,
        grid: &Grid,
        rect: Rect,
        level: Axis,
    ) {
        if self.spectrogram > 0 {
            grid.draw(canvas, rect, |db| sequential(level.position(f64::from(db)) as f32));
            self.draw_scales(canvas, rect, level, "dBFS", |db| {
                sequential(level.position(db) as f32)
            });
        }
    }

    /// Frame, frequency axis and colour bar of a spectrogram.
    pub(super) fn draw_scales(
        &self,
        canvas: &mut Canvas,
        rect: Rect,
        level: Axis,
        unit: &str,
        color: impl Fn(f64) -> [u8; 3],
    ) {
        canvas.outline(rect, GREY);
        let gap = if self.frequency.scale == AxisScale::Linear { 26.0 } else { 17.0 };
        panels::left_axis(canvas, rect, self.frequency, "Hz", gap);
        let bar = Rect { x: rect.right() + 14, width: 12, ..rect };
        panels::color_bar(canvas, bar, level, unit, color);
    }
}

fn check(options: &PlotOptions) -> Result<()> {
    let heights = options.waveform_height.max(options.spectrogram_height);
    if !(400..=8000).contains(&options.width) {
        return Err(Error::config("width", format!("{} is not in 400..=8000", options.width)));
    }
    if !(1..=4).contains(&options.density) || options.width * options.density > 16_000 {
        let reason = "use 1 to 4, and no picture wider than 16000 pixels";
        return Err(Error::config("density", reason));
    }
    if heights == 0 || heights > 4000 {
        return Err(Error::config("height", "waveform and spectrogram need 1 to 4000 pixels"));
    }
    let widest = options.width as usize / 250;
    if options.columns == 0 || options.columns > widest {
        return Err(Error::config(
            "columns",
            format!("{} is not in 1..={widest}", options.columns),
        ));
    }
    if !(options.range_db > 0.0 && options.range_db <= 200.0) {
        return Err(Error::config("range_db", format!("{} is not in 0..=200", options.range_db)));
    }
    if options.frequency_scale == AxisScale::Probit {
        return Err(Error::config("frequency_scale", "use linear, log or mel"));
    }
    let (low, high) =
        (options.min_frequency.unwrap_or(0.0), options.max_frequency.unwrap_or(f64::MAX));
    if !(low >= 0.0 && high > low) {
        return Err(Error::config("frequency range", format!("{low} to {high} Hz is no range")));
    }
    Ok(())
}

/// The next round number above the peak, so that quiet sounds are still seen.
fn round_limit(peak: f32) -> f32 {
    const LIMITS: [f32; 14] =
        [0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 5.0];
    let above = LIMITS.into_iter().find(|&limit| peak <= limit * 1.0001);
    if peak == 0.0 { 1.0 } else { above.unwrap_or(peak) }
}

fn describe(trace: &SoundTrace) -> String {
    let spec = trace.spec();
    let seconds = trace.duration();
    let length =
        if seconds >= 60.0 { clock(seconds, seconds >= 3600.0) } else { format!("{seconds:.3} s") };
    let peak = crate::level::amplitude_db(f64::from(trace.peak()));
    let peak = peak.map_or("silent".into(), |db| format!("peak {db:.1} dBFS").replace('-', "−"));
    let kilohertz = f64::from(spec.rate) / 1000.0;
    let mut text = format!("{kilohertz} kHz · {} · {length} · {peak}", spec.layout);
    if trace.channels() < spec.channels() {
        text += &format!(" · first {} of {} channels", trace.channels(), spec.channels());
    }
    text
}

fn channel_name(trace: &SoundTrace, channel: usize) -> String {
    use crate::layout::Position;
    let name = match trace.spec().layout.positions().get(channel) {
        Some(Position::FrontLeft) => "left",
        Some(Position::FrontRight) => "right",
        Some(Position::FrontCenter) => "centre",
        Some(Position::Lfe) => "LFE",
        Some(Position::SideLeft) => "side L",
        Some(Position::SideRight) => "side R",
        Some(Position::BackLeft) => "back L",
        Some(Position::BackRight) => "back R",
        Some(Position::BackCenter) => "back C",
        Some(Position::FrontLeftOfCenter) => "inner L",
        Some(Position::FrontRightOfCenter) => "inner R",
        Some(Position::TopCenter) => "top",
        Some(Position::TopFrontLeft) => "top L",
        Some(Position::TopFrontCenter) => "top C",
        Some(Position::TopFrontRight) => "top R",
        Some(Position::TopBackLeft) => "top back L",
        Some(Position::TopBackCenter) => "top back C",
        Some(Position::TopBackRight) => "top back R",
        Some(Position::Discrete) | None => return format!("ch. {}", channel + 1),
    };
    name.into()
}

/// Cut a long title in its middle, since both the start and the ending tell files apart.
pub(super) fn shorten(title: &str, style: TextStyle, room: f32) -> String {
    let letters: Vec<char> = title.chars().collect();
    if style.width(title) <= room {
        return title.to_owned();
    }
    for keep in (2..letters.len()).rev() {
        let (head, tail) = (keep / 2, keep - keep / 2);
        let start: String = letters[..head].iter().collect();
        let end: String = letters[letters.len() - tail..].iter().collect();
        let cut = format!("{start}…{end}");
        if style.width(&cut) <= room {
            return cut;
        }
    }
    "…".into()
}

#[cfg(test)]
mod tests;
