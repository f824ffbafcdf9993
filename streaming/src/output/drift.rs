//! The ratio at which audio is played so that a device with a clock of its own neither runs dry nor
//! falls behind.
//!
//! A loop of second order holds the audio that waits for the device at the level of the first
//! seconds. It is slow: the pitch follows the difference of the clocks, not the moments at which
//! audio comes.

/// Audio over which the level to hold is averaged, in seconds.
const SETTLING: f64 = 10.0;
/// Time constant of the average that is compared with it, in seconds.
const SMOOTHING: f64 = 10.0;
/// Time constant of the loop, in seconds. A jump of the drift by 500 ppm moves the level by 20 ms.
const RESPONSE: f64 = 90.0;
/// Largest share of the ratio that brings the level back: two thirds of a cent.
const CORRECTION: f64 = 4e-4;
/// Largest difference of two clocks that is followed.
const DRIFT: f64 = 1.5e-3;

/// Follows a device's clock.
#[derive(Debug, Default)]
pub(super) struct DriftLoop {
    /// Mean of what waits, in seconds.
    level: f64,
    /// Audio that the level to hold was averaged over, and that level once it is known.
    settled: f64,
    aim: Option<f64>,
    /// How much faster than the source's the device's clock is.
    drift: f64,
}

impl DriftLoop {
    /// Takes the level anew, after a pause or a jump; what is known of the clocks stays.
    pub(super) fn restart(&mut self) {
        *self = Self { drift: self.drift, ..Self::default() };
    }

    /// Hears that `waiting` seconds wait for the device, `passed` seconds of audio after the last
    /// time.
    pub(super) fn hear(&mut self, waiting: f64, passed: f64) {
        let Some(aim) = self.aim else {
            self.settled += passed;
            self.level += (waiting - self.level) * (passed / self.settled).min(1.0);
            if self.settled >= SETTLING {
                self.aim = Some(self.level);
            }
            return;
        };
        self.level += (waiting - self.level) * -(-passed / SMOOTHING).exp_m1();
        let missing = aim - self.level;
        let speed = missing * passed / (RESPONSE * RESPONSE);
        self.drift = (self.drift + speed).clamp(-DRIFT, DRIFT);
    }

    /// Frames of the device for one frame of audio.
    pub(super) fn ratio(&self) -> f64 {
        let missing = self.aim.map_or(0.0, |aim| aim - self.level);
        1.0 + self.drift + (2.0 * missing / RESPONSE).clamp(-CORRECTION, CORRECTION)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The level and the ratio after each piece of 0.1 s, for a device that is `drift` faster.
    fn followed(drift: f64, pieces: usize, late: impl Fn(usize) -> f64) -> Vec<(f64, f64)> {
        let (mut follow, mut waiting) = (DriftLoop::default(), 0.1);
        let step = |n: usize| {
            follow.hear(waiting - late(n), 0.1);
            waiting += 0.1 * (follow.ratio() - 1.0 - drift);
            (waiting, follow.ratio())
        };
        (0..pieces).map(step).collect()
    }

    #[test]
    fn clocks_are_followed() {
        for (drift, moved, overshoot) in
            [(5e-4, 0.025, 1.2), (-5e-4, 0.025, 1.2), (1e-3, 0.07, 1.75), (-1e-3, 0.07, 1.75)]
        {
            let all = followed(drift, 18_000, |_| 0.0);
            let worst = all.iter().map(|(level, _)| (level - 0.1).abs()).fold(0.0, f64::max);
            assert!(worst < moved, "{drift}: {worst}");
            let over = all.iter().map(|(_, ratio)| (ratio - 1.0) / drift).fold(0.0, f64::max);
            assert!(over < overshoot, "{drift}: {over}");
            let (level, ratio) = all[17_999];
            assert!((ratio - 1.0 - drift).abs() < 1e-6, "{drift}: {ratio}");
            assert!((level - 0.1).abs() < 0.006, "{drift}: {level}");
        }
    }

    #[test]
    fn late_pieces_are_no_drift() {
        let all = followed(0.0, 18_000, |n| if n % 7 == 0 { 0.05 } else { 0.0 });
        let most = all.iter().map(|(_, ratio)| (ratio - 1.0).abs()).fold(0.0, f64::max);
        assert!(most < 1e-4, "{most}");
    }

    #[test]
    fn a_jump_is_a_new_level() {
        let mut follow = DriftLoop::default();
        (0..600).for_each(|_| follow.hear(0.1, 0.1));
        follow.restart();
        (0..600).for_each(|_| follow.hear(0.5, 0.1));
        assert_eq!(follow.ratio(), 1.0);
    }
}
