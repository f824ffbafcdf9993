//! How audio inputs are read.

use clap::Args;
use formant_audio_core::decode::{BlockReader, DecodeOptions, RawFormat, Strictness};

use crate::failure::Failure;
use crate::inputs::{self, Input, InputArgs, InputList};

/// How audio is read.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Reading options")]
pub(crate) struct AudioArgs {
    /// Read inputs as samples without a header, such as 16000,s16le,1 (rate, kind, channels).
    #[arg(long, value_name = "FORMAT")]
    pub(crate) raw: Option<RawFormat>,
    /// Treat warnings about an input, such as a truncated file, as errors.
    #[arg(long)]
    pub(crate) strict: bool,
}

impl AudioArgs {
    /// The options of the decoder.
    pub(crate) fn decode_options(&self) -> DecodeOptions {
        let strict = if self.strict { Strictness::Strict } else { Strictness::Lenient };
        DecodeOptions { raw: self.raw, strict, ..DecodeOptions::default() }
    }
}

/// Inputs and how they are read.
#[derive(Debug)]
pub(crate) struct Sources {
    pub(crate) list: InputList,
    pub(crate) decode: DecodeOptions,
}

impl Sources {
    /// Expands everything that was named.
    pub(crate) fn of(typed: &InputArgs, audio: &AudioArgs) -> Result<Self, Failure> {
        Ok(Self { list: inputs::expand(typed)?, decode: audio.decode_options() })
    }

    /// Opens one of them.
    pub(crate) fn open(&self, input: &Input) -> Result<BlockReader, Failure> {
        Ok(match &input.path {
            Some(path) => BlockReader::open(path, &self.decode)?,
            None => BlockReader::from_stream(Box::new(std::io::stdin()), "-", &self.decode)?,
        })
    }
}
