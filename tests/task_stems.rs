//! Cuts between the chunks of a long mix, with the bundled network: nothing may click there.

use formant::audio::{AudioBuf, AudioSpec, ChannelLayout};
use formant::models::tasks::Task;
use formant::models::tasks::stems::{StemSeparator, StemsOptions};
use formant::models::{LoadOptions, ModelSource};

#[test]
fn no_cut_clicks_in_a_long_tone() {
    let source = ModelSource::Bundled("stems-vocals".to_owned());
    let separator = StemSeparator::load(&source, &LoadOptions::default()).expect("bundled");
    let (rate, chunk) = (44_100, separator.models()[0].card().demix.chunk_size);
    let frames = 5 * chunk / 2;
    // A voice-like tone, of which the network lets a part through.
    let tone = |n: usize, hz: f64| (n as f64 * hz * std::f64::consts::TAU / f64::from(rate)).sin();
    let left = (0..frames).map(|n| (0.2 * tone(n, 220.0) + 0.1 * tone(n, 440.0)) as f32);
    let right = (0..frames).map(|n| (0.2 * tone(n, 330.0)) as f32);
    let spec = AudioSpec { rate, layout: ChannelLayout::Stereo };
    let mix = AudioBuf::from_planar(spec, left.chain(right).collect()).expect("two channels");
    let bend = |x: &[f32], n: usize| (x[n - 1] - 2.0 * x[n] + x[n + 1]).abs();
    let (stems, _) = separator.process(&mix.view(), &StemsOptions::default()).expect("runs");
    assert_eq!(stems.len(), 2);
    for (name, stem) in &stems {
        assert_eq!(stem.frames(), frames);
        for channel in 0..2 {
            let (x, y) = (mix.channel(channel), stem.channel(channel));
            let smoothest = (1..frames - 1).map(|n| bend(x, n)).fold(0.0, f32::max);
            // Past the ends, where the transform's edges are. -60 dBFS beyond the mix itself.
            let (worst, at) = (rate as usize / 10..frames - rate as usize / 10)
                .map(|n| (bend(y, n), n))
                .fold((0.0f32, 0), |a, b| if b.0 > a.0 { b } else { a });
            assert!(worst < smoothest + 1e-3, "{name}, channel {channel}: {worst} at {at}");
        }
    }
}
