//! How loud it is, in stretches of a set length.

use std::time::Duration;

use formant_audio_core::AudioView;
use formant_audio_core::level::{amplitude_db, power_db};

use crate::event::Event;

const FULL_SCALE: f32 = 32767.0 / 32768.0;

/// Collects samples until a stretch is over.
pub(crate) struct LevelTap {
    every: f64,
    frames: u64,
    samples: u64,
    peak: f32,
    squares: f64,
    clipped: u64,
}

impl LevelTap {
    pub(crate) fn new(every: Duration) -> Self {
        Self {
            every: every.as_secs_f64(),
            frames: 0,
            samples: 0,
            peak: 0.0,
            squares: 0.0,
            clipped: 0,
        }
    }

    /// Measures a block that ends at `at`; an event when a stretch is over with it.
    pub(crate) fn push(&mut self, block: &AudioView<'_>, at: f64) -> Option<Event> {
        for channel in 0..block.channels() {
            for &sample in block.channel(channel) {
                let magnitude = sample.abs();
                self.peak = self.peak.max(magnitude);
                self.squares += f64::from(sample) * f64::from(sample);
                self.clipped += u64::from(magnitude >= FULL_SCALE);
            }
        }
        self.frames += block.frames() as u64;
        self.samples += (block.frames() * block.channels()) as u64;
        if (self.frames as f64) < self.every * f64::from(block.rate()) {
            return None;
        }
        let event = Event::Level {
            at,
            peak_dbfs: amplitude_db(self.peak.into()),
            rms_dbfs: power_db(self.squares / self.samples.max(1) as f64),
            clipped: self.clipped,
        };
        *self = Self::new(Duration::from_secs_f64(self.every));
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_are_measured_apart() {
        let mut tap = LevelTap::new(Duration::from_millis(10));
        let block = |value: f32| vec![value; 50];
        assert_eq!(tap.push(&AudioView::from_mono(8000, &block(0.5)), 0.1), None);
        let Some(Event::Level { at, peak_dbfs, rms_dbfs, clipped }) =
            tap.push(&AudioView::from_mono(8000, &block(-1.0)), 0.2)
        else {
            panic!("a level");
        };
        assert_eq!((at, peak_dbfs, clipped), (0.2, Some(0.0), 50));
        assert!((rms_dbfs.expect("sound") - 10.0 * 0.625f64.log10()).abs() < 1e-9);
        let silence = tap.push(&AudioView::from_mono(8000, &[0.0; 80]), 0.3);
        assert!(matches!(silence, Some(Event::Level { peak_dbfs: None, rms_dbfs: None, .. })));
    }
}
