//! The product's one table of its tasks, asked of the product itself: this program knows no
//! libtorch, and so nothing of the crate that the table stands in.

use std::path::Path;

use crate::problem::{Problem, Result};
use crate::{fields, setup, shell};

/// A task, as far as tables need it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Task {
    /// The name of its command.
    pub(crate) name: String,
    /// The bundled model that is used where none is named.
    pub(crate) default: Option<String>,
    /// The figures of its quality.
    pub(crate) metrics: Vec<Metric>,
}

/// A figure of a task's quality.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Metric {
    key: String,
    label: String,
    unit: String,
    factor: f64,
    decimals: usize,
}

impl Metric {
    /// The figure in a summary of `formant eval --json`, as tables show it.
    pub(crate) fn text(&self, summary: &str) -> Option<String> {
        let value = fields::number(summary, &self.key)? * self.factor;
        Some(format!("{} {value:.*}{}", self.label, self.decimals, self.unit))
    }
}

/// All tasks of the `formant` command at `program`.
pub(crate) fn of(program: &Path) -> Result<Vec<Task>> {
    let mut command = setup::formant(program);
    command.args(["models", "list", "--tasks", "--json"]);
    let printed = shell::run_and_read(&mut command, "the lines above say why")?;
    read(&printed).ok_or_else(|| {
        Problem::new(
            format!("`{}` printed no table of tasks", shell::line(&command)),
            "see that `formant` and xtask are of the same commit",
        )
    })
}

/// The tasks in lines of JSON; `None` where a line has another form, or there is none.
pub(crate) fn read(lines: &str) -> Option<Vec<Task>> {
    let tasks: Option<Vec<Task>> = lines.lines().map(task).collect();
    tasks.filter(|tasks| !tasks.is_empty())
}

fn task(line: &str) -> Option<Task> {
    // The metrics have fields of the same names as the task: they are cut out before it is read.
    let (before, rest) = line.split_once("\"metrics\":[")?;
    let (metrics, after) = rest.split_once(']')?;
    let rest = format!("{before}{after}");
    Some(Task {
        name: fields::text(&rest, "name")?.to_owned(),
        default: fields::text(&rest, "default").map(str::to_owned),
        metrics: metrics.split_inclusive('}').map(metric).collect::<Option<_>>()?,
    })
}

fn metric(object: &str) -> Option<Metric> {
    let text = |key| fields::text(object, key).map(str::to_owned);
    Some(Metric {
        key: text("key")?,
        label: text("label")?,
        unit: text("unit")?,
        factor: fields::number(object, "factor")?,
        decimals: fields::number(object, "decimals")? as usize,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A line as the product prints it.
    pub(crate) const SPOT: &str = r#"{"type":"task","name":"spot","summary":"finds words","architectures":["lmuformer"],"default":"spot-commands","metrics":[{"key":"accuracy","label":"accuracy","unit":" %","factor":100.0,"decimals":1},{"key":"false_alarms_per_hour","label":"false alarms","unit":" an hour","factor":1.0,"decimals":2}],"advice":"train one"}"#;

    #[test]
    fn lines_are_read() {
        let tasks = read(SPOT).expect("a table");
        assert_eq!(
            (tasks[0].name.as_str(), tasks[0].default.as_deref()),
            ("spot", Some("spot-commands"))
        );
        assert_eq!(tasks[0].metrics.len(), 2);
        assert_eq!(
            tasks[0].metrics[0].text(r#"{"accuracy":0.9612}"#).as_deref(),
            Some("accuracy 96.1 %")
        );
        let without = SPOT.replace("\"spot-commands\"", "null");
        assert_eq!(read(&without).expect("a table")[0].default, None);
        assert_eq!(read("no table"), None);
        assert_eq!(read(""), None);
    }
}
