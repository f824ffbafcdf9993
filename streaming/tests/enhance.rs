//! Enhancement in sessions, with a small network of random weights: lengths, places, gaps, and what
//! happens when the network is too slow.

use std::path::Path;
use std::time::{Duration, Instant};

use formant_audio_core::decode::{DecodeOptions, decode_file};
use formant_audio_core::encode::{AudioWriter, SampleFormat, WriteOptions};
use formant_audio_core::{AudioBuf, AudioSpec, ChannelLayout};
use formant_models::arch::mossformer::{MossformerCard, MossformerConfig, MossformerModel};
use formant_models::tasks::enhance::{EnhanceOptions, Enhancer, LiveOptions};
use formant_streaming::event::GapCause;
use formant_streaming::output::OpenedOutput;
use formant_streaming::output::feed::feed;
use formant_streaming::source::mock::MockPanel;
use formant_streaming::source::{
    FilePace, FileSource, LiveSource, OnLoss, Pace, Source, Wanted, push_source,
};
use formant_streaming::task::EnhanceTask;
use formant_streaming::{Event, Session, SessionOptions};
use tch::Device;

const PATIENCE: Duration = Duration::from_secs(60);

fn model() -> MossformerModel {
    let config = MossformerConfig {
        out_channels: 8,
        num_blocks: 1,
        group_size: 16,
        query_key_dim: 6,
        conv_kernel: 5,
        fsmn_inner_channels: 6,
        fsmn_lorder: 3,
        ..MossformerConfig::enhancement()
    };
    let card = MossformerCard::published(config, 48_000).expect("a card");
    MossformerModel::random(card, Device::Cpu).expect("sound sizes")
}

fn enhancer(model: &MossformerModel) -> Enhancer {
    Enhancer::of(model.clone()).expect("sound sizes")
}

fn live_options() -> LiveOptions {
    LiveOptions { latency_seconds: 0.3, context_seconds: 0.4, ..LiveOptions::default() }
}

fn task(enhancer: Enhancer, source: &impl Source) -> EnhanceTask {
    let options = EnhanceOptions::default();
    EnhanceTask::new(enhancer, options, live_options(), &source.info()).expect("sound")
}

fn noise(spec: AudioSpec, frames: usize) -> AudioBuf {
    let mut audio = AudioBuf::silence(spec, frames);
    for channel in 0..spec.channels() {
        for (n, x) in audio.channel_mut(channel).iter_mut().enumerate() {
            *x = (((n * 7919 + channel * 31) % 1000) as f32 / 1000.0 - 0.5) * 0.4;
        }
    }
    audio
}

fn written(path: &Path) -> AudioBuf {
    decode_file(path, &DecodeOptions::default()).expect("whole").audio
}

#[test]
fn a_session_gives_what_the_library_gives() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let (input, output) = (folder.path().join("in.wav"), folder.path().join("out.wav"));
    let spec = AudioSpec { rate: 44_100, layout: ChannelLayout::Stereo };
    let audio = noise(spec, 70_001);
    let options = WriteOptions { format: Some(SampleFormat::F32), ..WriteOptions::default() };
    let mut writer = AudioWriter::create(&input, spec, &options).expect("a file");
    writer.write(&audio.view()).expect("written");
    writer.finish().expect("written");

    let source =
        FileSource::open(&input, &DecodeOptions::default(), FilePace::Fast).expect("a file");
    let model = model();
    let task = task(enhancer(&model), &source).to_file(&output).expect("a file");
    let latency = task.latency();
    let mut session = Session::new(source).task(task).start().expect("a session");
    let events: Vec<Event> = session.by_ref().collect();
    session.wait().expect("no error");

    let enhancer = enhancer(&model);
    let mut live =
        enhancer.live(&EnhanceOptions::default(), &live_options(), 44_100).expect("sound");
    let mut expected = live.push(&audio.view()).expect("runs");
    expected.extend(live.finish().expect("runs"));
    let found = written(&output);
    assert_eq!((found.spec(), found.frames()), (AudioSpec::mono(44_100), 70_001));
    for (n, (a, b)) in found.channel(0).iter().zip(&expected).enumerate() {
        assert!((a - b.clamp(-1.0, 1.0)).abs() < 1e-4, "{n}: {a} {b}");
    }
    // Told once before, and without a hole or an overlap.
    let told: Vec<f64> = events
        .iter()
        .filter_map(|event| match event {
            Event::Enhancing { latency, .. } => Some(*latency),
            _ => None,
        })
        .collect();
    assert_eq!(told, [latency]);
    let mut at = 0.0;
    for event in &events {
        if let Event::Enhanced { start, end, .. } = event {
            assert!((start - at).abs() < 1e-9 && end > start, "{start} {end} {at}");
            at = *end;
        }
    }
    assert!((at - 70_001.0 / 44_100.0).abs() < 1e-9, "{at}");
}

#[test]
fn gaps_are_silence_of_their_length() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("out.wav");
    let panel = MockPanel::new();
    panel.plug("one", AudioSpec::mono(16_000));
    let source = LiveSource::open(Box::new(panel.backend()), Wanted::default(), OnLoss::Wait);
    let source = source.expect("a device");
    let task = task(enhancer(&model()), &source).to_file(&path).expect("a file");
    let session = Session::new(source).task(task).start().expect("a session");
    let second = noise(AudioSpec::mono(16_000), 16_000).into_planar();
    let play = |samples: &[f32]| {
        let deadline = Instant::now() + PATIENCE;
        while panel.room() < samples.len() {
            assert!(Instant::now() < deadline, "nobody listens");
            std::thread::sleep(Duration::from_millis(2));
        }
        assert!(panel.callback(samples));
    };
    let mut events = Vec::new();
    let mut until = |wanted: &dyn Fn(&Event) -> bool| {
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "not told in time; told: {events:?}");
            if let Some(event) = session.next_within(Duration::from_millis(50)) {
                events.push(event.clone());
                if wanted(&event) {
                    return event;
                }
            }
        }
    };
    play(&second);
    until(&|event| matches!(event, Event::Enhanced { end, .. } if *end > 0.5));
    panel.unplug("one");
    until(&|event| matches!(event, Event::DeviceLost { .. }));
    // Longer than what is heard as silence.
    std::thread::sleep(Duration::from_millis(2200));
    panel.plug("one", AudioSpec::mono(16_000));
    let gap = until(&|event| matches!(event, Event::Gap { .. }));
    let Event::Gap { start, end, cause: GapCause::DeviceLost, .. } = gap else { panic!("{gap:?}") };
    play(&second);
    until(&|event| matches!(event, Event::Enhanced { end: found, .. } if *found > end + 0.5));
    let stats = session.finish().expect("no error");
    let found = written(&path);
    assert_eq!(found.frames(), (stats.seconds * 16_000.0).round() as usize);
    let (from, to) = ((start * 16_000.0).ceil() as usize, (end * 16_000.0).floor() as usize);
    assert!(to > from + 32_000, "{start} {end}");
    let samples = found.channel(0);
    assert!(samples[from + 1..to].iter().all(|&x| x == 0.0));
    assert!(samples[from - 8000..from].iter().any(|&x| x != 0.0));
    assert!(samples[to..].iter().any(|&x| x != 0.0));
    assert!(stats.stages.iter().any(|stage| stage.stage == "enhance: capture to output"));
}

#[test]
fn devices_set_the_pace_of_who_can_wait() {
    let spec = AudioSpec::mono(16_000);
    let (mut pusher, source) = push_source(spec, Pace::Elastic);
    let (feed, _, mut speaker) = feed(10 * 24_000, 2);
    let output = OpenedOutput { name: "mock".into(), rate: 24_000, feed, stream: Box::new(()) };
    let task = task(enhancer(&model()), &source).to_device(output).expect("rates");
    let mut session = Session::new(source).task(task).start().expect("a session");
    for _ in 0..3 {
        assert!(pusher.push(&noise(spec, 8000).into_planar()));
    }
    drop(pusher);
    let (mut heard, mut out) = (0usize, vec![0.0; 2 * 240]);
    let deadline = Instant::now() + PATIENCE;
    while !session.is_over() {
        assert!(Instant::now() < deadline, "it does not end");
        speaker.fill(&mut out, Duration::from_millis(1));
        heard += out.chunks(2).filter(|frame| frame[0] != 0.0 && frame[0] == frame[1]).count();
        std::thread::sleep(Duration::from_millis(1));
    }
    session.wait().expect("no error");
    // Everything was played; a random network's output has few samples of exactly zero.
    assert!((35_000..=36_000).contains(&heard), "{heard}");
}

#[test]
fn what_is_skipped_stays_silent_in_its_place() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("out.wav");
    let spec = AudioSpec::mono(16_000);
    let (mut pusher, source) = push_source(spec, Pace::Live);
    let task = task(enhancer(&model()), &source).to_file(&path).expect("a file");
    let options =
        SessionOptions { longest_lag: Some(Duration::from_millis(1500)), ..Default::default() };
    let mut session = Session::new(source).task(task).options(options).start().expect("a session");
    // Far faster than time: whatever the machine, a part is skipped.
    let second = noise(spec, 16_000).into_planar();
    let deadline = Instant::now() + PATIENCE;
    for _ in 0..40 {
        while pusher.room() < 16_000 {
            assert!(Instant::now() < deadline, "nobody listens");
            std::thread::sleep(Duration::from_millis(1));
        }
        pusher.push(&second);
    }
    drop(pusher);
    let events: Vec<Event> = session.by_ref().collect();
    session.wait().expect("no error");
    let found = written(&path);
    assert_eq!(found.frames(), 40 * 16_000);
    let mut skipped = 0;
    for event in &events {
        if let Event::Gap { start, end, cause: GapCause::Shed, task } = event {
            assert_eq!(task.as_deref(), Some("enhance"));
            let (from, to) = ((start * 16e3).round() as usize, (end * 16e3).round() as usize);
            assert!(found.channel(0)[from..to].iter().all(|&x| x == 0.0), "{start} {end}");
            skipped += to - from;
        }
    }
    assert!(skipped > 0 || session.stats().wall_seconds > 10.0, "{skipped}");
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_written() {
    let spec = AudioSpec::mono(16_000);
    let (_, source) = push_source(spec, Pace::Live);
    let live = LiveOptions { latency_seconds: 0.01, ..LiveOptions::default() };
    let made =
        EnhanceTask::new(enhancer(&model()), EnhanceOptions::default(), live, &source.info());
    assert!(made.err().expect("too short").to_string().contains("or more"));
    let task = task(enhancer(&model()), &source).to_file(Path::new("/no/such/folder/out.wav"));
    assert!(task.err().expect("no folder").to_string().contains("/no/such/folder/out.wav"));
}
