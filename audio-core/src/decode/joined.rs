//! Recordings that were put end to end in one file: each is read in its turn.

use std::path::PathBuf;

use super::backend::{Backend, relayout};
use super::info::SourceInfo;
use super::open::open_next;
use super::options::DecodeOptions;
use crate::buffer::{AudioBuf, AudioSpec};
use crate::error::Result;
use crate::warning::Warning;

/// More recordings in one file are named but not read.
const MAX_PARTS: usize = 10_000;

/// The first recording, which describes the whole, and the one that is being read.
pub(super) struct Joined {
    first: Box<dyn Backend>,
    current: Option<Box<dyn Backend>>,
    /// Where it begins, in seconds.
    start: f64,
    options: DecodeOptions,
    parts: usize,
    ended: bool,
}

impl Joined {
    pub(super) fn new(first: Box<dyn Backend>, options: &DecodeOptions) -> Self {
        Self { first, current: None, start: 0.0, options: options.clone(), parts: 1, ended: false }
    }

    /// Begin with what follows; `false` when nothing does.
    fn go_on(&mut self) -> Result<bool> {
        let rest = match &mut self.current {
            Some(current) => current.rest(),
            None => self.first.rest(),
        };
        let info = self.first.info();
        let path: PathBuf = info.path.clone();
        let (at, rate, layout) = (info.seconds(), info.rate, info.layout);
        if let Some(mut part) = self.current.take() {
            let part = part.info();
            info.trimmed_delay += part.trimmed_delay;
            info.trimmed_padding += part.trimmed_padding;
            for warning in std::mem::take(&mut part.warnings) {
                let warning = warning.later(self.start);
                if !info.warnings.contains(&warning) {
                    info.warnings.push(warning);
                }
            }
        }
        let Some(rest) = rest else { return Ok(false) };
        let left_out = |info: &mut SourceInfo, why: String| {
            info.warnings.push(Warning::Repaired {
                what: format!("another recording begins at {at:.3} s and was left out: {why}"),
            });
        };
        let mut next = match open_next(rest, path, &self.options) {
            Ok(Some(next)) if self.parts < MAX_PARTS => next,
            Ok(None) => return Ok(false),
            Ok(Some(_)) => {
                left_out(info, format!("more than {MAX_PARTS} are in this file"));
                return Ok(false);
            }
            Err(error) => {
                left_out(info, error.to_string());
                return Ok(false);
            }
        };
        let part = next.info();
        if part.rate != rate {
            left_out(info, format!("it has {} Hz instead of {rate} Hz", part.rate));
            return Ok(false);
        }
        info.warnings.push(Warning::Joined { at });
        if part.layout != layout {
            let what =
                format!("the part from {at:.3} s on is {} and was mixed to {layout}", part.layout);
            info.warnings.push(Warning::Repaired { what });
        }
        info.declared_frames =
            info.declared_frames.zip(part.declared_frames).map(|(a, b)| a.saturating_add(b));
        self.parts += 1;
        self.start = at;
        self.current = Some(next);
        Ok(true)
    }
}

impl Backend for Joined {
    fn info(&mut self) -> &mut SourceInfo {
        self.first.info()
    }

    fn next(&mut self) -> Result<Option<AudioBuf>> {
        while !self.ended {
            let block = match &mut self.current {
                Some(current) => {
                    let block = current.next()?;
                    let frames = block.as_ref().map_or(0, AudioBuf::frames);
                    current.info().found_frames += frames as u64;
                    block
                }
                None => self.first.next()?,
            };
            if let Some(block) = block {
                let info = self.first.info();
                let block = relayout(block, info.layout);
                debug_assert_eq!(block.spec(), AudioSpec { rate: info.rate, layout: info.layout });
                return Ok(Some(block));
            }
            self.ended = !self.go_on()?;
        }
        Ok(None)
    }
}
