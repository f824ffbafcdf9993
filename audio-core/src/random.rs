//! Pseudo-random numbers that depend on what they are for alone, not on who asked before.

/// Finaliser of SplitMix64 (Steele, Lea and Flood, 2014).
#[must_use]
pub fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The upper bits of a random number as a fraction between 0 and 1, without the ends.
#[must_use]
pub fn fraction(random: u64) -> f64 {
    ((random >> 11) as f64 + 0.5) / (1u64 << 53) as f64
}
