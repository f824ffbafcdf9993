//! `models`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// What `formant models` takes.
#[derive(Debug, Args)]
#[command(after_help = "Example: formant models list")]
pub(crate) struct ModelsArgs {
    #[command(subcommand)]
    pub(crate) command: ModelsCommand,
}

/// What can be done with models.
#[derive(Debug, Subcommand)]
pub(crate) enum ModelsCommand {
    /// List the models that come with the program.
    #[command(after_help = "Example: formant models list")]
    List,
    /// Describe checkpoint files or folders, or bundled models.
    #[command(after_help = "Example: formant models info checkpoint.pth")]
    Info {
        /// Files, folders, or names from `formant models list`.
        #[arg(required = true, value_name = "MODEL")]
        models: Vec<PathBuf>,
    },
    /// Write any checkpoint as one safetensors file with plain names; --precision changes its type.
    #[command(after_help = "Example: formant models convert checkpoint.pth model.safetensors")]
    Convert {
        /// A checkpoint file or folder.
        #[arg(value_name = "IN")]
        input: PathBuf,
        /// The safetensors file to write.
        #[arg(value_name = "OUT")]
        output: PathBuf,
        /// What happens to weight normalisation.
        #[arg(long, value_enum, default_value = "fold", value_name = "HOW")]
        weight_norm: WeightNormArg,
        /// Replace an output that exists.
        #[arg(long)]
        overwrite: bool,
    },
}

/// What happens to weight normalisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum WeightNormArg {
    /// Weights are multiplied out.
    Fold,
    /// Pairs of tensors stay.
    Keep,
}
