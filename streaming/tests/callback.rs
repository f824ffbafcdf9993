//! Audio callbacks never allocate: a test with an allocator that does not allow it.

use std::time::{Duration, Instant};

use assert_no_alloc::{AllocDisabler, assert_no_alloc};
use formant_audio_core::{AudioSpec, ChannelLayout};
use formant_streaming::output::feed::feed;
use formant_streaming::ring::{Failure, Piece, ring_of};
use formant_streaming::source::{Pace, push_source};

#[global_allocator]
static ALLOCATOR: AllocDisabler = AllocDisabler;

#[test]
fn callbacks_do_not_allocate() {
    let spec = AudioSpec { rate: 48_000, layout: ChannelLayout::Stereo };
    let (mut capture, alarm, mut tap) = ring_of(spec, 4096);
    let (floats, integers) = (vec![0.25f32; 2 * 8192], vec![i16::MAX; 2 * 8192]);
    let (mut taken, mut refused) = (0u64, 0u64);
    for size in (1..=8192).chain((1..=8192).rev()).step_by(7) {
        let fits = assert_no_alloc(|| {
            let now = Instant::now();
            let fits = capture.push(&floats[..2 * size], now);
            capture.push_with(&integers[..2 * size], now, |x| f32::from(x) / 32768.0);
            alarm.interrupted();
            fits
        });
        (taken, refused) = (taken + u64::from(fits), refused + u64::from(!fits));
        // The worker may allocate; now and then it is too slow.
        if size % 3 != 0 {
            while tap.pop().is_some() {}
        }
    }
    assert!(taken > 100 && refused > 100, "{taken} {refused}");
    assert_no_alloc(|| alarm.failed(Failure::Gone));
    assert_eq!(tap.failure(), Some(Failure::Gone));
    while let Some(piece) = tap.pop() {
        assert!(matches!(piece, Piece::Audio { .. } | Piece::Lost { .. }));
    }
    let (mut pusher, source) = push_source(spec, Pace::Live);
    for size in [1, 16, 480, 8192] {
        assert_no_alloc(|| assert!(pusher.push(&floats[..2 * size]) && pusher.room() > 0));
    }
    drop(source);
    let (mut feed, alarm, mut speaker) = feed(4096, 2);
    feed.set_due(true);
    let (mut floats, mut integers) = (vec![0.0f32; 2 * 8192], vec![0i16; 2 * 8192]);
    for size in [1, 16, 480, 4096, 8192] {
        feed.push(&vec![0.5; 3000]);
        assert_no_alloc(|| {
            speaker.fill(&mut floats[..2 * size], Duration::ZERO);
            speaker.fill_with(&mut integers[..2 * size], Duration::ZERO, |x| (x * 1e4) as i16);
            alarm.interrupted();
        });
    }
    assert!(feed.underruns().count > 5);
}
