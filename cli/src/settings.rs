//! The options of all commands, and what they mean.

use clap::{ArgAction, Args, ValueEnum};
use formant_models::DeviceChoice;

use crate::batch;
use crate::failure::Failure;
use crate::processors;

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
    /// Number format of network weights and products; auto is f32 on a CPU.
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "auto",
        value_name = "KIND",
        hide_default_value = true
    )]
    pub(crate) precision: Precision,
    /// Threads of one network [default: 1 for small networks, otherwise one for each core].
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
    /// Files that are processed at the same time [default: as many as there are cores for].
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) jobs: Option<u16>,
    /// Seed of all random draws.
    #[arg(long, global = true, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Print results as JSON, one object a line.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print errors only.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Print more messages.
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// Number formats.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Precision {
    /// The format that suits the device.
    #[default]
    Auto,
    /// 32-bit floating point.
    F32,
    /// 16-bit floating point with the range of f32.
    Bf16,
    /// 16-bit floating point.
    F16,
}

/// What holds for all commands.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Settings {
    pub(crate) device: DeviceChoice,
    pub(crate) precision: Precision,
    pub(crate) threads: Option<usize>,
    pub(crate) jobs: Option<usize>,
    pub(crate) seed: Option<u64>,
    pub(crate) json: bool,
    /// Whether the command has `--resume`.
    pub(crate) resumes: bool,
}

impl Settings {
    /// Resolves the general options. `--device` of `listen` names a microphone; the device of its
    /// networks has an option of its own.
    pub(crate) fn of(
        typed: &GlobalArgs,
        names_microphone: bool,
        resumes: bool,
    ) -> Result<Self, Failure> {
        let device = if names_microphone { DeviceChoice::Auto } else { typed.device.parse()? };
        Ok(Self {
            device,
            precision: typed.precision,
            threads: typed.threads.map(usize::from),
            jobs: typed.jobs.map(usize::from),
            seed: typed.seed,
            json: typed.json,
            resumes,
        })
    }

    /// A batch of work that takes one core an input.
    pub(crate) fn batch(&self) -> batch::Options {
        self.batch_of(processors::count())
    }

    /// A batch of small networks that take `threads` cores an input, by `--threads` or else one.
    pub(crate) fn batch_of_networks(&self) -> batch::Options {
        self.batch_of(processors::count() / self.threads.unwrap_or(1).max(1))
    }

    /// A batch of large networks, of which one fills the machine.
    pub(crate) fn one_by_one(&self) -> batch::Options {
        self.batch_of(1)
    }

    /// Processors that `--jobs` leaves each job.
    pub(crate) fn processors_of_job(&self) -> usize {
        (processors::count() / self.jobs.unwrap_or(1)).max(1)
    }

    fn batch_of(&self, jobs: usize) -> batch::Options {
        batch::Options { jobs: self.jobs.unwrap_or(jobs), json: self.json, resumes: self.resumes }
    }
}
