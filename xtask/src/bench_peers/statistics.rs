//! Least, median and spread of run times.

/// Least and quartiles of the runs, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Summary {
    pub(super) least: f64,
    pub(super) first: f64,
    pub(super) median: f64,
    pub(super) third: f64,
    pub(super) runs: usize,
}

impl Summary {
    /// `None` without runs.
    pub(super) fn of(mut times: Vec<f64>) -> Option<Self> {
        times.sort_by(f64::total_cmp);
        let last = times.len().checked_sub(1)?;
        let at = |fraction: f64| {
            let place = fraction * last as f64;
            let (below, above) = (times[place.floor() as usize], times[place.ceil() as usize]);
            below + (above - below) * place.fract()
        };
        Some(Self {
            least: times[0],
            first: at(0.25),
            median: at(0.5),
            third: at(0.75),
            runs: times.len(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_are_interpolated() {
        let summary = Summary::of(vec![4.0, 1.0, 3.0, 2.0]).expect("four runs");
        assert_eq!(summary, Summary { least: 1.0, first: 1.75, median: 2.5, third: 3.25, runs: 4 });
        assert_eq!(Summary::of(Vec::new()), None);
    }
}
