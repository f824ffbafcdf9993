//! A file, at its own pace or as fast as it is heard.

use std::path::Path;
use std::time::{Duration, Instant};

use formant_audio_core::AudioBuf;
use formant_audio_core::decode::{BlockReader, DecodeOptions};

use super::{Pace, Reading, Source, SourceInfo};
use crate::error::Result;

/// Blocks a second, as of a usual microphone.
const BLOCKS_PER_SECOND: usize = 100;

/// How fast a file goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilePace {
    /// As fast as it is heard.
    Fast,
    /// As a microphone would give it, heard or not.
    Realtime,
}

/// A file as a source.
pub struct FileSource {
    reader: BlockReader,
    name: String,
    pace: FilePace,
    block: Option<(AudioBuf, usize)>,
    frames: u64,
    start: Option<Instant>,
}

impl FileSource {
    /// Opens a file of any format.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn open(path: &Path, options: &DecodeOptions, pace: FilePace) -> Result<Self> {
        let reader = BlockReader::open(path, options)?;
        let name = path.display().to_string();
        Ok(Self { reader, name, pace, block: None, frames: 0, start: None })
    }

    fn next(&mut self) -> Result<Option<AudioBuf>> {
        let (block, at) = match self.block.take() {
            Some(rest) => rest,
            None => match self.reader.next_block()? {
                Some(block) => (block, 0),
                None => return Ok(None),
            },
        };
        let size = match self.pace {
            FilePace::Fast => block.frames(),
            FilePace::Realtime => (block.rate() as usize / BLOCKS_PER_SECOND).max(1),
        };
        let end = (at + size).min(block.frames());
        let piece = if at == 0 && end == block.frames() {
            block
        } else {
            let piece = block.view().slice(at..end).to_owned();
            self.block = (end < block.frames()).then_some((block, end));
            piece
        };
        Ok(Some(piece))
    }
}

impl Source for FileSource {
    fn info(&self) -> SourceInfo {
        let pace = match self.pace {
            FilePace::Fast => Pace::Elastic,
            FilePace::Realtime => Pace::Live,
        };
        SourceInfo { name: self.name.clone(), spec: self.reader.spec(), pace }
    }

    fn read(&mut self, _: Duration) -> Result<Reading> {
        let Some(block) = self.next()? else { return Ok(Reading::End) };
        self.frames += block.frames() as u64;
        let start = *self.start.get_or_insert_with(Instant::now);
        let captured = match self.pace {
            FilePace::Fast => Instant::now(),
            FilePace::Realtime => {
                let due = self.frames as f64 / f64::from(block.rate().max(1));
                let due = start + Duration::from_secs_f64(due);
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                due
            }
        };
        Ok(Reading::Audio { block, captured })
    }
}
