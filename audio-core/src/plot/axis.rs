//! Axes: how a value maps to a place between 0 and 1, and which ticks are worth a label.

use serde::{Deserialize, Serialize};

/// How values are spread along an axis.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AxisScale {
    /// Evenly.
    #[default]
    Linear,
    /// By their logarithm; values must be positive.
    Log,
    /// By the mel scale 2595 log10(1 + f / 700); for frequencies.
    Mel,
    /// By the quantile of the normal distribution; for rates between 0 and 1, as in DET plots.
    Probit,
}

impl AxisScale {
    fn warp(self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Log => value.max(1e-12).log10(),
            Self::Mel => 2595.0 * (1.0 + value.max(0.0) / 700.0).log10(),
            Self::Probit => probit(value.clamp(1e-6, 1.0 - 1e-6)),
        }
    }

    fn unwarp(self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Log => 10f64.powf(value),
            Self::Mel => 700.0 * (10f64.powf(value / 2595.0) - 1.0),
            Self::Probit => 0.5 * erfc(-value / std::f64::consts::SQRT_2),
        }
    }
}

/// What the numbers of an axis mean, which decides how they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Seconds, written as minutes and hours when there are enough of them.
    Time,
    /// Plain numbers with thousands as `k`.
    Number,
    /// Shares, written in per cent.
    Percent,
}

/// A value and its label.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tick {
    pub(super) at: f64,
    pub(super) label: String,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    pub(super) min: f64,
    pub(super) max: f64,
    pub(super) scale: AxisScale,
    pub(super) unit: Unit,
}

impl Axis {
    /// An axis that always has some extent.
    pub(super) fn new(min: f64, max: f64, scale: AxisScale, unit: Unit) -> Self {
        let (min, max) = if min.is_finite() && max.is_finite() { (min, max) } else { (0.0, 1.0) };
        let min = if scale == AxisScale::Log { min.max(1e-9) } else { min };
        let max = if max > min { max } else { min + min.abs().max(1.0) * 0.5 };
        Self { min, max, scale, unit }
    }

    /// Where `value` lies: 0 at the axis' start, 1 at its end.
    pub(super) fn position(&self, value: f64) -> f64 {
        let (low, high) = (self.scale.warp(self.min), self.scale.warp(self.max));
        (self.scale.warp(value) - low) / (high - low)
    }

    /// The value at a place between 0 and 1.
    pub(super) fn value(&self, position: f64) -> f64 {
        let (low, high) = (self.scale.warp(self.min), self.scale.warp(self.max));
        self.scale.unwarp(low + position * (high - low))
    }

    /// Ticks for an axis of `length` pixels, at least `gap` pixels apart.
    pub(super) fn ticks(&self, length: f64, gap: f64) -> Vec<Tick> {
        let gap = gap / length.max(1.0);
        let kept = spaced(self.candidates(length, gap), gap, |at| self.position(at));
        kept.into_iter().map(|at| self.tick(at)).collect()
    }

    /// A tick with its label.
    pub(super) fn tick(&self, at: f64) -> Tick {
        Tick { at, label: self.label(at) }
    }

    /// All values between ticks that are worth a mark without a label.
    pub(super) fn minor(&self) -> Vec<f64> {
        if self.scale != AxisScale::Log {
            return Vec::new();
        }
        let decades = self.min.log10().floor() as i32..=self.max.log10().ceil() as i32;
        let steps = decades.flat_map(|d| (1..10).map(move |n| f64::from(n) * 10f64.powi(d)));
        steps.filter(|at| (self.min..=self.max).contains(at)).collect()
    }

    /// Groups of values that make good ticks, the most important group first.
    fn candidates(&self, length: f64, gap: f64) -> Vec<Vec<f64>> {
        match self.scale {
            AxisScale::Linear => {
                let step = self.linear_step((self.max - self.min) * gap);
                let first = (self.min / step - 1e-9).ceil() as i64;
                let last = (self.max / step + 1e-9).floor() as i64;
                let count = (length as i64).max(1);
                vec![(first..=last.min(first + count)).map(|n| n as f64 * step).collect()]
            }
            AxisScale::Log | AxisScale::Mel => {
                let low = self.min.max(1e-9).log10().floor() as i32;
                let low = if self.scale == AxisScale::Mel { low.max(1) } else { low };
                let decades = low..=self.max.max(1e-9).log10().ceil() as i32;
                let times = |factor: f64| {
                    decades.clone().map(move |d| factor * 10f64.powi(d)).collect::<Vec<_>>()
                };
                let ends = if self.min <= 0.0 { vec![0.0] } else { Vec::new() };
                vec![ends, times(1.0), times(5.0), times(2.0), times(3.0), times(7.0)]
            }
            AxisScale::Probit => vec![
                vec![0.01, 0.1, 0.5, 0.9, 0.001],
                vec![0.05, 0.2, 0.02, 0.005, 0.002, 0.8, 0.4, 0.95, 0.98, 0.99, 0.6],
            ],
        }
    }

    fn linear_step(&self, least: f64) -> f64 {
        const CLOCK: [f64; 12] =
            [10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0];
        if self.unit == Unit::Time && least > 5.0 {
            return CLOCK
                .into_iter()
                .find(|&s| s >= least)
                .unwrap_or((least / 3600.0).ceil() * 3600.0);
        }
        let decade = 10f64.powf(least.max(1e-12).log10().floor());
        [1.0, 2.0, 5.0]
            .into_iter()
            .map(|s| s * decade)
            .find(|&s| s >= least * 0.999)
            .unwrap_or(decade * 10.0)
    }

    fn label(&self, at: f64) -> String {
        match self.unit {
            Unit::Time if self.max >= 60.0 => clock(at, self.max >= 3600.0),
            Unit::Percent => format!("{}%", short(at * 100.0)),
            Unit::Number if at.abs() >= 1000.0 => format!("{}k", short(at / 1000.0)),
            Unit::Time | Unit::Number => short(at),
        }
    }
}

/// Places between 0 and 1 and labels of round frequencies, where the centres of `bins` are `hz`.
pub(super) fn hertz_ticks(hz: &[f64], length: f64, gap: f64) -> Vec<(f64, String)> {
    let (Some(&first), Some(&last)) = (hz.first(), hz.last()) else { return Vec::new() };
    let axis = Axis::new(first, last, AxisScale::Mel, Unit::Number);
    let gap = gap / length.max(1.0);
    let position = |at: f64| {
        let above = hz.partition_point(|&centre| centre < at);
        let Some(&high) = hz.get(above).filter(|_| at >= first) else { return f64::NAN };
        let low = above.checked_sub(1).map_or(high, |below| hz[below]);
        let back = if high > low { (high - at) / (high - low) } else { 0.0 };
        (above as f64 + 0.5 - back) / hz.len() as f64
    };
    let kept = spaced(axis.candidates(length, gap), gap, position);
    kept.into_iter().map(|at| (position(at), axis.label(at))).collect()
}

/// Values of `groups` that lie inside and at least `gap` apart where `position` puts them; groups
/// that come first win.
pub(super) fn spaced(groups: Vec<Vec<f64>>, gap: f64, position: impl Fn(f64) -> f64) -> Vec<f64> {
    let mut kept: Vec<f64> = Vec::new();
    for at in groups.into_iter().flatten() {
        let place = position(at);
        let inside = (-1e-9..=1.0 + 1e-9).contains(&place);
        if inside && kept.iter().all(|&k| (position(k) - place).abs() >= gap) {
            kept.push(at);
        }
    }
    kept.sort_by(f64::total_cmp);
    kept
}

/// `m:ss` or `h:mm:ss`.
pub(super) fn clock(seconds: f64, hours: bool) -> String {
    let total = seconds.round().max(0.0) as u64;
    let (h, m, s) = (total / 3600, total / 60 % 60, total % 60);
    if hours { format!("{h}:{m:02}:{s:02}") } else { format!("{}:{s:02}", total / 60) }
}

/// Up to four decimals without trailing zeros, with a true minus sign.
fn short(value: f64) -> String {
    let text = if value != 0.0 && value.abs() < 1e-3 {
        format!("{value:.0e}")
    } else {
        let fixed = format!("{value:.4}");
        fixed.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    if text == "-0" { "0".into() } else { text.replace('-', "−") }
}

/// Quantile of the standard normal distribution, by bisection on its distribution function.
fn probit(p: f64) -> f64 {
    let (mut low, mut high) = (-6.0f64, 6.0f64);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if 0.5 * erfc(-middle / std::f64::consts::SQRT_2) < p {
            low = middle;
        } else {
            high = middle;
        }
    }
    (low + high) / 2.0
}

/// Complementary error function: a series for small arguments, a continued fraction for large.
fn erfc(x: f64) -> f64 {
    if x < 0.0 {
        return 2.0 - erfc(-x);
    }
    if x < 2.5 {
        let (mut term, mut sum) = (x, x);
        for n in 1..80 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        return 1.0 - sum * std::f64::consts::FRAC_2_SQRT_PI;
    }
    let mut fraction = x;
    for n in (1..60).rev() {
        fraction = x + f64::from(n) / 2.0 / fraction;
    }
    (-x * x).exp() / (fraction * std::f64::consts::PI.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: Axis, length: f64, gap: f64) -> Vec<String> {
        axis.ticks(length, gap).into_iter().map(|t| t.label).collect()
    }

    #[test]
    fn ticks_are_round_and_apart() {
        let axis = Axis::new(0.0, 2.3, AxisScale::Linear, Unit::Time);
        assert_eq!(labels(axis, 500.0, 80.0), ["0", "0.5", "1", "1.5", "2"]);
        let axis = Axis::new(0.0, 200.0, AxisScale::Linear, Unit::Time);
        assert_eq!(labels(axis, 500.0, 120.0), ["0:00", "1:00", "2:00", "3:00"]);
        let axis = Axis::new(0.0, 10_800.0, AxisScale::Linear, Unit::Time);
        assert_eq!(labels(axis, 500.0, 120.0), ["0:00:00", "1:00:00", "2:00:00", "3:00:00"]);
        let axis = Axis::new(50.0, 8000.0, AxisScale::Log, Unit::Number);
        assert_eq!(labels(axis, 200.0, 20.0), ["50", "100", "200", "500", "1k", "2k", "5k"]);
        let close = labels(axis, 240.0, 17.0);
        assert_eq!(close, ["50", "100", "200", "300", "500", "1k", "2k", "3k", "5k"]);
        assert_eq!(axis.minor().len(), 5 + 9 + 8);
        let axis = Axis::new(-0.5, 0.5, AxisScale::Linear, Unit::Number);
        assert_eq!(labels(axis, 90.0, 30.0), ["−0.5", "0", "0.5"]);
    }

    #[test]
    fn bins_have_round_frequencies() {
        let evenly: Vec<f64> = (0..=80).map(|bin| f64::from(bin) * 100.0).collect();
        let ticks = hertz_ticks(&evenly, 320.0, 24.0);
        let labels: Vec<&str> = ticks.iter().map(|(_, label)| label.as_str()).collect();
        assert_eq!(labels, ["0", "1k", "2k", "3k", "5k", "7k"]);
        let (place, _) = ticks[1];
        assert!((place - 10.5 / 81.0).abs() < 1e-12, "{place}");
        assert_eq!(hertz_ticks(&[], 320.0, 24.0), []);
        assert_eq!(hertz_ticks(&[100.0], 320.0, 24.0).len(), 1);
    }

    #[test]
    fn positions_invert() {
        for scale in [AxisScale::Linear, AxisScale::Log, AxisScale::Mel, AxisScale::Probit] {
            let axis = Axis::new(0.01, 0.6, scale, Unit::Number);
            for p in [0.0, 0.2, 0.7, 1.0] {
                assert!((axis.position(axis.value(p)) - p).abs() < 1e-6, "{scale:?} {p}");
            }
        }
        let flat = Axis::new(3.0, 3.0, AxisScale::Linear, Unit::Number);
        assert!(flat.position(3.0).is_finite());
    }

    /// Against scipy 1.17.1: scipy.stats.norm.ppf and scipy.special.erfc.
    #[test]
    fn normal_quantiles() {
        assert!((probit(0.975) - 1.959_963_984_540_054).abs() < 1e-9);
        assert!((probit(0.001) + 3.090_232_306_167_813_5).abs() < 1e-9);
        assert!((erfc(3.0) - 2.209_049_699_858_544e-5).abs() < 1e-15);
        assert!((erfc(0.5) - 0.479_500_122_186_953_5).abs() < 1e-12);
    }
}
