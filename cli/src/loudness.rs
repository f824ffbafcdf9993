//! Loudness as a target: EBU R 128 measured in a first pass, one gain for all channels in a second.

use formant_audio_core::decode::BlockReader;
use formant_audio_core::level::LevelMeter;

use crate::failure::Failure;
use crate::interrupt;

/// Targets that make sense, in LUFS.
const TARGETS: std::ops::RangeInclusive<f64> = -70.0..=0.0;

/// `--loudness`: a target in LUFS.
pub(crate) fn target(text: &str) -> Result<f64, String> {
    let target = text.parse().ok().filter(|target| TARGETS.contains(target));
    target.ok_or_else(|| "give LUFS between -70 and 0, such as -16 or -23".to_owned())
}

/// What a first pass found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Leveling {
    /// Gated loudness of the whole; `None` where all is silence, which stays as it is.
    pub(crate) lufs: Option<f64>,
    /// True peak before the gain, in dBTP.
    pub(crate) peak: Option<f64>,
    pub(crate) target: f64,
}

impl Leveling {
    /// Reads a recording for its loudness.
    pub(crate) fn measure(mut reader: BlockReader, target: f64) -> Result<Self, Failure> {
        let mut meter = LevelMeter::new(reader.spec());
        while let Some(block) = reader.next_block()? {
            interrupt::check()?;
            meter.push(&block.view())?;
        }
        Ok(Self::of(&meter, target))
    }

    /// What a meter that heard everything says.
    pub(crate) fn of(meter: &LevelMeter, target: f64) -> Self {
        let report = meter.report();
        let lufs = report.loudness.integrated_lufs;
        Self { lufs, peak: report.overall.true_peak_dbtp, target }
    }

    /// The gain in dB.
    pub(crate) fn gain_db(&self) -> f64 {
        self.lufs.map_or(0.0, |lufs| self.target - lufs)
    }

    /// The gain as a factor.
    pub(crate) fn factor(&self) -> f32 {
        10f64.powf(self.gain_db() / 20.0) as f32
    }

    /// True peak behind the gain, in dBTP.
    pub(crate) fn peak_after(&self) -> Option<f64> {
        self.peak.map(|peak| peak + self.gain_db())
    }

    /// What was done, for people.
    pub(crate) fn text(&self) -> String {
        let Some(lufs) = self.lufs else {
            return "too short or too quiet for a loudness; its level stays".to_owned();
        };
        let (gain, target) = (self.gain_db(), self.target);
        let mut text = format!("{lufs:.1} LUFS taken to {target:.1} LUFS ({gain:+.1} dB)");
        if let Some(peak) = self.peak_after().filter(|peak| *peak > 0.0) {
            text += &format!(
                "; the true peak is {peak:+.1} dBTP: integer files clip unless --clip-policy limit"
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gain_leads_to_the_target() {
        let leveling = Leveling { lufs: Some(-22.0), peak: Some(-3.0), target: -16.0 };
        assert!((leveling.factor() - 1.995_262_3).abs() < 1e-5);
        assert_eq!(leveling.peak_after(), Some(3.0));
        assert!(leveling.text().contains("+6.0 dB") && leveling.text().contains("+3.0 dBTP"));
        let silence = Leveling { lufs: None, ..leveling };
        assert_eq!((silence.factor(), silence.gain_db()), (1.0, 0.0));
        assert!(target("-16").is_ok() && target("3").is_err() && target("x").is_err());
    }
}
