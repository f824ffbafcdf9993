//! Colours: maps of even perceived steps, made in the OKLCh space, and a palette for lines.
//!
//! Source of the space: B. Ottosson, "A perceptual color space for image processing" (2020).

use std::sync::OnceLock;

/// Red, green and blue, sRGB.
pub(super) type Rgb = [u8; 3];

/// Page background.
pub(super) const PAPER: Rgb = [255, 255, 255];
/// Background of a panel where there is no data.
pub(super) const EMPTY: Rgb = [242, 243, 246];
/// Text.
pub(super) const INK: Rgb = [38, 40, 48];
/// Axes, frames and secondary text.
pub(super) const GREY: Rgb = [112, 116, 128];
/// Grid lines.
pub(super) const GRID: Rgb = [218, 221, 228];

const STEPS: usize = 256;

/// A ramp from dark violet over red to pale yellow, for levels. `t` runs from 0 to 1.
pub(super) fn sequential(t: f32) -> Rgb {
    static MAP: OnceLock<Vec<Rgb>> = OnceLock::new();
    look_up(
        MAP.get_or_init(|| {
            ramp(|t| {
                let lightness = 0.13 + 0.85 * t;
                let chroma =
                    0.035 + 0.175 * (std::f64::consts::PI * t.powf(0.85)).sin() + 0.055 * t;
                (lightness, chroma, 282.0 + 178.0 * t)
            })
        }),
        t,
    )
}

/// Blue over white to red, for differences. `t` runs from -1 to 1.
pub(super) fn diverging(t: f32) -> Rgb {
    static MAP: OnceLock<Vec<Rgb>> = OnceLock::new();
    look_up(
        MAP.get_or_init(|| {
            ramp(|t| {
                let side = 2.0 * t - 1.0;
                let hue = if side < 0.0 { 256.0 } else { 28.0 };
                (0.975 - 0.52 * side.abs().powf(0.9), 0.21 * side.abs().powf(0.8), hue)
            })
        }),
        (t + 1.0) / 2.0,
    )
}

/// Colours of lines and bars that are told apart by hue and lightness.
pub(super) fn palette(index: usize) -> Rgb {
    const LINES: [(f64, f64, f64); 6] = [
        (0.52, 0.17, 262.0),
        (0.64, 0.19, 38.0),
        (0.62, 0.14, 155.0),
        (0.56, 0.20, 330.0),
        (0.74, 0.15, 80.0),
        (0.45, 0.04, 250.0),
    ];
    let (lightness, chroma, hue) = LINES[index % LINES.len()];
    oklch(lightness, chroma, hue)
}

fn ramp(path: impl Fn(f64) -> (f64, f64, f64)) -> Vec<Rgb> {
    (0..STEPS)
        .map(|step| {
            let (lightness, chroma, hue) = path(step as f64 / (STEPS - 1) as f64);
            oklch(lightness, chroma, hue)
        })
        .collect()
}

fn look_up(map: &[Rgb], t: f32) -> Rgb {
    let t = if t.is_finite() { t.clamp(0.0, 1.0) } else { 0.0 };
    map[(t * (STEPS - 1) as f32).round() as usize]
}

/// The sRGB colour, with the chroma lowered to what sRGB can show.
fn oklch(lightness: f64, chroma: f64, hue: f64) -> Rgb {
    let (sin, cos) = hue.to_radians().sin_cos();
    let mut chroma = chroma;
    loop {
        let linear = oklab_to_linear(lightness, chroma * cos, chroma * sin);
        if chroma < 1e-3 || linear.iter().all(|v| (-1e-4..=1.0001).contains(v)) {
            return linear.map(encode);
        }
        chroma *= 0.98;
    }
}

fn oklab_to_linear(lightness: f64, a: f64, b: f64) -> [f64; 3] {
    let l = (lightness + 0.396_337_777_4 * a + 0.215_803_757_3 * b).powi(3);
    let m = (lightness - 0.105_561_345_8 * a - 0.063_854_172_8 * b).powi(3);
    let s = (lightness - 0.089_484_177_5 * a - 1.291_485_548 * b).powi(3);
    [
        4.076_741_662_1 * l - 3.307_711_591_3 * m + 0.230_969_929_2 * s,
        -1.268_438_004_6 * l + 2.609_757_401_1 * m - 0.341_319_396_5 * s,
        -0.004_196_086_3 * l - 0.703_418_614_7 * m + 1.707_614_701 * s,
    ]
}

/// The sRGB transfer function (IEC 61966-2-1).
fn encode(linear: f64) -> u8 {
    let linear = linear.clamp(0.0, 1.0);
    let value =
        if linear <= 0.003_130_8 { 12.92 * linear } else { 1.055 * linear.powf(1.0 / 2.4) - 0.055 };
    (value * 255.0).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn luminance(color: Rgb) -> f64 {
        let [r, g, b] = color.map(|v| (f64::from(v) / 255.0).powf(2.2));
        0.2126 * r + 0.7152 * g + 0.0722 * b
    }

    #[test]
    fn levels_get_steadily_brighter() {
        let steps: Vec<f64> = (0..=40).map(|i| luminance(sequential(i as f32 / 40.0))).collect();
        assert!(steps.windows(2).all(|pair| pair[1] > pair[0]), "{steps:?}");
        assert!(steps[0] < 0.01 && steps[40] > 0.85);
        assert_eq!(sequential(f32::NAN), sequential(0.0));
    }

    #[test]
    fn differences_are_white_at_zero_and_equally_dark_at_both_ends() {
        assert!(diverging(0.0).iter().all(|&v| v > 240));
        let (low, high) = (diverging(-1.0), diverging(1.0));
        assert!(low[2] > low[0] && high[0] > high[2]);
        assert!((luminance(low) - luminance(high)).abs() < 0.08);
    }
}
