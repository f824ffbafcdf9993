//! Times for people and for programs.

/// `0:03.700`, `1:02:03.000`.
pub(crate) fn clock(seconds: f64) -> String {
    let millis = (seconds * 1000.0).round().max(0.0) as u64;
    let (minutes, rest) = (millis / 60_000, millis % 60_000);
    let (seconds, millis) = (rest / 1000, rest % 1000);
    match minutes / 60 {
        0 => format!("{minutes}:{seconds:02}.{millis:03}"),
        hours => format!("{hours}:{:02}:{seconds:02}.{millis:03}", minutes % 60),
    }
}

/// `0:00:03`, `1:02:05`, for progress.
pub(crate) fn hours(seconds: f64) -> String {
    let seconds = seconds.round().max(0.0) as u64;
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Whole milliseconds.
pub(crate) fn millis(seconds: f64) -> u64 {
    (seconds.max(0.0) * 1000.0).round() as u64
}

/// Rounds to milliseconds, or to thousandths of another unit, which is finer than any network
/// resolves.
pub(crate) fn to_millis(seconds: f64) -> f64 {
    (seconds * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks() {
        assert_eq!(clock(3.7), "0:03.700");
        assert_eq!(clock(59.9996), "1:00.000");
        assert_eq!(clock(3723.5), "1:02:03.500");
    }
}
