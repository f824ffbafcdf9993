use super::*;
use crate::buffer::{AudioBuf, AudioSpec};
use crate::layout::ChannelLayout;

fn item(spec: AudioSpec, frames: usize, options: &PlotOptions) -> PlotItem {
    let mut buf = AudioBuf::silence(spec, frames);
    for (n, sample) in buf.as_planar_mut().iter_mut().enumerate() {
        *sample = (n as f32 * 0.3).sin() * 0.4;
    }
    PlotItem::new("a sound.wav", &buf.view(), options).expect("valid options")
}

#[test]
fn any_length_layout_and_scale_can_be_drawn() {
    let scales = [AxisScale::Linear, AxisScale::Log, AxisScale::Mel];
    for (frames, channels) in [(0, 1), (1, 2), (100, 1), (5000, 6), (3000, 12)] {
        for scale in scales {
            let options = PlotOptions { frequency_scale: scale, ..PlotOptions::default() };
            let layout = ChannelLayout::from_count(channels);
            let items = [item(AudioSpec { rate: 8000, layout }, frames, &options)];
            let image = render(&items, &options).expect("drawable");
            assert_eq!(image.width(), 1200);
        }
    }
}

#[test]
fn a_tone_is_bright_at_its_frequency_only() {
    let options = PlotOptions { waveform_height: 0, ..PlotOptions::default() };
    let samples: Vec<f32> =
        (0..16_000).map(|n| (n as f32 * std::f32::consts::TAU / 8.0).sin()).collect();
    let view = AudioView::from_mono(16_000, &samples);
    let items = [PlotItem::new("2 kHz", &view, &options).expect("valid")];
    let image = render(&items, &options).expect("drawable");
    let page = Page::new(&items, &options).expect("valid");
    let rect = page.panels(0)[0].spectrogram;
    let brightness = |y: i32| {
        let x = rect.x + rect.width / 2;
        let at = (y as usize * image.width() as usize + x as usize) * 3;
        image.as_rgb()[at..at + 3].iter().map(|&v| u32::from(v)).sum::<u32>()
    };
    let rows = rect.y..rect.bottom();
    let brightest = rows.max_by_key(|&y| brightness(y)).expect("rows");
    let expected = rect.bottom() - rect.height / 4;
    assert!((brightest - expected).abs() <= 2, "{brightest} is not near {expected}");
    assert!(brightness(rect.y + 3) < 120);
}

#[test]
fn options_are_checked() {
    let good = PlotOptions::default();
    let items = [item(AudioSpec::mono(8000), 10, &good)];
    assert!(render(&[], &good).is_err());
    for bad in [
        PlotOptions { width: 10, ..good.clone() },
        PlotOptions { columns: 0, ..good.clone() },
        PlotOptions { columns: 9, ..good.clone() },
        PlotOptions { range_db: f64::NAN, ..good.clone() },
        PlotOptions { min_frequency: Some(900.0), max_frequency: Some(100.0), ..good.clone() },
        PlotOptions { waveform_height: 0, spectrogram_height: 0, ..good.clone() },
        PlotOptions { frequency_scale: AxisScale::Probit, ..good.clone() },
    ] {
        assert!(render(&items, &bad).is_err(), "{bad:?}");
    }
}

#[test]
fn long_titles_keep_both_ends() {
    let title = "a".repeat(80) + ".wav";
    let short = shorten(&title, TextStyle::TITLE, 200.0);
    assert!(short.starts_with('a') && short.ends_with(".wav") && short.contains('…'));
    assert!(TextStyle::TITLE.width(&short) <= 200.0);
}
