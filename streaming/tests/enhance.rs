//! Enhancement in sessions, with a small network of random weights: lengths, places, gaps, and what
//! happens when the network is too slow.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use formant_audio_core::decode::{DecodeOptions, decode_file};
use formant_audio_core::encode::{AudioWriter, SampleFormat, WriteOptions};
use formant_audio_core::{AudioBuf, AudioSpec, ChannelLayout};
use formant_models::arch::hifi_sr::{GeneratorConfig, HifiSrCard, HifiSrConfig};
use formant_models::arch::mossformer::{MossformerCard, MossformerConfig, MossformerModel};
use formant_models::tasks::TaskSession;
use formant_models::tasks::enhance::{EnhanceOptions, Enhancer, LiveOptions};
use formant_models::tasks::superres::{SuperResOptions, SuperResolver};
use formant_streaming::event::GapCause;
use formant_streaming::output::OpenedOutput;
use formant_streaming::output::feed::feed;
use formant_streaming::source::{
    FilePace, FileSource, Pace, Reading, Source, StreamInfo, push_source,
};
use formant_streaming::task::{EnhanceTask, Finding, LiveStream, LiveTask};
use formant_streaming::{Event, Result, Session, SessionOptions};
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
    expected.extend(live.finish().expect("runs").0);
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

/// A device whose life is written down.
struct Script(VecDeque<Reading>);

impl Source for Script {
    fn info(&self) -> StreamInfo {
        let (name, spec) = ("script".to_owned(), AudioSpec::mono(16_000));
        StreamInfo { name, spec, pace: Pace::Live }
    }

    fn read(&mut self, _: Duration) -> Result<Reading> {
        Ok(self.0.pop_front().unwrap_or(Reading::End))
    }
}

#[test]
fn gaps_are_silence_of_their_length() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("out.wav");
    let second = || Reading::Audio {
        block: noise(AudioSpec::mono(16_000), 16_000),
        captured: Instant::now(),
    };
    // Longer than what tasks hear as silence.
    let away = Duration::from_millis(2200);
    let lost = Reading::Lost { reason: "unplugged".to_owned() };
    let source = Script([second(), lost, Reading::Resumed { away }, second()].into());
    let task = task(enhancer(&model()), &source).to_file(&path).expect("a file");
    let mut session = Session::new(source).task(task).start().expect("a session");
    let events: Vec<Event> = session.by_ref().collect();
    session.wait().expect("no error");
    assert!(events.iter().any(|event| matches!(event, Event::DeviceLost { .. })));
    let gaps: Vec<(f64, f64)> = events
        .iter()
        .filter_map(|event| match event {
            Event::Gap { start, end, cause: GapCause::DeviceLost, .. } => Some((*start, *end)),
            _ => None,
        })
        .collect();
    assert_eq!(gaps, [(1.0, 3.2)]);
    let found = written(&path);
    assert_eq!(found.frames(), 67_200);
    let samples = found.channel(0);
    assert!(samples[16_000..51_200].iter().all(|&x| x == 0.0));
    assert!(samples[8000..16_000].iter().any(|&x| x != 0.0));
    assert!(samples[51_200..].iter().any(|&x| x != 0.0));
    // Both stretches are enhanced to their ends.
    let ends = |wanted: f64| {
        events.iter().any(
            |event| matches!(event, Event::Enhanced { end, .. } if (end - wanted).abs() < 1e-6),
        )
    };
    assert!(ends(1.0) && ends(4.2), "{events:?}");
    let stats = session.stats();
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

/// Enhancement that begins to work when its gate opens, as on a machine that is far too slow.
struct Gated {
    task: EnhanceTask,
    gate: Arc<(Mutex<bool>, Condvar)>,
}

struct GatedStream<'a> {
    stream: Box<dyn LiveStream + 'a>,
    gate: &'a (Mutex<bool>, Condvar),
}

impl LiveTask for Gated {
    fn name(&self) -> &'static str {
        self.task.name()
    }

    fn rate(&self) -> u32 {
        self.task.rate()
    }

    fn start(&self) -> Result<Box<dyn LiveStream + '_>> {
        self.start_at(0.0)
    }

    fn start_at(&self, at: f64) -> Result<Box<dyn LiveStream + '_>> {
        Ok(Box::new(GatedStream { stream: self.task.start_at(at)?, gate: &self.gate }))
    }

    fn close(&self) -> Result<()> {
        self.task.close()
    }
}

impl LiveStream for GatedStream<'_> {
    fn push(&mut self, samples: &[f32]) -> Result<Vec<Finding>> {
        let (open, changed) = self.gate;
        let open = changed.wait_while(open.lock().expect("not poisoned"), |open| !*open);
        drop(open.expect("not poisoned"));
        self.stream.push(samples)
    }

    fn finish(self: Box<Self>) -> Result<Vec<Finding>> {
        self.stream.finish()
    }
}

#[test]
fn what_is_skipped_stays_silent_in_its_place() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("out.wav");
    let spec = AudioSpec::mono(16_000);
    let (mut pusher, source) = push_source(spec, Pace::Live);
    let task = task(enhancer(&model()), &source).to_file(&path).expect("a file");
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let task = Gated { task, gate: Arc::clone(&gate) };
    let options =
        SessionOptions { longest_lag: Some(Duration::from_millis(1500)), ..Default::default() };
    let mut session = Session::new(source).task(task).options(options).start().expect("a session");
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
    // Nothing is enhanced before most of it had to be skipped.
    let first = session.by_ref().find(|event| matches!(event, Event::Gap { .. }));
    *gate.0.lock().expect("not poisoned") = true;
    gate.1.notify_all();
    let events: Vec<Event> = first.into_iter().chain(session.by_ref()).collect();
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
    assert!(skipped > 16_000, "{skipped}");
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

#[test]
fn a_session_widens_a_band_at_the_rate_of_the_network() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let (input, output) = (folder.path().join("in.wav"), folder.path().join("out.wav"));
    let spec = AudioSpec { rate: 16_000, layout: ChannelLayout::Stereo };
    let audio = noise(spec, 30_001);
    let options = WriteOptions { format: Some(SampleFormat::F32), ..WriteOptions::default() };
    let mut writer = AudioWriter::create(&input, spec, &options).expect("a file");
    writer.write(&audio.view()).expect("written");
    writer.finish().expect("written");

    let resolver = resolver();
    let source =
        FileSource::open(&input, &DecodeOptions::default(), FilePace::Fast).expect("a source");
    let (usual, live) = (SuperResOptions::default(), live_options());
    let task = EnhanceTask::widening(resolver.clone(), usual, live, &source.info());
    let task = task.expect("sound").to_file(&output).expect("a file");
    assert_eq!((task.name(), task.output_rate()), ("superres", 48_000));
    let promised = task.latency();
    let session = Session::new(source).task(task).start().expect("begins");
    let mut told = None;
    while let Some(event) = session.next_within(PATIENCE) {
        match event {
            Event::Enhancing { rate, latency, .. } => told = Some((rate, latency)),
            Event::Finished { .. } => break,
            _ => {}
        }
    }
    session.finish().expect("no failure");
    assert_eq!(told, Some((48_000, promised)));
    let found = written(&output);
    assert_eq!((found.rate(), found.channels(), found.frames()), (48_000, 1, 90_003));
    // The same as from the library, whose blocks end elsewhere.
    let mut live = resolver.live(&usual, &live, 16_000).expect("sound");
    let mut wanted = live.push(&audio.view()).expect("runs");
    wanted.extend(live.finish().expect("runs").0);
    for (n, (a, b)) in found.channel(0).iter().zip(&wanted).enumerate() {
        assert!((a - b.clamp(-1.0, 1.0)).abs() < 1e-4, "{n}: {a} {b}");
    }
}

fn resolver() -> SuperResolver {
    let mut config = HifiSrConfig::default();
    let encoder = &mut config.encoder;
    (encoder.out_channels, encoder.num_blocks, encoder.group_size) = (8, 1, 32);
    (encoder.query_key_dim, encoder.fsmn_inner_channels) = (6, 6);
    config.generator = GeneratorConfig {
        upsample_rates: vec![16, 16],
        upsample_kernel_sizes: vec![32, 32],
        upsample_initial_channel: 8,
        resblock_kernel_sizes: vec![3],
        resblock_dilation_sizes: vec![vec![1, 3]],
        ..GeneratorConfig::default()
    };
    let card = HifiSrCard::published(config).expect("a card");
    SuperResolver::random(card, Device::Cpu).expect("sound sizes")
}
