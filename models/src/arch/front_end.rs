//! Bounds of the front ends that cards state: no tensor of a checkpoint fixes these sizes.

use formant_audio_core::features::{FeatureConfig, FeaturePlan};

use crate::error::{Error, Result};

/// Longest transform: 1.4 s at 48 kHz, where networks for audio use up to 0.1 s.
const LONGEST_N_FFT: usize = 1 << 16;
/// Most frames that see a sample, where front ends of networks have two to six.
const MOST_FRAMES_A_SAMPLE: usize = 64;
/// Longest fixed length of an input in frames: eleven minutes at a hop of 10 ms.
const LONGEST_TARGET: usize = 1 << 16;
/// Sample rates in Hz, from telephone speech with room below, to the fastest audio converters.
const SAMPLE_RATES: std::ops::RangeInclusive<u32> = 1_000..=768_000;

/// Refuses a front end that is out of its bounds, or that does not make `inputs` features a frame.
///
/// # Errors
/// [`Error::Config`] naming the setting.
pub(super) fn check(config: &FeatureConfig, inputs: i64) -> Result<()> {
    let refuse =
        |setting: &str, reason: String| Err(Error::config(format!("frontend.{setting}"), reason));
    if !SAMPLE_RATES.contains(&config.sample_rate) {
        let (low, high) = (SAMPLE_RATES.start(), SAMPLE_RATES.end());
        let reason = format!("{} Hz is not from {low} to {high}", config.sample_rate);
        return refuse("sample_rate", reason);
    }
    if !(2..=LONGEST_N_FFT).contains(&config.n_fft) {
        return refuse("n_fft", format!("{} is not from 2 to {LONGEST_N_FFT}", config.n_fft));
    }
    if !(1..=LONGEST_N_FFT).contains(&config.hop_length) {
        return refuse(
            "hop_length",
            format!("{} is not from 1 to {LONGEST_N_FFT}", config.hop_length),
        );
    }
    if config.hop_length.saturating_mul(MOST_FRAMES_A_SAMPLE) < config.win_length {
        let least = config.win_length.div_ceil(MOST_FRAMES_A_SAMPLE);
        let reason = format!("{} is less than {least}, 1/64 of a window", config.hop_length);
        return refuse("hop_length", reason);
    }
    if config.target_frames.is_some_and(|frames| !(4..=LONGEST_TARGET).contains(&frames)) {
        return refuse("target_frames", format!("only 4 to {LONGEST_TARGET} are accepted"));
    }
    if let Some(mel) = &config.mel
        && !(mel.n_mels >= 1 && mel.n_mels <= config.n_fft)
    {
        return refuse("n_mels", format!("{} bands for {} points", mel.n_mels, config.n_fft));
    }
    let bins = bins(config);
    if bins != inputs.try_into().ok() {
        let bins = bins.map_or("too many".to_owned(), |bins| bins.to_string());
        return Err(Error::config(
            "frontend",
            format!("{bins} bins for a network with {inputs} inputs"),
        ));
    }
    FeaturePlan::new(config)?;
    Ok(())
}

/// Features a frame, computed without planning.
fn bins(config: &FeatureConfig) -> Option<usize> {
    let bands = config.mel.as_ref().map_or(config.n_fft / 2 + 1, |mel| mel.n_mels);
    let columns = match &config.cepstrum {
        Some(cepstrum) => cepstrum.n_mfcc,
        None => bands + usize::from(config.energy.is_some()),
    };
    let order = config.deltas.map_or(0, |deltas| deltas.order);
    columns.checked_mul(order.checked_add(1)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use formant_audio_core::features::presets;

    #[test]
    fn every_preset_of_a_network_is_within_the_bounds() {
        for name in [
            "nemo",
            "nemo-v1",
            "wenet",
            "speechbrain",
            "wespeaker",
            "taoruijie",
            "lmuformer",
            "mossformer2-se",
        ] {
            let config = presets::by_name(name).expect("a preset");
            let inputs = FeaturePlan::new(&config).expect("plannable").bins() as i64;
            check(&config, inputs).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(check(&config, inputs + 1).is_err());
        }
    }

    #[test]
    fn impossible_sizes_are_refused_by_name() {
        let preset = || presets::by_name("nemo").expect("a preset");
        let broken: [(&str, FeatureConfig); 4] = [
            ("sample_rate", FeatureConfig { sample_rate: 1, ..preset() }),
            ("n_fft", FeatureConfig { n_fft: 1 << 31, ..preset() }),
            ("hop_length", FeatureConfig { hop_length: 0, ..preset() }),
            ("target_frames", FeatureConfig { target_frames: Some(3), ..preset() }),
        ];
        for (name, config) in broken {
            let error = check(&config, 80).expect_err(name).to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
