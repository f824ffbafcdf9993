//! The block reader: opens a source of any format and hands out sanitised blocks of bounded size.

use std::collections::VecDeque;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::backend::Backend;
use super::channels::Chooser;
use super::info::SourceInfo;
use super::options::{DecodeOptions, MAX_BLOCK_FRAMES, Strictness};
use super::planes::Planes;
use super::source::Source;
use super::stretch::{Cut, Stretch};
use super::{Clip, open};
use crate::buffer::{AudioBuf, AudioSpec};
use crate::error::{Error, Result};
use crate::sanitise::sanitise;
use crate::warning::Warning;

/// Reads a source block by block; memory does not grow with its length.
pub struct BlockReader {
    backend: Box<dyn Backend>,
    spec: AudioSpec,
    chooser: Chooser,
    strict: Strictness,
    pending: VecDeque<AudioBuf>,
    non_finite: u64,
    done: bool,
    cut: Option<Cut>,
    watch: Option<Box<dyn FnMut(u64) + Send>>,
}

impl std::fmt::Debug for BlockReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlockReader")
            .field("spec", &self.spec)
            .field("done", &self.done)
            .finish_non_exhaustive()
    }
}

impl BlockReader {
    /// Open a file; a pipe or device may be named as well.
    ///
    /// # Errors
    /// When it can't be read or its format is not known.
    pub fn open(path: &Path, options: &DecodeOptions) -> Result<Self> {
        Self::new(Source::open(path)?, path.to_owned(), options)
    }

    /// Read a stream that only goes forward, such as standard input; `name` stands for it in
    /// messages.
    ///
    /// # Errors
    /// As [`BlockReader::open`].
    pub fn from_stream(
        source: Box<dyn Read + Send + Sync>,
        name: &str,
        options: &DecodeOptions,
    ) -> Result<Self> {
        Self::new(Source::stream(source), PathBuf::from(name), options)
    }

    fn new(source: Source, path: PathBuf, options: &DecodeOptions) -> Result<Self> {
        let mut backend = open::open_backend(source, path, options)?;
        let info = backend.info();
        let found = AudioSpec { rate: info.rate, layout: info.layout };
        let chooser = Chooser::new(options.channels.as_ref(), found).map_err(|number| {
            Error::NoChannel { path: info.path.clone(), number, count: found.channels() }
        })?;
        let mut reader = Self {
            backend,
            spec: chooser.spec(found),
            chooser,
            strict: options.strict,
            pending: VecDeque::new(),
            non_finite: 0,
            done: false,
            cut: None,
            watch: None,
        };
        reader.check_strict()?;
        Ok(reader)
    }

    /// Hands out the frames of a stretch alone.
    #[must_use]
    pub fn cut_to(mut self, stretch: Stretch) -> Self {
        self.cut = (!stretch.is_whole()).then(|| Cut::new(stretch, self.spec.rate));
        self
    }

    /// Calls `watch` with the number of frames that were decoded so far, after every block.
    pub fn on_progress(&mut self, watch: impl FnMut(u64) + Send + 'static) {
        self.watch = Some(Box::new(watch));
    }

    /// Rate and layout of every block; [`SourceInfo::layout`] tells those of the source.
    #[must_use]
    pub fn spec(&self) -> AudioSpec {
        self.spec
    }

    /// Frames that the header promises after trimming; a hint, not to be relied on.
    pub fn declared_frames(&mut self) -> Option<u64> {
        self.backend.info().declared_frames
    }

    /// Where the first sample lies on the clock of the file, in seconds: see
    /// [`SourceInfo::start`].
    pub fn start(&mut self) -> f64 {
        self.backend.info().start
    }

    /// What is known about the source; complete once the end has been reached.
    pub fn info(&mut self) -> &SourceInfo {
        self.backend.info()
    }

    /// The next block, of 1 to [`MAX_BLOCK_FRAMES`] frames; `None` at the end.
    ///
    /// # Errors
    /// When reading fails, when the data are damaged beyond the limits, or, if strict, on the
    /// first warning; when the recording ends before its stretch.
    pub fn next_block(&mut self) -> Result<Option<AudioBuf>> {
        let Some(mut cut) = self.cut.take() else { return self.next_decoded() };
        let found = loop {
            if cut.is_complete() {
                break Ok(None);
            }
            match self.next_decoded()? {
                None => break cut.end(&self.backend.info().path).map(|()| None),
                Some(block) => {
                    if let Some(kept) = cut.keep(block) {
                        break Ok(Some(kept));
                    }
                }
            }
        };
        self.cut = Some(cut);
        found
    }

    /// The next block of the whole recording.
    fn next_decoded(&mut self) -> Result<Option<AudioBuf>> {
        loop {
            if let Some(block) = self.pending.pop_front() {
                let found = &mut self.backend.info().found_frames;
                *found += block.frames() as u64;
                if let Some(watch) = &mut self.watch {
                    watch(*found);
                }
                return Ok(Some(block));
            }
            if self.done {
                return Ok(None);
            }
            match self.backend.next()? {
                Some(block) => self.queue(block),
                None => {
                    self.done = true;
                    self.finish()?;
                }
            }
        }
    }

    /// Everything from here to the end, in memory.
    ///
    /// # Errors
    /// As [`BlockReader::next_block`].
    pub fn read_to_end(mut self) -> Result<Clip> {
        let mut planes = Planes::new(self.spec.channels(), self.declared_frames());
        while let Some(block) = self.next_block()? {
            planes.push(&block);
        }
        let data = planes.into_planar();
        let audio = AudioBuf::from_planar(self.spec, data)?;
        Ok(Clip { audio, info: self.backend.info().clone() })
    }

    /// Sanitise a block and queue it in pieces of bounded size.
    fn queue(&mut self, mut block: AudioBuf) {
        self.non_finite += sanitise(block.as_planar_mut());
        let block = self.chooser.push(block);
        if block.frames() <= MAX_BLOCK_FRAMES {
            if !block.is_empty() {
                self.pending.push_back(block);
            }
            return;
        }
        for start in (0..block.frames()).step_by(MAX_BLOCK_FRAMES) {
            self.pending.push_back(block.view().slice(start..start + MAX_BLOCK_FRAMES).to_owned());
        }
    }

    /// Compare what was promised with what was found.
    fn finish(&mut self) -> Result<()> {
        let count = self.non_finite;
        let info = self.backend.info();
        info.warnings.extend(self.chooser.warnings());
        if count > 0 {
            info.warnings.push(Warning::NonFinite { count });
        }
        let found = info.found_frames;
        let lost: u64 = info
            .warnings
            .iter()
            .map(|warning| match warning {
                Warning::CorruptPackets { frames, .. } => *frames,
                _ => 0,
            })
            .sum();
        if found > 0 && lost >= found {
            let reason = "none of its packets could be decoded";
            return Err(Error::unreadable(&info.path, reason));
        }
        if let Some(declared) = info.declared_frames.filter(|&declared| declared != found) {
            info.warnings.push(Warning::FrameCount { declared, found });
        }
        self.check_strict()
    }

    fn check_strict(&mut self) -> Result<()> {
        let strict = self.strict;
        let info = self.backend.info();
        match info.warnings.iter().find(|warning| !warning.is_note()) {
            Some(warning) if strict == Strictness::Strict => Err(Error::unreadable(
                &info.path,
                format!("{warning}; leave out --strict to use it as it is"),
            )),
            _ => Ok(()),
        }
    }
}
