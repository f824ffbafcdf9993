//! The one line of a terminal that is written anew all the time: how loud it is, and what is being
//! said. It is on standard error, so that standard output holds only what is certain.

use std::io::{IsTerminal, Write};

use crate::escape::escaped;

/// Columns that are surely there.
const COLUMNS: usize = 78;
/// Columns of the meter, over this many decibels.
const METER: usize = 20;
const METER_DB: f64 = 60.0;

/// The line, if there is a terminal.
pub(super) struct Screen {
    terminal: bool,
    meter: String,
    text: String,
    shown: bool,
}

impl Screen {
    pub(super) fn new(wanted: bool) -> Self {
        let terminal = wanted && std::io::stderr().is_terminal();
        Self { terminal, meter: String::new(), text: String::new(), shown: false }
    }

    pub(super) fn is_there(&self) -> bool {
        self.terminal
    }

    /// Shows how loud it is.
    pub(super) fn level(&mut self, peak: Option<f64>, clipped: u64) {
        self.meter = meter(peak, clipped);
        self.draw();
    }

    /// Shows what is being said.
    pub(super) fn partial(&mut self, text: &str) {
        self.text = escaped(text).into_owned();
        self.draw();
    }

    /// Makes room for lines that stay.
    pub(super) fn clear(&mut self) {
        self.text.clear();
        if self.shown {
            self.shown = false;
            write("\r\x1b[K");
        }
    }

    fn draw(&mut self) {
        if self.terminal {
            self.shown = true;
            write(&format!("\r\x1b[K{}", line(&self.meter, &self.text)));
        }
    }
}

fn write(text: &str) {
    let mut out = std::io::stderr().lock();
    // A terminal that is gone shows nothing.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn meter(peak: Option<f64>, clipped: u64) -> String {
    let db = peak.unwrap_or(-METER_DB);
    let filled = ((db + METER_DB) / METER_DB * METER as f64).round().clamp(0.0, METER as f64);
    let bar = "=".repeat(filled as usize);
    let mark = if clipped > 0 { '!' } else { ']' };
    let figure = peak.map_or_else(|| "  silent".to_owned(), |peak| format!("{peak:6.1} dB"));
    format!("[{bar:<METER$}{mark}{figure}")
}

/// The meter and the end of the text.
fn line(meter: &str, text: &str) -> String {
    let gap = if meter.is_empty() || text.is_empty() { "" } else { "  " };
    let room = COLUMNS.saturating_sub(meter.chars().count() + gap.len());
    let skipped = text.chars().count().saturating_sub(room);
    let tail: String = text.chars().skip(skipped).collect();
    format!("{meter}{gap}{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fit_and_show_the_newest_words() {
        let meter = meter(Some(-30.0), 0);
        assert_eq!(meter, "[==========          ] -30.0 dB");
        let text = format!("{} end", "word ".repeat(50));
        let line = line(&meter, &text);
        assert_eq!(line.chars().count(), COLUMNS);
        assert!(line.ends_with(" end"));
    }

    #[test]
    fn extremes_of_the_meter() {
        assert!(meter(None, 0).ends_with("silent"));
        assert!(meter(Some(3.0), 9).contains("====!"));
    }
}
