use super::*;

const RATE: u32 = 16_000;

fn noise(seed: u32, length: usize, amplitude: f32) -> Vec<f32> {
    let mut state = seed;
    (0..length)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((state >> 8) as f32 / 8_388_608.0 - 1.0) * amplitude
        })
        .collect()
}

/// Something like a voice: a glottal pulse train whose pitch glides, through three resonances
/// that move, in syllables of 200 ms, with a peak of -14 dBFS.
fn voice(rate: u32, seconds: f64) -> Vec<f32> {
    let count = (f64::from(rate) * seconds) as usize;
    let (mut phase, mut states) = (0.0f64, [[0.0f64; 2]; 3]);
    let samples: Vec<f64> = (0..count)
        .map(|n| {
            let t = n as f64 / f64::from(rate);
            phase += (130.0 + 25.0 * (2.1 * t).sin()) / f64::from(rate);
            let pulse = if phase >= 1.0 { 1.0 } else { 0.0 };
            phase -= phase.floor();
            let glide = 0.5 + 0.5 * (9.0 * t).sin();
            let formants =
                [(400.0 + 350.0 * glide, 80.0), (1900.0 - 700.0 * glide, 110.0), (2600.0, 150.0)];
            let mut sample = pulse;
            for (state, (frequency, width)) in states.iter_mut().zip(formants) {
                let radius = (-std::f64::consts::PI * width / f64::from(rate)).exp();
                let angle = std::f64::consts::TAU * frequency / f64::from(rate);
                let out = sample * 0.3 + 2.0 * radius * angle.cos() * state[0]
                    - radius * radius * state[1];
                *state = [out, state[0]];
                sample = out;
            }
            let syllable = (std::f64::consts::PI * t / 0.2).sin().abs().sqrt();
            sample * syllable
        })
        .collect();
    let peak = samples.iter().fold(0.0f64, |peak, s| peak.max(s.abs()));
    samples.iter().map(|s| (s * 0.2 / peak) as f32).collect()
}

fn with_pauses(rate: u32) -> Vec<f32> {
    let mut samples = noise(3, rate as usize * 8, 0.0005);
    let voice = voice(rate, 2.0);
    for start in [1, 5] {
        for (sample, voice) in samples[start * rate as usize..].iter_mut().zip(&voice) {
            *sample += voice;
        }
    }
    samples
}

fn seconds(segments: &[SpeechSegment], rate: u32) -> Vec<(f64, f64)> {
    let second = |at: u64| at as f64 / f64::from(rate);
    segments.iter().map(|s| (second(s.start), second(s.end))).collect()
}

/// S9: silence, DC, hum, low white noise and broken samples are no speech.
#[test]
fn s9_nothing_is_said_in_silence_dc_hum_and_noise() {
    let length = RATE as usize * 5;
    let hum = |n: usize| (n as f32 * std::f32::consts::TAU * 50.0 / RATE as f32).sin();
    let cases: [(&str, Vec<f32>); 7] = [
        ("zeros", vec![0.0; length]),
        ("DC", vec![0.2; length]),
        ("noise of -80 dBFS", noise(1, length, 1.7e-4)),
        ("noise of -40 dBFS", noise(2, length, 1.7e-2)),
        ("hum", (0..length).map(|n| 0.3 * hum(n)).collect()),
        ("NaN", vec![f32::NAN; length]),
        ("nothing", vec![]),
    ];
    for (name, samples) in cases {
        let found = speech_segments(&samples, RATE, &VadOptions::default()).expect("valid");
        assert!(found.is_empty(), "{name}: {:?}", seconds(&found, RATE));
    }
}

#[test]
fn a_voice_is_found_where_it_is_at_both_rates() {
    for rate in [8000, 16_000] {
        let options = VadOptions { padding: 0.0, ..VadOptions::default() };
        let found = speech_segments(&with_pauses(rate), rate, &options).expect("valid");
        let found = seconds(&found, rate);
        assert_eq!(found.len(), 2, "{rate} Hz: {found:?}");
        for ((start, end), (want_start, want_end)) in
            found.into_iter().zip([(1.0, 3.0), (5.0, 7.0)])
        {
            assert!((start - want_start).abs() < 0.15, "{rate} Hz: {start} to {end}");
            assert!((end - want_end).abs() < 0.2, "{rate} Hz: {start} to {end}");
        }
    }
}

#[test]
fn a_voice_at_both_edges_is_kept() {
    let samples = voice(RATE, 2.0);
    let found = speech_segments(&samples, RATE, &VadOptions::default()).expect("valid");
    let (first, last) = (found[0], found[found.len() - 1]);
    assert!(first.start < 3200 && last.end > 2 * 16_000 - 3200, "{found:?}");
    assert!(last.end <= 32_000);
}

#[test]
fn blocks_of_any_size_give_the_same_segments() {
    let samples = with_pauses(RATE);
    let whole = speech_segments(&samples, RATE, &VadOptions::default()).expect("valid");
    for size in [1, 159, 160, 4000] {
        let mut detector = VoiceDetector::new(RATE, &VadOptions::default()).expect("valid");
        let mut events: Vec<VadEvent> =
            samples.chunks(size).flat_map(|block| detector.push(block)).collect();
        events.extend(detector.finish());
        let ends: Vec<SpeechSegment> = events
            .iter()
            .filter_map(|event| match event {
                VadEvent::End(segment) => Some(*segment),
                VadEvent::Start { .. } => None,
            })
            .collect();
        assert_eq!(ends, whole, "blocks of {size}");
        let starts = events.iter().filter(|event| matches!(event, VadEvent::Start { .. }));
        assert_eq!(starts.count(), ends.len());
    }
}

#[test]
fn padding_is_added_and_long_speech_is_cut() {
    let samples = with_pauses(RATE);
    let find = |options: VadOptions| speech_segments(&samples, RATE, &options).expect("valid");
    let bare = find(VadOptions { padding: 0.0, ..VadOptions::default() });
    let padded = find(VadOptions { padding: 0.2, ..VadOptions::default() });
    for (bare, padded) in bare.iter().zip(&padded) {
        assert_eq!((padded.start + 3200, padded.end - 3200), (bare.start, bare.end));
    }
    let cut = find(VadOptions { max_speech: Some(1.0), padding: 0.0, ..VadOptions::default() });
    assert!(cut.len() > bare.len());
    assert!(cut.iter().all(|s| s.end - s.start <= 16_000), "{cut:?}");
    assert!(cut.windows(2).all(|pair| pair[0].end <= pair[1].start));
    // Cutting may leave out pauses, which are shorter than `min_silence`, and adds nothing.
    let inside = |c: &SpeechSegment| bare.iter().any(|b| b.start <= c.start && c.end <= b.end);
    assert!(cut.iter().all(inside), "{cut:?} in {bare:?}");
    let total = |segments: &[SpeechSegment]| segments.iter().map(|s| s.end - s.start).sum::<u64>();
    assert!(total(&bare) - total(&cut) < 4800 * cut.len() as u64);
    // A pause that is too short to end speech can still be longer than the longest speech.
    let patient = VadOptions { min_silence: 5.0, max_speech: Some(1.0), ..VadOptions::default() };
    let found = find(VadOptions { padding: 0.0, ..patient });
    assert!(found.iter().all(|s| s.end - s.start >= 800), "{found:?}");
}

#[test]
fn rates_and_options_are_checked() {
    let good = VadOptions::default();
    assert!(VoiceDetector::new(44_100, &good).is_err());
    for bad in [
        VadOptions { threshold: 0.0, ..good },
        VadOptions { min_silence: -1.0, ..good },
        VadOptions { padding: f64::NAN, ..good },
        VadOptions { max_speech: Some(0.1), ..good },
    ] {
        assert!(VoiceDetector::new(RATE, &bad).is_err(), "{bad:?}");
    }
}
