//! Putting measured text between the marks of docs/performance.md.

use std::fs;

use crate::problem::{Problem, Result};
use crate::shell;

/// Writes each text between the marks of its name.
pub(super) fn write(parts: &[(&str, &str)]) -> Result<()> {
    let page = shell::root().join("docs").join("performance.md");
    let failed = |error: std::io::Error| {
        Problem::new(format!("{}: {error}", page.display()), "restore it with `git checkout`")
    };
    let mut text = fs::read_to_string(&page).map_err(failed)?;
    for (name, part) in parts {
        text = replace(&text, name, part).ok_or_else(|| {
            Problem::new(
                format!("{} has no place for {name}", page.display()),
                format!("put these two lines where it belongs:\n{}\n{}", begin(name), end(name)),
            )
        })?;
    }
    let part = page.with_extension("md.part");
    fs::write(&part, text).and_then(|()| fs::rename(&part, &page)).map_err(failed)
}

fn begin(name: &str) -> String {
    format!("<!-- {name}, written by `cargo xtask bench-peers`: begin -->")
}

fn end(name: &str) -> String {
    format!("<!-- {name}, written by `cargo xtask bench-peers`: end -->")
}

/// `page` with `text` between the marks; `None` if they are not there.
fn replace(page: &str, name: &str, text: &str) -> Option<String> {
    let (begin, end) = (begin(name), end(name));
    let (before, rest) = page.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n\n{}\n\n{end}{after}", text.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_part_is_replaced() {
        let page = format!("a\n{}\nold\n{}\nb\n", begin("speed"), end("speed"));
        let new = replace(&page, "speed", "| x |\n").expect("marks");
        assert!(new.starts_with("a\n") && new.ends_with("\nb\n") && new.contains("\n\n| x |\n\n"));
        assert_eq!(replace(&new, "speed", "| x |").as_deref(), Some(new.as_str()));
        assert_eq!(replace(&page, "resampling", ""), None);
    }

    #[test]
    fn the_page_has_its_places() {
        let page = fs::read_to_string(shell::root().join("docs/performance.md"));
        let page = page.expect("it is part of the repository");
        let names = [
            "speed",
            "resampling",
            "networks",
            "separation",
            "separation of a minute",
            "super-resolution",
            "vocoding",
        ];
        assert!(names.iter().all(|name| replace(&page, name, "").is_some()));
    }
}
