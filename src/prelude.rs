//! What most programs need: `use formant::prelude::*;`.

pub use crate::audio::decode::{BlockReader, DecodeOptions, decode_file};
pub use crate::audio::encode::{WriteOptions, write_file};
pub use crate::audio::resample::{Quality, resample};
pub use crate::audio::{AudioBuf, AudioSpec, AudioView, ChannelLayout};
pub use crate::error::{Error, Result};
pub use crate::models::tasks::enhance::{EnhanceOptions, Enhancer};
pub use crate::models::tasks::separate::{SeparateOptions, Separator};
pub use crate::models::tasks::speaker::{EmbedOptions, SpeakerEmbedder};
pub use crate::models::tasks::spot::{SpotOptions, Spotter};
pub use crate::models::tasks::stems::{StemSeparator, StemsOptions};
pub use crate::models::tasks::superres::{SuperResOptions, SuperResolver};
pub use crate::models::tasks::transcribe::{TranscribeOptions, Transcriber};
pub use crate::models::tasks::{Task, TaskSession};
pub use crate::models::{DeviceChoice, LoadOptions, ModelSource, Precision};
