//! How noise is removed, in recordings and live.

use clap::Args;
use formant_models::tasks::enhance::EnhanceOptions;

use crate::settings::Settings;

/// How noise is removed, in recordings and live.
#[derive(Debug, Args)]
pub(crate) struct CleaningArgs {
    /// Reduce noise by this many dB at most [default: as far as the model does].
    #[arg(long, value_name = "DB")]
    attenuation_limit: Option<f32>,
    /// Share of the enhanced signal in the output, from 0 to 1.
    #[arg(long, default_value_t = 1.0, value_name = "SHARE")]
    mix: f32,
    /// Dither that the front end adds to the input, at 16-bit scale, drawn from --seed; 0 for none.
    #[arg(long, default_value_t = 1.0, value_name = "AMOUNT")]
    front_end_dither: f32,
}

impl CleaningArgs {
    /// The task's options; windows are the defaults.
    pub(crate) fn options(&self, settings: &Settings) -> EnhanceOptions {
        EnhanceOptions {
            dither: self.front_end_dither,
            seed: settings.seed.unwrap_or(0),
            attenuation_limit_db: self.attenuation_limit,
            mix: self.mix,
            ..EnhanceOptions::default()
        }
    }
}
