//! `formant models`: what there is, what is in a file, and one plain file from any.

use std::path::{Path, PathBuf};

use formant_models::checkpoint::{self, StateDict};
use formant_models::registry::{self, BUNDLED, Bundled};
use serde_json::{Value, json};

use crate::exit::Outcome;
use crate::failure::{Failure, Kind};
use crate::messages::Messages;
use crate::plan::{ModelsPlan, Settings};
use crate::{json as lines, stdout};

pub(super) fn run(
    plan: ModelsPlan,
    settings: &Settings,
    messages: &Messages,
) -> Result<Outcome, Failure> {
    match plan {
        ModelsPlan::List => list(settings, messages),
        ModelsPlan::Info(models) => info(&models, settings, messages),
        ModelsPlan::Convert { input, output, options } => {
            let report = checkpoint::convert(&input, &output, &options)?;
            let text = match settings.json {
                true => lines::line("model_conversion", &report),
                false => format!("{report}\n"),
            };
            stdout::print(&text)?;
            Ok(Outcome::done())
        }
    }
}

fn list(settings: &Settings, messages: &Messages) -> Result<Outcome, Failure> {
    for model in BUNDLED {
        let Bundled { name, task, summary, licence, .. } = model;
        let text = match settings.json {
            true => lines::line("model", model),
            false => format!("{name:<20} {task:<8} {summary} ({licence})\n"),
        };
        stdout::print(&text)?;
    }
    if BUNDLED.is_empty() {
        messages.note("no model comes with this build; give files with --model");
    }
    Ok(Outcome::done())
}

/// Describes every model; one that can't be read does not stop the rest.
fn info(models: &[PathBuf], settings: &Settings, messages: &Messages) -> Result<Outcome, Failure> {
    let (mut done, mut failed) = (0, Vec::new());
    for model in models {
        let name = model.display().to_string();
        match describe(model, &name, settings) {
            Ok(text) => {
                stdout::print(&text)?;
                done += 1;
            }
            Err(failure) => {
                let failure = failure.of_input(&name);
                messages.failure(&failure);
                if settings.json {
                    stdout::print(&lines::failure(&name, &failure))?;
                }
                failed.push(failure.kind);
            }
        }
    }
    Ok(Outcome::Worked { done, failed, interrupted: false })
}

fn describe(model: &Path, name: &str, settings: &Settings) -> Result<String, Failure> {
    if !model.exists() {
        let Ok(bundled) = registry::bundled(name) else {
            return Err(Failure::new(Kind::Model, name, "neither a file nor a bundled model")
                .help("`formant models list` shows the bundled ones"));
        };
        let state = checkpoint::read_bytes(bundled.bytes()?, name)?;
        return Ok(bundled_text(bundled, &state, settings));
    }
    let description = checkpoint::describe(model)?;
    Ok(match settings.json {
        true => lines::line("model_file", &description),
        false => description.to_string(),
    })
}

fn bundled_text(bundled: &Bundled, state: &StateDict, settings: &Settings) -> String {
    let Bundled { name, task, summary, licence, .. } = bundled;
    let (parameters, bytes) = (state.parameter_count(), state.byte_count());
    let card = |text: &String| serde_json::from_str(text).unwrap_or(Value::String(text.clone()));
    let metadata: serde_json::Map<String, Value> =
        state.metadata.iter().map(|(key, text)| (key.clone(), card(text))).collect();
    if settings.json {
        let object = json!({
            "name": name,
            "task": task,
            "summary": summary,
            "licence": licence,
            "parameters": parameters,
            "bytes": bytes,
            "metadata": metadata,
        });
        return lines::line("model", &object);
    }
    let metadata = serde_json::to_string_pretty(&metadata).unwrap_or_default();
    format!(
        "{name}\n  task          {task}\n  what          {summary}\n  licence       {licence}\n  \
         parameters    {parameters}\n  tensor bytes  {bytes}\n  metadata      {metadata}\n"
    )
}
