//! `listen`: which source, and what listens to it.

use std::path::PathBuf;
use std::time::Duration;

use formant_audio_core::decode::{DecodeOptions, RawFormat};
use formant_models::tasks::enhance::{EnhanceOptions, LiveOptions};
use formant_models::tasks::spot::SpotOptions;
use formant_models::{LoadOptions, ModelSource};
use formant_streaming::source::{FilePace, OnLoss, Wanted};

use super::{
    RecognizerPlan, Settings, SpeakerModel, SpotModel, separation, speaker, spot, transcribe,
};
use crate::args::{CutArg, ListenArgs, NemoArg, OnLossArg, RecognizerArgs, SpeakerModelArgs};
use crate::failure::Failure;
use crate::outputs::{Existing, Target};

/// What `listen` does.
#[derive(Debug)]
pub(crate) enum ListenTask {
    Devices,
    Listen(Box<ListenPlan>),
}

/// Where the audio comes from.
#[derive(Debug)]
pub(crate) enum ListenSource {
    Microphone { wanted: Wanted, on_loss: OnLoss },
    Stdin(DecodeOptions),
    File { path: PathBuf, decode: DecodeOptions, pace: FilePace },
}

/// Speech without its noise, and where it goes.
#[derive(Debug)]
pub(crate) struct ListenEnhancement {
    pub(crate) model: ModelSource,
    pub(crate) load: LoadOptions,
    pub(crate) options: EnhanceOptions,
    pub(crate) live: LiveOptions,
    pub(crate) file: Option<PathBuf>,
    pub(crate) play: Option<Play>,
}

/// An output device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Play {
    Default,
    Named(String),
}

/// A session.
#[derive(Debug)]
pub(crate) struct ListenPlan {
    pub(crate) source: ListenSource,
    pub(crate) spot: Option<(SpotModel, SpotOptions)>,
    pub(crate) transcribe: Option<RecognizerPlan>,
    /// With the file of known voices.
    pub(crate) speaker: Option<(SpeakerModel, PathBuf)>,
    pub(crate) enhance: Option<ListenEnhancement>,
    pub(crate) record: Option<PathBuf>,
    pub(crate) level: bool,
    pub(crate) stats: bool,
    pub(crate) limit: Option<Duration>,
    pub(crate) longest_lag: Duration,
}

pub(super) fn resolve(typed: ListenArgs, settings: &Settings) -> Result<ListenTask, Failure> {
    if typed.devices {
        return Ok(ListenTask::Devices);
    }
    // `--device` is the microphone here.
    let settings = Settings { device: typed.run_on, ..*settings };
    let source = source(&typed)?;
    let spot = typed.spot.then(|| -> Result<_, Failure> {
        let model = spot::model(typed.spot_model.as_deref(), None, &settings)?;
        Ok((model, spot::tuning(&typed.tuning)?))
    });
    let transcribe = typed.transcribe.then(|| recognizer(&typed, &settings));
    let speaker = match (&typed.voices, typed.speaker) {
        (Some(voices), true) => {
            let args = SpeakerModelArgs { model: typed.speaker_model.clone(), no_vad: false };
            Some((speaker::model(&args, &settings)?, voices.clone()))
        }
        _ => None,
    };
    let enhance = typed.enhance.then(|| enhancement(&typed, &settings));
    let existing = if typed.overwrite { Existing::Overwrite } else { Existing::Refuse };
    for path in typed.record.iter().chain(&typed.enhanced) {
        existing.admits(&Target::File(path.clone()))?;
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
            "give one or more of --spot, --transcribe, --speaker, --enhance, --record and --level",
        ));
    }
    Ok(ListenTask::Listen(Box::new(plan)))
}

fn enhancement(typed: &ListenArgs, settings: &Settings) -> Result<ListenEnhancement, Failure> {
    let play = typed.play.clone().map(|name| name.map_or(Play::Default, Play::Named));
    if typed.enhanced.is_none() && play.is_none() {
        return Err(Failure::usage("--enhance", "has nowhere to put its audio")
            .help("give --enhanced FILE, or --play for an output device, or both"));
    }
    Ok(ListenEnhancement {
        model: separation::model(typed.enhance_model.as_deref(), "enhance")?,
        load: separation::load_options(settings)?,
        options: separation::cleaning(&typed.cleaning, settings),
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
    let raw = typed.raw.as_deref().map(raw_format).transpose()?;
    let decode = DecodeOptions { raw, ..DecodeOptions::default() };
    let path = typed.file.as_ref().or(typed.input.as_ref());
    let of_device = typed.device.as_deref().is_some_and(|name| name != "auto")
        || typed.channels.is_some()
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
                channels: typed.channels,
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
        let what = "--device, --channels, --rate, --buffer";
        return Err(Failure::usage(what, "are for the microphone only"));
    }
    let pace = if typed.realtime { FilePace::Realtime } else { FilePace::Fast };
    match path.as_os_str() == "-" {
        true if typed.realtime => {
            Err(Failure::usage("--realtime", "standard input has a pace of its own"))
        }
        true => Ok(ListenSource::Stdin(decode)),
        false => Ok(ListenSource::File { path: path.clone(), decode, pace }),
    }
}

/// `s16le:16000:1`, or in the order of the other commands, `16000,s16le,1`.
fn raw_format(text: &str) -> Result<RawFormat, Failure> {
    let parts: Vec<&str> = text.split(':').collect();
    let ordered = match parts[..] {
        [kind, rate] => format!("{rate},{kind}"),
        [kind, rate, channels] => format!("{rate},{kind},{channels}"),
        _ => text.to_owned(),
    };
    Ok(ordered.parse()?)
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
    transcribe::recognizer(&args, settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_formats_come_in_both_orders() {
        let format = raw_format("s16le:16000:2").expect("valid");
        assert_eq!((format.rate, format.channels), (16_000, 2));
        assert_eq!(raw_format("16000,s16le,2").expect("valid"), format);
        assert_eq!(raw_format("f32le:8000").expect("valid").channels, 1);
        assert!(raw_format("s16le").is_err());
    }
}
