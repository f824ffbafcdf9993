//! Whether a spectrogram is one that a model takes: by what made it where that is known, and by its
//! values where it is not.

use formant_audio_core::features::{FeatureConfig, Log, LogBase, Spectrum};

/// Room for numbers of 16 bits at the floor.
const FLOOR_ROOM: f32 = 0.05;
/// The loudest value of recordings within [-1, 1], with room: the sum of a frame's bands is below
/// 100.
const MOST: f32 = 6.0;
/// Share of the values that have the least of them where it is a floor.
const AT_FLOOR: f64 = 0.002;

/// What the settings `found` have otherwise than those that a model wants, a line each; steps before
/// the frames, such as levels, are not compared.
#[must_use]
pub fn mel_differences(found: &FeatureConfig, wanted: &FeatureConfig) -> Vec<String> {
    let mut lines = Vec::new();
    let mut compare = |what: &str, found: String, wanted: String| {
        if found != wanted {
            lines.push(format!("{what}: {found}, not {wanted}"));
        }
    };
    let mut both = |what: &str, text: &dyn Fn(&FeatureConfig) -> String| {
        compare(what, text(found), text(wanted));
    };
    both("rate", &|config| format!("{} Hz", config.sample_rate));
    both("hop", &|config| format!("{} samples", config.hop_length));
    both("window", &|config| format!("{} samples of {}", config.win_length, config.n_fft));
    both("bands", &|config| {
        config.mel.as_ref().map_or("none".into(), |mel| mel.n_mels.to_string())
    });
    both("lowest frequency", &|config| {
        config.mel.as_ref().map_or("none".into(), |mel| format!("{} Hz", mel.f_min))
    });
    both("highest frequency", &|config| {
        config.mel.as_ref().map_or("none".into(), |mel| format!("{} Hz", mel.f_max))
    });
    both("filters", &|config| {
        config.mel.as_ref().map_or("none".into(), |mel| format!("{:?} {:?}", mel.scale, mel.norm))
    });
    both("spectrum", &|config| match config.spectrum {
        Spectrum::Power => "power".to_owned(),
        Spectrum::Magnitude { .. } => "magnitude".to_owned(),
    });
    both("logarithm", &|config| config.log.as_ref().map_or("none".into(), log_text));
    both("mapping", &|config| {
        config.affine.map_or("none".into(), |map| format!("{} x + {}", map.scale, map.offset))
    });
    both("normalization", &|config| format!("{:?}", config.normalization));
    both("other columns", &|config| {
        let others = [config.energy.is_some(), config.cepstrum.is_some(), config.deltas.is_some()];
        ["energy", "cepstrum", "deltas"]
            .iter()
            .zip(others)
            .filter_map(|(name, is_there)| is_there.then_some(*name))
            .collect::<Vec<_>>()
            .join(", ")
    });
    lines
}

fn log_text(log: &Log) -> String {
    let name = match log.base {
        LogBase::E => "ln",
        LogBase::Ten => "log10",
    };
    let factor = if log.factor == 1.0 { String::new() } else { format!("{} ", log.factor) };
    let offset = if log.offset == 0.0 { String::new() } else { format!(" + {}", log.offset) };
    format!("{factor}{name} above {:e}{offset}", log.floor)
}

/// The least value that a front end of natural logarithms makes.
fn floor(config: &FeatureConfig) -> Option<f32> {
    let log = config.log.filter(|log| log.base == LogBase::E && log.factor == 1.0)?;
    Some((log.floor.max(0.0) + log.offset).ln())
}

/// Why these values can't be a spectrogram that a front end makes of a recording; `None` where they can,
/// and where the front end takes no natural logarithms.
#[must_use]
pub fn mel_doubts(values: &[f32], wanted: &FeatureConfig) -> Option<String> {
    if values.iter().any(|x| !x.is_finite()) {
        return Some("some values are no finite numbers".to_owned());
    }
    let floor = floor(wanted).filter(|_| !values.is_empty())?;
    let least = values.iter().copied().fold(f32::INFINITY, f32::min);
    let most = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let told = format!("values go from {least:.4} to {most:.4}");
    let model = format!("the wanted ones are natural logarithms with a floor of {floor:.4}");
    if least < floor - FLOOR_ROOM {
        return Some(format!("{told}; {model}, and decibels go lower"));
    }
    if most > MOST {
        return Some(format!("{told}; {model}, and no recording reaches {MOST}"));
    }
    if least >= 0.0 {
        return Some(format!("{told}; {model}, and these look like amplitudes"));
    }
    if values.iter().all(|x| x.abs() <= 1.0) {
        return Some(format!("{told}; {model}, and these look normalized"));
    }
    let count = values.iter().filter(|x| **x - least <= 1e-3).count();
    let repeats = count >= 4 && count as f64 >= AT_FLOOR * values.len() as f64;
    if repeats && least > floor + FLOOR_ROOM {
        let share = 100.0 * count as f64 / values.len() as f64;
        let guess = if (least + 5.0).abs() < FLOOR_ROOM { ", as of common logarithms" } else { "" };
        return Some(format!(
            "{told}, of which {share:.1} % are the least: another floor{guess}; {model}"
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use formant_audio_core::features::{FeaturePlan, presets};

    use super::*;

    #[test]
    fn differences_name_both_sides() {
        let wanted = presets::by_name("bigvgan-24k-100").expect("a preset");
        assert_eq!(mel_differences(&wanted, &wanted), Vec::<String>::new());
        let leveled = presets::by_name("periodwave").expect("a preset");
        assert_eq!(mel_differences(&leveled, &wanted), Vec::<String>::new());
        let other = presets::by_name("hifigan").expect("a preset");
        let lines = mel_differences(&other, &wanted);
        for line in [
            "rate: 22050 Hz, not 24000 Hz",
            "bands: 80, not 100",
            "highest frequency: 8000 Hz, not 12000 Hz",
        ] {
            assert!(lines.iter().any(|found| found == line), "{line} in {lines:?}");
        }
        let whisper = presets::by_name("whisper").expect("a preset");
        let lines = mel_differences(&whisper, &wanted).join("\n");
        assert!(lines.contains("log10") && lines.contains("not ln above 1e-5"), "{lines}");
    }

    #[test]
    fn values_that_cannot_be_are_doubted() {
        let wanted = presets::by_name("bigvgan-24k-100").expect("a preset");
        let plan = FeaturePlan::new(&wanted).expect("sound");
        let loud: Vec<f32> = (0..24_000).map(|n| 0.9 * (n as f32 * 0.3).sin()).collect();
        let noise: Vec<f32> = (0..24_000).map(|n| (n * 7919 % 1009) as f32 / 504.5 - 1.0).collect();
        let quiet = vec![0.0; 24_000];
        for samples in [loud, noise, quiet] {
            let mel: Vec<f32> = plan.compute(&samples).expect("defined").iter().copied().collect();
            assert_eq!(mel_doubts(&mel, &wanted), None);
            let mapped = |scale: f32, offset: f32| -> Vec<f32> {
                mel.iter().map(|x| x * scale + offset).collect()
            };
            let decibels = mapped(20.0 / std::f32::consts::LN_10, 0.0);
            assert!(mel_doubts(&decibels, &wanted).is_some());
            let amplitudes: Vec<f32> = mel.iter().map(|x| x.exp()).collect();
            assert!(mel_doubts(&amplitudes, &wanted).is_some());
            assert!(mel_doubts(&mapped(1.0 / 12.0, 0.0), &wanted).is_some(), "normalized");
        }
        let mut common = vec![-5.0; 50];
        common.extend((0..950).map(|n| -4.9 + n as f32 * 0.005));
        let doubt = mel_doubts(&common, &wanted).expect("another floor");
        assert!(doubt.contains("common logarithms"), "{doubt}");
        assert!(mel_doubts(&[f32::NAN, 0.0], &wanted).is_some());
        assert_eq!(mel_doubts(&[], &wanted), None);
    }
}
