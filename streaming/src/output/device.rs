//! The system's output devices, through `cpal`.

use std::any::Any;

use cpal::traits::{DeviceTrait, StreamTrait};
use cpal::{Data, ErrorKind, FromSample, SampleFormat, SupportedBufferSize};

use super::OpenedOutput;
use super::feed::{OutputAlarm, Speaker, feed};
use crate::error::Result;
use crate::ring::Failure;
use crate::system::{DeviceInfo, Direction, FORMATS, System, advice, buffers, with_sample_type};

/// Callbacks a second where the device lets us choose: few, since what is played waits for its
/// network far longer, and short buffers run dry on a busy machine.
const CALLBACKS_PER_SECOND: u32 = 25;
/// Seconds that a ring holds; how much of it is used is the player's to say.
const DEPTH_SECONDS: usize = 30;

/// The loudspeakers of this machine.
pub struct Outputs {
    system: System,
}

impl Outputs {
    /// Connects to the system's audio.
    ///
    /// # Errors
    /// [`crate::Error::NoAudioSystem`] with what is missing.
    pub fn new() -> Result<Self> {
        Ok(Self { system: System::new(Direction::Output)? })
    }

    /// All that can be opened, the default one first.
    #[must_use]
    pub fn list(&self) -> Vec<DeviceInfo> {
        self.system.list()
    }

    /// Opens the device of a name or a part of one, or the default one, at `rate` Hz where it can do
    /// that and in its usual way where it can't.
    ///
    /// # Errors
    /// [`crate::Error::UnknownOutput`] with the names of all, or why the device can't be used.
    pub fn open(&self, wanted: Option<&str>, rate: u32) -> Result<OpenedOutput> {
        let (name, device) = self.system.find(wanted)?;
        let failed = |error: cpal::Error| self.system.failed(&name, advice(&error));
        let (config, format, sizes) = config(&device, rate).map_err(failed)?;
        let mut last = None;
        let size = Some(config.sample_rate / CALLBACKS_PER_SECOND);
        for buffer in buffers(&sizes, size, config.sample_rate) {
            let rate = config.sample_rate;
            let frames = DEPTH_SECONDS * rate.max(8000) as usize;
            let (feed, alarm, speaker) = feed(frames, config.channels.into());
            let config = cpal::StreamConfig { buffer_size: buffer, ..config };
            match start(&device, config, format, speaker, alarm) {
                Ok(stream) => return Ok(OpenedOutput { name, rate, feed, stream }),
                Err(error) => last = Some(error),
            }
        }
        let reason = last.map_or_else(|| "no buffer size fits".to_owned(), |e| advice(&e));
        Err(self.system.failed(&name, reason))
    }
}

type Config = (cpal::StreamConfig, SampleFormat, SupportedBufferSize);

/// The device's usual settings, at `rate` if it has that.
fn config(device: &cpal::Device, rate: u32) -> std::result::Result<Config, cpal::Error> {
    let usual = device.default_output_config()?;
    let rank = |format: SampleFormat| FORMATS.iter().position(|known| *known == format);
    let best = |rate: u32| {
        let supported = device.supported_output_configs().ok()?;
        supported
            .filter(|range| range.channels() == usual.channels())
            .filter(|range| (range.min_sample_rate()..=range.max_sample_rate()).contains(&rate))
            .filter_map(|range| rank(range.sample_format()).map(|rank| (rank, range)))
            .min_by_key(|(rank, _)| *rank)
            .map(|(_, range)| range.with_sample_rate(rate))
    };
    let chosen = best(rate).or_else(|| best(usual.sample_rate())).unwrap_or(usual);
    Ok((chosen.config(), chosen.sample_format(), *chosen.buffer_size()))
}

fn start(
    device: &cpal::Device,
    config: cpal::StreamConfig,
    format: SampleFormat,
    mut speaker: Speaker,
    alarm: OutputAlarm,
) -> std::result::Result<Box<dyn Any + Send>, cpal::Error> {
    let on_data = move |data: &mut Data, info: &cpal::OutputCallbackInfo| {
        give(&mut speaker, data, info);
    };
    let on_error = move |error: cpal::Error| match error.kind() {
        ErrorKind::DeviceNotAvailable | ErrorKind::HostUnavailable => alarm.failed(Failure::Gone),
        ErrorKind::StreamInvalidated => alarm.failed(Failure::Changed),
        ErrorKind::PermissionDenied => alarm.failed(Failure::Refused),
        ErrorKind::Xrun => alarm.interrupted(),
        // Sound servers say several things when they were not served in time, and go on. One that
        // does not takes no more audio, which the player sees.
        _ => {}
    };
    let stream = device.build_output_stream_raw(config, format, on_data, on_error, None)?;
    stream.play()?;
    Ok(Box::new(stream))
}

/// Fills a callback's samples, whatever their kind.
fn give(speaker: &mut Speaker, data: &mut Data, info: &cpal::OutputCallbackInfo) {
    let stamp = info.timestamp();
    let delay = stamp.playback.saturating_duration_since(stamp.callback);
    with_sample_type!(data.sample_format(), Kind => {
        if let Some(samples) = data.as_slice_mut::<Kind>() {
            speaker.fill_with(samples, delay, Kind::from_sample_);
        }
    });
}
