use super::*;
use crate::buffer::{AudioBuf, AudioSpec};
use crate::layout::ChannelLayout;
use crate::plot::WordMark;

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

#[test]
fn words_and_pitch_are_drawn_over_the_spectrogram() {
    let options = PlotOptions { waveform_height: 0, ..PlotOptions::default() };
    let view = AudioView::from_mono(16_000, &[0.0; 16_000]);
    let mut items = [PlotItem::new("silence", &view, &options).expect("valid")];
    let plain = render(&items, &options).expect("drawable");
    let page = Page::new(&items, &options).expect("valid");
    let rect = page.panels(0)[0].spectrogram;
    let words = [(0.25, 0.5, "word"), (-1.0, 0.1, "before"), (0.9, 7.0, "語"), (0.6, 0.6, "none")];
    items[0].overlay = Overlay {
        words: words
            .map(|(start, end, text)| WordMark { start, end, text: text.to_owned() })
            .to_vec(),
        pitch: vec![(0.0, Some(4000.0)), (0.4, Some(4000.0)), (0.5, None), (0.6, Some(2000.0))],
    };
    let drawn = render(&items, &options).expect("drawable");
    let changed = |second: f64, hz: f64| {
        let x = rect.x + (second * f64::from(rect.width)) as i32;
        let y = rect.bottom() - 1 - (hz / 8000.0 * f64::from(rect.height - 1)) as i32;
        let at = (y as usize * plain.width() as usize + x as usize) * 3;
        plain.as_rgb()[at..at + 3] != drawn.as_rgb()[at..at + 3]
    };
    assert!(changed(0.3, 7900.0) && changed(0.05, 7900.0) && changed(0.95, 7900.0));
    assert!(!changed(0.7, 7900.0) && !changed(0.3, 6000.0));
    assert!(changed(0.2, 4000.0) && !changed(0.55, 4000.0) && !changed(0.6, 2000.0));
}

#[test]
fn dense_pictures_are_the_same_picture() {
    let spec = AudioSpec { rate: 8000, layout: ChannelLayout::Stereo };
    let plain = PlotOptions { width: 400, ..PlotOptions::default() };
    let dense = PlotOptions { density: 2, ..plain.clone() };
    let items = [item(spec, 4000, &plain)];
    let (small, large) = (render(&items, &plain), render(&items, &dense));
    let (small, large) = (small.expect("drawable"), large.expect("drawable"));
    assert_eq!((large.width(), large.height()), (2 * small.width(), 2 * small.height()));
    assert!(render(&items, &PlotOptions { density: 5, ..plain.clone() }).is_err());
    assert!(render(&items, &PlotOptions { width: 8000, density: 3, ..plain }).is_err());
}
