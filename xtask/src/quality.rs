//! `cargo xtask quality DATA`: measures the bundled models and writes the table of docs/models.md.
//!
//! The numbers come from `formant eval`; this file only says which and where they go.

use std::fs;
use std::path::Path;

use crate::problem::{Problem, Result};
use crate::{setup, shell};

/// One row: a bundled model, measured on one list of labelled recordings.
struct Row {
    model: &'static str,
    task: &'static str,
    /// Option of `formant eval` that names the list.
    option: &'static str,
    /// The list, in the folder of the recordings.
    list: &'static str,
    /// Split of the list that counts, where it has several.
    split: Option<&'static str>,
}

const ROWS: &[Row] = &[
    Row {
        model: "spot-commands",
        task: "spot",
        option: "--manifest",
        list: "kws/manifest.tsv",
        split: Some("test"),
    },
    Row {
        model: "speaker-voices",
        task: "speaker",
        option: "--trials",
        list: "speakers/trials_test.tsv",
        split: None,
    },
    Row {
        model: "stems-vocals",
        task: "stems",
        option: "--manifest",
        list: "music/manifest.tsv",
        split: Some("test"),
    },
    Row {
        model: "separate-voices",
        task: "separation",
        option: "--manifest",
        list: "separation/manifest.tsv",
        split: Some("test"),
    },
];

/// Keys of the summary that `formant eval --json` ends with: how the table calls them, the factor
/// that makes their unit, the unit, and the number of decimals.
const METRICS: &[(&str, &str, f64, &str, usize)] = &[
    ("accuracy", "accuracy", 100.0, " %", 1),
    ("false_alarms_per_hour", "false alarms", 1.0, " an hour", 2),
    ("eer", "equal error rate", 100.0, " %", 2),
    ("min_dcf", "minDCF", 1.0, "", 3),
    ("wer", "word error rate", 100.0, " %", 1),
    ("cer", "character error rate", 100.0, " %", 1),
    ("si_sdri", "SI-SDR improvement", 1.0, " dB", 1),
    ("sdr", "SDR", 1.0, " dB", 1),
    ("lsd", "log-spectral distance", 1.0, " dB", 2),
];

const BEGIN: &str = "<!-- written by `cargo xtask quality`: begin -->";
const END: &str = "<!-- written by `cargo xtask quality`: end -->";

pub(crate) fn run(args: &[String]) -> Result<()> {
    let [data] = args else {
        return Err(Problem::new(
            "`cargo xtask quality` needs one folder of labelled recordings",
            format!("give the folder that holds {}", manifests()),
        ));
    };
    let data = fs::canonicalize(data).map_err(|error| {
        Problem::new(
            format!("{data}: {error}"),
            format!("give the folder that holds {}", manifests()),
        )
    })?;
    let page = shell::root().join("docs").join("models.md");
    let old = read(&page)?;
    setup::run(&[])?;
    let formant = shell::build_formant()?;
    let mut table =
        String::from("| model | task | recordings | number | result |\n|---|---|---|---|---|\n");
    for row in ROWS {
        table.push_str(&measure(&formant, row, &data)?);
    }
    let new = replace(&old, &table).ok_or_else(|| {
        Problem::new(
            format!("{} has no place for the table", page.display()),
            format!("put these two lines where it belongs:\n{BEGIN}\n{END}"),
        )
    })?;
    let part = page.with_extension("md.part");
    fs::write(&part, new).and_then(|()| fs::rename(&part, &page)).map_err(|error| {
        Problem::new(format!("{}: {error}", page.display()), "see that it can be written")
    })?;
    println!("{table}");
    Ok(())
}

fn manifests() -> String {
    ROWS.iter().map(|row| row.list).collect::<Vec<_>>().join(", ")
}

fn read(page: &Path) -> Result<String> {
    fs::read_to_string(page).map_err(|error| {
        Problem::new(format!("{}: {error}", page.display()), "restore it with `git checkout`")
    })
}

/// Runs `formant eval` for one row and returns the row's text.
fn measure(formant: &Path, row: &Row, data: &Path) -> Result<String> {
    let mut command = shell::formant(formant);
    command.args(["eval", row.task, "--model", row.model, "--json", row.option]);
    command.arg(data.join(row.list));
    if let Some(split) = row.split {
        command.args(["--split", split]);
    }
    let remedy = "the lines above say why";
    let printed = shell::run_and_read(&mut command, remedy)?;
    let summary = printed.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    text(row, summary).ok_or_else(|| {
        Problem::new(
            format!("`{}` ended with `{summary}`, which holds no result", shell::line(&command)),
            "its last line must be the summary that `formant eval --json` prints",
        )
    })
}

/// A row of the table from a summary; `None` if there is no number in it.
fn text(row: &Row, summary: &str) -> Option<String> {
    let items = number(summary, "items")?;
    let failed = number(summary, "failed").unwrap_or(0.0);
    let results: Vec<String> = METRICS
        .iter()
        .filter_map(|&(key, name, factor, unit, decimals)| {
            Some(format!("{name} {:.decimals$}{unit}", number(summary, key)? * factor))
        })
        .collect();
    if results.is_empty() {
        return None;
    }
    let list = match row.split {
        Some(split) => format!("{}, split {split}", row.list),
        None => row.list.to_owned(),
    };
    let failures = if failed > 0.0 { format!(", {failed} failed") } else { String::new() };
    Some(format!(
        "| {} | {} | {list} | {items}{failures} | {} |\n",
        row.model,
        row.task,
        results.join(", ")
    ))
}

/// The number that belongs to `key` in one line of JSON.
fn number(json: &str, key: &str) -> Option<f64> {
    let after = json.split_once(&format!("\"{key}\""))?.1.trim_start().strip_prefix(':')?;
    let end = after.find([',', '}', ']']).unwrap_or(after.len());
    after[..end].trim().parse().ok()
}

/// `page` with `table` between the marks; `None` if they are not there.
fn replace(page: &str, table: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{table}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summary_becomes_a_row() {
        let summary = r#"{"accuracy":0.9612,"false_alarms_per_hour": 0.25, "eer":null,"items":1437,"failed":2}"#;
        let row = text(&ROWS[0], summary).expect("numbers");
        assert_eq!(
            row,
            "| spot-commands | spot | kws/manifest.tsv, split test | 1437, 2 failed \
             | accuracy 96.1 %, false alarms 0.25 an hour |\n"
        );
        assert_eq!(text(&ROWS[0], r#"{"items":3}"#), None);
        assert_eq!(text(&ROWS[0], ""), None);
    }

    #[test]
    fn only_the_table_is_replaced() {
        let page = format!("a\n{BEGIN}\nold\n{END}\nb\n");
        let new = replace(&page, "| x |\n").expect("marks");
        assert_eq!(new, format!("a\n{BEGIN}\n\n| x |\n\n{END}\nb\n"));
        assert_eq!(replace(&new, "| x |\n").as_deref(), Some(new.as_str()));
        assert_eq!(replace("no marks", ""), None);
    }

    #[test]
    fn the_page_has_a_place_for_the_table() {
        let page =
            read(&shell::root().join("docs/models.md")).expect("it is part of the repository");
        assert!(replace(&page, "").is_some());
    }
}
