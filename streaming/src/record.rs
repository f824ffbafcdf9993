//! The take: what was heard goes into a WAV file that is whole at every moment.
//!
//! A thread writes, so that a slow disk does not hold up the session. Missing audio becomes
//! silence, so that times in the file are those of the events.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use formant_audio_core::encode::{AudioWriter, SampleFormat, WriteOptions};
use formant_audio_core::resample::{Quality, StreamResampler};
use formant_audio_core::{AudioBuf, AudioSpec, AudioView};

use crate::error::{Error, Result};
use crate::source::Pace;

/// Blocks that wait for the disk: more than half a minute of a usual microphone.
const WAITING: usize = 4096;
/// Silence is written in pieces of this many frames.
const SILENCE: u64 = 1 << 14;
/// Blocks are joined up to this share of a second, which is what a crash can cost.
const WRITES_PER_SECOND: usize = 4;

enum Tape {
    Audio(AudioBuf),
    Silence { frames: u64, rate: u32 },
}

/// The session's end of a recording.
pub(crate) struct Recorder {
    tape: SyncSender<Tape>,
    writer: JoinHandle<Result<()>>,
    /// Frames that found no room, with their rate.
    owed: (u64, u32),
}

impl Recorder {
    /// Begins a file for audio of `spec`. A file of this name is replaced.
    pub(crate) fn create(path: &Path, spec: AudioSpec) -> Result<Self> {
        let options = WriteOptions { format: Some(SampleFormat::S16), ..WriteOptions::default() };
        let writer = AudioWriter::create_in_place(path, spec, &options).map_err(|e| of(path, e))?;
        let (tape, blocks) = sync_channel(WAITING);
        let take = Take { path: path.to_owned(), writer, spec, held: None, converter: None };
        let writer = std::thread::Builder::new()
            .name("formant-record".to_owned())
            .spawn(move || take.run(&blocks))
            .map_err(|source| Error::Write { path: path.to_owned(), source })?;
        Ok(Self { tape, writer, owed: (0, spec.rate) })
    }

    /// Adds audio. Whether the disk has failed shows in [`Recorder::finish`].
    pub(crate) fn audio(&mut self, block: &AudioBuf, pace: Pace) {
        let (mut frames, rate) = self.owed;
        if frames > 0 && self.send(Tape::Silence { frames, rate }, pace) {
            frames = 0;
        }
        self.owed = (frames, rate);
        if frames > 0 || !self.send(Tape::Audio(block.clone()), pace) {
            self.silence(block.frames() as u64, block.rate());
        }
    }

    fn send(&self, tape: Tape, pace: Pace) -> bool {
        match pace {
            Pace::Elastic => self.tape.send(tape).is_ok(),
            Pace::Live => self.tape.try_send(tape).is_ok(),
        }
    }

    /// Adds silence.
    pub(crate) fn silence(&mut self, frames: u64, rate: u32) {
        let (owed, before) = self.owed;
        let owed =
            if before == rate { owed } else { owed * u64::from(rate) / u64::from(before.max(1)) };
        self.owed = (owed + frames, rate);
    }

    /// Whether the file can't be written any more.
    pub(crate) fn has_failed(&self) -> bool {
        self.writer.is_finished()
    }

    /// Completes the file.
    pub(crate) fn finish(self) -> Result<()> {
        if self.owed.0 > 0 {
            let _ = self.tape.send(Tape::Silence { frames: self.owed.0, rate: self.owed.1 });
        }
        drop(self.tape);
        self.writer.join().unwrap_or(Err(Error::Fault("record")))
    }
}

struct Take {
    path: PathBuf,
    writer: AudioWriter,
    spec: AudioSpec,
    held: Option<AudioBuf>,
    converter: Option<(AudioSpec, StreamResampler)>,
}

impl Take {
    fn run(self, blocks: &Receiver<Tape>) -> Result<()> {
        let path = self.path.clone();
        self.work(blocks).map_err(|error| of(&path, error))
    }

    fn work(mut self, blocks: &Receiver<Tape>) -> formant_audio_core::Result<()> {
        for tape in blocks {
            match tape {
                Tape::Audio(block) => self.add(&block)?,
                Tape::Silence { mut frames, rate } => {
                    while frames > 0 {
                        let step = frames.min(SILENCE);
                        let layout = self.spec.layout;
                        self.add(&AudioBuf::silence(AudioSpec { rate, layout }, step as usize))?;
                        frames -= step;
                    }
                }
            }
        }
        self.end_conversion()?;
        self.flush()?;
        self.writer.finish().map(drop)
    }

    /// Brings a block to the file's rate and layout, which are those of the first device.
    fn add(&mut self, block: &AudioBuf) -> formant_audio_core::Result<()> {
        if block.spec() == self.spec {
            self.end_conversion()?;
            return self.hold(&block.view());
        }
        if self.converter.as_ref().is_some_and(|(spec, _)| spec.rate != block.rate()) {
            self.end_conversion()?;
        }
        let mono = AudioBuf::from_mono(block.rate(), block.view().to_mono());
        let converted = match &mut self.converter {
            Some((_, resampler)) => resampler.push(&mono.view())?,
            None => {
                let mut resampler =
                    StreamResampler::new(mono.spec(), self.spec.rate, Quality::High)?;
                let first = resampler.push(&mono.view())?;
                self.converter = Some((block.spec(), resampler));
                first
            }
        };
        self.spread(&converted)
    }

    fn end_conversion(&mut self) -> formant_audio_core::Result<()> {
        let Some((_, mut resampler)) = self.converter.take() else { return Ok(()) };
        let rest = resampler.finish()?;
        self.spread(&rest)
    }

    /// Puts mono audio on all channels.
    fn spread(&mut self, mono: &AudioBuf) -> formant_audio_core::Result<()> {
        let planar = mono.channel(0).repeat(self.spec.channels());
        let block = AudioBuf::from_planar(self.spec, planar)?;
        self.hold(&block.view())
    }

    fn hold(&mut self, block: &AudioView<'_>) -> formant_audio_core::Result<()> {
        match &mut self.held {
            Some(held) => held.append(block)?,
            None => self.held = Some(block.to_owned()),
        }
        let enough = self.spec.rate as usize / WRITES_PER_SECOND;
        if self.held.as_ref().is_some_and(|held| held.frames() >= enough) {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> formant_audio_core::Result<()> {
        self.held.take().map_or(Ok(()), |held| self.writer.write(&held.view()))
    }
}

fn of(path: &Path, error: formant_audio_core::Error) -> Error {
    match error {
        formant_audio_core::Error::Io { source, .. } => {
            Error::Write { path: path.to_owned(), source }
        }
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use formant_audio_core::ChannelLayout;
    use formant_audio_core::decode::{DecodeOptions, decode_file};

    use super::*;

    #[test]
    fn takes_are_whole_at_any_time_and_keep_time() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("take.wav");
        let spec = AudioSpec { rate: 8000, layout: ChannelLayout::Stereo };
        let mut recorder = Recorder::create(&path, spec).expect("a file");
        for _ in 0..40 {
            recorder.audio(&AudioBuf::silence(spec, 800), Pace::Elastic);
        }
        // Not finished: as after a crash.
        let mut frames = 0;
        for _ in 0..200 {
            frames =
                decode_file(&path, &DecodeOptions::default()).map_or(0, |clip| clip.audio.frames());
            if frames >= 30_000 {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        assert!(frames >= 30_000, "{frames}");
        recorder.silence(8000, 8000);
        recorder.audio(&AudioBuf::silence(AudioSpec::mono(16_000), 16_000), Pace::Live);
        recorder.finish().expect("written");
        let clip = decode_file(&path, &DecodeOptions::default()).expect("whole");
        assert_eq!((clip.audio.spec(), clip.audio.frames()), (spec, 48_000));
        assert!(clip.info.warnings.is_empty(), "{:?}", clip.info.warnings);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_told() {
        let spec = AudioSpec::mono(8000);
        let error = Recorder::create("/no/such/folder/a.wav".as_ref(), spec).err();
        assert!(error.expect("no folder").to_string().contains("/no/such/folder/a.wav"));
    }
}
