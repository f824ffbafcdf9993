//! Test signals that any language can make again to the bit: a linear congruential generator and
//! a few sines. The stored reference numbers were computed from the same formulas.

pub(super) const RATE: f64 = 16_000.0;
pub(super) const LENGTH: usize = 40_000;

/// White noise in [-1, 1).
pub(super) fn noise(seed: u32, length: usize) -> Vec<f64> {
    let mut state = seed;
    (0..length)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(state >> 8) / 8_388_608.0 - 1.0
        })
        .collect()
}

fn sine(frequency: f64, n: usize) -> f64 {
    (std::f64::consts::TAU * frequency * n as f64 / RATE).sin()
}

/// Two references and an estimate of each.
pub(super) fn sources() -> [Vec<f32>; 4] {
    let [n1, n2, n3, n4] = [1, 2, 3, 4].map(|seed| noise(seed, LENGTH));
    let first: Vec<f32> = (0..LENGTH)
        .map(|n| 0.3 * sine(220.0, n) * (0.5 + 0.5 * sine(3.0, n)) + 0.1 * n1[n])
        .map(|v| v as f32)
        .collect();
    let second: Vec<f32> = (0..LENGTH)
        .map(|n| {
            let phase = std::f64::consts::TAU * 510.0 * n as f64 / RATE + 4.0 * sine(2.0, n);
            0.2 * phase.sin() * (0.6 + 0.4 * sine(1.3, n)) + 0.05 * n2[n]
        })
        .map(|v| v as f32)
        .collect();
    let wide = |s: f32| f64::from(s);
    let first_estimate = (0..LENGTH)
        .map(|n| (0.9 * wide(first[n]) + 0.1 * wide(second[n]) + 0.02 * n3[n]) as f32)
        .collect();
    let second_estimate = (0..LENGTH)
        .map(|n| {
            let late = if n == 0 { 0.0 } else { wide(second[n - 1]) };
            (0.8 * late + 0.15 * wide(first[n]) + 0.02 * n4[n] + 0.01) as f32
        })
        .collect();
    [first, second, first_estimate, second_estimate]
}

/// A signal with pauses, and the same in noise.
pub(super) fn gated() -> (Vec<f32>, Vec<f32>) {
    let [first, ..] = sources();
    let hiss = noise(5, LENGTH);
    let clean: Vec<f32> =
        first.iter().enumerate().map(|(n, &s)| if sine(0.9, n) > -0.4 { s } else { 0.0 }).collect();
    let noisy = clean.iter().zip(&hiss).map(|(&s, h)| (f64::from(s) + 0.25 * h) as f32).collect();
    (clean, noisy)
}

/// A voice with a gliding pitch and pauses, and the same a little higher, in hiss.
pub(super) fn voices() -> (Vec<f32>, Vec<f32>) {
    let hiss = noise(6, LENGTH);
    let voice = |n: usize, higher: f64| {
        let seconds = n as f64 / RATE;
        let phase = std::f64::consts::TAU * 150.0 * higher * seconds - 12.0 * sine(1.7, n);
        let loud = if sine(0.9, n) > -0.4 { 0.2 } else { 0.0 };
        loud * (1..=8).map(|k| (phase * f64::from(k)).sin() / f64::from(k)).sum::<f64>()
    };
    let clean = (0..LENGTH).map(|n| (voice(n, 1.0) + 0.001 * hiss[n]) as f32).collect();
    let other = (0..LENGTH).map(|n| (voice(n, 1.01) + 0.02 * hiss[n]) as f32).collect();
    (clean, other)
}
