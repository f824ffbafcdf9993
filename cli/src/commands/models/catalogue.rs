//! `formant models list`, and `info` of a name: bundled and published models in one table.

use formant_models::checkpoint::{self, Architecture};
use formant_models::registry::{BUNDLED, Bundled, Cache, Place, Published, published_models};
use formant_models::tasks;
use serde::Serialize;
use serde_json::Value;

use super::provenance;
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::settings::Settings;
use crate::{json as lines, stdout};

/// A model, as it is listed.
#[derive(Debug, Serialize)]
struct Row {
    name: &'static str,
    task: &'static str,
    architecture: Option<Architecture>,
    summary: &'static str,
    licence: &'static str,
    /// Whether this program has a command that runs it.
    runs: bool,
    state: State,
    rate: Option<u32>,
    /// Of the network, about.
    parameters: Option<u64>,
    /// The quality that its authors state.
    quality: Option<&'static str>,
    /// Size of the download or of what is there, bytes.
    bytes: Option<u64>,
    hub_id: Option<&'static str>,
    revision: Option<String>,
    page: Option<String>,
    /// What to look for on the page.
    item: Option<&'static str>,
    files: Vec<String>,
    citation: Option<&'static str>,
    /// What `--model` opens, when it was fetched.
    path: Option<String>,
    /// Why what was fetched can't be used.
    damage: Option<String>,
}

/// Where a model is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    /// In the program.
    Bundled,
    /// In the cache.
    Cached,
    /// In the cache, but not whole.
    Damaged,
    /// On the hub.
    Hub,
    /// At direct addresses.
    Direct,
    /// On a page for people.
    ByHand,
}

impl State {
    fn text(self) -> &'static str {
        match self {
            Self::Bundled => "bundled",
            Self::Cached => "cached",
            Self::Damaged => "damaged",
            Self::Hub => "hub",
            Self::Direct => "direct",
            Self::ByHand => "by hand",
        }
    }
}

impl Row {
    fn of_bundled(model: &'static Bundled) -> Self {
        let state = model.bytes().and_then(|bytes| checkpoint::read_bytes(bytes, model.name)).ok();
        let found = state.as_ref().and_then(checkpoint::detect);
        Self {
            name: model.name,
            task: model.task,
            architecture: found.map(|found| found.architecture),
            summary: model.summary,
            licence: model.licence,
            runs: found.is_some_and(|found| tasks::runs(model.task, found.architecture)),
            state: State::Bundled,
            rate: None,
            parameters: state.as_ref().map(checkpoint::StateDict::parameter_count),
            quality: None,
            bytes: model.bytes().ok().map(|bytes| bytes.len() as u64),
            hub_id: None,
            revision: None,
            page: None,
            item: None,
            files: Vec::new(),
            citation: None,
            path: None,
            damage: None,
        }
    }

    fn of_published(model: &'static Published, cache: Option<&Cache>) -> Self {
        let (hub_id, revision, item, state) = match model.place {
            Place::HuggingFace { id, revision } => (Some(id), revision, None, State::Hub),
            Place::Url { .. } => (None, None, None, State::Direct),
            Place::Page { item, .. } => (None, None, Some(item), State::ByHand),
        };
        let mut row = Self {
            name: model.name,
            task: model.task,
            architecture: Some(model.architecture),
            summary: model.summary,
            licence: model.licence,
            runs: tasks::runs(model.task, model.architecture),
            state,
            rate: Some(model.rate),
            parameters: model.parameters,
            quality: Some(model.quality).filter(|quality| !quality.is_empty()),
            bytes: model.bytes,
            hub_id,
            revision: revision.map(str::to_owned),
            page: Some(model.page()),
            item,
            files: model.wanted(),
            citation: Some(model.citation),
            path: None,
            damage: None,
        };
        match cache.map(|cache| cache.find(model.name)) {
            Some(Ok(Some(snapshot))) => {
                row.state = State::Cached;
                row.bytes = Some(snapshot.bytes());
                row.path = Some(snapshot.path().display().to_string());
                let paths = snapshot.manifest.files.iter().map(|file| file.path.clone());
                row.files = paths.collect();
                row.revision = Some(snapshot.manifest.commit);
            }
            Some(Err(error)) => {
                row.state = State::Damaged;
                row.damage = Some(format!("{error}; {}", error.remedy()));
            }
            Some(Ok(None)) | None => {}
        }
        row
    }

    fn line(&self) -> String {
        let architecture = self.architecture.map_or("", Architecture::name);
        let rate = self.rate.map(|rate| format!("{} kHz", f64::from(rate) / 1000.0));
        let bytes = self.bytes.map(super::cached::size);
        let runs = if self.runs { "runs" } else { "not yet" };
        format!(
            "{:<34} {:<11} {architecture:<18} {:>9} {:>8} {:>8}  {:<8} {runs:<8} {}\n",
            self.name,
            self.task,
            rate.unwrap_or_default(),
            self.parameters.map(parameters).unwrap_or_default(),
            bytes.unwrap_or_default(),
            self.state.text(),
            self.quality.map_or_else(
                || self.summary.to_owned(),
                |quality| format!("{}; {quality}", self.summary)
            )
        )
    }

    fn card(&self) -> String {
        let mut text = format!("{}\n", self.name);
        let mut add = |label: &str, value: Option<String>| {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                text.push_str(&format!("  {label:<13} {value}\n"));
            }
        };
        add("task", Some(self.task.to_owned()));
        add("what", Some(self.summary.to_owned()));
        add("architecture", self.architecture.map(|name| name.to_string()));
        let runs = if self.runs { "yes" } else { "not yet; it can be inspected and converted" };
        add("runs", Some(runs.to_owned()));
        add("licence", Some(self.licence.to_owned()));
        add("sample rate", self.rate.map(|rate| format!("{rate} Hz")));
        add("parameters", self.parameters.map(parameters));
        add("quality", self.quality.map(str::to_owned));
        add("size", self.bytes.map(super::cached::size));
        add("hub", self.hub_id.map(str::to_owned));
        add("revision", self.revision.clone());
        add("page", self.page.clone());
        add("there", self.item.map(str::to_owned));
        add("files", Some(self.files.join(", ")));
        add("paper", self.citation.map(str::to_owned));
        let fetched = match self.state {
            State::Cached => self.path.clone(),
            State::Damaged => self.damage.clone(),
            State::Hub | State::Direct => Some(format!("no; `formant models pull {}`", self.name)),
            State::ByHand => Some("no; download it and give the path with --model".to_owned()),
            State::Bundled => None,
        };
        add("fetched", fetched);
        text
    }
}

/// Lists the models for a task, or all.
pub(super) fn list(
    task: Option<&str>,
    cache: Option<&Cache>,
    settings: &Settings,
) -> Result<Outcome, Failure> {
    let wanted = |name: &str| task.is_none_or(|task| task == name);
    let bundled = BUNDLED.iter().filter(|m| wanted(m.task)).map(Row::of_bundled);
    let published = published_models().filter(|m| wanted(m.task));
    for row in bundled.chain(published.map(|model| Row::of_published(model, cache))) {
        let text = if settings.json { lines::line("model", &row) } else { row.line() };
        stdout::print(&text)?;
    }
    Ok(Outcome::done())
}

/// Lists the tasks.
pub(super) fn list_tasks(settings: &Settings) -> Result<Outcome, Failure> {
    for task in tasks::TASKS {
        let text = if settings.json {
            lines::line("task", task)
        } else {
            format!("{:<11} {:<18} {}\n", task.name, task.default.unwrap_or("-"), task.summary)
        };
        stdout::print(&text)?;
    }
    Ok(Outcome::done())
}

/// The whole row of a published model.
pub(super) fn published_text(
    model: &'static Published,
    cache: Option<&Cache>,
    settings: &Settings,
) -> String {
    let row = Row::of_published(model, cache);
    if settings.json { lines::line("model", &row) } else { row.card() }
}

/// The row of a bundled model, and what its file says of itself.
pub(super) fn bundled_text(
    model: &'static Bundled,
    settings: &Settings,
) -> Result<String, Failure> {
    let row = Row::of_bundled(model);
    let state = checkpoint::read_bytes(model.bytes()?, model.name)?;
    let card = |text: &String| serde_json::from_str(text).unwrap_or(Value::String(text.clone()));
    let metadata: serde_json::Map<String, Value> =
        state.metadata.iter().map(|(key, text)| (key.clone(), card(text))).collect();
    if settings.json {
        #[derive(Serialize)]
        struct Whole {
            #[serde(flatten)]
            row: Row,
            metadata: serde_json::Map<String, Value>,
        }
        return Ok(lines::line("model", &Whole { row, metadata }));
    }
    let made = provenance::lines(&metadata).into_iter();
    let made: String = made.map(|(label, text)| format!("  {label:<13} {text}\n")).collect();
    Ok(format!("{}{made}", row.card()))
}

/// `55.6 M`, as papers count them.
fn parameters(count: u64) -> String {
    format!("{:.1} M", count as f64 / 1e6)
}
