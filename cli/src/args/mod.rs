//! What was typed: the grammar of the command line, one file a command.
//!
//! Only [`crate::plan`] reads these structs.

mod audio;
mod common;
mod features;
mod listen;
mod models;
mod plot;
mod separation;
mod speaker;
mod spot;
mod stems;
mod transcribe;

pub(crate) use audio::{
    AudioArgs, ClipPolicyArg, ConvertArgs, FormatArg, InfoArgs, QualityArg, ResampleArgs,
    SampleArg, WriteArgs,
};
pub(crate) use common::{GlobalArgs, InputArgs, OutputArgs, Precision};
pub(crate) use features::{FeatureFormat, FeaturesArgs};
pub(crate) use listen::{ListenArgs, OnLossArg};
pub(crate) use models::{CacheArgs, ModelsArgs, ModelsCommand, WeightNormArg};
pub(crate) use plot::{PlotArgs, ScaleArg};
pub(crate) use separation::{CleaningArgs, EnhanceArgs, LevelsArg, SeparateArgs};
pub(crate) use speaker::{
    CompareArgs, DecisionArgs, EmbedArgs, EnrollArgs, IdentifyArgs, SpeakerArgs, SpeakerCommand,
    SpeakerModelArgs, VectorFormat, VerifyArgs,
};
pub(crate) use spot::{SpotArgs, SpotFormat, SpotTuning};
pub(crate) use stems::{EndsArg, SeparationArgs, StemsArgs};
pub(crate) use transcribe::{CutArg, NemoArg, RecognizerArgs, TranscribeArgs, TranscriptFormat};
