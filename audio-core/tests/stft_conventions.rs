//! The transform against torch's numbers, its inverse, and streams against whole signals.

mod support;

use formant_audio_core::chunk::{Edges, Padding};
use formant_audio_core::mel::BandLayout;
use formant_audio_core::stft::{Complex32, Scaling, StftConfig, StftPlan};
use formant_audio_core::window::{Symmetry, Window};
use ndarray::{Array2, Axis};
use proptest::prelude::*;
use support::{Goldens, assert_close_slice};

fn plan(config: StftConfig) -> StftPlan {
    StftPlan::new(&config).expect("valid")
}

/// Real and imaginary parts of a few frames, as `[bins, frames, 2]`.
fn parts(spectrum: &Array2<Complex32>, frames: &[usize]) -> Vec<f32> {
    let bins = 0..spectrum.ncols();
    bins.flat_map(|bin| frames.iter().map(move |&frame| (frame, bin)))
        .flat_map(|at| [spectrum[at].re, spectrum[at].im])
        .collect()
}

#[test]
fn separator_at_44_khz() {
    let plan = plan(StftConfig { hop_length: 441, ..StftConfig::default() });
    for goldens in Goldens::all("mel-band-44k/io.safetensors") {
        let waves = goldens.matrix("wave44k_stereo");
        let first = goldens.tensor("stft44k.frames_first8").1;
        let last = goldens.tensor("stft44k.frames_last4").1;
        let back = goldens.matrix("istft44k.out");
        let tails = goldens.matrix("istft44k.out_with_length_tail");
        for (channel, wave) in waves.rows().into_iter().enumerate() {
            let wave = wave.to_vec();
            let spectrum = plan.forward(&wave);
            let stored = |values: &[f32]| {
                let per_channel = values.len() / 2;
                values[channel * per_channel..(channel + 1) * per_channel].to_vec()
            };
            let frames: Vec<usize> = (0..8).collect();
            assert_close_slice("first", &parts(&spectrum, &frames), &stored(&first), 1e-4);
            let count = spectrum.nrows();
            let frames: Vec<usize> = (count - 4..count).collect();
            assert_close_slice("last", &parts(&spectrum, &frames), &stored(&last), 1e-4);
            let out = plan.inverse(spectrum.view(), None).expect("bins fit");
            assert_close_slice("inverse", &out, &back.row(channel).to_vec(), 1e-5);
            let out = plan.inverse(spectrum.view(), Some(wave.len())).expect("bins fit");
            let tail = tails.row(channel).to_vec();
            assert_close_slice("tail", &out[wave.len() - tail.len()..], &tail, 1e-5);
        }
    }
}

#[test]
fn separator_bands() {
    for goldens in Goldens::all("mel-band-44k/io.safetensors") {
        for (key, n_fft) in [("44100_2048_60", 2048), ("44100_4096_60", 4096)] {
            let layout = BandLayout::mel(44_100, n_fft, 60).expect("valid");
            let floats = |values: Vec<usize>| values.iter().map(|&v| v as f32).collect::<Vec<_>>();
            let stored = |name: &str| goldens.values(&format!("{key}{name}"));
            assert_eq!(floats(layout.indices(1)), stored("_mono.freq_indices"));
            assert_eq!(floats(layout.indices(2)), stored("_stereo.freq_indices"));
            if n_fft == 2048 {
                assert_eq!(floats(layout.bands_per_bin()), stored(".num_bands_per_freq"));
                let widths = layout.ranges().iter().map(ExactSizeIterator::len).collect();
                assert_eq!(floats(widths), stored(".num_freqs_per_band"));
            }
        }
    }
}

#[test]
fn enhancer_at_48_khz() {
    let plan = plan(StftConfig {
        n_fft: 1920,
        win_length: 1920,
        hop_length: 384,
        window: Window::Hamming,
        symmetry: Symmetry::Symmetric,
        edges: Edges::Valid,
        scaling: Scaling::None,
    });
    for goldens in Goldens::all("mossformer_frontends.safetensors") {
        let wave: Vec<f32> = goldens.values("waveform").iter().map(|x| x * 32_768.0).collect();
        let mut spectrum = plan.forward(&wave);
        let stored = goldens.values("se.stft.frames_0_40_157");
        let peak = stored.iter().fold(0.0f32, |max, x| max.max(x.abs()));
        for (frame, stored) in [0, 40, 157].into_iter().zip(stored.chunks_exact(961 * 2)) {
            assert_close_slice("stft", &parts(&spectrum, &[frame]), stored, 1e-6 * peak);
        }
        for (bin, mut column) in spectrum.axis_iter_mut(Axis(1)).enumerate() {
            column.mapv_inplace(|value| value * (bin as f32 / 960.0));
        }
        let out = plan.inverse(spectrum.view(), Some(wave.len())).expect("bins fit");
        let expected = goldens.values("se.istft_of_ramp_masked");
        let peak = expected.iter().fold(0.0f32, |max, x| max.max(x.abs()));
        // The sum of squared windows is as small as 0.006 at the ends, which is divided by.
        assert_close_slice("inverse", &out, &expected, 1e-5 * peak);
    }
}

#[test]
fn scalings_against_their_definitions() {
    let wave: Vec<f32> = (0..3000).map(|n| ((n * n) as f32 * 1e-3).sin()).collect();
    let base = StftConfig { n_fft: 512, win_length: 400, hop_length: 160, ..StftConfig::default() };
    let plain = plan(base).forward(&wave);
    let energy: f32 = Window::Hann.samples(400, Symmetry::Periodic).iter().map(|w| w * w).sum();
    for (scaling, factor) in
        [(Scaling::Orthonormal, 512.0f32.sqrt().recip()), (Scaling::Window, energy.sqrt().recip())]
    {
        let scaled = plan(StftConfig { scaling, ..base });
        let spectrum = scaled.forward(&wave);
        for (a, b) in spectrum.iter().zip(&plain) {
            assert!((a - b * factor).norm() < 1e-5);
        }
        let back = scaled.inverse(spectrum.view(), Some(wave.len())).expect("bins fit");
        assert_close_slice("back", &back, &wave, 1e-5);
    }
}

#[test]
fn odd_lengths_and_wrong_shapes() {
    let odd =
        plan(StftConfig { n_fft: 301, win_length: 255, hop_length: 64, ..StftConfig::default() });
    let wave: Vec<f32> = (0..2000).map(|n| (n as f32 * 0.1).sin()).collect();
    let spectrum = odd.forward(&wave);
    assert_eq!(spectrum.ncols(), 151);
    let back = odd.inverse(spectrum.view(), Some(2000)).expect("bins fit");
    assert_close_slice("odd", &back, &wave, 1e-5);
    assert!(odd.inverse(Array2::default((3, 150)).view(), None).is_err());
    assert_eq!(odd.inverse(Array2::default((0, 151)).view(), None).expect("empty").len(), 0);
    assert_eq!(odd.inverse(Array2::default((0, 151)).view(), Some(7)).expect("empty"), [0.0; 7]);
    let long = odd.inverse(spectrum.view(), Some(5000)).expect("bins fit");
    assert_eq!(long.len(), 5000);
    assert_eq!(long[4000..], [0.0; 1000]);
    assert_eq!(odd.inverse(spectrum.view(), Some(10)).expect("bins fit")[..], back[..10]);
    assert_eq!(odd.forward(&[]).nrows(), 0);
}

fn edges() -> impl Strategy<Value = Edges> {
    prop_oneof![
        Just(Edges::Center { padding: Padding::Reflect }),
        Just(Edges::Center { padding: Padding::Zero }),
        Just(Edges::Center { padding: Padding::Edge }),
        Just(Edges::Pad { samples: 48, padding: Padding::Reflect }),
        Just(Edges::Valid),
        Just(Edges::HalfHop),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn reconstruction_is_perfect(
        edges in edges(),
        window in prop_oneof![Just(Window::Hamming), Just(Window::Hann), Just(Window::Sine)],
        hop in prop_oneof![Just(16usize), Just(32)],
        samples in proptest::collection::vec(-1.0f32..1.0, 128..1500),
    ) {
        let config =
            StftConfig { n_fft: 128, win_length: 128, hop_length: hop, window, edges, ..StftConfig::default() };
        let plan = plan(config);
        let spectrum = plan.forward(&samples);
        let back = plan.inverse(spectrum.view(), Some(samples.len())).expect("bins fit");
        prop_assert_eq!(back.len(), samples.len());
        // Samples that every overlapping frame sees; without padding the window's own ends are
        // divided by almost nothing, and after the last frame there is nothing to see.
        let last = plan.grid().range(spectrum.nrows() - 1).end.min(samples.len() as i64) as usize;
        let (from, to) = match edges {
            Edges::Valid => (96, last.saturating_sub(96)),
            _ => (0, if last < samples.len() { last - 64 } else { last - 32 }),
        };
        for n in from..to {
            prop_assert!((back[n] - samples[n]).abs() < 1e-6, "{} is not {} at {n}", back[n], samples[n]);
        }
    }

    #[test]
    fn streams_equal_whole_signals(
        edges in edges(),
        piece in 1usize..300,
        samples in proptest::collection::vec(-1.0f32..1.0, 0..1500),
    ) {
        let config = StftConfig { n_fft: 128, win_length: 100, hop_length: 40, edges, ..StftConfig::default() };
        let plan = plan(config);
        let whole = plan.forward(&samples);
        let (mut stream, mut inverse) = (plan.stream(), plan.inverse_stream());
        let (mut frames, mut back) = (Vec::new(), Vec::new());
        for piece in samples.chunks(piece) {
            let rows = stream.push(piece);
            back.extend(inverse.push(rows.view()).expect("bins fit"));
            frames.extend(rows.iter().copied());
        }
        let rows = stream.finish();
        back.extend(inverse.push(rows.view()).expect("bins fit"));
        frames.extend(rows.iter().copied());
        let length = plan.num_samples(whole.nrows());
        back.extend(inverse.finish(length.max(back.len())));
        prop_assert_eq!(&frames, &whole.iter().copied().collect::<Vec<_>>());
        let expected = plan.inverse(whole.view(), None).expect("bins fit");
        prop_assert_eq!(&back[..length], &expected[..]);
    }

    #[test]
    fn the_transform_is_linear(scale in -3.0f32..3.0, shift in 0usize..500) {
        let plan = plan(StftConfig { n_fft: 256, win_length: 256, hop_length: 64, ..StftConfig::default() });
        let a: Vec<f32> = (0..1000).map(|n| (n as f32 * 0.07).sin()).collect();
        let mut b = vec![0.0; 1000];
        b[250 + shift] = 1.0;
        let mix: Vec<f32> = a.iter().zip(&b).map(|(a, b)| scale * a + b).collect();
        let (a, b, mix) = (plan.forward(&a), plan.forward(&b), plan.forward(&mix));
        for ((a, b), mix) in a.iter().zip(&b).zip(&mix) {
            prop_assert!((a * scale + b - mix).norm() < 1e-4);
        }
    }
}
