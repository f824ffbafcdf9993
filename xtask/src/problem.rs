//! The one error type: what could not be done, and what the reader should do about it.

use std::fmt;

/// Result of this program.
pub(crate) type Result<T> = std::result::Result<T, Problem>;

/// A reason to stop, with its remedy.
#[derive(Debug)]
pub(crate) struct Problem {
    what: String,
    remedy: String,
}

impl Problem {
    pub(crate) fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "xtask stopped: {}\nwhat to do: {}", self.what, self.remedy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_problem_and_remedy() {
        let text = Problem::new("no compiler", "install g++").to_string();
        assert_eq!(text, "xtask stopped: no compiler\nwhat to do: install g++");
    }
}
