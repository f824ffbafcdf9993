//! Two sounds and what differs between them: the difference signal and the change of each level.

use super::axis::{Axis, AxisScale, Unit};
use super::canvas::Image;
use super::color::diverging;
use super::panels::{FLOOR_DB, Grid};
use super::sound::{Page, PlotItem, PlotOptions};
use crate::buffer::{AudioBuf, AudioView};
use crate::error::{Error, Result};
use crate::level::null_test;

/// The change that has the full colour, in decibels.
const FULL_CHANGE_DB: f64 = 24.0;

/// Draw `a`, `b` and their difference: the waveform of `b - a`, and in colours by how many
/// decibels `b` lies above (red) or below (blue) `a`. Below the drawn range of levels both count
/// as equal. The shorter sound is extended by silence.
///
/// # Errors
/// [`Error::Shape`] when rate or layout differ, and the errors of [`super::render`].
pub fn compare(
    (title_a, a): (&str, &AudioView<'_>),
    (title_b, b): (&str, &AudioView<'_>),
    options: &PlotOptions,
) -> Result<Image> {
    if a.spec() != b.spec() {
        return Err(Error::Shape {
            what: "sounds to compare (resample or mix one first)",
            expected: format!("{} Hz {}", a.rate(), a.spec().layout),
            found: format!("{} Hz {}", b.rate(), b.spec().layout),
        });
    }
    let frames = a.frames().max(b.frames());
    let (a, b) = (extended(a, frames), extended(b, frames));
    let mut difference = b.clone();
    for (out, &old) in difference.as_planar_mut().iter_mut().zip(a.as_planar()) {
        *out -= old;
    }
    let null = null_test(&[b.view()], &a.view())?;
    let residual = match (null.residual_dbfs, null.relative_db) {
        (Some(db), Some(relative)) => format!("RMS {db:.1} dBFS, {relative:.1} dB to the first"),
        (Some(db), None) => format!("RMS {db:.1} dBFS"),
        (None, _) => "none".to_owned(),
    };
    let residual = residual.replace('-', "−");
    let items = [
        PlotItem::new(title_a, &a.view(), options)?,
        PlotItem::new(title_b, &b.view(), options)?,
        PlotItem::new(format!("difference: {residual}"), &difference.view(), options)?,
    ];
    let options = PlotOptions { columns: 1, ..options.clone() };
    let page = Page::new(&items, &options)?;
    let mut canvas = page.canvas(0);
    let grids: Vec<Vec<(Grid, _)>> = (0..2)
        .map(|index| {
            let panels = page.panels(index).into_iter().enumerate();
            panels
                .map(|(channel, panel)| {
                    let rect = panel.spectrogram;
                    let trace = &items[index].trace;
                    (page.grid(trace, channel, rect), rect)
                })
                .collect()
        })
        .collect();
    let level = page.level_axis(grids.iter().flatten().map(|(grid, _)| grid));
    for (index, item) in items.iter().enumerate() {
        page.draw_frame(&mut canvas, index, item);
    }
    for (grid, rect) in grids.iter().flatten() {
        page.draw_spectrogram(&mut canvas, grid, *rect, level);
    }
    if options.spectrogram_height > 0 {
        let range = Axis::new(-FULL_CHANGE_DB, FULL_CHANGE_DB, AxisScale::Linear, Unit::Number);
        let color = |db: f64| diverging((db / FULL_CHANGE_DB) as f32);
        for (channel, panel) in page.panels(2).into_iter().enumerate() {
            let rect = panel.spectrogram;
            let change = change(&grids[0][channel].0, &grids[1][channel].0, level.min as f32);
            change.draw(&mut canvas, rect, |db| color(f64::from(db)));
            page.draw_scales(&mut canvas, rect, range, "dB", color);
        }
    }
    Ok(canvas.finish())
}

fn extended(audio: &AudioView<'_>, frames: usize) -> AudioBuf {
    let mut out = AudioBuf::silence(audio.spec(), frames);
    for channel in 0..audio.channels() {
        out.channel_mut(channel)[..audio.frames()].copy_from_slice(audio.channel(channel));
    }
    out
}

fn change(a: &Grid, b: &Grid, floor: f32) -> Grid {
    let floor = floor.max(FLOOR_DB);
    let lift = |db: f32| if db.is_nan() { db } else { db.max(floor) };
    let db = a.db.iter().zip(&b.db).map(|(&a, &b)| lift(b) - lift(a)).collect();
    Grid { width: a.width, height: a.height, db }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_lengths_and_specs() {
        let (long, short) = ([0.5f32; 4000], [0.25f32; 3000]);
        let options = PlotOptions::default();
        let view = |samples| AudioView::from_mono(8000, samples);
        let image = compare(("a", &view(&long)), ("b", &view(&short)), &options);
        assert_eq!(image.expect("comparable").width(), 1200);
        let other = AudioView::from_mono(16_000, &long);
        assert!(compare(("a", &view(&long)), ("b", &other), &options).is_err());
        assert!(compare(("a", &view(&[])), ("b", &view(&[])), &options).is_ok());
    }

    #[test]
    fn louder_is_positive_and_below_the_floor_nothing_changes() {
        let grid = |db: &[f32]| Grid { width: db.len(), height: 1, db: db.to_vec() };
        let change = change(&grid(&[-20.0, -120.0, -90.0]), &grid(&[-14.0, -99.0, -30.0]), -80.0);
        assert_eq!(change.db, [6.0, 0.0, 50.0]);
    }
}
