//! Putting measured text between the marks of pages in docs/.

use std::fs;

use crate::problem::{Problem, Result};
use crate::shell;

/// Writes each text between its marks, which say what it is and who writes it.
pub(crate) fn write(page: &str, parts: &[(String, String)]) -> Result<()> {
    let page = shell::root().join("docs").join(page);
    let failed = |error: std::io::Error| {
        Problem::new(format!("{}: {error}", page.display()), "restore it with `git checkout`")
    };
    let mut text = fs::read_to_string(&page).map_err(failed)?;
    for (what, part) in parts {
        text = replace(&text, what, part).ok_or_else(|| {
            Problem::new(
                format!("{} has no place for text {what}", page.display()),
                format!("put these two lines where it belongs:\n{}\n{}", begin(what), end(what)),
            )
        })?;
    }
    let part = page.with_extension("md.part");
    fs::write(&part, text).and_then(|()| fs::rename(&part, &page)).map_err(failed)
}

fn begin(what: &str) -> String {
    format!("<!-- {what}: begin -->")
}

fn end(what: &str) -> String {
    format!("<!-- {what}: end -->")
}

/// `page` with `text` between the marks; `None` if they are not there.
fn replace(page: &str, what: &str, text: &str) -> Option<String> {
    let (begin, end) = (begin(what), end(what));
    let (before, rest) = page.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n\n{}\n\n{end}{after}", text.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench_peers::marks;
    use crate::quality;

    #[test]
    fn only_the_part_is_replaced() {
        let page = format!("a\n{}\nold\n{}\nb\n", begin("speed"), end("speed"));
        let new = replace(&page, "speed", "| x |\n").expect("marks");
        assert!(new.starts_with("a\n") && new.ends_with("\nb\n") && new.contains("\n\n| x |\n\n"));
        assert_eq!(replace(&new, "speed", "| x |").as_deref(), Some(new.as_str()));
        assert_eq!(replace(&page, "resampling", ""), None);
    }

    #[test]
    fn the_pages_have_their_places() {
        let read = |page| fs::read_to_string(shell::root().join("docs").join(page));
        let page = read("models.md").expect("it is part of the repository");
        assert!(replace(&page, quality::MARKS, "").is_some());
        let page = read("performance.md").expect("it is part of the repository");
        let names = [
            "speed",
            "resampling",
            "networks",
            "separation",
            "separation of a minute",
            "super-resolution",
            "vocoding",
            "generation",
        ];
        assert!(names.iter().all(|name| replace(&page, &marks(name), "").is_some()));
    }
}
