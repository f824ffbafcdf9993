//! Pictures: waveforms and spectrograms with axes, comparisons, feature matrices and charts.
//!
//! [`SoundTrace`] condenses a sound of any length while it is read, [`render`] and [`compare`] draw
//! sounds, [`render_matrix`] draws features, [`Chart`] and [`BarChart`] draw numbers. All give an
//! [`Image`], which becomes PNG bytes; no file is written here.

mod axis;
mod canvas;
mod chart;
mod color;
mod compare;
mod det;
mod font;
mod glyphs;
mod matrix;
mod overlay;
mod panels;
mod sound;
mod trace;

pub use axis::AxisScale;
pub use canvas::Image;
pub use chart::{BarChart, Chart, ChartAxis, Series, SeriesStyle};
pub use compare::compare;
pub use det::{det_chart, roc_chart};
pub use matrix::{MatrixOptions, MatrixRows, render_matrix};
pub use overlay::{Overlay, WordMark};
pub use sound::{PlotItem, PlotOptions, render};
pub use trace::{SoundTrace, TraceOptions};
