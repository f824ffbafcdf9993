//! The system's microphones, through `cpal`; the one file that knows it.

use std::any::Any;
use std::time::{Duration, Instant};

use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
use cpal::{BufferSize, Data, ErrorKind, Sample, SampleFormat, SupportedBufferSize};
use formant_audio_core::{AudioSpec, ChannelLayout};
use serde::{Deserialize, Serialize};

use super::live::{Backend, Opened, Wanted};
use crate::error::{Error, Result};
use crate::ring::{Alarm, Capture, Failure, ring};

/// Callbacks a second where the device lets us choose.
const CALLBACKS_PER_SECOND: u32 = 100;
/// Parts of ALSA that are listed like devices, but only convert what others give, or connect to
/// sound servers that complain when they are not there.
const NO_MICROPHONES: &[&str] = &[
    "null",
    "lavrate",
    "samplerate",
    "speexrate",
    "speex",
    "jack",
    "oss",
    "upmix",
    "vdownmix",
    "dmix",
    "dsnoop",
    "surround",
    "front",
    "rear",
    "iec958",
    "hdmi",
    "usbstream",
];

/// A microphone or another input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceInfo {
    /// What opens it.
    pub name: String,
    /// What people call it.
    pub description: String,
    /// Its usual rate in Hz.
    pub rate: u32,
    /// Its usual channels.
    pub channels: u16,
    /// Whether it is the one that is taken when none is named.
    pub default: bool,
}

/// The microphones of this machine.
pub struct Microphones {
    host: cpal::Host,
}

impl Microphones {
    /// Connects to the system's audio.
    ///
    /// # Errors
    /// [`Error::NoAudioSystem`] with what is missing.
    pub fn new() -> Result<Self> {
        let missing = |reason: String| Error::NoAudioSystem { reason };
        formant_alsa::open().map_err(|absent| missing(absent.to_string()))?;
        let none = "this system has none that is known".to_owned();
        let mut host = Err(missing(none));
        for id in cpal::ALL_HOSTS {
            host = cpal::host_from_id(*id).map_err(|error| missing(error.to_string()));
            if host.is_ok() {
                break;
            }
        }
        Ok(Self { host: host? })
    }

    fn devices(&self) -> Vec<(String, cpal::Device)> {
        let default = self.host.default_input_device().and_then(|device| name_of(&device));
        let mut devices: Vec<(String, cpal::Device)> = Vec::new();
        let listed = self.host.devices().into_iter().flatten();
        let inputs = listed.filter(DeviceTrait::supports_input);
        for device in inputs.chain(self.host.default_input_device()) {
            let Some(name) = name_of(&device) else { continue };
            let kind = name.split(':').next().unwrap_or(&name);
            let known = devices.iter().any(|(known, _)| *known == name);
            if !known && !NO_MICROPHONES.iter().any(|skipped| kind.starts_with(skipped)) {
                devices.push((name, device));
            }
        }
        devices.sort_by_key(|(name, _)| default.as_ref() != Some(name));
        devices
    }

    /// All that can be opened, the default one first.
    #[must_use]
    pub fn list(&self) -> Vec<DeviceInfo> {
        let default = self.host.default_input_device().and_then(|device| name_of(&device));
        self.devices()
            .into_iter()
            .filter_map(|(name, device)| {
                let config = device.default_input_config().ok()?;
                let description = device.description().map(|text| text.name().to_owned());
                Some(DeviceInfo {
                    default: default.as_ref() == Some(&name),
                    description: description.unwrap_or_default(),
                    rate: config.sample_rate(),
                    channels: config.channels(),
                    name,
                })
            })
            .collect()
    }

    fn find(&self, wanted: Option<&str>) -> Result<(String, cpal::Device)> {
        let Some(wanted) = wanted else {
            let device = self.host.default_input_device().ok_or_else(none)?;
            return Ok((name_of(&device).unwrap_or_else(|| "default".to_owned()), device));
        };
        let devices = self.devices();
        let names: Vec<&str> = devices.iter().map(|(name, _)| name.as_str()).collect();
        let name = match Wanted::pick(wanted, &names) {
            Ok(name) => name.to_owned(),
            Err(_) => self.by_description(wanted)?,
        };
        let found = devices.into_iter().find(|(known, _)| *known == name);
        found.ok_or_else(|| Error::device(wanted, "it is no longer there"))
    }

    /// The device whose description holds the text.
    fn by_description(&self, wanted: &str) -> Result<String> {
        let list = self.list();
        let lower = wanted.to_lowercase();
        let mut fitting = list
            .iter()
            .filter(|info| !lower.is_empty() && info.description.to_lowercase().contains(&lower));
        match (fitting.next(), fitting.next()) {
            (Some(only), None) => Ok(only.name.clone()),
            _ => Err(Error::UnknownDevice {
                name: wanted.to_owned(),
                known: list.into_iter().map(|info| info.name).collect(),
            }),
        }
    }
}

fn none() -> Error {
    Error::NoAudioSystem {
        reason: "there is none; plug one in, and see that the sound server runs".to_owned(),
    }
}

/// The part of a device's identity that opens it.
fn name_of(device: &cpal::Device) -> Option<String> {
    device.id().ok().map(|id| id.id().to_owned())
}

impl Backend for Microphones {
    fn open(&mut self, wanted: &Wanted) -> Result<Opened> {
        let (name, device) = self.find(wanted.device.as_deref())?;
        let (config, format, sizes) = config(&device, &name, wanted)?;
        let spec = AudioSpec {
            rate: config.sample_rate,
            layout: ChannelLayout::from_count(config.channels),
        };
        let mut last = None;
        for buffer in buffers(&sizes, wanted.buffer, config.sample_rate) {
            let (capture, alarm, tap) = ring(spec);
            let config = cpal::StreamConfig { buffer_size: buffer, ..config };
            match start(&device, config, format, capture, alarm) {
                Ok(stream) => return Ok(Opened { name, spec, tap, stream }),
                Err(error) => last = Some(error),
            }
        }
        let error = last.map_or_else(|| "no buffer size fits".to_owned(), |e| advice(&e));
        Err(Error::device(name, error))
    }

    fn default_device(&mut self) -> Option<String> {
        self.host.default_input_device().and_then(|device| name_of(&device))
    }
}

fn start(
    device: &cpal::Device,
    config: cpal::StreamConfig,
    format: SampleFormat,
    mut capture: Capture,
    alarm: Alarm,
) -> std::result::Result<Box<dyn Any + Send>, cpal::Error> {
    let rate = f64::from(config.sample_rate.max(1));
    let channels = usize::from(config.channels.max(1));
    let on_data = move |data: &Data, info: &cpal::InputCallbackInfo| {
        let stamp = info.timestamp();
        let delay = stamp.callback.saturating_duration_since(stamp.capture);
        let length = Duration::from_secs_f64((data.len() / channels) as f64 / rate);
        // Devices tell when the first frame of a block was captured.
        let captured = Instant::now().checked_sub(delay.saturating_sub(length));
        take(&mut capture, data, captured.unwrap_or_else(Instant::now));
    };
    let on_error = move |error: cpal::Error| match error.kind() {
        ErrorKind::Xrun => alarm.interrupted(),
        ErrorKind::StreamInvalidated => alarm.failed(Failure::Changed),
        ErrorKind::PermissionDenied => alarm.failed(Failure::Refused),
        // These leave the stream running.
        ErrorKind::DeviceChanged | ErrorKind::RealtimeDenied => {}
        _ => alarm.failed(Failure::Gone),
    };
    let stream = device.build_input_stream_raw(config, format, on_data, on_error, None)?;
    stream.play()?;
    Ok(Box::new(stream))
}

/// Puts a callback's samples, whatever their kind, into the ring.
fn take(capture: &mut Capture, data: &Data, captured: Instant) {
    macro_rules! kinds {
        ($($kind:path => $sample:ty),*) => {
            match data.sample_format() {
                $($kind => {
                    if let Some(samples) = data.as_slice::<$sample>() {
                        capture.push_with(samples, captured, |sample| Sample::to_sample::<f32>(sample));
                    }
                })*
                // Not offered by `config`.
                _ => {}
            }
        };
    }
    kinds!(
        SampleFormat::F32 => f32,
        SampleFormat::I16 => i16,
        SampleFormat::I32 => i32,
        SampleFormat::I24 => cpal::I24,
        SampleFormat::F64 => f64,
        SampleFormat::U8 => u8,
        SampleFormat::I8 => i8,
        SampleFormat::U16 => u16,
        SampleFormat::U32 => u32
    );
}

/// Kinds of samples, the best first.
const FORMATS: &[SampleFormat] = &[
    SampleFormat::F32,
    SampleFormat::I16,
    SampleFormat::I32,
    SampleFormat::I24,
    SampleFormat::F64,
    SampleFormat::U16,
    SampleFormat::U32,
    SampleFormat::U8,
    SampleFormat::I8,
];

type Config = (cpal::StreamConfig, SampleFormat, SupportedBufferSize);

/// The device's usual settings, with what was asked for.
fn config(device: &cpal::Device, name: &str, wanted: &Wanted) -> Result<Config> {
    let failed = |error: cpal::Error| Error::device(name, advice(&error));
    let usual = device.default_input_config().map_err(failed)?;
    let channels = wanted.channels.unwrap_or_else(|| usual.channels());
    let rate = wanted.rate.unwrap_or_else(|| usual.sample_rate());
    let rank = |format: SampleFormat| FORMATS.iter().position(|known| *known == format);
    let supported = device.supported_input_configs().map_err(failed)?;
    let best = supported
        .filter(|range| range.channels() == channels)
        .filter(|range| (range.min_sample_rate()..=range.max_sample_rate()).contains(&rate))
        .filter_map(|range| rank(range.sample_format()).map(|rank| (rank, range)))
        .min_by_key(|(rank, _)| *rank);
    let Some((_, range)) = best else {
        let reason = format!(
            "it does not give {channels} channels at {rate} Hz; its usual way is {} channels at {} Hz",
            usual.channels(),
            usual.sample_rate()
        );
        return Err(Error::device(name, reason));
    };
    let chosen = range.with_sample_rate(rate);
    Ok((chosen.config(), chosen.sample_format(), *chosen.buffer_size()))
}

/// Sizes of callbacks to try, the first that works is taken: any size will do for us, so that the
/// device's limits win over what is wanted.
fn buffers(sizes: &SupportedBufferSize, wanted: Option<u32>, rate: u32) -> Vec<BufferSize> {
    let size = wanted.unwrap_or(rate / CALLBACKS_PER_SECOND);
    let fitting = match sizes {
        SupportedBufferSize::Range { min, max } => size.clamp(*min, (*max).max(*min)),
        SupportedBufferSize::Unknown => size,
    };
    let fixed = [fitting, fitting.saturating_mul(2), fitting.saturating_mul(4)];
    fixed.map(BufferSize::Fixed).into_iter().chain([BufferSize::Default]).collect()
}

fn advice(error: &cpal::Error) -> String {
    let what = match error.kind() {
        ErrorKind::DeviceBusy => "another program uses it; close that, or choose another one",
        ErrorKind::PermissionDenied => {
            "this user may not use it; see the privacy settings, or on Linux join the group `audio`"
        }
        ErrorKind::DeviceNotAvailable => {
            "it is not there, or its sound server does not run; see `formant listen --devices`"
        }
        ErrorKind::HostUnavailable => "the system's sound service does not run; start it",
        ErrorKind::UnsupportedConfig => "it can't do what was asked for; leave out the settings",
        _ => return error.to_string(),
    };
    what.to_owned()
}
