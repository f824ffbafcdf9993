//! `formant completions`: scripts that shells load, with the names of models and presets.

use clap::builder::PossibleValuesParser;
use clap::{Args, Command};
use clap_complete::{Shell, generate};
use formant_audio_core::features::presets;
use formant_models::registry::{BUNDLED, published_models};
use formant_models::tasks::TASKS;

use super::{Work, work};
use crate::exit::Outcome;
use crate::failure::Failure;
use crate::settings::Settings;
use crate::stdout;

/// What `formant completions` takes.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: formant completions bash > ~/.local/share/bash-completion/completions/formant"
)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

impl CompletionsArgs {
    /// The work of the command.
    pub(crate) fn resolve(self, _: &Settings) -> Result<Work, Failure> {
        Ok(work(self.shell, |shell, _, _| run(shell)))
    }
}

fn run(shell: Shell) -> Result<Outcome, Failure> {
    stdout::copy(&mut script(shell).as_bytes())?;
    Ok(Outcome::done())
}

fn script(shell: Shell) -> String {
    let mut bytes = Vec::new();
    generate(shell, &mut with_names(crate::command(), shell), "formant", &mut bytes);
    let mut script = String::from_utf8_lossy(&bytes).into_owned();
    // Names of models are offered beside those of files, which `--model` takes as well.
    for task in tasks() {
        let names = names(task).join(" ");
        if shell == Shell::Bash && !names.is_empty() {
            let (words, files) = (format!("-W \"{names}\""), format!("-f -W \"{names}\""));
            script = script.replace(&words, &files);
        }
    }
    script
}

/// The tasks, and `None` for all of them together.
fn tasks() -> impl Iterator<Item = Option<&'static str>> {
    TASKS.iter().map(|task| Some(task.name)).chain([None])
}

/// The models for a task, or all.
fn names(task: Option<&str>) -> Vec<&'static str> {
    let bundled = BUNDLED.iter().map(|model| (model.task, model.name));
    let published = published_models().map(|model| (model.task, model.name));
    let wanted = bundled.chain(published).filter(|(of, _)| task.is_none_or(|task| task == *of));
    wanted.map(|(_, name)| name).collect()
}

/// The grammar with values for `--model` and its like and for `--preset`.
fn with_names(command: Command, shell: Shell) -> Command {
    let task = TASKS.iter().map(|task| task.name).find(|task| *task == command.get_name());
    let arguments: Vec<String> =
        command.get_arguments().map(|argument| argument.get_id().to_string()).collect();
    let mut command = command;
    for id in arguments {
        let values = match id.as_str() {
            "preset" => presets::names().collect(),
            // Scripts of other shells would offer the names and no files.
            _ if shell != Shell::Bash => continue,
            "model" => names(task),
            id => match id.strip_suffix("_model") {
                Some(task) => names(Some(task)),
                None => continue,
            },
        };
        if !values.is_empty() {
            let parser = PossibleValuesParser::new(values);
            command = command.mut_arg(id, |argument| argument.value_parser(parser));
        }
    }
    let inner: Vec<String> =
        command.get_subcommands().map(|inner| inner.get_name().to_owned()).collect();
    for name in inner {
        command = command.mut_subcommand(name, |inner| with_names(inner, shell));
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_and_presets_are_completed() {
        let bash = script(Shell::Bash);
        assert!(bash.contains("-f -W \"asr-an4 squeezeformer-xsmall-en "), "names beside files");
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            assert!(script(shell).contains("whisper"), "{shell}: presets");
        }
    }
}
