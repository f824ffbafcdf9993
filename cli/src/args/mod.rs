//! What was typed: the grammar of the command line, one file a command.
//!
//! Only [`crate::plan`] reads these structs.

mod audio;
mod common;
mod separation;

pub(crate) use audio::{
    AudioArgs, ClipPolicyArg, ConvertArgs, FormatArg, InfoArgs, QualityArg, ResampleArgs,
    SampleArg, WriteArgs,
};
pub(crate) use common::{GlobalArgs, InputArgs, OutputArgs, Precision};
pub(crate) use separation::{CleaningArgs, EnhanceArgs, LevelsArg, SeparateArgs};
