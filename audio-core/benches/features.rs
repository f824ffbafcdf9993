//! Speed of features, transforms and resampling on one thread: best of several runs, one JSON line
//! a job, so that the numbers can be set beside those of other libraries from the same minute.
//!
//! Run with `cargo bench -p formant-audio-core --bench features [-- job ..]`.

#![allow(clippy::print_stdout, reason = "a benchmark prints its results")]

use std::hint::black_box;
use std::time::Instant;

use formant_audio_core::AudioView;
use formant_audio_core::features::{FeaturePlan, presets};
use formant_audio_core::resample::{Quality, resample};
use formant_audio_core::stft::{StftConfig, StftPlan};

const REPEATS: usize = 15;

fn noise(frames: usize) -> Vec<f32> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..frames).map(|_| 0.3 * next()).collect()
}

fn run(wanted: &[String], job: &str, mut work: impl FnMut()) {
    if !wanted.is_empty() && !wanted.iter().any(|name| job.contains(name.as_str())) {
        return;
    }
    work();
    let times = (0..REPEATS).map(|_| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64() * 1e3
    });
    let best = times.fold(f64::INFINITY, f64::min);
    println!("{{\"job\": \"{job}\", \"milliseconds\": {best:.3}}}");
}

fn main() {
    // Cargo itself passes `--bench`.
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let minute = noise(60 * 16_000);
    for name in ["whisper", "wenet", "nemo", "speechbrain"] {
        let config = presets::by_name(name).expect("a preset");
        let plan = FeaturePlan::new(&config).expect("valid");
        run(&wanted, &format!("{name} 60 s"), || {
            black_box(plan.compute(black_box(&minute)).expect("computes"));
        });
    }
    let plan = FeaturePlan::new(&presets::by_name("wenet").expect("a preset")).expect("valid");
    let mut rows = Vec::with_capacity(6000 * 80);
    run(&wanted, "wenet streamed 60 s in 10 ms blocks", || {
        let mut stream = plan.stream();
        rows.clear();
        for block in minute.chunks(160) {
            stream.push_into(black_box(block), &mut rows);
        }
        black_box(&rows);
    });
    let config = StftConfig { hop_length: 441, ..StftConfig::default() };
    let plan = StftPlan::new(&config).expect("valid");
    let (left, right) = (noise(8 * 44_100), noise(8 * 44_100));
    run(&wanted, "stft 2048/441 8 s stereo", || {
        black_box((plan.forward(black_box(&left)), plan.forward(black_box(&right))));
    });
    let mut rows = Vec::new();
    run(&wanted, "stft 2048/441 8 s stereo into the same memory", || {
        rows.clear();
        plan.forward_into(black_box(&left), &mut rows);
        plan.forward_into(black_box(&right), &mut rows);
        black_box(&rows);
    });
    let spectrum = plan.forward(&left);
    run(&wanted, "istft 2048/441 8 s mono", || {
        black_box(plan.inverse(black_box(spectrum.view()), None).expect("bins fit"));
    });
    for (from, to) in [(44_100, 16_000), (48_000, 16_000), (16_000, 48_000), (44_100, 48_000)] {
        let samples = noise(60 * from as usize);
        let view = AudioView::from_mono(from, &samples);
        for quality in [Quality::Fast, Quality::High, Quality::Best] {
            run(&wanted, &format!("resample {from} to {to} {quality:?} 60 s"), || {
                black_box(resample(black_box(&view), to, quality).expect("converts"));
            });
        }
    }
}
