//! Case S7: lengths, alignment, gains and channel agreement of the resampler, in all qualities.

use formant_audio_core::resample::{Quality, StreamResampler, output_frames, resample};
use formant_audio_core::{AudioBuf, AudioSpec, AudioView, ChannelLayout};
use proptest::prelude::*;

const QUALITIES: [Quality; 3] = [Quality::Fast, Quality::High, Quality::Best];
const PAIRS: [(u32, u32); 8] = [
    (48_000, 16_000),
    (44_100, 16_000),
    (16_000, 48_000),
    (44_100, 48_000),
    (48_000, 44_100),
    (22_050, 16_000),
    (8000, 16_000),
    (16_000, 16_000),
];

fn mono(rate: u32, samples: &[f32], to: u32, quality: Quality) -> Vec<f32> {
    resample(&AudioView::from_mono(rate, samples), to, quality).expect("converts").into_planar()
}

fn sine(rate: u32, hz: f64, frames: usize) -> Vec<f32> {
    let step = std::f64::consts::TAU * hz / f64::from(rate);
    (0..frames).map(|n| (step * n as f64).sin() as f32).collect()
}

/// RMS of the middle half, relative to a full-scale sine's.
fn gain(samples: &[f32]) -> f64 {
    let middle = &samples[samples.len() / 4..samples.len() * 3 / 4];
    let square: f64 = middle.iter().map(|&x| f64::from(x).powi(2)).sum();
    (2.0 * square / middle.len() as f64).sqrt()
}

#[test]
fn s7_impulses_stay_in_place() {
    for (from, to) in PAIRS {
        for n in [1usize, 2, 100, 1023, 1024, 1025, 5000, 44_100] {
            let mut samples = vec![0.0; n];
            samples[n / 2] = 1.0;
            for quality in QUALITIES {
                let out = mono(from, &samples, to, quality);
                let expected = (n as u64 * u64::from(to)).div_ceil(u64::from(from));
                assert_eq!(out.len() as u64, expected, "{n} frames, {from} to {to}");
                let peak = (0..out.len()).max_by(|&a, &b| out[a].abs().total_cmp(&out[b].abs()));
                let peak = peak.expect("at least one frame") as f64;
                let ideal = (n / 2) as f64 * f64::from(to) / f64::from(from);
                assert!((peak - ideal).abs() <= 1.0, "{n}, {from} to {to}: {peak} not {ideal}");
            }
        }
    }
}

#[test]
fn s7_gains() {
    for quality in QUALITIES {
        for (from, to) in PAIRS {
            let out = mono(from, &sine(from, 1000.0, from as usize), to, quality);
            assert!((gain(&out) - 1.0).abs() < 1e-4, "{from} to {to}: {}", gain(&out));
        }
        let down = |hz: f64| {
            20.0 * gain(&mono(44_100, &sine(44_100, hz, 44_100), 16_000, quality)).log10()
        };
        assert!(down(7900.0) >= -6.0, "7.9 kHz: {} dB", down(7900.0));
        assert!(down(15_000.0) <= -90.0, "15 kHz: {} dB", down(15_000.0));
    }
}

#[test]
fn s7_channels_agree() {
    let left = sine(44_100, 997.0, 30_000);
    let planar: Vec<f32> = left.iter().copied().chain(left.iter().map(|x| -x)).collect();
    let spec = AudioSpec { rate: 44_100, layout: ChannelLayout::Stereo };
    let buf = AudioBuf::from_planar(spec, planar).expect("two channels");
    for quality in QUALITIES {
        let out = resample(&buf.view(), 16_000, quality).expect("converts");
        for (l, r) in out.channel(0).iter().zip(out.channel(1)) {
            assert_eq!(*r, -l);
        }
        assert_eq!(out.channel(0), mono(44_100, &left, 16_000, quality), "alone or in company");
    }
}

#[test]
fn a_shifted_sine_stays_a_sine() {
    // Against the ideal samples: the error is that of single precision, not of the filter.
    for (from, to) in PAIRS {
        for (quality, decibels) in [(Quality::High, -110.0), (Quality::Best, -125.0)] {
            let hz = 0.4 * f64::from(from.min(to));
            let out = mono(from, &sine(from, hz, from as usize), to, quality);
            let ideal = sine(to, hz, out.len());
            let error: Vec<f32> = out.iter().zip(&ideal).map(|(a, b)| a - b).collect();
            let found = 20.0 * gain(&error).max(1e-12).log10();
            assert!(found < decibels, "{from} to {to} {quality:?}: {found:.1} dB");
        }
    }
}

#[test]
fn nothing_in_nothing_out_and_wrong_settings() {
    assert_eq!(mono(44_100, &[], 16_000, Quality::High).len(), 0);
    let view = AudioView::from_mono(44_100, &[0.0; 10]);
    assert!(resample(&view, 0, Quality::High).is_err());
    assert!(resample(&AudioView::from_mono(0, &[]), 16_000, Quality::High).is_err());
    let mut stream =
        StreamResampler::new(AudioSpec::mono(48_000), 16_000, Quality::High).expect("valid");
    assert!(stream.push(&view).is_err(), "another rate than the stream's");
    assert_eq!(output_frames(44_100, 44_100, 48_000), 48_000);
    assert_eq!(output_frames(1, 0, 48_000), 0);
    assert_eq!(output_frames(u64::MAX, 1, 2), u64::MAX);
}

#[test]
fn odd_ratios_have_exact_lengths() {
    for (from, to) in [(44_100, 47_999), (11_025, 192_000), (8000, 7999)] {
        let out = mono(from, &sine(from, 0.1 * f64::from(from), 3000), to, Quality::High);
        assert_eq!(out.len() as u64, output_frames(3000, from, to), "{from} to {to}");
        assert!(out.iter().all(|x| x.abs() < 1.2));
    }
    assert!(resample(&AudioView::from_mono(3, &[1.0]), 4_000_000_001, Quality::Fast).is_err());
}

#[test]
fn low_latency_is_the_same_up_to_rounding() {
    let samples = sine(48_000, 440.0, 48_000);
    let whole = mono(48_000, &samples, 16_000, Quality::High);
    let mut stream =
        StreamResampler::low_latency(AudioSpec::mono(48_000), 16_000, Quality::High).expect("ok");
    let mut out = stream.push(&AudioView::from_mono(48_000, &samples)).expect("converts");
    assert!(out.frames() > 15_000, "most is out before the end: {}", out.frames());
    out.append(&stream.finish().expect("ends").view()).expect("same spec");
    for (a, b) in out.channel(0).iter().zip(&whole) {
        assert!((a - b).abs() < 2e-6, "{a} {b}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_split_gives_the_same_bytes(
        pair in 0..PAIRS.len(),
        quality in 0..QUALITIES.len(),
        frames in 0usize..60_000,
        seed in 1usize..5000,
    ) {
        let (from, to) = PAIRS[pair];
        let samples: Vec<f32> =
            (0..frames).map(|n| ((n * seed * 7919) % 2003) as f32 / 1001.0 - 1.0).collect();
        let whole = mono(from, &samples, to, QUALITIES[quality]);
        let mut stream =
            StreamResampler::new(AudioSpec::mono(from), to, QUALITIES[quality]).expect("valid");
        let (mut out, mut at, mut step) = (Vec::new(), 0, seed);
        while at < frames {
            let end = (at + 1 + step % (1 + frames / 3)).min(frames);
            let piece = AudioView::from_mono(from, &samples[at..end]);
            out.extend(stream.push(&piece).expect("converts").into_planar());
            (at, step) = (end, step * 31 % 10_007);
        }
        out.extend(stream.finish().expect("ends").into_planar());
        prop_assert_eq!(out.len() as u64, output_frames(frames as u64, from, to));
        prop_assert_eq!(out, whole);
    }

    #[test]
    fn conversion_is_linear(scale in -4.0f32..4.0, shift in 0usize..2000) {
        let a = sine(44_100, 440.0, 6000);
        let mut b = vec![0.0; 6000];
        b[2000 + shift] = 1.0;
        let mix: Vec<f32> = a.iter().zip(&b).map(|(a, b)| scale * a + b).collect();
        let convert = |x: &[f32]| mono(44_100, x, 16_000, Quality::Fast);
        let (a, b, mix) = (convert(&a), convert(&b), convert(&mix));
        for ((a, b), mix) in a.iter().zip(&b).zip(&mix) {
            prop_assert!((scale * a + b - mix).abs() < 1e-5);
        }
    }
}
