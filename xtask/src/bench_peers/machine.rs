//! What the numbers were measured on.

use std::time::{SystemTime, UNIX_EPOCH};

use super::ffmpeg::Ffmpeg;
use super::tool::{self, Tool};
use crate::shell;

/// A list of machine, date and versions.
pub(super) fn describe(tools: &[Tool], ffmpeg: Option<&Ffmpeg>, load: Option<String>) -> String {
    let place = match tool::core() {
        Some(_) => "one thread, every program on the same core",
        None => "one thread, on whichever core",
    };
    let ffmpeg = ffmpeg.map(|ffmpeg| format!("ffmpeg {}", ffmpeg.version));
    let versions = tools.iter().map(|tool| tool.versions.as_str()).chain(ffmpeg.as_deref());
    lines(versions, load, place)
}

/// The same for programs of these versions; `place` says where they ran.
pub(super) fn lines<'a>(
    versions: impl Iterator<Item = &'a str>,
    load: Option<String>,
    place: &str,
) -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let load = load.map_or_else(String::new, |load| format!(", load average {load} at the start"));
    let mut lines = vec![
        format!("- Measured on {} (UTC){load}; {place}", date()),
        format!("- {}, {cores} cores; {}", cpu(), system()),
    ];
    let mut versions: Vec<&str> = versions.flat_map(|versions| versions.split(", ")).collect();
    let rustc = shell::output("rustc", &["--version"]);
    versions.extend(rustc.as_deref().and_then(|text| text.split(" (").next()));
    let mut seen = Vec::new();
    versions.retain(|version| {
        let fresh = !seen.contains(version);
        seen.push(version);
        fresh
    });
    lines.push(format!("- {}", versions.join(", ")));
    lines.join("\n")
}

/// Processes that wanted to run in the last minute, on average.
pub(super) fn load() -> Option<String> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    text.split_whitespace().next().map(str::to_owned)
}

fn cpu() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let named = text.lines().find(|line| line.starts_with("model name"));
    let named = named.and_then(|line| line.split_once(':')).map(|(_, name)| name.trim().to_owned());
    let apple = || shell::output("sysctl", &["-n", "machdep.cpu.brand_string"]);
    let name = named.or_else(apple).map(|name| name.trim().to_owned());
    name.unwrap_or_else(|| format!("a processor of kind {}", std::env::consts::ARCH))
}

/// Whether the processor has instructions for 16-bit numbers with the range of 32-bit ones.
pub(super) fn has_bf16() -> bool {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = text.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    flags.split_whitespace().any(|flag| flag == "avx512_bf16" || flag == "amx_bf16")
}

fn system() -> String {
    let text = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let named = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    named.map_or_else(|| std::env::consts::OS.to_owned(), |name| name.trim_matches('"').to_owned())
}

fn date() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (year, month, day) = civil(since.as_secs() / 86_400);
    format!("{year}-{month:02}-{day:02}")
}

/// Year, month and day of the `days`th day after 1 January 1970.
fn civil(mut days: u64) -> (u64, u64, u64) {
    let leap =
        |year: u64| year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let february = 28 + u64::from(leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(11_016), (2000, 2, 29));
        assert_eq!(civil(19_722), (2023, 12, 31));
        assert_eq!(civil(19_723), (2024, 1, 1));
    }
}
