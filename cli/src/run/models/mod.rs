//! `formant models`: what there is, what is in a file, and one plain file from any.

mod cached;
mod catalogue;

use std::path::{Path, PathBuf};

use formant_models::checkpoint;
use formant_models::registry::{self, Cache};

use crate::exit::Outcome;
use crate::failure::{Failure, Kind};
use crate::messages::Messages;
use crate::plan::{ModelsPlan, Settings};
use crate::{interrupt, json as lines, stdout};

pub(super) fn run(
    plan: ModelsPlan,
    settings: &Settings,
    messages: &Messages,
) -> Result<Outcome, Failure> {
    match plan {
        ModelsPlan::Tasks => catalogue::list_tasks(settings),
        ModelsPlan::List { task, cache } => {
            catalogue::list(task.as_deref(), cache.as_ref(), settings)
        }
        ModelsPlan::Info { models, cache } => info(&models, cache.as_ref(), settings, messages),
        ModelsPlan::Pull { names, cache, hub } => {
            interrupt::install()?;
            each(&names, settings, messages, |name| {
                cached::pull(name, &cache, &hub, settings, messages)
            })
        }
        ModelsPlan::Verify { names, cache } => {
            interrupt::install()?;
            let names = if names.is_empty() { cached::names(&cache) } else { names };
            each(&names, settings, messages, |name| cached::verify(name, &cache, settings))
        }
        ModelsPlan::Remove { names, cache } => each(&names, settings, messages, |name| {
            cached::remove(name, &cache, settings, messages)
        }),
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

/// Prints what comes of every name; one that fails does not stop the rest.
fn each(
    names: &[String],
    settings: &Settings,
    messages: &Messages,
    work: impl Fn(&str) -> Result<String, Failure>,
) -> Result<Outcome, Failure> {
    let (mut done, mut failed, mut interrupted) = (0, Vec::new(), false);
    for name in names {
        match work(name) {
            Ok(text) => {
                stdout::print(&text)?;
                done += 1;
            }
            Err(failure) => {
                interrupted = failure.kind == Kind::Interrupted;
                let failure = failure.of_input(name);
                messages.failure(&failure);
                if settings.json {
                    stdout::print(&lines::failure(name, &failure))?;
                }
                if interrupted {
                    break;
                }
                failed.push(failure.kind);
            }
        }
    }
    Ok(Outcome::Worked { done, failed, interrupted })
}

fn info(
    models: &[PathBuf],
    cache: Option<&Cache>,
    settings: &Settings,
    messages: &Messages,
) -> Result<Outcome, Failure> {
    let names: Vec<String> = models.iter().map(|model| model.display().to_string()).collect();
    each(&names, settings, messages, |name| describe(name, cache, settings))
}

fn describe(name: &str, cache: Option<&Cache>, settings: &Settings) -> Result<String, Failure> {
    if Path::new(name).exists() {
        let description = checkpoint::describe(name)?;
        return Ok(match settings.json {
            true => lines::line("model_file", &description),
            false => description.to_string(),
        });
    }
    if let Ok(bundled) = registry::bundled(name) {
        return catalogue::bundled_text(bundled, settings);
    }
    match registry::published(name) {
        Some(model) => Ok(catalogue::published_text(model, cache, settings)),
        None => Err(unknown(name, "neither a file nor a model's name")),
    }
}

fn unknown(name: &str, why: &str) -> Failure {
    Failure::new(Kind::Model, name, why).help("`formant models list` shows all names")
}
