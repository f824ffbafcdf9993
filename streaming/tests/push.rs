//! An application that pushes more at once than lies between two threads.

use std::time::Duration;

use formant_audio_core::{AudioSpec, ChannelLayout};
use formant_streaming::source::{Pace, push_source};
use formant_streaming::{Event, Session, SessionOptions};

#[test]
fn any_length_is_heard_whole() {
    let spec = AudioSpec { rate: 48_000, layout: ChannelLayout::Stereo };
    let (mut pusher, source) = push_source(spec, Pace::Elastic);
    let session = Session::new(source).start().expect("begins");
    let audio = vec![0.25; 2 * 48_000 * 30];
    assert!(pusher.push_all(&audio));
    drop(pusher);
    let last = session.last();
    let Some(Event::Finished { seconds, lost_frames, .. }) = last else { panic!("{last:?}") };
    assert_eq!((seconds, lost_frames), (30.0, 0));
}

#[test]
fn nobody_waits_for_a_session_that_is_over() {
    let (mut pusher, source) = push_source(AudioSpec::mono(16_000), Pace::Elastic);
    let limit = Some(Duration::from_secs(1));
    let options = SessionOptions { limit, ..SessionOptions::default() };
    let session = Session::new(source).options(options).start().expect("begins");
    assert!(!pusher.push_all(&vec![0.25; 16_000 * 60]));
    assert!(session.finish().is_ok());
}
