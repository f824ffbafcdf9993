//! A device as a source: what happens when it is lost, changes, or falls silent.
//!
//! Devices themselves are behind [`Backend`]: the system's microphones, or a mock for tests.

use std::any::Any;
use std::time::{Duration, Instant};

use formant_audio_core::AudioSpec;
use serde::{Deserialize, Serialize};

use super::{Pace, Reading, Source, StreamInfo};
use crate::error::{Error, Result};
use crate::event::GapCause;
use crate::ring::{Failure, Piece, Tap};

/// How often an empty ring is looked at.
const POLL: Duration = Duration::from_millis(3);
/// A device that gives nothing for this long is taken for lost.
const SILENT: Duration = Duration::from_secs(3);
/// How often a lost device is looked for.
const RETRY: Duration = Duration::from_millis(500);
/// How often the default device is asked for.
const FOLLOW: Duration = Duration::from_secs(2);

/// What happens when the device is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnLoss {
    /// The session ends.
    #[default]
    Stop,
    /// The session waits until the same device is back.
    Wait,
    /// The session goes on with the default device, also when another becomes it.
    Follow,
}

/// Which device, and how it is opened.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Wanted {
    /// Its name, or a part of it that only one has; without one, the default device.
    pub device: Option<String>,
    /// Channels; without a number, as the device likes.
    pub channels: Option<u16>,
    /// Rate in Hz; without one, as the device likes.
    pub rate: Option<u32>,
    /// Frames of a callback; without a number, 10 ms where the device can do that.
    pub buffer: Option<u32>,
}

/// A device that gives audio until this is dropped.
pub struct Opened {
    /// A name that opens the same device again.
    pub name: String,
    /// Rate and layout.
    pub spec: AudioSpec,
    /// Where its audio comes out.
    pub tap: Tap,
    /// What keeps it going.
    pub stream: Box<dyn Any + Send>,
}

/// What opens devices.
pub trait Backend: Send {
    /// Opens a device.
    ///
    /// # Errors
    /// [`Error::UnknownDevice`] with the names of all, or why the device can't be used.
    fn open(&mut self, wanted: &Wanted) -> Result<Opened>;

    /// Something that changes when another device becomes the default one; `None` where that can't
    /// be known.
    fn default_device(&mut self) -> Option<String>;
}

/// A device with a policy.
pub struct LiveSource {
    backend: Box<dyn Backend>,
    wanted: Wanted,
    policy: OnLoss,
    state: Device,
    info: StreamInfo,
    last: Option<Instant>,
    pending: Option<Reading>,
    default: Option<String>,
    asked: Instant,
}

enum Device {
    Open { opened: Opened, heard: Instant },
    Away { since: Instant, tried: Option<Instant>, again: Again },
    Gone,
}

/// What is opened after a loss.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Again {
    /// The same, as long as it takes.
    Same,
    /// The same, if it is there at once.
    SameOnce,
    /// Whatever is the default device.
    Default,
}

impl LiveSource {
    /// Opens a device.
    ///
    /// # Errors
    /// As [`Backend::open`].
    pub fn open(mut backend: Box<dyn Backend>, wanted: Wanted, policy: OnLoss) -> Result<Self> {
        let opened = backend.open(&wanted)?;
        let default = backend.default_device();
        let now = Instant::now();
        Ok(Self {
            info: info(&opened),
            state: Device::Open { opened, heard: now },
            backend,
            wanted,
            policy,
            last: None,
            pending: None,
            default,
            asked: now,
        })
    }

    /// What an open device has, or that it is lost.
    fn listen(&mut self) -> Option<Reading> {
        let Device::Open { opened, heard } = &mut self.state else { return None };
        // Asked before the ring is looked at, so that what came before the failure is heard.
        let failure = opened.tap.failure();
        let rate = opened.spec.rate;
        match opened.tap.pop() {
            Some(Piece::Lost { frames }) => {
                return Some(Reading::Missing { frames, cause: GapCause::Overrun });
            }
            Some(Piece::Audio { block, captured, interrupted }) => {
                *heard = Instant::now();
                let length = Duration::from_secs_f64(block.duration());
                let missing = self.last.filter(|_| interrupted).map(|last| {
                    (captured - length.min(captured.saturating_duration_since(last)))
                        .saturating_duration_since(last)
                });
                self.last = Some(captured);
                let audio = Reading::Audio { block, captured };
                let frames =
                    missing.map_or(0, |time| (time.as_secs_f64() * f64::from(rate)) as u64);
                if !interrupted {
                    return Some(audio);
                }
                self.pending = Some(audio);
                return Some(Reading::Missing { frames, cause: GapCause::Interrupted });
            }
            None => {}
        }
        let reason = match failure {
            Some(failure) => failure.reason(),
            None if heard.elapsed() > SILENT => "it has given no audio for 3 seconds",
            None => return None,
        };
        let changed = failure == Some(Failure::Changed);
        Some(self.lose(reason, changed))
    }

    fn lose(&mut self, reason: &str, changed: bool) -> Reading {
        let again = match self.policy {
            OnLoss::Wait => Some(Again::Same),
            OnLoss::Follow => Some(Again::Default),
            OnLoss::Stop => changed.then_some(Again::SameOnce),
        };
        let since = self.last.unwrap_or_else(Instant::now);
        // Dropped before it is opened again: many devices serve one program at a time.
        self.state = match again {
            Some(again) => Device::Away { since, tried: None, again },
            None => Device::Gone,
        };
        Reading::Lost { reason: reason.to_owned() }
    }

    /// Looks for a device.
    fn look(&mut self) -> Option<Reading> {
        let Device::Away { since, tried, again } = &mut self.state else { return None };
        if tried.is_some_and(|tried| tried.elapsed() < RETRY) {
            return None;
        }
        let device = match again {
            Again::Same | Again::SameOnce => Some(self.info.name.clone()),
            Again::Default => None,
        };
        let wanted = Wanted { device, ..self.wanted.clone() };
        match self.backend.open(&wanted) {
            Ok(opened) => {
                let away = since.elapsed();
                self.info = info(&opened);
                self.last = None;
                self.default = self.backend.default_device();
                self.state = Device::Open { opened, heard: Instant::now() };
                Some(Reading::Resumed { away })
            }
            Err(_) if *again == Again::SameOnce => {
                self.state = Device::Gone;
                None
            }
            Err(_) => {
                *tried = Some(Instant::now());
                None
            }
        }
    }

    /// Whether another device has become the default one, which is to be followed.
    fn moved(&mut self) -> bool {
        let follows = self.policy == OnLoss::Follow && matches!(self.state, Device::Open { .. });
        if !follows || self.wanted.device.is_some() || self.asked.elapsed() < FOLLOW {
            return false;
        }
        self.asked = Instant::now();
        let now = self.backend.default_device();
        now.is_some() && now != self.default
    }
}

fn info(opened: &Opened) -> StreamInfo {
    StreamInfo { name: opened.name.clone(), spec: opened.spec, pace: Pace::Live }
}

impl Source for LiveSource {
    fn info(&self) -> StreamInfo {
        self.info.clone()
    }

    fn read(&mut self, patience: Duration) -> Result<Reading> {
        if let Some(reading) = self.pending.take() {
            return Ok(reading);
        }
        let deadline = Instant::now() + patience;
        loop {
            if self.moved() {
                return Ok(self.lose("another device became the default one", false));
            }
            let found = match self.state {
                Device::Open { .. } => self.listen(),
                Device::Away { .. } => self.look(),
                Device::Gone => Some(Reading::Gone),
            };
            if let Some(reading) = found {
                return Ok(reading);
            }
            if Instant::now() >= deadline {
                return Ok(Reading::Waiting);
            }
            std::thread::sleep(POLL);
        }
    }
}

impl Wanted {
    /// Picks the device that is meant from `names`: an exact name, or the only one that holds the
    /// text, whatever its case.
    ///
    /// # Errors
    /// [`Error::UnknownDevice`] with all names.
    pub fn pick<'a>(wanted: &str, names: &[&'a str]) -> Result<&'a str> {
        if let Some(exact) = names.iter().find(|name| **name == wanted) {
            return Ok(exact);
        }
        let lower = wanted.to_lowercase();
        let mut fitting = names.iter().filter(|name| name.to_lowercase().contains(&lower));
        match (fitting.next(), fitting.next()) {
            (Some(only), None) if !lower.is_empty() => Ok(only),
            _ => Err(Error::UnknownDevice {
                name: wanted.to_owned(),
                known: names.iter().map(|name| (*name).to_owned()).collect(),
            }),
        }
    }
}
