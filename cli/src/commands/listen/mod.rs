//! `formant listen`: words, captions, voices, and cleaned or widened speech from a microphone or what
//! stands in for one.

mod screen;
mod tell;

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, ValueEnum};
use formant_audio_core::decode::{ChannelSelect, DecodeOptions, RawFormat};
use formant_models::tasks::Task;
use formant_models::tasks::enhance::{EnhanceOptions, Enhancer, LiveOptions};
use formant_models::tasks::speaker::Voices;
use formant_models::tasks::spot::SpotOptions;
use formant_models::tasks::superres::{SuperResOptions, SuperResolver};
use formant_models::{DeviceChoice, LoadOptions, ModelSource};
use formant_streaming::event::EndReason;
use formant_streaming::output::Outputs;
use formant_streaming::source::{
    FilePace, FileSource, LiveSource, Microphones, OnLoss, Source, StreamSource, Wanted,
};
use formant_streaming::task::{EnhanceTask, SpeakerTask, SpotTask, TranscribeTask};
use formant_streaming::{DeviceInfo, Direction, Event, Session, SessionOptions};
use tell::Teller;

use super::{Work, work};
use crate::exit::Outcome;
use crate::failure::{Failure, Kind};
use crate::messages::Messages;
use crate::outputs::{Existing, Target};
use crate::reading::{AudioArgs, ClockArgs, raw_format};
use crate::settings::Settings;
use crate::tasks::enhance::CleaningArgs;
use crate::tasks::speaker::{SpeakerModel, SpeakerModelArgs};
use crate::tasks::spot::{SpotModel, SpotTuning};
use crate::tasks::transcribe::{CutArg, NemoArg, RecognizerArgs, RecognizerPlan};
use crate::tasks::{load_options, model, tell_precision, use_few_threads};
use crate::{interrupt, json as lines, stdout};

/// What happens when the microphone is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OnLossArg {
    /// End with status 5.
    Stop,
    /// Wait until it returns.
    Wait,
    /// Continue with the default microphone, also when the default changes.
    Follow,
}

/// What `formant listen` takes.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("audio").args(["enhance", "superres"])))]
#[command(after_help = "Example: formant listen --spot --record take.wav\n\n\
    Ctrl-C ends it: what was heard is still told, and the take is complete. docs/streaming.md says\n\
    how time, gaps and delays are counted.")]
pub(crate) struct ListenArgs {
    /// `-` for standard input instead of the microphone.
    #[arg(value_name = "INPUT")]
    input: Option<PathBuf>,
    /// A file instead of the microphone, as fast as it can be processed.
    #[arg(long, value_name = "FILE", conflicts_with = "input")]
    file: Option<PathBuf>,
    /// Play the file in real time, as a microphone would deliver it.
    #[arg(long)]
    realtime: bool,
    /// Standard input or file are samples without a header, such as s16le:16000:1 (kind, rate,
    /// channels).
    #[arg(long, value_name = "KIND:RATE:CHANNELS", value_parser = raw_format)]
    raw: Option<RawFormat>,
    /// Channels. Of a file or standard input, which: mix, left, right, or numbers such as 2 or 3,4. Of
    /// a microphone, how many to open. Tasks get their mix, the recording keeps them.
    #[arg(long, value_name = "WHICH|N", value_parser = ChannelSelect::together)]
    channels: Option<ChannelSelect>,
    #[command(flatten)]
    clock: ClockArgs,

    /// Find spoken words.
    #[arg(long, help_heading = "What listens")]
    spot: bool,
    /// Transcribe speech.
    #[arg(long, help_heading = "What listens")]
    transcribe: bool,
    /// Identify the speaker among the known voices.
    #[arg(long, help_heading = "What listens", requires = "voices")]
    speaker: bool,
    /// Remove noise from speech, into --enhanced, --play or both.
    #[arg(long, help_heading = "What listens")]
    enhance: bool,
    /// Widen the band of speech to 48 kHz, into --enhanced, --play or both.
    #[arg(long, help_heading = "What listens")]
    superres: bool,
    /// Record to a WAV file, which is complete at every moment.
    #[arg(long, value_name = "FILE", help_heading = "What listens")]
    record: Option<PathBuf>,
    /// Replace an existing recording or enhanced file.
    #[arg(long, help_heading = "What listens")]
    overwrite: bool,
    /// Show the level.
    #[arg(long, help_heading = "What listens")]
    level: bool,
    /// Measure latency, load and losses, and print them at the end.
    #[arg(long, help_heading = "What listens")]
    stats: bool,
    /// Stop after this much audio.
    #[arg(long = "for", value_name = "SECONDS", help_heading = "What listens")]
    seconds: Option<f64>,

    /// Write the enhanced or widened speech to this WAV file: mono, at the source's rate or, widened,
    /// at 48 kHz; complete at every moment.
    #[arg(
        long,
        visible_alias = "widened",
        value_name = "FILE",
        help_heading = "Enhancement",
        requires = "audio"
    )]
    enhanced: Option<PathBuf>,
    /// Play the enhanced or widened speech on the default output, or on a device of --devices by its name or a
    /// part of it.
    #[arg(
        long,
        value_name = "DEVICE",
        num_args = 0..=1,
        require_equals = true,
        help_heading = "Enhancement",
        requires = "audio"
    )]
    play: Option<Option<String>>,
    /// Maximum latency in seconds, without computing time and devices; less latency is more work.
    #[arg(long, value_name = "SECONDS", default_value_t = 0.5, help_heading = "Enhancement")]
    latency: f64,
    /// Seconds of past audio that the network processes again in each step.
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, help_heading = "Enhancement")]
    context: f64,
    #[command(flatten, next_help_heading = "Enhancement")]
    cleaning: CleaningArgs,

    /// List the microphones and output devices and exit.
    #[arg(long, help_heading = "Microphone")]
    devices: bool,
    /// The microphone: its name in --devices, or a part of it that no other has.
    #[arg(long, value_name = "NAME", help_heading = "Microphone")]
    device: Option<String>,
    /// Sample rate to open the microphone with, in Hz.
    #[arg(long, value_name = "HZ", help_heading = "Microphone", value_parser = clap::value_parser!(u32).range(1..=1_536_000))]
    rate: Option<u32>,
    /// Frames in one buffer of the microphone [default: 10 ms].
    #[arg(long, value_name = "FRAMES", help_heading = "Microphone", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    buffer: Option<u32>,
    /// What happens when the microphone is lost.
    #[arg(
        long,
        value_enum,
        default_value = "stop",
        value_name = "POLICY",
        help_heading = "Microphone"
    )]
    on_loss: OnLossArg,

    /// Keyword model.
    #[arg(long, value_name = "NAME|FILE", help_heading = "Models")]
    spot_model: Option<String>,
    /// Recognizer.
    #[arg(long, value_name = "NAME|PATH", help_heading = "Models")]
    transcribe_model: Option<String>,
    /// Language model of the recognizer: an ARPA file; none disables the model's own.
    #[arg(long, value_name = "FILE|none", help_heading = "Models")]
    lm: Option<PathBuf>,
    /// Words and phrases to expect: a text file, one a line, or a list separated by commas.
    #[arg(long, value_name = "FILE|LIST", help_heading = "Models")]
    hotwords: Option<String>,
    /// Enhancer.
    #[arg(long, value_name = "NAME|PATH", help_heading = "Models")]
    enhance_model: Option<String>,
    /// Super-resolution model.
    #[arg(long, value_name = "NAME|PATH", help_heading = "Models")]
    superres_model: Option<String>,
    /// Speaker model.
    #[arg(long, value_name = "NAME|PATH", help_heading = "Models")]
    speaker_model: Option<String>,
    /// The file of known voices, as `formant speaker enroll` makes it.
    #[arg(long, value_name = "FILE", env = "FORMANT_VOICES", help_heading = "Models")]
    voices: Option<PathBuf>,
    /// Where networks run: auto, cpu, cuda or cuda:N.
    #[arg(long, value_name = "DEVICE", default_value = "auto", help_heading = "Models")]
    run_on: DeviceChoice,
    /// Audio that may wait for one task before it skips to the newest second.
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, help_heading = "Models")]
    longest_lag: f64,

    #[command(flatten)]
    tuning: SpotTuning,
}

impl ListenArgs {
    /// Finds out what was meant.
    pub(crate) fn resolve(self, settings: &Settings) -> Result<Work, Failure> {
        let plan = plan(self, settings)?;
        Ok(work(plan, run))
    }
}

/// What `listen` does.
#[derive(Debug)]
enum ListenTask {
    Devices,
    Listen(Box<ListenPlan>),
}

/// Where the audio comes from.
#[derive(Debug)]
enum ListenSource {
    Microphone { wanted: Wanted, on_loss: OnLoss },
    Stdin(DecodeOptions),
    File { path: PathBuf, decode: DecodeOptions, pace: FilePace, clock: ClockArgs },
}

/// What becomes of speech.
#[derive(Debug, Clone, Copy)]
enum Change {
    Enhance(EnhanceOptions),
    Widen,
}

/// Speech without its noise or with a full band, and where it goes.
#[derive(Debug)]
struct ListenEnhancement {
    model: ModelSource,
    load: LoadOptions,
    change: Change,
    live: LiveOptions,
    file: Option<PathBuf>,
    play: Option<Play>,
}

/// An output device.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Play {
    Default,
    Named(String),
}

/// A session.
#[derive(Debug)]
struct ListenPlan {
    source: ListenSource,
    spot: Option<(SpotModel, SpotOptions)>,
    transcribe: Option<RecognizerPlan>,
    /// With the file of known voices.
    speaker: Option<(SpeakerModel, PathBuf)>,
    enhance: Option<ListenEnhancement>,
    record: Option<PathBuf>,
    level: bool,
    stats: bool,
    limit: Option<Duration>,
    longest_lag: Duration,
}

fn plan(typed: ListenArgs, settings: &Settings) -> Result<ListenTask, Failure> {
    if typed.devices {
        return Ok(ListenTask::Devices);
    }
    // `--device` is the microphone here.
    let settings = Settings { device: typed.run_on, ..*settings };
    let source = source(&typed)?;
    let spot = typed.spot.then(|| -> Result<_, Failure> {
        let model = SpotModel::of(typed.spot_model.as_deref(), None, &settings)?;
        Ok((model, typed.tuning.options()?))
    });
    let transcribe = typed.transcribe.then(|| recognizer(&typed, &settings));
    let speaker = match (&typed.voices, typed.speaker) {
        (Some(voices), true) => {
            let args = SpeakerModelArgs { model: typed.speaker_model.clone(), no_vad: false };
            Some((args.resolve(&settings)?, voices.clone()))
        }
        _ => None,
    };
    let changes = typed.enhance || typed.superres;
    let enhance = changes.then(|| enhancement(&typed, &settings));
    for path in typed.record.iter().chain(&typed.enhanced) {
        Existing::overwrite(typed.overwrite).admits(&Target::File(path.clone()))?;
    }
    if typed.record.is_some() && typed.record == typed.enhanced {
        return Err(Failure::usage("--enhanced", "is the file of --record")
            .help("name another file for one of them"));
    }
    let plan = ListenPlan {
        source,
        spot: spot.transpose()?,
        transcribe: transcribe.transpose()?,
        speaker,
        enhance: enhance.transpose()?,
        record: typed.record,
        level: typed.level,
        stats: typed.stats,
        limit: typed.seconds.map(|seconds| duration("--for", seconds)).transpose()?,
        longest_lag: duration("--longest-lag", typed.longest_lag)?,
    };
    let does_something = plan.spot.is_some()
        || plan.transcribe.is_some()
        || plan.speaker.is_some()
        || plan.enhance.is_some()
        || plan.record.is_some()
        || plan.level;
    if !does_something {
        return Err(Failure::usage("listen", "nothing is to listen").help(
            "give one or more of --spot, --transcribe, --speaker, --enhance, --superres, --record \
             and --level",
        ));
    }
    Ok(ListenTask::Listen(Box::new(plan)))
}

fn enhancement(typed: &ListenArgs, settings: &Settings) -> Result<ListenEnhancement, Failure> {
    let play = typed.play.clone().map(|name| name.map_or(Play::Default, Play::Named));
    let (option, name, change) = match typed.superres {
        true => ("--superres", typed.superres_model.as_deref(), Change::Widen),
        false => {
            let change = Change::Enhance(typed.cleaning.options(settings));
            ("--enhance", typed.enhance_model.as_deref(), change)
        }
    };
    if typed.enhanced.is_none() && play.is_none() {
        return Err(Failure::usage(option, "has nowhere to put its audio")
            .help("give --enhanced FILE, or --play for an output device, or both"));
    }
    Ok(ListenEnhancement {
        model: model(name, &option[2..])?,
        load: load_options(settings)?,
        change,
        live: LiveOptions {
            latency_seconds: typed.latency,
            context_seconds: typed.context,
            ..LiveOptions::default()
        },
        file: typed.enhanced.clone(),
        play,
    })
}

fn duration(name: &str, seconds: f64) -> Result<Duration, Failure> {
    if (0.1..=1e7).contains(&seconds) {
        return Ok(Duration::from_secs_f64(seconds));
    }
    Err(Failure::usage(name, format!("{seconds} is not between 0.1 and 10000000 seconds")))
}

fn source(typed: &ListenArgs) -> Result<ListenSource, Failure> {
    let raw = typed.raw;
    let path = typed.file.as_ref().or(typed.input.as_ref());
    let of_device = typed.device.as_deref().is_some_and(|name| name != "auto")
        || typed.rate.or(typed.buffer).is_some();
    let Some(path) = path else {
        if raw.is_some() || typed.realtime {
            return Err(Failure::usage("--raw, --realtime", "are not for the microphone")
                .help("name a file with --file, or give `-` for standard input"));
        }
        return Ok(ListenSource::Microphone {
            wanted: Wanted {
                // What the command line has where nothing was typed.
                device: typed.device.clone().filter(|name| name != "auto"),
                channels: typed.channels.as_ref().map(channels_to_open).transpose()?,
                rate: typed.rate,
                buffer: typed.buffer,
            },
            on_loss: match typed.on_loss {
                OnLossArg::Stop => OnLoss::Stop,
                OnLossArg::Wait => OnLoss::Wait,
                OnLossArg::Follow => OnLoss::Follow,
            },
        });
    };
    if of_device {
        let what = "--device, --rate, --buffer";
        return Err(Failure::usage(what, "are for the microphone only"));
    }
    let reading = AudioArgs { raw, channels: typed.channels.clone(), ..AudioArgs::default() };
    reading.refuse_each()?;
    let decode = reading.decode_options();
    let pace = if typed.realtime { FilePace::Realtime } else { FilePace::Fast };
    match path.as_os_str() == "-" {
        true if typed.realtime => {
            Err(Failure::usage("--realtime", "standard input has a pace of its own"))
        }
        true => Ok(ListenSource::Stdin(decode)),
        false => Ok(ListenSource::File { path: path.clone(), decode, pace, clock: typed.clock }),
    }
}

/// How many channels of a microphone are meant; the device says whether it has them.
fn channels_to_open(typed: &ChannelSelect) -> Result<u16, Failure> {
    match typed {
        ChannelSelect::Numbers(numbers) if numbers.len() == 1 => Ok(numbers[0]),
        _ => Err(Failure::usage("--channels", format!("{typed} is no number of channels"))
            .help("for a microphone give how many channels to open, such as 2")),
    }
}

fn recognizer(typed: &ListenArgs, settings: &Settings) -> Result<RecognizerPlan, Failure> {
    let args = RecognizerArgs {
        model: typed.transcribe_model.clone(),
        lm: typed.lm.clone(),
        alpha: None,
        beta: None,
        beam: None,
        hotwords: typed.hotwords.clone(),
        cut: CutArg::Pauses,
        window: 20.0,
        batch_size: Some(1),
        nemo: NemoArg::V2,
    };
    args.resolve(settings)
}

/// How often Ctrl-C is looked for.
const PATIENCE: Duration = Duration::from_millis(100);
/// Time from one level to the next: what eyes can follow, and what a file can hold.
const METER: Duration = Duration::from_millis(100);
const LEVEL_LINES: Duration = Duration::from_secs(1);

fn run(task: ListenTask, settings: &Settings, messages: &Messages) -> Result<Outcome, Failure> {
    match task {
        ListenTask::Devices => devices(settings),
        ListenTask::Listen(plan) => {
            interrupt::install()?;
            use_few_threads(settings);
            listen(*plan, settings, messages)
        }
    }
}

fn devices(settings: &Settings) -> Result<Outcome, Failure> {
    let mut list = Microphones::new()?.list();
    list.extend(Outputs::new()?.list());
    if list.is_empty() {
        return Err(Failure::new(Kind::Device, "microphones", "there are none")
            .help("plug one in, and see that the sound server runs; `formant doctor` says more"));
    }
    for device in &list {
        let text = match settings.json {
            true => lines::line("device", device),
            false => device_line(device),
        };
        stdout::print(&text)?;
    }
    Ok(Outcome::done())
}

fn device_line(device: &DeviceInfo) -> String {
    let DeviceInfo { name, description, rate, channels, default, direction } = device;
    let mark = if *default { "*" } else { " " };
    let way = if *direction == Direction::Input { "in " } else { "out" };
    format!("{mark} {way} {name:<24} {rate:>6} Hz {channels:>2} ch  {description}\n")
}

fn listen(plan: ListenPlan, settings: &Settings, messages: &Messages) -> Result<Outcome, Failure> {
    // Models first: nothing should be lost while they load.
    let mut tasks = Tasks::default();
    if let Some((model, options)) = &plan.spot {
        tasks.spot = Some(SpotTask::new(model.load()?, options.clone())?);
    }
    if let Some(recognizer) = &plan.transcribe {
        let ready = recognizer.load()?;
        recognizer.tell_default(&ready, messages)?;
        tasks.transcribe = Some(TranscribeTask::new(ready.transcriber, ready.options)?);
    }
    if let Some((model, voices)) = &plan.speaker {
        let embedder = model.load()?;
        let scorer = embedder.scorer();
        tasks.speaker = Some(SpeakerTask::new(embedder, Voices::read(voices)?, scorer)?);
    }
    if let Some(wanted) = &plan.enhance {
        tell_precision(&wanted.load, messages);
        let (model, load) = (&wanted.model, &wanted.load);
        let changer = match wanted.change {
            Change::Enhance(options) => {
                Changer::Enhancer(Box::new(Enhancer::load(model, load)?), options)
            }
            Change::Widen => Changer::Resolver(Box::new(SuperResolver::load(model, load)?)),
        };
        tasks.enhance = Some((changer, wanted));
    }
    let mut teller = Teller::new(&plan, settings, messages);
    let level = if teller.has_screen() { METER } else { LEVEL_LINES };
    let options = SessionOptions {
        level: plan.level.then_some(level),
        record: plan.record.clone(),
        limit: plan.limit,
        longest_lag: Some(plan.longest_lag),
    };
    // Live audio begins with its own clock.
    let mut offset = 0.0;
    let session = match &plan.source {
        ListenSource::Microphone { wanted, on_loss } => {
            let microphones = Box::new(Microphones::new()?);
            tasks.session(LiveSource::open(microphones, wanted.clone(), *on_loss)?)?
        }
        ListenSource::Stdin(decode) => {
            let stdin = Box::new(std::io::stdin());
            tasks.session(match decode.raw {
                Some(format) if decode.channels.is_none() => StreamSource::raw(stdin, "-", format)?,
                _ => StreamSource::decoded(stdin, "-", decode)?,
            })?
        }
        ListenSource::File { path, decode, pace, clock } => {
            let mut file = FileSource::open(path, decode, *pace)?;
            offset = clock.offset_of(file.start());
            tasks.session(file)?
        }
    };
    let session = session.options(options).start()?;
    let mut stopped = false;
    let reason = loop {
        if interrupt::requested() && !stopped {
            session.stop();
            stopped = true;
        }
        let over = session.is_over();
        let Some(event) = session.next_within(PATIENCE) else {
            if over {
                break EndReason::Failed;
            }
            continue;
        };
        let event = event.moved(offset);
        teller.tell(&event)?;
        if let Event::Finished { reason, .. } = event {
            break reason;
        }
    };
    let result = session.finish();
    if let (true, Ok(stats)) = (plan.stats, &result) {
        teller.stats(stats)?;
    }
    let stats = result?;
    for text in &stats.warnings {
        messages.warning("listen", text);
    }
    if stats.non_finite > 0 {
        let text = format!("{} samples are no finite numbers, heard as silence", stats.non_finite);
        messages.warning("listen", text);
    }
    if let (Some(path), true) = (&plan.record, reason != EndReason::Failed) {
        messages.note(&format!("the take is in {}", path.display()));
    }
    let enhanced = plan.enhance.as_ref().and_then(|wanted| wanted.file.as_ref());
    if let (Some(path), true) = (enhanced, reason != EndReason::Failed) {
        messages.note(&format!("the enhanced audio is in {}", path.display()));
    }
    Ok(Outcome::Worked { done: 1, failed: Vec::new(), interrupted: stopped })
}

/// A loaded model that changes speech.
enum Changer {
    Enhancer(Box<Enhancer>, EnhanceOptions),
    Resolver(Box<SuperResolver>),
}

/// What listens.
#[derive(Default)]
struct Tasks<'a> {
    spot: Option<SpotTask>,
    transcribe: Option<TranscribeTask>,
    speaker: Option<SpeakerTask>,
    enhance: Option<(Changer, &'a ListenEnhancement)>,
}

impl Tasks<'_> {
    fn session(self, source: impl Source + 'static) -> Result<Session, Failure> {
        let enhance = self.enhance.map(|(changer, wanted)| enhance(changer, wanted, &source));
        let mut session = Session::new(source);
        if let Some(task) = self.spot {
            session = session.task(task);
        }
        if let Some(task) = self.transcribe {
            session = session.task(task);
        }
        if let Some(task) = self.speaker {
            session = session.task(task);
        }
        if let Some(task) = enhance {
            session = session.task(task?);
        }
        Ok(session)
    }
}

/// Cleaned audio has the source's rate, widened audio the network's; both go at the source's pace.
fn enhance(
    changer: Changer,
    wanted: &ListenEnhancement,
    source: &impl Source,
) -> Result<EnhanceTask, Failure> {
    let info = source.info();
    let mut task = match changer {
        Changer::Enhancer(enhancer, options) => {
            EnhanceTask::new(*enhancer, options, wanted.live, &info)?
        }
        Changer::Resolver(resolver) => {
            EnhanceTask::widening(*resolver, SuperResOptions::default(), wanted.live, &info)?
        }
    };
    if let Some(play) = &wanted.play {
        let name = match play {
            Play::Default => None,
            Play::Named(name) => Some(name.as_str()),
        };
        let output = Outputs::new()?.open(name, task.output_rate())?;
        task = task.to_device(output)?;
    }
    if let Some(path) = &wanted.file {
        task = task.to_file(path)?;
    }
    Ok(task)
}
