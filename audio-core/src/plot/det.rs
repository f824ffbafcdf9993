//! Charts of detection errors: DET (normal deviates on both axes) and ROC.

use super::axis::AxisScale;
use super::chart::{Chart, ChartAxis, Series, SeriesStyle};
use crate::metrics::detection::DetCurve;

/// Misses over false alarms on normal-deviate axes, with a dot at each equal error rate.
#[must_use]
pub fn det_chart(title: &str, curves: &[(&str, &DetCurve)]) -> Chart {
    let axis = |label: &str| ChartAxis {
        label: label.into(),
        scale: AxisScale::Probit,
        range: Some((0.001, 0.6)),
    };
    let mut series: Vec<Series> = curves
        .iter()
        .map(|(name, curve)| {
            let rate = curve.equal_error().miss_rate * 100.0;
            let points = curve.points().iter().map(|p| (p.false_alarm_rate, p.miss_rate));
            Series {
                name: format!("{name} (EER {rate:.2}%)"),
                points: points.collect(),
                style: SeriesStyle::Line,
            }
        })
        .collect();
    series.push(Series {
        name: String::new(),
        points: curves
            .iter()
            .map(|(_, curve)| curve.equal_error())
            .map(|point| (point.false_alarm_rate, point.miss_rate))
            .collect(),
        style: SeriesStyle::Points,
    });
    Chart {
        title: title.into(),
        x: axis("false alarms"),
        y: axis("misses"),
        series,
        width: 720,
        height: 720,
    }
}

/// Detections over false alarms on plain axes.
#[must_use]
pub fn roc_chart(title: &str, curves: &[(&str, &DetCurve)]) -> Chart {
    let axis = |label: &str| ChartAxis {
        label: label.into(),
        scale: AxisScale::Linear,
        range: Some((0.0, 1.0)),
    };
    let series = curves.iter().map(|(name, curve)| {
        let points = curve.points().iter().map(|p| (p.false_alarm_rate, 1.0 - p.miss_rate));
        Series { name: (*name).into(), points: points.collect(), style: SeriesStyle::Line }
    });
    Chart {
        title: title.into(),
        x: axis("false alarms"),
        y: axis("detections"),
        series: series.collect(),
        width: 720,
        height: 720,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_become_charts() {
        let curve = DetCurve::new(&[0.4, 0.9, 0.8], &[0.1, 0.5, 0.2]).expect("finite");
        let det = det_chart("t", &[("a", &curve), ("b", &curve)]);
        assert_eq!(det.series.len(), 3);
        assert!(det.series[0].name.starts_with("a (EER 33"));
        assert!(det.render().is_ok());
        assert!(roc_chart("t", &[("a", &curve)]).render().is_ok());
    }
}
