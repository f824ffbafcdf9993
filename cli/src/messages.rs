//! Everything that goes to standard error: errors, warnings, notes, progress bars.
//!
//! Results never come here, and nothing else in the program prints.

use formant_models::compute::libtorch_reason;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::escape::{escaped, one_line};
use crate::failure::{Failure, Kind};
use crate::interrupt;
use crate::settings::GlobalArgs;

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verbosity {
    /// Errors only.
    Quiet,
    /// Errors, warnings, a summary.
    Normal,
    /// And what was done with each input.
    Verbose,
}

impl Verbosity {
    /// As `-q` and `-v` say.
    pub(crate) fn of(typed: &GlobalArgs) -> Self {
        match (typed.quiet, typed.verbose) {
            (true, _) => Self::Quiet,
            (false, 0) => Self::Normal,
            (false, _) => Self::Verbose,
        }
    }
}

/// The voice of the program.
#[derive(Debug)]
pub(crate) struct Messages {
    verbosity: Verbosity,
    bars: MultiProgress,
}

impl Messages {
    /// Messages of this much detail; bars only on a terminal.
    pub(crate) fn new(verbosity: Verbosity) -> Self {
        let shown = verbosity > Verbosity::Quiet && std::io::stderr().is_terminal();
        let target =
            if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self { verbosity, bars: MultiProgress::with_draw_target(target) }
    }

    /// Messages that nobody sees.
    pub(crate) fn silent() -> Self {
        Self::new(Verbosity::Quiet)
    }

    /// An error: what failed, why, what to do.
    pub(crate) fn failure(&self, failure: &Failure) {
        match failure.kind {
            Kind::BrokenPipe => {}
            Kind::Interrupted if failure.why.is_empty() => self.interrupted("interrupted"),
            Kind::Interrupted => self.interrupted(&failure.why),
            _ => {
                // A name stays in its line; reports of models have several.
                let shown = Failure { what: one_line(&failure.what).into(), ..failure.clone() };
                self.say(&format!("error: {}", shown.message()));
                if !failure.remedy.is_empty() {
                    self.say(&format!("  to do: {}", failure.remedy));
                }
            }
        }
    }

    /// That the user stopped the work, once.
    pub(crate) fn interrupted(&self, text: &str) {
        if interrupt::first_to_tell() {
            self.say(text);
        }
    }

    /// Something odd about `name` that did not stop the work.
    pub(crate) fn warning(&self, name: &str, text: impl std::fmt::Display) {
        if self.verbosity >= Verbosity::Normal {
            self.say(&format!("warning: {}: {text}", one_line(name)));
        }
    }

    /// Something worth knowing.
    pub(crate) fn note(&self, text: &str) {
        if self.verbosity >= Verbosity::Normal {
            self.say(text);
        }
    }

    /// Something that only the curious want to know.
    pub(crate) fn detail(&self, text: &str) {
        if self.verbosity >= Verbosity::Verbose {
            self.say(text);
        }
    }

    /// Runs `print`, which writes to standard output, with the bars out of its way.
    pub(crate) fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bars.suspend(print)
    }

    /// A bar for `total` steps of something.
    pub(crate) fn bar(&self, total: u64, unit: &str) -> ProgressBar {
        // Braces in names are none of the template.
        let unit = unit.replace('{', "{{").replace('}', "}}");
        self.add_bar(total, &format!("{{human_pos}}/{{human_len}} {unit} {{elapsed_precise}}"))
    }

    /// A bar for the work of a batch, whose message holds all figures.
    pub(crate) fn work_bar(&self, steps: u64) -> ProgressBar {
        let bar = self.bars.add(ProgressBar::new(steps));
        if let Ok(style) = ProgressStyle::with_template("{bar:32} {msg}") {
            bar.set_style(style.progress_chars("=> "));
        }
        bar
    }

    /// A bar for `total` bytes that come over a network.
    pub(crate) fn download_bar(&self, total: u64) -> ProgressBar {
        self.add_bar(total, "{bytes}/{total_bytes} {bytes_per_sec}")
    }

    fn add_bar(&self, total: u64, figures: &str) -> ProgressBar {
        let template = format!("{{bar:32}} {} (left {{eta_precise}}) {{msg}}", one_line(figures));
        let bar = self.bars.add(ProgressBar::new(total));
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        bar
    }

    fn say(&self, text: &str) {
        // When standard error is closed there is nobody left to tell.
        self.bars.suspend(|| {
            let _ = writeln!(std::io::stderr(), "{}", escaped(text));
        });
    }
}

/// Replaces the report of a panic by a short message.
pub(crate) fn install_panic_hook() {
    std::panic::set_hook(Box::new(|panic| {
        let payload = panic.payload();
        let text = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "unknown reason".to_owned());
        if libtorch_reason(&text).is_some() {
            // Where it is caught, it becomes an error like any other.
            return;
        }
        // A failed write to a closed pipe inside a library is no fault of ours.
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let text = text.lines().next().unwrap_or_default();
        let _ = writeln!(
            std::io::stderr(),
            "error: internal fault: {text} ({place})\n  to do: please report this line, \
             `formant --version` and, if you can, the input"
        );
    }));
}
