//! The system's microphones, through `cpal`.

use std::any::Any;
use std::time::{Duration, Instant};

use cpal::traits::{DeviceTrait, StreamTrait};
use cpal::{Data, ErrorKind, Sample, SampleFormat, SupportedBufferSize};
use formant_audio_core::{AudioSpec, ChannelLayout};

use super::live::{Backend, Opened, Wanted};
use crate::error::{Error, Result};
use crate::ring::{Alarm, Capture, Failure, ring};
use crate::system::{DeviceInfo, Direction, FORMATS, System, advice, buffers, with_sample_type};

/// The microphones of this machine.
pub struct Microphones {
    system: System,
}

impl Microphones {
    /// Connects to the system's audio.
    ///
    /// # Errors
    /// [`crate::Error::NoAudioSystem`] with what is missing.
    pub fn new() -> Result<Self> {
        Ok(Self { system: System::new(Direction::Input)? })
    }

    /// All that can be opened, the default one first.
    #[must_use]
    pub fn list(&self) -> Vec<DeviceInfo> {
        self.system.list()
    }
}

impl Backend for Microphones {
    fn open(&mut self, wanted: &Wanted) -> Result<Opened> {
        let (name, device) = self.system.find(wanted.device.as_deref())?;
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
        self.system.default_name()
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
    with_sample_type!(data.sample_format(), Kind => {
        if let Some(samples) = data.as_slice::<Kind>() {
            capture.push_with(samples, captured, Sample::to_sample::<f32>);
        }
    });
}

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
