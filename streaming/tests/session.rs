//! Sessions on devices without hardware: callbacks of any size, losses, changes, slow tasks.

use std::time::{Duration, Instant};

use formant_audio_core::{AudioSpec, ChannelLayout};
use formant_streaming::event::{EndReason, GapCause};
use formant_streaming::source::mock::MockPanel;
use formant_streaming::source::{LiveSource, OnLoss, Pace, Wanted, push_source};
use formant_streaming::task::{Finding, LiveStream, LiveTask};
use formant_streaming::{Event, Listening, Result, Session, SessionOptions, State};

const PATIENCE: Duration = Duration::from_secs(20);

/// Reports each sample above one half as a word, at its place.
struct Clicks {
    rate: u32,
    slowness: Duration,
}

struct ClickStream {
    rate: f64,
    samples: u64,
    slowness: Duration,
    ready: bool,
}

impl LiveTask for Clicks {
    fn name(&self) -> &'static str {
        "clicks"
    }

    fn rate(&self) -> u32 {
        self.rate
    }

    fn start(&self) -> Result<Box<dyn LiveStream + '_>> {
        let (rate, slowness) = (self.rate.into(), self.slowness);
        Ok(Box::new(ClickStream { rate, samples: 0, slowness, ready: true }))
    }
}

impl LiveStream for ClickStream {
    fn push(&mut self, samples: &[f32]) -> Result<Vec<Finding>> {
        std::thread::sleep(self.slowness);
        let mut found = Vec::new();
        for &sample in samples {
            let at = self.samples as f64 / self.rate;
            self.samples += 1;
            if sample > 0.4 && self.ready {
                self.ready = false;
                let (word, score) = ("click".to_owned(), sample);
                let event = Event::Keyword {
                    word,
                    start: at,
                    end: at,
                    score,
                    decided: at,
                    latency_ms: 0.0,
                };
                found.push(Finding { event, known: Some(at) });
            } else if sample.abs() < 0.05 {
                self.ready = true;
            }
        }
        Ok(found)
    }

    fn finish(self: Box<Self>) -> Result<Vec<Finding>> {
        Ok(Vec::new())
    }
}

fn clicks() -> Clicks {
    Clicks { rate: 16_000, slowness: Duration::ZERO }
}

fn stereo(rate: u32) -> AudioSpec {
    AudioSpec { rate, layout: ChannelLayout::Stereo }
}

/// A second of audio with a click of 2 ms in its middle, interleaved.
fn second(spec: AudioSpec) -> Vec<f32> {
    let rate = spec.rate as usize;
    let frames =
        (0..rate).map(|n| if (rate / 2..rate / 2 + rate / 500).contains(&n) { 0.9 } else { 0.0 });
    frames.flat_map(|x| vec![x; spec.channels()]).collect()
}

/// Plays in callbacks of `size` frames, as fast as there is room for.
fn play(panel: &MockPanel, samples: &[f32], channels: usize, size: usize) {
    for block in samples.chunks(size * channels) {
        let deadline = Instant::now() + PATIENCE;
        while panel.room() < size {
            assert!(Instant::now() < deadline, "nobody listens");
            std::thread::sleep(Duration::from_millis(2));
        }
        assert!(panel.callback(block));
    }
}

/// Events until one that `last` accepts.
fn until(session: &Listening, last: impl Fn(&Event) -> bool) -> Vec<Event> {
    let (mut events, deadline) = (Vec::new(), Instant::now() + PATIENCE);
    loop {
        assert!(Instant::now() < deadline, "not told in time; told: {events:?}");
        if let Some(event) = session.next_within(Duration::from_millis(50)) {
            let done = last(&event);
            events.push(event);
            if done {
                return events;
            }
        }
    }
}

fn starts(events: &[Event]) -> Vec<f64> {
    let start = |event: &Event| match event {
        Event::Keyword { start, .. } => Some(*start),
        _ => None,
    };
    events.iter().filter_map(start).collect()
}

fn near(found: &[f64], expected: &[f64]) {
    let close = found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 0.002);
    assert!(found.len() == expected.len() && close, "{found:?} instead of {expected:?}");
}

fn live(panel: &MockPanel, policy: OnLoss, spec: AudioSpec, wanted: Wanted) -> LiveSource {
    panel.plug("one", spec);
    LiveSource::open(Box::new(panel.backend()), wanted, policy).expect("a device")
}

#[test]
fn any_rate_and_callback_size_is_heard_at_its_place() {
    for (spec, size) in [
        (AudioSpec::mono(16_000), 16),
        (stereo(48_000), 480),
        (stereo(44_100), 1000),
        (AudioSpec { rate: 96_000, layout: ChannelLayout::Quad }, 8192),
        (AudioSpec::mono(8000), 1),
    ] {
        let panel = MockPanel::new();
        let source = live(&panel, OnLoss::Stop, spec, Wanted::default());
        let session = Session::new(source).task(clicks()).start().expect("a session");
        for _ in 0..3 {
            play(&panel, &second(spec), spec.channels(), size);
        }
        let mut events =
            until(&session, |event| matches!(event, Event::Keyword { start, .. } if *start > 2.4));
        assert!(
            matches!(&events[0], Event::Started { source, rate, .. } if source == "one" && *rate == spec.rate)
        );
        assert_eq!(session.state(), State::Listening);
        session.stop();
        events.extend(until(&session, |event| matches!(event, Event::Finished { .. })));
        near(&starts(&events), &[0.5, 1.5, 2.5]);
        let Some(Event::Finished { reason, lost_frames, .. }) = events.last() else { panic!() };
        assert_eq!((*reason, *lost_frames), (EndReason::Stopped, 0));
        let stats = session.finish().expect("no error");
        assert!(stats.stages.iter().any(|stage| stage.stage == "clicks: capture to event"));
    }
}

#[test]
fn overruns_are_told_and_time_stays_true() {
    let panel = MockPanel::new();
    let spec = AudioSpec::mono(16_000);
    let source = live(&panel, OnLoss::Stop, spec, Wanted::default());
    play(&panel, &second(spec), 1, 160);
    // Nobody listens yet: the ring holds four seconds, and three of these seven are lost.
    for _ in 0..6 {
        panel.callback(&second(spec));
    }
    let session = Session::new(source).task(clicks()).start().expect("a session");
    until(&session, |event| matches!(event, Event::Keyword { start, .. } if *start > 3.0));
    play(&panel, &second(spec), 1, 160);
    let events = until(&session, |event| matches!(event, Event::Keyword { .. }));
    let lost: Vec<u64> = events
        .iter()
        .filter_map(|event| match event {
            Event::Overrun { frames, .. } => Some(*frames),
            _ => None,
        })
        .collect();
    assert_eq!(lost, [48_000]);
    assert!(events.iter().any(|event| matches!(event,
        Event::Gap { start, end, cause: GapCause::Overrun, task: None }
            if (*start, *end) == (4.0, 7.0))));
    near(&starts(&events), &[7.5]);
    assert_eq!(session.finish().expect("no error").lost_frames, 48_000);
}

#[test]
fn interruptions_of_the_device_are_heard_as_silence() {
    let panel = MockPanel::new();
    let spec = AudioSpec::mono(16_000);
    let source = live(&panel, OnLoss::Stop, spec, Wanted::default());
    let session = Session::new(source).task(clicks()).start().expect("a session");
    let start = Instant::now();
    panel.callback_at(&second(spec), start + Duration::from_secs(1));
    panel.interrupt();
    panel.callback_at(&second(spec), start + Duration::from_millis(2500));
    let events =
        until(&session, |event| matches!(event, Event::Keyword { start, .. } if *start > 1.0));
    near(&starts(&events), &[0.5, 2.0]);
    assert!(
        events.iter().any(|event| matches!(event, Event::Gap { cause: GapCause::Interrupted, .. }))
    );
}

#[test]
fn a_lost_device_ends_the_session_or_comes_back() {
    for policy in [OnLoss::Stop, OnLoss::Wait, OnLoss::Follow] {
        let panel = MockPanel::new();
        let (spec, other) = (AudioSpec::mono(16_000), stereo(44_100));
        let wanted = Wanted { device: Some("one".to_owned()), ..Wanted::default() };
        panel.plug("two", other);
        let source = live(&panel, policy, spec, wanted);
        let session = Session::new(source).task(clicks()).start().expect("a session");
        play(&panel, &second(spec), 1, 160);
        until(&session, |event| matches!(event, Event::Keyword { .. }));
        panel.unplug("one");
        let events = until(&session, |event| {
            matches!(event, Event::DeviceLost { .. } | Event::Finished { .. })
        });
        assert!(matches!(events.last(), Some(Event::DeviceLost { source, .. }) if source == "one"));
        if policy == OnLoss::Stop {
            let events = until(&session, |event| matches!(event, Event::Finished { .. }));
            assert!(matches!(
                events.last(),
                Some(Event::Finished { reason: EndReason::DeviceLost, .. })
            ));
            let error = session.finish().expect_err("lost").to_string();
            assert!(error.contains("one") && error.contains("lost"), "{error}");
            continue;
        }
        if policy == OnLoss::Wait {
            std::thread::sleep(Duration::from_millis(100));
            assert_eq!(session.state(), State::Waiting);
            panel.plug("one", other);
        }
        let events = until(&session, |event| matches!(event, Event::Resumed { .. }));
        let Some(Event::Resumed { source, rate, at, away, .. }) = events.last() else { panic!() };
        assert_eq!(source, if policy == OnLoss::Wait { "one" } else { "two" });
        assert_eq!(*rate, 44_100);
        assert!((at - away - 1.0).abs() < 0.01, "{at} {away}");
        let at = *at;
        play(&panel, &second(other), 2, 441);
        let events = until(&session, |event| matches!(event, Event::Keyword { .. }));
        near(&starts(&events), &[at + 0.5]);
        session.finish().expect("no error");
    }
}

#[test]
fn changes_of_rate_and_format_are_survived_under_any_policy() {
    let panel = MockPanel::new();
    let source = live(&panel, OnLoss::Stop, AudioSpec::mono(16_000), Wanted::default());
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("take.wav");
    let options = SessionOptions { record: Some(path.clone()), ..SessionOptions::default() };
    let session = Session::new(source).task(clicks()).options(options).start().expect("a session");
    play(&panel, &second(AudioSpec::mono(16_000)), 1, 100);
    until(&session, |event| matches!(event, Event::Keyword { .. }));
    panel.change("one", stereo(48_000));
    let events = until(&session, |event| matches!(event, Event::Resumed { .. }));
    let Some(Event::Resumed { at, rate: 48_000, channels: 2, .. }) = events.last() else {
        panic!()
    };
    let at = *at;
    play(&panel, &second(stereo(48_000)), 2, 480);
    let events = until(&session, |event| matches!(event, Event::Keyword { .. }));
    near(&starts(&events), &[at + 0.5]);
    // What was read before the session stopped, which may leave out the last of it.
    let heard = session.finish().expect("no error").seconds;
    let options = formant_audio_core::decode::DecodeOptions::default();
    let clip = formant_audio_core::decode::decode_file(&path, &options).expect("a take");
    let expected = heard * 16_000.0;
    assert!(heard > at + 0.5, "{heard} {at}");
    assert!((clip.audio.frames() as f64 - expected).abs() < 2000.0, "{}", clip.audio.frames());
    let click = clip.audio.channel(0).iter().rposition(|x| *x > 0.4).expect("a click") as f64;
    assert!((click / 16_000.0 - at - 0.502).abs() < 0.002, "{click} {at}");
}

#[test]
fn another_default_device_is_followed() {
    let panel = MockPanel::new();
    let source = live(&panel, OnLoss::Follow, AudioSpec::mono(16_000), Wanted::default());
    let session = Session::new(source).task(clicks()).start().expect("a session");
    panel.plug("two", AudioSpec::mono(8000));
    let events = until(&session, |event| matches!(event, Event::Resumed { .. }));
    assert!(matches!(events.last(), Some(Event::Resumed { source, .. }) if source == "two"));
}

#[test]
fn silent_devices_count_as_lost() {
    let panel = MockPanel::new();
    let source = live(&panel, OnLoss::Stop, AudioSpec::mono(16_000), Wanted::default());
    let session = Session::new(source).task(clicks()).start().expect("a session");
    let events = until(&session, |event| matches!(event, Event::Finished { .. }));
    assert!(events.iter().any(|event| matches!(event,
        Event::DeviceLost { reason, .. } if reason.contains("3 seconds"))));
    assert!(session.finish().is_err());
}

#[test]
fn slow_tasks_skip_and_say_so() {
    let panel = MockPanel::new();
    let spec = AudioSpec::mono(16_000);
    let source = live(&panel, OnLoss::Stop, spec, Wanted::default());
    let slow = Clicks { rate: 16_000, slowness: Duration::from_millis(400) };
    let options =
        SessionOptions { longest_lag: Some(Duration::from_secs(2)), ..SessionOptions::default() };
    let session = Session::new(source).task(slow).options(options).start().expect("a session");
    for _ in 0..6 {
        play(&panel, &second(spec), 1, 320);
    }
    let events =
        until(&session, |event| matches!(event, Event::Keyword { start, .. } if *start > 5.4));
    let gaps: Vec<(f64, f64)> = events
        .iter()
        .filter_map(|event| match event {
            Event::Gap { start, end, cause: GapCause::Shed, task: Some(task) } => {
                assert_eq!(task, "clicks");
                Some((*start, *end))
            }
            _ => None,
        })
        .collect();
    assert!(!gaps.is_empty());
    // What was heard is at its place, and what was not is inside the gaps.
    let heard = starts(&events);
    for click in [0.5, 1.5, 2.5, 3.5, 4.5, 5.5] {
        let found = heard.iter().any(|at| (at - click).abs() < 0.002);
        let skipped = gaps.iter().any(|(start, end)| (*start..=*end + 0.01).contains(&click));
        assert!(found != skipped, "{click}: {heard:?} {gaps:?}");
    }
    assert!(session.finish().expect("no error").shed_seconds > 0.5);
}

#[test]
fn applications_push_and_elastic_sources_lose_nothing() {
    let spec = stereo(16_000);
    let (mut pusher, source) = push_source(spec, Pace::Elastic);
    let slow = Clicks { rate: 16_000, slowness: Duration::from_millis(5) };
    let session = Session::new(source).task(slow).start().expect("a session");
    for _ in 0..10 {
        for block in second(spec).chunks(2 * 333) {
            while pusher.room() < 333 {
                std::thread::sleep(Duration::from_millis(1));
            }
            assert!(pusher.push(block));
        }
    }
    drop(pusher);
    let events: Vec<Event> = until(&session, |event| matches!(event, Event::Finished { .. }));
    let expected: Vec<f64> = (0..10).map(|n| f64::from(n) + 0.5).collect();
    near(&starts(&events), &expected);
    assert!(
        matches!(events.last(), Some(Event::Finished { reason: EndReason::End, lost_frames: 0, seconds })
        if *seconds == 10.0)
    );
}

#[test]
fn sessions_end_after_their_time() {
    let (mut pusher, source) = push_source(AudioSpec::mono(16_000), Pace::Live);
    let options = SessionOptions {
        limit: Some(Duration::from_millis(1234)),
        level: Some(Duration::from_millis(500)),
        ..SessionOptions::default()
    };
    let session = Session::new(source).options(options).start().expect("a session");
    assert!(pusher.push(&vec![0.5; 32_000]));
    let events: Vec<Event> = until(&session, |event| matches!(event, Event::Finished { .. }));
    assert!(
        matches!(events.last(), Some(Event::Finished { seconds, reason: EndReason::Stopped, .. })
        if (*seconds - 1.234).abs() < 1e-6)
    );
    assert!(events.iter().any(|event| matches!(event, Event::Level { .. })));
    assert_eq!(session.state(), State::Finished);
}
