//! `completions`.

use clap::Args;
use clap_complete::Shell;

/// What `formant completions` takes.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: formant completions bash > ~/.local/share/bash-completion/completions/formant"
)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}
