//! A file, at its own pace or as fast as it is heard.

use std::path::Path;
use std::time::{Duration, Instant};

use formant_audio_core::decode::{BlockReader, DecodeOptions};
use formant_audio_core::{AudioBuf, Warning};

use super::{Pace, Reading, Source, StreamInfo};
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

    /// Where the first sample lies on the clock of the file, in seconds.
    pub fn start(&mut self) -> f64 {
        self.reader.start()
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
    fn info(&self) -> StreamInfo {
        let pace = match self.pace {
            FilePace::Fast => Pace::Elastic,
            FilePace::Realtime => Pace::Live,
        };
        StreamInfo { name: self.name.clone(), spec: self.reader.spec(), pace }
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

    fn warnings(&mut self) -> &[Warning] {
        &self.reader.info().warnings
    }
}

#[cfg(test)]
mod tests {
    use formant_audio_core::AudioSpec;
    use formant_audio_core::encode::{AudioWriter, WriteOptions};

    use super::*;

    #[test]
    fn a_file_in_real_time_gives_no_block_before_its_last_frame() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("a.wav");
        let spec = AudioSpec::mono(8000);
        let mut writer =
            AudioWriter::create(&path, spec, &WriteOptions::default()).expect("a file");
        writer.write(&AudioBuf::silence(spec, 1000).view()).expect("written");
        writer.finish().expect("written");
        let mut source =
            FileSource::open(&path, &DecodeOptions::default(), FilePace::Realtime).expect("a file");
        assert_eq!(source.info().pace, Pace::Live);
        let (mut heard, mut first) = (0, None);
        while let Reading::Audio { block, captured } =
            source.read(Duration::ZERO).expect("readable")
        {
            assert!(captured <= Instant::now(), "a block of the future");
            heard += block.frames();
            // The times of the blocks are those of their frames, however late they are read.
            let time = Duration::from_secs_f64(heard as f64 / 8000.0);
            let start = *first.get_or_insert(captured - time);
            let off = (captured - start).abs_diff(time);
            assert!(off < Duration::from_micros(1), "{heard}: {off:?}");
        }
        assert_eq!(heard, 1000);
    }
}
