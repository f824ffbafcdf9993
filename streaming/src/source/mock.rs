//! Devices without hardware, for tests: callbacks of any size at any moment, losses, changes of
//! rate and format, all from the test's hand.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use formant_audio_core::AudioSpec;

use super::live::{Backend, Opened, Wanted};
use crate::error::{Error, Result};
use crate::ring::{Alarm, Capture, Failure, ring};

/// Devices that a test works with its own hands.
#[derive(Debug, Clone, Default)]
pub struct MockPanel {
    shared: Arc<Mutex<Devices>>,
}

/// Opens the devices of a [`MockPanel`].
#[derive(Debug)]
pub struct MockBackend {
    shared: Arc<Mutex<Devices>>,
}

#[derive(Debug, Default)]
struct Devices {
    /// Names and kinds of audio of what is plugged in; the first is the default device.
    plugged: VecDeque<(String, AudioSpec)>,
    running: Option<Running>,
    opened: usize,
}

#[derive(Debug)]
struct Running {
    capture: Capture,
    alarm: Alarm,
}

impl MockPanel {
    /// Nothing is plugged in at first.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn devices(&self) -> std::sync::MutexGuard<'_, Devices> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What opens its devices.
    #[must_use]
    pub fn backend(&self) -> MockBackend {
        MockBackend { shared: Arc::clone(&self.shared) }
    }

    /// Plugs a device in, which becomes the default one.
    pub fn plug(&self, name: &str, spec: AudioSpec) {
        self.devices().plugged.push_front((name.to_owned(), spec));
    }

    /// Pulls a device out; the stream from it fails.
    pub fn unplug(&self, name: &str) {
        let mut devices = self.devices();
        devices.plugged.retain(|(known, _)| known != name);
        if let Some(running) = devices.running.take() {
            running.alarm.failed(Failure::Gone);
        }
    }

    /// Changes a device's kind of audio while it runs.
    pub fn change(&self, name: &str, spec: AudioSpec) {
        let mut devices = self.devices();
        for (known, kind) in &mut devices.plugged {
            if known == name {
                *kind = spec;
            }
        }
        if let Some(running) = devices.running.take() {
            running.alarm.failed(Failure::Changed);
        }
    }

    /// One callback of the open device, now. Returns whether there was an open one with room.
    pub fn callback(&self, interleaved: &[f32]) -> bool {
        self.callback_at(interleaved, Instant::now())
    }

    /// One callback of the open device with audio up to `captured`.
    pub fn callback_at(&self, interleaved: &[f32], captured: Instant) -> bool {
        let mut devices = self.devices();
        devices.running.as_mut().is_some_and(|running| running.capture.push(interleaved, captured))
    }

    /// Frames that the open device's ring has room for.
    #[must_use]
    pub fn room(&self) -> usize {
        self.devices().running.as_ref().map_or(0, |running| running.capture.room())
    }

    /// The device tells of an interruption.
    pub fn interrupt(&self) {
        if let Some(running) = &self.devices().running {
            running.alarm.interrupted();
        }
    }

    /// How often a device was opened.
    #[must_use]
    pub fn opened(&self) -> usize {
        self.devices().opened
    }
}

impl Backend for MockBackend {
    fn open(&mut self, wanted: &Wanted) -> Result<Opened> {
        let mut devices = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let names: Vec<&str> = devices.plugged.iter().map(|(name, _)| name.as_str()).collect();
        let name = match &wanted.device {
            Some(name) => Wanted::pick(name, &names)?.to_owned(),
            None => (*names.first().ok_or_else(|| Error::device("default", "there is none"))?)
                .to_owned(),
        };
        let found = devices.plugged.iter().find(|(known, _)| *known == name);
        let spec = found.map_or(AudioSpec::mono(16_000), |(_, spec)| *spec);
        let (capture, alarm, tap) = ring(spec);
        devices.running = Some(Running { capture, alarm });
        devices.opened += 1;
        Ok(Opened { name, spec, tap, stream: Box::new(()) })
    }

    fn default_device(&mut self) -> Option<String> {
        let devices = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        devices.plugged.front().map(|(name, _)| name.clone())
    }
}
