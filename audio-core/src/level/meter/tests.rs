use super::*;
use crate::buffer::AudioBuf;

fn sine(rate: u32, seconds: f64, frequency: f64, amplitude: f64) -> Vec<f32> {
    let step = std::f64::consts::TAU * frequency / f64::from(rate);
    (0..(f64::from(rate) * seconds) as usize)
        .map(|n| ((n as f64 * step).sin() * amplitude) as f32)
        .collect()
}

fn close(value: Option<f64>, want: f64, tolerance: f64) {
    let value = value.expect("a level");
    assert!((value - want).abs() <= tolerance, "{value} is not {want}");
}

/// EBU Tech 3341, case 1: a stereo 1 kHz sine of -23 dBFS peak in both channels is -23 LUFS.
#[test]
fn ebu_3341_case_1() {
    let tone = sine(48_000, 20.0, 1000.0, 10f64.powf(-23.0 / 20.0));
    let spec = AudioSpec { rate: 48_000, layout: ChannelLayout::Stereo };
    let buf = AudioBuf::from_planar(spec, [tone.clone(), tone].concat()).expect("two channels");
    let report = measure(&buf.view());
    close(report.loudness.integrated_lufs, -23.0, 0.1);
    close(report.loudness.momentary_max_lufs, -23.0, 0.1);
    close(report.loudness.short_term_max_lufs, -23.0, 0.1);
    close(report.loudness.range_lu, 0.0, 0.1);
    close(report.overall.sample_peak_dbfs, -23.0, 0.01);
    close(report.overall.rms_dbfs, -26.01, 0.01);
    close(report.overall.crest_db, 3.01, 0.01);
}

/// EBU Tech 3341, case 3: -36, -23 and -36 dBFS for 10, 60 and 10 s are -23 LUFS by gating.
#[test]
fn ebu_3341_case_3_gates_quiet_parts() {
    let part = |db: f64, seconds| sine(48_000, seconds, 1000.0, 10f64.powf(db / 20.0));
    let tone = [part(-36.0, 10.0), part(-23.0, 60.0), part(-36.0, 10.0)].concat();
    let spec = AudioSpec { rate: 48_000, layout: ChannelLayout::Stereo };
    let buf = AudioBuf::from_planar(spec, [tone.clone(), tone].concat()).expect("two channels");
    close(measure(&buf.view()).loudness.integrated_lufs, -23.0, 0.1);
}

/// EBU Tech 3341, case 6: 5.0 with -28, -28, -24, -30, -30 dBFS is -23 LUFS. In 5.1 the LFE, here
/// at full scale, must change nothing.
#[test]
fn ebu_3341_case_6_weights_surround_and_drops_lfe() {
    let lane = |db: f64| sine(48_000, 20.0, 1000.0, 10f64.powf(db / 20.0));
    let five = [-28.0, -28.0, -24.0, -30.0, -30.0].map(lane).concat();
    let spec = AudioSpec { rate: 48_000, layout: ChannelLayout::Surround5_0 };
    let buf = AudioBuf::from_planar(spec, five).expect("five channels");
    close(measure(&buf.view()).loudness.integrated_lufs, -23.0, 0.1);
    let six = [-28.0, -28.0, -24.0, 0.0, -30.0, -30.0].map(lane).concat();
    let spec = AudioSpec { rate: 48_000, layout: ChannelLayout::Surround5_1 };
    let buf = AudioBuf::from_planar(spec, six).expect("six channels");
    close(measure(&buf.view()).loudness.integrated_lufs, -23.0, 0.1);
}

/// EBU Tech 3341, case 16 in kind: at a quarter of the rate with a phase of 45 degrees the samples
/// stay 3 dB below the waveform.
#[test]
fn true_peak_lies_between_samples() {
    let step = std::f64::consts::FRAC_PI_2;
    let tone: Vec<f32> =
        (0..48_000).map(|n| (0.5 * (f64::from(n) * step + step / 2.0).sin()) as f32).collect();
    let report = measure(&AudioView::from_mono(48_000, &tone));
    close(report.overall.sample_peak_dbfs, -9.03, 0.01);
    close(report.overall.true_peak_dbtp, -6.02, 0.4);
}

#[test]
fn blocks_of_any_size_give_the_same_report() {
    let tone = sine(16_000, 4.0, 333.0, 0.7);
    let whole = measure(&AudioView::from_mono(16_000, &tone));
    for size in [1usize, 160, 5000] {
        let mut meter = LevelMeter::new(AudioSpec::mono(16_000));
        for block in tone.chunks(size) {
            meter.push(&AudioView::from_mono(16_000, block)).expect("same spec");
        }
        assert_eq!(meter.report(), whole, "blocks of {size}");
        assert_eq!(meter.frames(), tone.len() as u64);
        close(meter.momentary_lufs(), whole.loudness.momentary_max_lufs.expect("4 s"), 0.1);
        assert!(meter.short_term_lufs().is_some());
    }
    let mut meter = LevelMeter::new(AudioSpec::mono(16_000));
    assert!(meter.push(&AudioView::from_mono(8000, &[0.0])).is_err());
}

/// S9: silence, DC, NaN, infinity and absurd values all have defined results.
#[test]
fn s9_silence_dc_and_non_finite_samples() {
    for samples in [vec![], vec![0.0f32], vec![0.0; 80_000]] {
        let report = measure(&AudioView::from_mono(16_000, &samples));
        assert_eq!(report.overall, ChannelLevel::default(), "{} zeros", samples.len());
        assert_eq!(report.loudness, Loudness::default());
    }
    let dc = measure(&AudioView::from_mono(16_000, &[0.2; 16_000]));
    assert!((dc.overall.dc_offset - 0.2).abs() < 1e-6);
    close(dc.overall.rms_dbfs, 20.0 * 0.2f64.log10(), 1e-6);

    let mut tone = sine(16_000, 5.0, 440.0, 0.5);
    (tone[100], tone[200], tone[300]) = (f32::NAN, f32::INFINITY, -1e30);
    let report = measure(&AudioView::from_mono(16_000, &tone));
    assert_eq!(report.overall.non_finite_samples, 2);
    close(report.overall.sample_peak_dbfs, 600.0, 1e-3);
    let json = serde_json::to_string(&report).expect("plain data");
    assert!(!json.contains("NaN") && !json.contains("inf"));
    assert!(report.overall.rms_dbfs.is_some() && report.loudness.integrated_lufs.is_some());

    let single = measure(&AudioView::from_mono(16_000, &[0.5]));
    close(single.overall.rms_dbfs, -6.02, 0.01);
    assert_eq!(single.loudness.integrated_lufs, None);
}

#[test]
fn clipping_is_counted_in_samples_and_runs() {
    let mut samples = vec![0.1f32; 100];
    samples[10] = 1.0;
    samples[20..24].fill(-1.0);
    samples[30..33].fill(32767.0 / 32768.0);
    samples[40..42].fill(1.5);
    let report = measure(&AudioView::from_mono(8000, &samples));
    assert_eq!(report.overall.clipped_samples, 10);
    assert_eq!(report.overall.clip_runs, 2);
}

#[test]
fn layouts_beyond_the_standard_are_still_measured() {
    for channels in [7u16, 64, 65] {
        let spec = AudioSpec { rate: 8000, layout: ChannelLayout::Discrete(channels) };
        let data = vec![0.25; usize::from(channels) * 8000];
        let report = measure(&AudioBuf::from_planar(spec, data).expect("whole frames").view());
        close(report.overall.sample_peak_dbfs, -12.04, 0.01);
        assert_eq!(report.loudness.momentary_max_lufs.is_some(), channels <= 64);
    }
}
