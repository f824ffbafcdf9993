//! Options that many commands share.

use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum};

use crate::inputs::Shard;

/// Options of all commands.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "General options")]
pub(crate) struct GlobalArgs {
    /// Where networks run: auto, cpu, cuda or cuda:N.
    #[arg(
        long,
        global = true,
        default_value = "auto",
        value_name = "DEVICE",
        hide_default_value = true
    )]
    pub(crate) device: String,
    /// Numbers that networks compute with; auto is f32 on a CPU.
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "auto",
        value_name = "KIND",
        hide_default_value = true
    )]
    pub(crate) precision: Precision,
    /// Threads that one network may use [default: 1 for small networks, else one for each core].
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
    /// Files that are worked on at the same time [default: as many as cores suffice for].
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) jobs: Option<u16>,
    /// Start of all random draws.
    #[arg(long, global = true, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Print results as JSON, one object a line.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Say nothing but errors.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say more.
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// Kinds of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Precision {
    /// What suits the device.
    Auto,
    /// 32-bit floating point.
    F32,
    /// 16-bit floating point with the range of f32.
    Bf16,
    /// 16-bit floating point.
    F16,
}

/// What to work on.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct InputArgs {
    /// Files, folders, patterns, or `-` for standard input.
    #[arg(value_name = "INPUT")]
    pub(crate) inputs: Vec<PathBuf>,
    /// Read more names from a file, one a line; `-` for standard input.
    #[arg(long, value_name = "LIST")]
    pub(crate) files_from: Option<PathBuf>,
    /// Work on one part of the list only, such as 2/8.
    #[arg(long, value_name = "I/N")]
    pub(crate) shard: Option<Shard>,
}

/// Where results go.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct OutputArgs {
    /// File or folder for the result, `-` for standard output [default: beside the input].
    #[arg(short, long, value_name = "PATH")]
    pub(crate) output: Option<PathBuf>,
    /// Replace outputs that exist.
    #[arg(long, conflicts_with = "resume")]
    pub(crate) overwrite: bool,
    /// Take outputs that exist for done.
    #[arg(long)]
    pub(crate) resume: bool,
}
