//! `cargo xtask quality DATA`: measures the bundled models and writes the table of docs/models.md.
//!
//! The numbers come from `formant eval`; this file only says which and where they go.

use std::fs;
use std::path::{Path, PathBuf};

use crate::problem::{Problem, Result};
use crate::tasks::{self, Task};
use crate::{fields, page, setup, shell};

/// Labelled recordings that a task's default model is measured on.
struct List {
    /// The task, as its command is called.
    task: &'static str,
    /// Option of `formant eval` that names the list.
    option: &'static str,
    /// Where it is.
    place: Place,
}

/// Where a list is.
enum Place {
    /// A file in the folder of the recordings.
    Data {
        list: &'static str,
        /// Split of the list that counts, where it has several.
        split: Option<&'static str>,
        /// Folder whose rows alone count.
        folder: Option<&'static str>,
    },
    /// A mixture and its speech, both in `samples/`.
    Sample { mixture: &'static str, speech: &'static str },
}

const fn data(list: &'static str, split: Option<&'static str>) -> Place {
    Place::Data { list, split, folder: None }
}

const LISTS: &[List] = &[
    List {
        task: "enhance",
        option: "--manifest",
        place: Place::Sample {
            mixture: "speech_noisy_5db_16k.wav",
            speech: "speech_noisy_reference_16k.wav",
        },
    },
    List {
        task: "separate",
        option: "--manifest",
        place: data("separation/manifest.tsv", Some("test")),
    },
    List { task: "speaker", option: "--trials", place: data("speakers/trials_test.tsv", None) },
    List { task: "spot", option: "--manifest", place: data("kws/manifest.tsv", Some("test")) },
    List { task: "stems", option: "--manifest", place: data("music/manifest.tsv", Some("test")) },
    List {
        task: "superres",
        option: "--manifest",
        place: Place::Data {
            list: "hires/manifest.tsv",
            split: Some("test"),
            folder: Some("vctk/"),
        },
    },
    List {
        task: "transcribe",
        option: "--manifest",
        place: Place::Data {
            list: "asr/transcripts.tsv",
            split: Some("test"),
            folder: Some("an4/"),
        },
    },
];

/// What the marks of the table in docs/models.md say.
pub(crate) const MARKS: &str = "written by `cargo xtask quality`";

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
    setup::run(&[])?;
    let formant = shell::build_formant()?;
    let tasks = tasks::of(&formant)?;
    let rows = rows(&tasks)?;
    let mut table =
        String::from("| model | task | recordings | number | result |\n|---|---|---|---|---|\n");
    for (task, model, list) in &rows {
        table.push_str(&measure(&formant, task, model, list, &data)?);
    }
    page::write("models.md", &[(MARKS.to_owned(), table.clone())])?;
    println!("{table}");
    Ok(())
}

fn manifests() -> String {
    let lists = LISTS.iter().filter_map(|list| match list.place {
        Place::Data { list, .. } => Some(list),
        Place::Sample { .. } => None,
    });
    lists.collect::<Vec<_>>().join(", ")
}

/// A row for every task that has a default model and figures that `formant eval` measures: the task,
/// the model, the list.
fn rows(tasks: &[Task]) -> Result<Vec<(&Task, &str, &'static List)>> {
    let measured = tasks.iter().filter(|task| !task.metrics.is_empty());
    let with_model = measured.filter_map(|task| Some((task, task.default.as_deref()?)));
    let rows = with_model.map(|(task, model)| {
        let list = LISTS.iter().find(|list| list.task == task.name).ok_or_else(|| {
            Problem::new(
                format!("there is no list of recordings for `{}`", task.name),
                "name one in xtask/src/quality.rs",
            )
        })?;
        Ok((task, model, list))
    });
    rows.collect()
}

/// Runs `formant eval` for one row and returns the row's text.
fn measure(formant: &Path, task: &Task, model: &str, list: &List, data: &Path) -> Result<String> {
    let mut command = setup::formant(formant);
    command.args(["eval", &task.name, "--model", model, "--json", list.option]);
    command.arg(list.place.file(data)?);
    if let Place::Data { split: Some(split), .. } = list.place {
        command.args(["--split", split]);
    }
    let remedy = "the lines above say why";
    let printed = shell::run_and_read(&mut command, remedy)?;
    let summary = printed.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    text(task, model, &list.place, summary).ok_or_else(|| {
        Problem::new(
            format!("`{}` ended with `{summary}`, which holds no result", shell::line(&command)),
            "its last line must be the summary that `formant eval --json` prints",
        )
    })
}

impl Place {
    /// The table that `formant eval` is to read. What is not there as a file is written into the
    /// build folder.
    fn file(&self, data: &Path) -> Result<PathBuf> {
        let failed = |path: &Path, error: &std::io::Error| {
            Problem::new(format!("{}: {error}", path.display()), "see that it is there")
        };
        let written = shell::root().join("target").join("quality");
        fs::create_dir_all(&written).map_err(|error| failed(&written, &error))?;
        let table = written.join("table.tsv");
        let rows = match *self {
            Self::Data { list, folder: None, .. } => return Ok(data.join(list)),
            Self::Data { list, folder: Some(folder), .. } => {
                let list = data.join(list);
                let text = fs::read_to_string(&list).map_err(|error| failed(&list, &error))?;
                of_folder(&text, folder, list.parent().unwrap_or(data))
            }
            Self::Sample { mixture, speech } => {
                let mut rows = String::from("path\tlabel\n");
                // Parts of a mixture are known by the ends of their names.
                for (clip, label) in [(mixture, "mix"), (speech, "s1")] {
                    let (from, to) =
                        (shell::root().join("samples").join(clip), format!("sample_{label}.wav"));
                    fs::copy(&from, written.join(&to)).map_err(|error| failed(&from, &error))?;
                    rows.push_str(&format!("{to}\t{label}\n"));
                }
                rows
            }
        };
        fs::write(&table, rows).map_err(|error| failed(&table, &error))?;
        Ok(table)
    }

    /// What the table of results says of it.
    fn text(&self) -> String {
        match self {
            Self::Data { list, split, folder } => {
                let split = split.map(|split| format!(", split {split}"));
                let folder = folder.map(|folder| format!(", {folder} alone"));
                format!("{list}{}{}", split.unwrap_or_default(), folder.unwrap_or_default())
            }
            Self::Sample { mixture, .. } => format!("samples/{mixture}"),
        }
    }
}

/// The head of a table, and its rows whose path begins with `folder`, made paths from `base`.
fn of_folder(table: &str, folder: &str, base: &Path) -> String {
    let mut lines = table.lines();
    let head = lines.next().unwrap_or_default();
    let mut kept = format!("{head}\n");
    for row in lines.filter(|row| row.starts_with(folder)) {
        kept.push_str(&format!("{}\n", base.join(row).display()));
    }
    kept
}

/// A row of the table from a summary; `None` if there is no number in it.
fn text(task: &Task, model: &str, place: &Place, summary: &str) -> Option<String> {
    let items = fields::number(summary, "items")?;
    let failed = fields::number(summary, "failed").unwrap_or(0.0);
    let results: Vec<String> =
        task.metrics.iter().filter_map(|metric| metric.text(summary)).collect();
    if results.is_empty() {
        return None;
    }
    let failures = if failed > 0.0 { format!(", {failed} failed") } else { String::new() };
    Some(format!(
        "| {model} | {} | {} | {items}{failures} | {} |\n",
        task.name,
        place.text(),
        results.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::tasks::tests::SPOT;

    #[test]
    fn summary_becomes_a_row() {
        let tasks = tasks::read(SPOT).expect("a table");
        let (task, model, list) = rows(&tasks).expect("a list")[0];
        let row = |summary| text(task, model, &list.place, summary);
        let summary = r#"{"accuracy":0.9612,"false_alarms_per_hour": 0.25, "eer":null,"items":1437,"failed":2}"#;
        assert_eq!(
            row(summary).expect("numbers"),
            "| spot-commands | spot | kws/manifest.tsv, split test | 1437, 2 failed \
             | accuracy 96.1 %, false alarms 0.25 an hour |\n"
        );
        assert_eq!(row(r#"{"items":3}"#), None);
        assert_eq!(row(""), None);
    }

    /// The table of the tasks is read as text here, because this program cannot link it.
    #[test]
    fn each_task_with_a_default_model_has_a_list() {
        let path = shell::root().join("models/src/task_info.rs");
        let source = fs::read_to_string(path).expect("it is part of the repository");
        let (_, table) = source.split_once("pub const TASKS").expect("the table");
        let (table, _) = table.split_once("];\n\n").expect("its end");
        let mut seen = 0;
        let rows_of_table = table.split("TaskInfo {").skip(1);
        let measured = rows_of_table.filter(|row| !row.contains("metrics: &[]"));
        for row in measured.filter(|row| row.contains("default: Some(")) {
            let name = row.split('"').nth(1).expect("the name stands first");
            assert!(LISTS.iter().any(|list| list.task == name), "no recordings for {name}");
            seen += 1;
        }
        assert_eq!(seen, LISTS.len(), "as many lists as tasks");
        let other = SPOT.replace("\"spot\"", "\"sing\"");
        let other = tasks::read(&other).expect("a table");
        assert!(rows(&other).err().expect("no list").to_string().contains("sing"));
    }

    #[test]
    fn rows_of_a_folder_are_kept() {
        let table = "path\ttext\nan4/a.opus\tyes\nother/b.opus\tno\n";
        let base = Path::new("/data/asr");
        let wanted = format!("path\ttext\n{}\tyes\n", base.join("an4/a.opus").display());
        assert_eq!(of_folder(table, "an4/", base), wanted);
    }

    #[test]
    fn samples_are_there() {
        for list in LISTS {
            if let Place::Sample { mixture, speech } = list.place {
                let file = list.place.file(Path::new("")).expect("written");
                let rows = fs::read_to_string(file).expect("readable");
                assert_eq!(rows, "path\tlabel\nsample_mix.wav\tmix\nsample_s1.wav\ts1\n");
                assert!(mixture != speech);
            }
        }
    }
}
