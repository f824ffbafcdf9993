//! The system's sound, through `cpal`: what microphones and output devices share.
//!
//! Their streams are in `source::microphone` and `output::device`; nothing else knows `cpal`.

use cpal::traits::{DeviceTrait, HostTrait};
use cpal::{BufferSize, ErrorKind, SampleFormat, SupportedBufferSize};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::source::Wanted;

/// Callbacks a second where the device lets us choose.
const CALLBACKS_PER_SECOND: u32 = 100;
/// Parts of ALSA that are listed like devices, but only convert what others give, or connect to
/// sound servers that complain when they are not there.
const NO_DEVICES: &[&str] = &[
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

/// Which way audio goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// From a microphone or another input.
    #[default]
    Input,
    /// To a loudspeaker or another output.
    Output,
}

/// A microphone or another input, or an output.
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
    /// Whether it is heard or plays; what does both is listed twice.
    #[serde(default)]
    pub direction: Direction,
}

/// The system's sound.
pub(crate) struct System {
    host: cpal::Host,
    direction: Direction,
}

impl System {
    /// Connects to it, for devices of one direction.
    pub(crate) fn new(direction: Direction) -> Result<Self> {
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
        Ok(Self { host: host?, direction })
    }

    /// The device that is taken when none is named.
    pub(crate) fn default(&self) -> Option<cpal::Device> {
        match self.direction {
            Direction::Input => self.host.default_input_device(),
            Direction::Output => self.host.default_output_device(),
        }
    }

    pub(crate) fn default_name(&self) -> Option<String> {
        self.default().and_then(|device| name_of(&device))
    }

    fn devices(&self) -> Vec<(String, cpal::Device)> {
        let default = self.default_name();
        let mut devices: Vec<(String, cpal::Device)> = Vec::new();
        let listed = self.host.devices().into_iter().flatten();
        let fitting = listed.filter(|device| match self.direction {
            Direction::Input => device.supports_input(),
            Direction::Output => device.supports_output(),
        });
        for device in fitting.chain(self.default()) {
            let Some(name) = name_of(&device) else { continue };
            let kind = name.split(':').next().unwrap_or(&name);
            let known = devices.iter().any(|(known, _)| *known == name);
            if !known && !NO_DEVICES.iter().any(|skipped| kind.starts_with(skipped)) {
                devices.push((name, device));
            }
        }
        devices.sort_by_key(|(name, _)| default.as_ref() != Some(name));
        devices
    }

    /// All that can be opened, the default one first.
    pub(crate) fn list(&self) -> Vec<DeviceInfo> {
        let default = self.default_name();
        self.devices()
            .into_iter()
            .filter_map(|(name, device)| {
                let config = match self.direction {
                    Direction::Input => device.default_input_config(),
                    Direction::Output => device.default_output_config(),
                };
                let config = config.ok()?;
                let description = device.description().map(|text| text.name().to_owned());
                Some(DeviceInfo {
                    default: default.as_ref() == Some(&name),
                    description: description.unwrap_or_default(),
                    rate: config.sample_rate(),
                    channels: config.channels(),
                    direction: self.direction,
                    name,
                })
            })
            .collect()
    }

    /// The device of a name or a part of one, or the default one.
    pub(crate) fn find(&self, wanted: Option<&str>) -> Result<(String, cpal::Device)> {
        let Some(wanted) = wanted else {
            let device = self.default().ok_or_else(|| self.none())?;
            return Ok((name_of(&device).unwrap_or_else(|| "default".to_owned()), device));
        };
        let devices = self.devices();
        let names: Vec<&str> = devices.iter().map(|(name, _)| name.as_str()).collect();
        let name = match Wanted::pick(wanted, &names) {
            Ok(name) => name.to_owned(),
            Err(_) => self.by_description(wanted)?,
        };
        let found = devices.into_iter().find(|(known, _)| *known == name);
        found.ok_or_else(|| self.failed(wanted, "it is no longer there"))
    }

    /// The device whose description holds the text.
    fn by_description(&self, wanted: &str) -> Result<String> {
        let list = self.list();
        let lower = wanted.to_lowercase();
        let mut fitting = list
            .iter()
            .filter(|info| !lower.is_empty() && info.description.to_lowercase().contains(&lower));
        if let (Some(only), None) = (fitting.next(), fitting.next()) {
            return Ok(only.name.clone());
        }
        let known: Vec<String> = list.into_iter().map(|info| info.name).collect();
        Err(match self.direction {
            Direction::Input => Error::UnknownDevice { name: wanted.to_owned(), known },
            Direction::Output => Error::UnknownOutput { name: wanted.to_owned(), known },
        })
    }

    fn none(&self) -> Error {
        let reason = "there is none; plug one in, and see that the sound server runs";
        match self.direction {
            Direction::Input => Error::NoAudioSystem { reason: reason.to_owned() },
            Direction::Output => Error::output("default", reason),
        }
    }

    /// Why a device can't be used.
    pub(crate) fn failed(&self, name: &str, reason: impl Into<String>) -> Error {
        match self.direction {
            Direction::Input => Error::device(name, reason),
            Direction::Output => Error::output(name, reason),
        }
    }
}

/// The part of a device's identity that opens it.
fn name_of(device: &cpal::Device) -> Option<String> {
    device.id().ok().map(|id| id.id().to_owned())
}

/// Kinds of samples, the best first.
pub(crate) const FORMATS: &[SampleFormat] = &[
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

/// Does something with samples of the type that a format of [`FORMATS`] stands for, under a name for
/// that type; nothing for other formats, which are never asked for.
macro_rules! with_sample_type {
    ($format:expr, $sample:ident => $work:expr) => {
        $crate::system::with_sample_type!(@one $format, $sample, $work,
            F32 => f32, I16 => i16, I32 => i32, I24 => cpal::I24, F64 => f64,
            U16 => u16, U32 => u32, U8 => u8, I8 => i8)
    };
    (@one $format:expr, $sample:ident, $work:expr, $($kind:ident => $type:ty),*) => {
        match $format {
            $(cpal::SampleFormat::$kind => {
                type $sample = $type;
                $work
            })*
            _ => {}
        }
    };
}
pub(crate) use with_sample_type;

/// Sizes of callbacks to try, the first that works is taken: any size will do for us, so that the
/// device's limits win over what is wanted.
pub(crate) fn buffers(
    sizes: &SupportedBufferSize,
    wanted: Option<u32>,
    rate: u32,
) -> Vec<BufferSize> {
    let size = wanted.unwrap_or(rate / CALLBACKS_PER_SECOND);
    let fitting = match sizes {
        SupportedBufferSize::Range { min, max } => size.clamp(*min, (*max).max(*min)),
        SupportedBufferSize::Unknown => size,
    };
    let fixed = [fitting, fitting.saturating_mul(2), fitting.saturating_mul(4)];
    fixed.map(BufferSize::Fixed).into_iter().chain([BufferSize::Default]).collect()
}

pub(crate) fn advice(error: &cpal::Error) -> String {
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
